//! Exponential moving averages of model parameters: the index of the crate.
//!
//! - [`EMA`] averages a model that is held by handles, and swaps the averages in and out; its backend may be
//!   [`NdArray`](backend::ndarray::NdArray) or anything that implements [`HostMemory`](backend::HostMemory) or
//!   [`Backend`](backend::Backend).
//! - [`Averages`] averages plain memory: slices, arrays, anything that gives a [`View`].
//! - [`Config`] says how: decays, intervals, the averages' dtype, what to do with NaN; [`schedule`] has the decays, and a
//!   page on which one to choose.
//! - [`Schedule`] gives each update its decay: rules as data, and other libraries' own.
//! - [`EMA::save`] and [`EMA::load`] keep an average as a model file; [`checkpoint`] says how.
//! - [`Error`] is what a refused call gives; it comes before the first write.
//!
//! The rooms below stand on each other in this order: `error`, `hex`, `dtype`, `descriptor`, `nonfinite`,
//! `notice`, `schedule`, `kernel`, `engine`, `ledger`, `averages`, `backend`, `ema`,
//! `checkpoint`.
#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod averages;
pub mod backend;
pub mod checkpoint;
pub mod descriptor;
pub mod dtype;
pub mod ema;
pub mod engine;
pub mod error;
mod hex;
pub mod kernel;
pub mod ledger;
pub mod nonfinite;
pub mod notice;
#[cfg(feature = "python")]
mod python;
pub mod schedule;

pub use averages::Averages;
pub use dtype::{DType, ShadowDType};
pub use ema::EMA;
pub use error::{Error, Result};
pub use kernel::view::{View, ViewMut};
pub use ledger::Config;
pub use nonfinite::NonFinite;
pub use notice::Notice;
pub use schedule::Schedule;
