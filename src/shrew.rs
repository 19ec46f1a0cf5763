//! The EMA of shrew's trainers, in the place of `shrew_optim::EMA`.
//!
//! A training program changes one line, the `use`. What is below is the original's own example, made whole, and with that
//! line changed:
//!
//! ```
//! use shrew_core::{DType, Tensor};
//! use shrew_cpu::{CpuBackend, CpuDevice};
//! use shrew_ema::shrew::EMA; // was: use shrew_optim::EMA;
//! use shrew_nn::{Linear, Module, mse_loss};
//! use shrew_optim::{Optimizer, SGD};
//!
//! fn main() -> shrew_core::Result<()> {
//!     let model = Linear::<CpuBackend>::new(2, 1, true, DType::F32, &CpuDevice)?;
//!     let input = Tensor::<CpuBackend>::from_f64_slice(&[0.0, 1.0, 1.0, 0.0], (2, 2), DType::F32, &CpuDevice)?;
//!     let target = Tensor::<CpuBackend>::from_f64_slice(&[1.0, -1.0], (2, 1), DType::F32, &CpuDevice)?;
//!     let mut optimizer = SGD::new(model.parameters(), 0.1, 0.9, 0.0);
//!     let mut ema = EMA::new(model.parameters(), 0.95)?;
//!
//!     for _ in 0..200 {
//!         let loss = mse_loss(&model.forward(&input)?, &target)?;
//!         optimizer.step(&loss.backward()?)?;
//!         ema.update(&model.parameters())?;
//!     }
//!
//!     ema.apply()?; // the averages are in the model
//!     let output = model.forward(&input)?;
//!     ema.restore()?; // the training values are
//!     assert!((output.to_f64_vec()?[0] - 1.0).abs() < 0.2);
//!     Ok(())
//! }
//! ```
//!
//! A function that gave back what `update` gives, as its own last value, now ends in `Ok(ema.update(..)?)`. For files, make
//! it by `EMA::named(model.named_parameters(), ..)`: what `EMA::new` saves is called "0", "1" and so on.
//!
//! The verbs, the 64 bits of the averages and the warm-up are the original's. New are the refusals, where the original
//! answers wrongly: a second `apply`, an update while applied, another number of parameters, other shapes or dtypes, a NaN.
//! Everything else of [`EMA`](crate::EMA) is there too: names, by `EMA::named(model.named_parameters(), ..)`, files, several
//! horizons, guards.
//!
//! # What is done to tensors
//!
//! Tensors of `shrew-cpu` are averaged where they are: nothing of them is copied, and an update takes nothing from the
//! heap. Those of any other device are copied to the host at each update, in their own dtype. `apply` and `restore` write
//! by `Tensor::update_data_inplace`, which all clones of a tensor see. The training values come back bit for bit, but for
//! signalling NaNs of 32 and 16 bits, which shrew quiets, as it does whenever it makes or writes a tensor.
//!
//! Clones and whole views of one tensor are tied, and have one average. Refused are views of a part of a storage, or in
//! another order, because shrew can't write them alone; integers; and tensors that shrew can't read any more, because a
//! thread panicked in the middle of a write: shrew panics at each of these, which is caught here, but not before the panic
//! hook has printed it.
//!
//! # What it can't know
//!
//! - shrew has no way to try a lock. A thread that keeps the guard of `Tensor::storage()` and calls `apply` or `restore`
//!   waits for itself, for ever, as it would in `update_data_inplace`, and in any other call if a writer waits already: give
//!   the guard back first.
//! - Where a model's tensor is replaced by a new one, and not written, the new one is averaged when it is given to `update`,
//!   which warns that `apply` would write the one held: give the model's tensors to [`EMA::bind`](crate::EMA::bind).

use crate::backend::shrew::Shrew;
use crate::ema;
use crate::error::Error;

/// Averages of the parameters of a shrew model, on any of its devices.
pub type EMA<B> = ema::EMA<Shrew<B>>;

/// So that `?` works in programs whose functions return shrew's own result.
impl From<Error> for shrew_core::Error {
    fn from(error: Error) -> Self {
        Self::msg(error.to_string())
    }
}
