//! A module with averages in the place of its parameters.

use super::ModuleAverages;
use super::read::{Path, dtype};
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::kernel::view::{View, ViewMut};
use ::burn::module::{ModuleMapper, Param};
use ::burn::tensor::{self, Device, Tensor, TensorData};
use half::{bf16, f16};

/// Puts the averages in the place of the parameters.
pub struct Writer<'a> {
    averages: &'a ModuleAverages,
    horizon: usize,
    /// Where the parameters of the module were, with all that burn keeps in a device.
    devices: &'a [Device],
    path: Path,
    /// The parameter that comes next.
    index: usize,
    /// The first refusal, after which nothing is done.
    result: Result<()>,
}

impl<'a> Writer<'a> {
    /// Of one horizon, for a module that has these parameters by name, on these devices.
    pub fn new(averages: &'a ModuleAverages, horizon: usize, devices: &'a [Device]) -> Self {
        Self { averages, horizon, devices, path: Path::default(), index: 0, result: Ok(()) }
    }

    /// Whether every parameter has its average.
    ///
    /// # Errors
    /// The first refusal.
    pub fn finish(self) -> Result<()> {
        self.result?;
        if self.index == self.devices.len() { Ok(()) } else { Err(disorder()) }
    }

    fn average<const D: usize>(&self, tensor: &Tensor<D>) -> Result<Tensor<D>> {
        let ledger = self.averages.ledger();
        // Only names tell: a module of somebody's own may go another way when it is mapped.
        if ledger.names().get(self.index).is_none_or(|name| name != self.path.as_str()) {
            return Err(disorder());
        }
        let shape = tensor.shape();
        let Some(dtype) = dtype(tensor.dtype()) else {
            let (name, found) = (ledger.names()[self.index].clone(), format!("{:?}", tensor.dtype()));
            return Err(Error::DType { name, found, valid: ledger.descriptors()[self.index].dtype.name().to_owned() });
        };
        ledger.check(self.index, dtype, &shape)?;
        let values = self.averages.averages.shadow(self.index, self.horizon)?;
        let data = match dtype {
            DType::F64 => self.cast::<f64>(&values, &shape),
            DType::F16 => self.cast::<f16>(&values, &shape),
            DType::BF16 => self.cast::<bf16>(&values, &shape),
            _ => self.cast::<f32>(&values, &shape),
        };
        let average = Tensor::from_data(data, (&self.devices[self.index], tensor.dtype()));
        Ok(if tensor.is_require_grad() { average.require_grad() } else { average })
    }

    fn cast<E: Element + tensor::Element>(&self, values: &View<'_>, shape: &[usize]) -> TensorData {
        let mut cast = vec![E::zeroed(); values.elements()];
        self.averages.engine.assign(&mut ViewMut::from(&mut cast[..]), values);
        TensorData::new(cast, shape)
    }
}

fn disorder() -> Error {
    Error::config("module", "one that is mapped in another order than it is visited", "one with a single order")
}

impl ModuleMapper for Writer<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.result.is_err() {
            return param;
        }
        let average = self.average(&param);
        self.index += 1;
        match average {
            Ok(average) => param.map(|_| average),
            Err(error) => {
                self.result = Err(error);
                param
            }
        }
    }
}
