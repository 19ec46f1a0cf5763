//! The float parameters of a module: what they are called, what they are like, and their memory where burn lends it.

use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::kernel::view::View;
use crate::names;
use ::burn::backend::Flex;
use ::burn::backend::flex::FlexTensor;
use ::burn::module::{Module, ModuleVisitor, Param};
use ::burn::tensor::{self, Device, Tensor};
use half::{bf16, f16};

/// One of our dtypes, if burn's is a float one that can be averaged.
pub fn dtype(dtype: tensor::DType) -> Option<DType> {
    match dtype {
        tensor::DType::F64 => Some(DType::F64),
        tensor::DType::F32 => Some(DType::F32),
        tensor::DType::F16 => Some(DType::F16),
        tensor::DType::BF16 => Some(DType::BF16),
        _ => None,
    }
}

/// Where in a module burn is just now.
#[derive(Debug, Default)]
pub struct Path {
    path: String,
    /// The path's length before each part.
    parents: Vec<usize>,
}

impl Path {
    pub fn enter(&mut self, name: &str) {
        self.parents.push(self.path.len());
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(name);
    }

    pub fn exit(&mut self) {
        self.path.truncate(self.parents.pop().unwrap_or(0));
    }

    pub fn as_str(&self) -> &str {
        &self.path
    }
}

/// What the float parameters of a module are like, in the order in which burn goes through it.
#[derive(Default)]
pub struct Kinds {
    path: Path,
    pub names: Vec<String>,
    pub devices: Vec<Device>,
}

impl Kinds {
    pub fn of<M: Module>(module: &M) -> Self {
        let mut kinds = Self::default();
        module.visit(&mut kinds);
        kinds
    }
}

impl ModuleVisitor for Kinds {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.names.push(self.path.as_str().to_owned());
        self.devices.push(param.base().device());
    }
}

/// A module's float parameters, lent by it or copied, in lists that serve again for the next module.
#[derive(Debug, Default)]
pub struct Params {
    path: Path,
    tensors: Vec<(DType, FlexTensor)>,
}

impl Params {
    /// Reads all of them, which are to have these names in this order.
    ///
    /// # Errors
    /// If there are others, or one is of another dtype, or can't be read from its device.
    pub fn read<M: Module>(&mut self, module: &M, names: &[String]) -> Result<()> {
        self.tensors.clear();
        let mut reader = Reader { params: self, names, known: true, result: Ok(()) };
        // Statistics such as those of a batch normalization wait to be taken over until the module is used again, or asked
        // for a copy to evaluate. That copies no values.
        module.valid().visit(&mut reader);
        let (known, result) = (reader.known, reader.result);
        result?;
        if known && self.tensors.len() == names.len() {
            return Ok(());
        }
        check(names, &Kinds::of(module).names)?;
        Err(disorder())
    }

    /// One that was read.
    pub fn view(&self, index: usize) -> View<'_> {
        let (dtype, tensor) = &self.tensors[index];
        view(*dtype, tensor).expect("looked at when it was read")
    }

    /// Lets go of the parameters, which the optimizer writes in place once nobody else has them.
    pub fn clear(&mut self) {
        self.tensors.clear();
    }
}

/// Whether a module's parameters have these names, in this order.
///
/// # Errors
/// [`Error::Names`] if there are others; [`Error::Config`] if they are so in another order.
pub fn check(names: &[String], found: &[String]) -> Result<()> {
    if names == found {
        return Ok(());
    }
    names::check(names.iter(), found)?;
    Err(disorder())
}

fn disorder() -> Error {
    Error::config("module", "one with its parameters in another order", "of the type that is averaged")
}

fn view(dtype: DType, tensor: &FlexTensor) -> Result<View<'_>> {
    fn of<E: Element + tensor::Element>(tensor: &FlexTensor) -> Result<View<'_>> {
        let layout = tensor.layout();
        View::strided(tensor.storage::<E>(), layout.start_offset(), layout.shape(), layout.strides())
    }
    match dtype {
        DType::F64 => of::<f64>(tensor),
        DType::F16 => of::<f16>(tensor),
        DType::BF16 => of::<bf16>(tensor),
        _ => of::<f32>(tensor),
    }
}

struct Reader<'a> {
    params: &'a mut Params,
    names: &'a [String],
    /// Whether every parameter so far has the name that is its place's.
    known: bool,
    /// The first refusal, after which nothing is read.
    result: Result<()>,
}

impl Reader<'_> {
    fn read<const D: usize>(&mut self, param: &Param<Tensor<D>>) -> Result<()> {
        let index = self.params.tensors.len();
        // Not val(): that would be the weight with its adapters, which are visited by themselves.
        let tensor = param.base();
        let Some(dtype) = dtype(tensor.dtype()) else {
            let (name, found) = (self.names[index].clone(), format!("{:?}", tensor.dtype()));
            return Err(Error::DType { name, found, valid: "float64, float32, float16 or bfloat16".to_owned() });
        };
        let layout = |problem| Error::Layout { index: Some(index), name: self.names[index].clone(), problem };
        // The tensor is asked for twice only where it has to be copied, as a copy of the handle takes memory.
        let lent = tensor.inner().try_into_primitive::<Flex>();
        let tensor = lent.or_else(|_| copy(param.base().inner())).map_err(layout)?;
        view(dtype, &tensor)?;
        self.params.tensors.push((dtype, tensor));
        Ok(())
    }
}

impl ModuleVisitor for Reader<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.params.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.params.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !self.known || self.result.is_err() {
            return;
        }
        let name = self.names.get(self.params.tensors.len());
        self.known = name.is_some_and(|name| name == self.params.path.as_str());
        if self.known {
            self.result = self.read(param);
        }
    }
}

/// A tensor of a device whose memory burn does not lend.
fn copy<const D: usize>(tensor: Tensor<D>) -> std::result::Result<FlexTensor, String> {
    let data = tensor.try_into_data().map_err(|error| format!("can't be read: {error:?}"))?;
    Ok(FlexTensor::from_data(data))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::burn::tensor::TensorData;
    use std::sync::Arc;

    fn storage<const D: usize>(tensor: Tensor<D>) -> FlexTensor {
        tensor.inner().try_into_primitive::<Flex>().unwrap()
    }

    #[test]
    fn memory_of_flex_is_lent_however_it_lies() {
        for device in [Device::flex(), Device::flex().autodiff()] {
            let tensor = Tensor::<2>::from_data([[1.0_f32, 2.0, 3.0], [4.0, 5.0, 6.0]], &device);
            for (tensor, expected) in [
                (tensor.clone(), &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..]),
                (tensor.clone().transpose(), &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]),
                (tensor.clone().slice([0..2, 1..2]), &[2.0, 5.0]),
            ] {
                let param = Param::from_tensor(tensor);
                let mut params = Params::default();
                params.read(&param, &[String::new()]).unwrap();
                let lent = params.tensors[0].1.data_arc();
                assert!(Arc::ptr_eq(&lent, &storage(param.base()).data_arc()));
                let mut values = vec![0_f32; expected.len()];
                params.view(0).gather(0, &mut values);
                assert_eq!(values, expected);
            }
        }
    }

    /// What other backends have to do.
    #[test]
    fn a_copy_has_the_values_in_memory_of_its_own() {
        let data = TensorData::new(vec![f16::ONE, f16::NEG_ONE, f16::MAX, f16::ZERO], [2, 2]);
        let tensor = Tensor::<2>::from_data(data, (&Device::flex(), tensor::DType::F16));
        let copied = copy(tensor.clone().transpose()).unwrap();
        assert!(!Arc::ptr_eq(&copied.data_arc(), &storage(tensor).data_arc()));
        let copied = view(DType::F16, &copied).unwrap();
        assert_eq!(copied.shape(), [2, 2]);
        assert_eq!(copied.as_slice::<f16>().unwrap(), [f16::ONE, f16::MAX, f16::NEG_ONE, f16::ZERO]);
    }
}
