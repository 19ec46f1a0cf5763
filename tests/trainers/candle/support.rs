//! Variables of given values, and their bits.

use candle_core::{Device, Storage, Var};
use candle_nn::VarMap;

pub fn var(values: &[f32]) -> Var {
    Var::from_slice(values, values.len(), &Device::Cpu).unwrap()
}

pub fn get(var: &Var) -> Vec<f32> {
    var.flatten_all().unwrap().to_vec1().unwrap()
}

pub fn set(var: &Var, values: &[f32]) {
    var.set(&candle_core::Tensor::from_slice(values, var.shape(), &Device::Cpu).unwrap()).unwrap();
}

/// A map of variables, each with a name.
pub fn map<'a>(variables: impl IntoIterator<Item = (&'a str, &'a Var)>) -> VarMap {
    let map = VarMap::new();
    for (name, var) in variables {
        map.data().lock().unwrap().insert(name.to_owned(), var.clone());
    }
    map
}

/// Where a variable's elements begin in memory.
pub fn place(var: &Var) -> usize {
    match &*var.storage_and_layout().0 {
        Storage::Cpu(candle_core::CpuStorage::F32(values)) => values.as_ptr().addr(),
        other => panic!("{:?}", other.dtype()),
    }
}
