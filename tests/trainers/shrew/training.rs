//! A small network under one of shrew's optimizers, the same run at every call.

use shrew_core::{DType, Tensor};
use shrew_cpu::{CpuBackend, CpuDevice};
use shrew_nn::{Linear, Module, mse_loss};
use shrew_optim::{Adam, Optimizer, SGD};

pub type Cpu = Tensor<CpuBackend>;

/// The dtypes that a model may have.
pub const FLOATS: [DType; 4] = [DType::F64, DType::F32, DType::F16, DType::BF16];

pub fn tensor(values: &[f64], shape: impl Into<shrew_core::Shape>, dtype: DType) -> Cpu {
    Tensor::from_f64_slice(values, shape, dtype, &CpuDevice).unwrap()
}

/// A parameter of one dimension.
pub fn vector(values: &[f64], dtype: DType) -> Cpu {
    tensor(values, values.len(), dtype).set_variable()
}

/// Numbers from [-1, 1), the same for each seed.
pub fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| 2.0 * random.f64() - 1.0).collect()
}

#[derive(Clone, Copy, Debug)]
pub enum Rule {
    Momentum,
    Adam,
}

pub struct Training {
    layers: [Linear<CpuBackend>; 2],
    optimizer: Box<dyn Optimizer<CpuBackend>>,
    images: Cpu,
    targets: Cpu,
}

impl Training {
    pub fn new(dtype: DType, rule: Rule) -> Self {
        let layer = |inputs: usize, outputs: usize, seed| {
            let weight = tensor(&numbers(outputs * inputs, seed), (outputs, inputs), dtype);
            let bias = tensor(&numbers(outputs, seed + 1), (1, outputs), dtype);
            Linear::from_tensors(weight, Some(bias)).unwrap()
        };
        let layers = [layer(5, 12, 1), layer(12, 3, 3)];
        let params = layers.iter().flat_map(Module::parameters).collect();
        let optimizer: Box<dyn Optimizer<_>> = match rule {
            Rule::Momentum => Box::new(SGD::new(params, 0.02, 0.9, 1e-4)),
            Rule::Adam => Box::new(Adam::new(params, 0.01)),
        };
        let (images, targets) =
            (tensor(&numbers(16 * 5, 5), (16, 5), dtype), tensor(&numbers(16 * 3, 6), (16, 3), dtype));
        Self { layers, optimizer, images, targets }
    }

    pub fn parameters(&self) -> Vec<Cpu> {
        self.layers.iter().flat_map(Module::parameters).collect()
    }

    /// Trains once and gives the loss.
    pub fn step(&mut self) -> f64 {
        let hidden = self.layers[0].forward(&self.images).unwrap().relu().unwrap();
        let loss = mse_loss(&self.layers[1].forward(&hidden).unwrap(), &self.targets).unwrap();
        self.optimizer.step(&loss.backward().unwrap()).unwrap();
        loss.to_scalar_f64().unwrap()
    }
}

/// The bits of all values, in the order of the tensors.
pub fn bits(params: &[Cpu]) -> Vec<Vec<u64>> {
    params.iter().map(|param| param.to_f64_vec().unwrap().into_iter().map(f64::to_bits).collect()).collect()
}
