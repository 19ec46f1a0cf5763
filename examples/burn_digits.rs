//! Trains a classifier of burn on noisy digits, and compares its weights with their averages.
//!
//! `cargo run --release --features burn --example burn_digits [FILE]`; the averages end up in the file. With the
//! seeds 0 to 11, six evaluations of 397 images together told 30 to 121 more right with the averages.

#[path = "data/digits.rs"]
mod digits;

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData, activation::relu};
use digits::{CLASSES, Digits, Outcome, PIXELS};
use shrew_ema::Config;
use shrew_ema::burn::ModuleAverages;
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

#[derive(Module, Debug)]
struct Classifier {
    hidden: Linear,
    out: Linear,
}

impl Classifier {
    fn new(device: &Device) -> Self {
        let hidden = LinearConfig::new(PIXELS, HIDDEN).init(device);
        Self { hidden, out: LinearConfig::new(HIDDEN, CLASSES).init(device) }
    }

    fn logits(&self, digits: &Digits, device: &Device) -> Tensor<2> {
        let images = TensorData::new(digits.images.clone(), [digits.len(), PIXELS]);
        self.out.forward(relu(self.hidden.forward(Tensor::from_data(images, device))))
    }

    fn right(&self, digits: &Digits, device: &Device) -> Result<usize, Box<dyn Error>> {
        Ok(digits.right(&self.logits(digits, device).into_data().try_into_vec::<f32>()?))
    }
}

/// Trains, and saves the averages.
pub fn train(seed: u64, path: &Path) -> Result<Outcome, Box<dyn Error>> {
    let mut random = fastrand::Rng::with_seed(seed);
    let (training, test) = digits::load(&mut random);
    let plain = Device::flex();
    let device = plain.clone().autodiff();
    device.seed(seed);
    let mut classifier = Classifier::new(&device);
    let mut optimizer = AdamWConfig::new().init();
    let mut averages = ModuleAverages::new(&classifier, Config::new(DECAY)?)?;
    let loss = CrossEntropyLossConfig::new().init(&device);

    let (mut raw, mut averaged) = (Vec::new(), Vec::new());
    for epoch in 1..=EPOCHS {
        for batch in training.batches(BATCH, &mut random) {
            let labels: Vec<i32> = batch.labels.iter().copied().map(i32::from).collect();
            let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [batch.len()]), &device);
            let loss = loss.forward(classifier.logits(&batch, &device), labels);
            let gradients = GradientsParams::from_grads(loss.backward(), &classifier);
            classifier = optimizer.step(RATE, classifier, gradients);
            averages.update_with_warmup(&classifier)?;
        }
        if epoch % EVERY == 0 {
            let evaluated = classifier.valid();
            raw.push(evaluated.right(&test, &plain)?);
            averaged.push(averages.averaged(&evaluated)?.right(&test, &plain)?);
        }
    }
    averages.save(path)?;

    let other = ModuleAverages::load(path)?.averaged(&Classifier::new(&plain))?;
    Ok(Outcome { raw, averaged, reloaded: other.right(&test, &plain)?, images: test.len() })
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = digits::file("burn_digits.safetensors");
    train(1, &path)?.print(EVERY, &path);
    Ok(())
}
