//! A network of shrew on noisy digits: raw weights against their average, which is saved and loaded again.
//!
//! `cargo run --release --features shrew --example shrew_digits [FILE]`

#[path = "data/digits.rs"]
mod digits;

use digits::{CLASSES, Digits, Outcome, PIXELS};
use fastrand::Rng;
use shrew_core::{DType, Result, Tensor};
use shrew_cpu::{CpuBackend, CpuDevice};
use shrew_ema::Config;
use shrew_ema::shrew::EMA; // in the place of shrew_optim::EMA
use shrew_nn::{Linear, Module, cross_entropy_loss};
use shrew_optim::{Adam, Optimizer};
use std::path::Path;

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

/// Trains with everything drawn from `seed`, and saves the averages.
pub fn train(seed: u64, path: &Path) -> Result<Outcome> {
    let random = &mut Rng::with_seed(seed);
    let (training, test) = digits::load(random);
    let network = Network::new(random)?;
    let mut optimizer = Adam::new(network.parameters(), RATE);
    let mut ema = EMA::named(network.named_parameters(), Config::new(DECAY)?)?;
    let (mut raw, mut averaged) = (Vec::new(), Vec::new());
    for _ in 0..EPOCHS {
        for batch in training.batches(BATCH, random) {
            optimizer.step(&loss(&network, &batch)?.backward()?)?;
            ema.update_with_warmup(&network.parameters())?;
        }
        raw.push(right(&network, &test)?);
        let _applied = ema.applied()?; // until the end of this epoch's block
        averaged.push(right(&network, &test)?);
    }
    ema.save(path)?;

    let fresh = Network::new(random)?;
    EMA::load(path, fresh.named_parameters())?.copy_to()?;
    Ok(Outcome { raw, averaged, reloaded: right(&fresh, &test)?, images: test.len() })
}

fn main() -> Result<()> {
    let path = digits::file("shrew_digits.safetensors");
    train(0, &path)?.print(1, &path);
    Ok(())
}
