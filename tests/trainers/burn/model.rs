//! A small model with parameters of every kind, whose values are given.

use burn::module::{Module, Param};
use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// For tests that draw random numbers: burn has one source of them in a process, and one of the tests wants the same twice.
pub fn drawing() -> MutexGuard<'static, ()> {
    static DRAWING: Mutex<()> = Mutex::new(());
    DRAWING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Module, Debug)]
pub struct Layer {
    pub weight: Param<Tensor<2>>,
    pub bias: Option<Param<Tensor<1>>>,
}

#[derive(Module, Debug)]
pub struct Model {
    pub first: Layer,
    pub layers: Vec<Layer>,
    pub steps: Param<Tensor<1, Int>>,
    pub mask: Param<Tensor<1, Bool>>,
    pub name: String,
}

pub const NAMES: [&str; 5] = ["first.weight", "first.bias", "layers.0.weight", "layers.1.weight", "layers.1.bias"];

pub fn tensor<const D: usize>(values: &[f32], shape: [usize; D], dtype: DType, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), (device, dtype))
}

impl Layer {
    /// A layer of two inputs and as many outputs as there are values for either.
    pub fn new(values: &[f32], bias: bool, device: &Device) -> Self {
        let outputs = values.len() / 2;
        let weight = tensor(values, [2, outputs], DType::F32, device);
        let bias = bias.then(|| Param::from_tensor(tensor(&values[..outputs], [outputs], DType::F32, device)));
        Self { weight: Param::from_tensor(weight), bias }
    }
}

impl Model {
    pub fn new(device: &Device) -> Self {
        let layers = vec![Layer::new(&[5.0, 6.0], false, device), Layer::new(&[7.0, 8.0, 9.0, 1.0], true, device)];
        let steps = TensorData::new(vec![3_i32, 4], [2]);
        let mask = TensorData::new(vec![true, false, true], [3]);
        Self {
            first: Layer::new(&[1.0, 2.0, 3.0, 4.0], true, device),
            layers,
            steps: Param::initialized(Default::default(), Tensor::from_data(steps, device)),
            mask: Param::initialized(Default::default(), Tensor::from_data(mask, device)),
            name: "model".to_owned(),
        }
    }

    /// Its float parameters, in the order of their names.
    pub fn values(&self) -> Vec<Vec<f32>> {
        let (first, second, third) = (&self.first, &self.layers[0], &self.layers[1]);
        let (bias, last) = (first.bias.as_ref().unwrap(), third.bias.as_ref().unwrap());
        let weights = [&first.weight, &second.weight, &third.weight].map(|weight| get(&weight.val()));
        let [a, b, c] = weights;
        vec![a, get(&bias.val()), b, c, get(&last.val())]
    }
}

pub fn get<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.to_data().try_into_vec().unwrap()
}
