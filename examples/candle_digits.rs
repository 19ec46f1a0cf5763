//! Trains a classifier of candle on noisy digits, and compares its weights with their averages.
//!
//! `cargo run --release --features candle --example candle_digits [FILE]`; the averages end up in the file. With the
//! seeds 0 to 11, six evaluations of 397 images together told 29 to 89 more right with the averages.

#[path = "data/digits.rs"]
mod digits;

use candle_core::{DType, Device, Tensor};
use candle_nn::{AdamW, Linear, Module, Optimizer, VarBuilder, VarMap, linear, loss::cross_entropy};
use digits::{CLASSES, Digits, Outcome, PIXELS};
use shrew_ema::backend::candle::{Candle, named};
use shrew_ema::{Config, EMA};
use std::error::Error;
use std::path::Path;

const HIDDEN: usize = 32;
const EPOCHS: usize = 12;
/// Epochs from one evaluation to the next.
const EVERY: usize = 2;
/// So few images, and so large a rate, that the weights jitter for as long as they are trained.
const BATCH: usize = 16;
const RATE: f64 = 0.02;
/// An average over some 200 steps, of the thousand that there are.
const DECAY: f64 = 0.995;

struct Classifier {
    variables: VarMap,
    hidden: Linear,
    out: Linear,
}

impl Classifier {
    /// With weights out of `random`, as candle's own can't be drawn again.
    fn new(random: &mut fastrand::Rng) -> Result<Self, Box<dyn Error>> {
        let variables = VarMap::new();
        let builder = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
        let hidden = linear(PIXELS, HIDDEN, builder.pp("hidden"))?;
        let out = linear(HIDDEN, CLASSES, builder.pp("out"))?;
        for (_, variable) in named(&variables)? {
            let bound = 1.0 / (*variable.dims().last().unwrap_or(&1) as f32).sqrt();
            let values = (0..variable.elem_count()).map(|_| bound * (2.0 * random.f32() - 1.0)).collect();
            variable.set(&Tensor::from_vec(values, variable.shape(), &Device::Cpu)?)?;
        }
        Ok(Self { variables, hidden, out })
    }

    fn logits(&self, digits: &Digits) -> candle_core::Result<Tensor> {
        let images = Tensor::from_slice(&digits.images, (digits.len(), PIXELS), &Device::Cpu)?;
        self.out.forward(&self.hidden.forward(&images)?.relu()?)
    }

    fn right(&self, digits: &Digits) -> candle_core::Result<usize> {
        Ok(digits.right(&self.logits(digits)?.flatten_all()?.to_vec1()?))
    }
}

/// Trains, and saves the averages.
pub fn train(seed: u64, path: &Path) -> Result<Outcome, Box<dyn Error>> {
    let mut random = fastrand::Rng::with_seed(seed);
    let (training, test) = digits::load(&mut random);
    let classifier = Classifier::new(&mut random)?;
    let mut optimizer = AdamW::new_lr(classifier.variables.all_vars(), RATE)?;
    let mut ema = EMA::<Candle>::named(named(&classifier.variables)?, Config::new(DECAY)?)?;
    let params = ema.params().to_vec();

    let (mut raw, mut averaged) = (Vec::new(), Vec::new());
    for epoch in 1..=EPOCHS {
        for batch in training.batches(BATCH, &mut random) {
            let labels: Vec<u32> = batch.labels.iter().copied().map(u32::from).collect();
            let labels = Tensor::from_vec(labels, batch.len(), &Device::Cpu)?;
            optimizer.backward_step(&cross_entropy(&classifier.logits(&batch)?, &labels)?)?;
            ema.update_with_warmup(&params)?;
        }
        if epoch % EVERY == 0 {
            raw.push(classifier.right(&test)?);
            let _applied = ema.applied()?; // the training values come back when this goes
            averaged.push(classifier.right(&test)?);
        }
    }
    ema.save(path)?;

    let other = Classifier::new(&mut random)?;
    EMA::<Candle>::load(path, named(&other.variables)?)?.copy_to()?;
    Ok(Outcome { raw, averaged, reloaded: other.right(&test)?, images: test.len() })
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = digits::file("candle_digits.safetensors");
    train(1, &path)?.print(EVERY, &path);
    Ok(())
}
