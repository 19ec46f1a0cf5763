//! A network of shrew on noisy digits: raw weights against their average, which is saved and loaded again.
//!
//! `cargo run --release --features shrew --example shrew_digits [FILE]`

#[path = "data/digits.rs"]
mod digits;

use digits::{CLASSES, Digits, PIXELS};
use fastrand::Rng;
use shrew_core::{DType, Result, Tensor};
use shrew_cpu::{CpuBackend, CpuDevice};
use shrew_ema::Config;
use shrew_ema::shrew::EMA; // in the place of shrew_optim::EMA
use shrew_nn::{Linear, Module, cross_entropy_loss};
use shrew_optim::{Adam, Optimizer};
use std::path::{Path, PathBuf};

const HIDDEN: usize = 32;
const EPOCHS: usize = 8;
const BATCH: usize = 10;
/// So large that the weights jitter to the end.
const RATE: f64 = 0.01;
/// Half of an average is from the last 138 steps, one epoch.
const DECAY: f64 = 0.995;

struct Network {
    hidden: Linear<CpuBackend>,
    output: Linear<CpuBackend>,
}

impl Network {
    fn new(random: &mut Rng) -> Result<Self> {
        Ok(Self { hidden: layer(PIXELS, HIDDEN, random)?, output: layer(HIDDEN, CLASSES, random)? })
    }
}

/// A layer that starts as shrew's own do, from a seed.
fn layer(inputs: usize, outputs: usize, random: &mut Rng) -> Result<Linear<CpuBackend>> {
    let most = (1.0 / inputs as f64).sqrt();
    let mut start = |rows: usize, columns: usize| {
        let values: Vec<f64> = (0..rows * columns).map(|_| most * (2.0 * random.f64() - 1.0)).collect();
        Tensor::from_f64_slice(&values, (rows, columns), DType::F32, &CpuDevice)
    };
    Linear::from_tensors(start(outputs, inputs)?, Some(start(1, outputs)?))
}

impl Module<CpuBackend> for Network {
    fn forward(&self, images: &Tensor<CpuBackend>) -> Result<Tensor<CpuBackend>> {
        self.output.forward(&self.hidden.forward(images)?.relu()?)
    }

    fn parameters(&self) -> Vec<Tensor<CpuBackend>> {
        self.named_parameters().into_iter().map(|(_, tensor)| tensor).collect()
    }

    fn named_parameters(&self) -> Vec<(String, Tensor<CpuBackend>)> {
        let layers = [("hidden", &self.hidden), ("output", &self.output)];
        let named = |(layer, module): (&str, &Linear<_>)| {
            module
                .named_parameters()
                .into_iter()
                .map(move |(name, tensor)| (format!("{layer}.{name}"), tensor))
                .collect()
        };
        layers.map(named).into_iter().flat_map(|named: Vec<_>| named).collect()
    }
}

fn images(digits: &Digits) -> Result<Tensor<CpuBackend>> {
    let values: Vec<f64> = digits.images.iter().copied().map(f64::from).collect();
    Tensor::from_f64_slice(&values, (digits.len(), PIXELS), DType::F32, &CpuDevice)
}

fn loss(network: &Network, batch: &Digits) -> Result<Tensor<CpuBackend>> {
    let mut targets = vec![0.0; batch.len() * CLASSES];
    for (row, &label) in targets.chunks_exact_mut(CLASSES).zip(&batch.labels) {
        row[usize::from(label)] = 1.0;
    }
    let targets = Tensor::from_f64_slice(&targets, (batch.len(), CLASSES), DType::F32, &CpuDevice)?;
    cross_entropy_loss(&network.forward(&images(batch)?)?, &targets)
}

/// How many images the network tells right.
fn right(network: &Network, test: &Digits) -> Result<usize> {
    let logits = network.forward(&images(test)?)?.to_f64_vec()?;
    Ok(test.right(&logits.into_iter().map(|logit| logit as f32).collect::<Vec<_>>()))
}

/// How many test images were told right.
pub struct Outcome {
    /// By the weights and by their averages, after each epoch.
    pub epochs: Vec<(usize, usize)>,
    /// By a new network with the averages that were saved.
    pub reloaded: usize,
    /// Of how many.
    pub images: usize,
}

/// Trains with everything drawn from `seed`, and saves the averages.
pub fn train(seed: u64, path: &Path) -> Result<Outcome> {
    let random = &mut Rng::with_seed(seed);
    let (training, test) = digits::load(random);
    let network = Network::new(random)?;
    let mut optimizer = Adam::new(network.parameters(), RATE);
    let mut ema = EMA::named(network.named_parameters(), Config::new(DECAY)?)?;
    let mut epochs = Vec::new();
    for _ in 0..EPOCHS {
        for batch in training.batches(BATCH, random) {
            optimizer.step(&loss(&network, &batch)?.backward()?)?;
            ema.update_with_warmup(&network.parameters())?;
        }
        let raw = right(&network, &test)?;
        let _averaged = ema.applied()?; // until the end of this epoch's block
        epochs.push((raw, right(&network, &test)?));
    }
    ema.save(path)?;

    let fresh = Network::new(random)?;
    EMA::load(path, fresh.named_parameters())?.copy_to()?;
    Ok(Outcome { epochs, reloaded: right(&fresh, &test)?, images: test.len() })
}

fn main() -> Result<()> {
    let path =
        std::env::args_os().nth(1).map_or_else(|| std::env::temp_dir().join("shrew_digits.safetensors"), PathBuf::from);
    let Outcome { epochs, reloaded, images } = train(0, &path)?;
    println!("epoch   raw  averaged");
    for (epoch, (raw, averaged)) in (1..).zip(epochs) {
        let percent = |right| 100.0 * right as f64 / images as f64;
        println!("{epoch:5} {:5.1} {:9.1}", percent(raw), percent(averaged));
    }
    println!("right of {images} by a new network with the averages out of {}: {reloaded}", path.display());
    Ok(())
}
