//! Variables of `candle` on the CPU: read behind candle's own lock and written in place, neither with a copy.

use super::HostMemory;
use crate::descriptor::Descriptor;
use crate::dtype::DType;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::kernel::view::{View, ViewMut};
use candle_core::{CpuStorage, InplaceOp1, Layout, Storage, StorageRef, Var};
use candle_nn::VarMap;
use std::cell::Cell;
use std::ops::Range;
use std::sync::TryLockError;

/// The backend of models whose parameters are candle [`Var`]s on the CPU.
///
/// A clone of a `Var` is a handle: it sees what the optimizer writes. A `VarMap` gives them with their [`named`] names;
/// without one, `Var::from_tensor(layer.weight())` is the variable behind a layer's tensor if that `is_variable()`. Of any
/// other tensor it is a copy, which no optimizer trains and no layer reads.
///
/// ```
/// use candle_core::{DType, Device, Tensor, Var};
/// use candle_nn::{AdamW, Linear, Module, Optimizer, VarBuilder, VarMap, linear};
/// use shrew_ema::backend::candle::{Candle, named};
/// use shrew_ema::{Config, EMA};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let variables = VarMap::new();
/// let layer = linear(2, 1, VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu))?;
/// let mut optimizer = AdamW::new_lr(variables.all_vars(), 0.1)?;
///
/// let mut ema = EMA::<Candle>::named(named(&variables)?, Config::new(0.99)?)?;
/// let params = ema.params().to_vec(); // in the order of their names
/// let (x, y) = (Tensor::randn(0_f32, 1.0, (64, 2), &Device::Cpu)?, Tensor::ones((64, 1), DType::F32, &Device::Cpu)?);
/// for _ in 0..50 {
///     let loss = candle_nn::loss::mse(&layer.forward(&x)?, &y)?;
///     optimizer.backward_step(&loss)?;
///     ema.update_with_warmup(&params)?;
/// }
/// assert_eq!(ema.ledger().names(), ["bias", "weight"]);
/// let _averaged = ema.applied()?; // `layer` computes with the averages until this guard goes
/// # Ok(())
/// # }
/// ```
///
/// An update takes no memory in steady state; candle takes a little for each variable that is written.
///
/// candle's lock can be waited for and no more. Whoever keeps what [`storage_and_layout`] gave and then lets the EMA write,
/// on the same thread, waits for ever, as with candle's own optimizers. Its lock is never poisoned.
///
/// [`storage_and_layout`]: candle_core::Tensor::storage_and_layout
#[derive(Clone, Debug, Default)]
pub struct Candle {
    engine: Engine,
}

impl Candle {
    /// With another way of spreading work over threads.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

/// The variables of a map with their names, sorted by these: the map itself has another order in every process.
///
/// # Errors
/// [`Error::Config`] while the map's lock is held: waiting for it would be for ever if this thread has it.
pub fn named(variables: &VarMap) -> Result<Vec<(String, Var)>> {
    let map = match variables.data().try_lock() {
        Ok(map) => map,
        // A panic elsewhere leaves a map of variables.
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => {
            return Err(Error::config("variables", "one in use", "a map whose lock no thread holds"));
        }
    };
    let mut named: Vec<_> = map.iter().map(|(name, var)| (name.clone(), var.clone())).collect();
    named.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(named)
}

fn dtype(var: &Var) -> Result<DType> {
    Ok(match var.dtype() {
        candle_core::DType::F64 => DType::F64,
        candle_core::DType::F32 => DType::F32,
        candle_core::DType::F16 => DType::F16,
        candle_core::DType::BF16 => DType::BF16,
        other => return Err(Error::layout(format!("is of dtype {}, expected f64, f32, f16 or bf16", other.as_str()))),
    })
}

/// What an operation of the user's may do, as it has the whole storage to write.
fn replaced() -> Error {
    Error::layout("has a storage of another dtype or length than its own: something has replaced it")
}

/// Evaluates an expression with the values of a storage of the right dtype, whichever it is.
macro_rules! each {
    ($storage:expr, $dtype:expr, $values:ident => $body:expr) => {
        match ($storage, $dtype) {
            (CpuStorage::F64($values), DType::F64) => $body,
            (CpuStorage::F32($values), DType::F32) => $body,
            (CpuStorage::F16($values), DType::F16) => $body,
            (CpuStorage::BF16($values), DType::BF16) => $body,
            _ => Err(replaced()),
        }
    };
}

/// Where a variable's values are in its storage: all of them, one after the other, as candle makes variables.
fn place(layout: &Layout, length: usize) -> Result<Range<usize>> {
    let offsets = layout.contiguous_offsets().filter(|&(_, end)| end <= length);
    offsets.map(|(start, end)| start..end).ok_or_else(replaced)
}

impl HostMemory for Candle {
    type Tensor = Var;
    type Read<'a> = StorageRef<'a>;

    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn identity(var: &Var) -> usize {
        // It stays where it is as long as there is a handle.
        std::ptr::from_ref::<Storage>(&var.storage_and_layout().0).addr()
    }

    fn describe(var: &Var) -> Result<Descriptor> {
        if !var.device().is_cpu() {
            return Err(Error::layout(format!("is on {:?}, expected Cpu", var.device().location())));
        }
        Ok(Descriptor::new(dtype(var)?, var.dims()))
    }

    fn writable(var: &Var) -> Result<()> {
        // There is no variable that candle would not write, but one whose storage does not fit is found here and not half-way.
        Self::view(var, &Self::read(var)?).map(drop)
    }

    fn read(var: &Var) -> Result<StorageRef<'_>> {
        Ok(var.storage_and_layout().0)
    }

    fn view<'g>(var: &'g Var, read: &'g StorageRef<'_>) -> Result<View<'g>> {
        match &**read {
            Storage::Cpu(storage) => each!(storage, dtype(var)?, values => {
                View::shaped(&values[place(var.layout(), values.len())?], var.dims())
            }),
            _ => Err(replaced()),
        }
    }

    fn write(&self, var: &Var, values: &View<'_>) -> Result<()> {
        let write = Write { values, dtype: dtype(var)?, engine: &self.engine, result: Cell::new(Ok(())) };
        var.inplace_op1(&write).map_err(|error| Error::layout(error.to_string()))?;
        write.result.into_inner()
    }
}

/// Candle lends what is written to an operation only.
struct Write<'a> {
    values: &'a View<'a>,
    dtype: DType,
    engine: &'a Engine,
    /// Beside what the operation gives, so that an error stays one of ours.
    result: Cell<Result<()>>,
}

impl InplaceOp1 for Write<'_> {
    fn name(&self) -> &'static str {
        "shrew-ema"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        self.result.set(each!(storage, self.dtype, values => place(layout, values.len()).map(|place| {
            self.engine.assign(&mut ViewMut::from(&mut values[place]), self.values);
        })));
        Ok(())
    }
}
