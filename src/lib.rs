//! Exponential moving averages of model parameters: the index of the crate.
//!
//! # From here
//!
//! | you have | you want | look at |
//! |---|---|---|
//! | handles on tensors, which an optimizer writes | averages, swapped in and out of the model | [`EMA`] |
//! | slices, arrays, any memory | averages beside it | [`Averages`], [`View`] |
//! | a number, or a paper's rule | the decay of each update | [`Schedule`]; [`schedule`] has a page on which to choose |
//! | special wishes | several horizons, a late start, every n-th call, NaN | [`Config`], [`NonFinite`], [`ShadowDType`] |
//! | a training that may crash | files that go on to the bit, and that others open | [`EMA::save`], [`EMA::load`], [`checkpoint`] |
//! | a program with `shrew_optim::EMA` | its verbs, and refusals where it is wrong | the feature `shrew` |
//! | a model of candle or burn | averages of it | the features of these names: [Rust trainers](#rust-trainers) |
//! | another framework | its tensors averaged where they are | [`HostMemory`](backend::HostMemory), [`Backend`](backend::Backend), and their [`guide`](backend::guide) |
//! | a refused call | what was wrong | [`Error`] |
//!
//! # All of it once
//!
//! ```
//! use ndarray::Array1;
//! use shrew_ema::backend::ndarray::{Handle, NdArray, share};
//! use shrew_ema::{Config, EMA, Schedule};
//!
//! // A parameter that the model, the optimizer and the averages have in common, behind a lock.
//! let weights = share(Array1::<f32>::zeros(4));
//! let params = || vec![("weights".to_owned(), Handle::from(&weights))];
//!
//! // A fast average and a slow one in one pass, the latter with a profile that follows the training's length.
//! let schedules = [Schedule::constant(0.9)?, Schedule::power(0.1)?];
//! let mut ema = EMA::<NdArray>::named(params(), Config::horizons(schedules)?)?;
//! let handles = [Handle::from(&weights)];
//! for step in 0..1000 {
//!     weights.write().unwrap().mapv_inplace(|w| w + 0.1 * (1.0 - w) + (step % 3) as f32 - 1.0); // training
//!     ema.update(&handles)?;
//! }
//!
//! // Evaluate on an average: the training values come back when the guard goes, also by a panic.
//! let distance = || weights.read().unwrap().iter().map(|w| (w - 1.0).abs()).fold(0.0, f32::max);
//! let raw = distance();
//! {
//!     let _averaged = ema.applied_horizon(1)?;
//!     assert!(distance() < raw);
//! }
//! assert_eq!(distance(), raw);
//!
//! // What would go silently wrong is refused, and leaves everything as it was.
//! ema.apply()?;
//! assert!(ema.update(&handles).is_err(), "or the average would be averaged into itself");
//! ema.restore()?;
//!
//! // Files that go on to the bit: one for each horizon.
//! # let folder = std::env::temp_dir().join(format!("shrew-ema-guide-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder).unwrap();
//! # let path = folder.join("ema.safetensors");
//! ema.save(&path)?;
//! let resumed = EMA::<NdArray>::load(&path, params())?;
//! assert_eq!((resumed.num_updates(), resumed.shadow_values(0)), (1000, ema.shadow_values(0)));
//! # std::fs::remove_dir_all(&folder).unwrap();
//! # Ok::<(), shrew_ema::Error>(())
//! ```
//!
//! # The rooms
//!
//! The modules below stand on each other in this order: `error`, `names`, `hex`, `dtype`, `descriptor`, `nonfinite`,
//! `notice`, `schedule`, `kernel`, `engine`, `ledger`, `averages`, `backend`, `ema`, `shrew`, `checkpoint`, `burn`. What
//! follows is the README, with the Python package over this crate.
//!
#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod averages;
pub mod backend;
#[cfg(feature = "burn")]
pub mod burn;
pub mod checkpoint;
pub mod descriptor;
pub mod dtype;
pub mod ema;
pub mod engine;
pub mod error;
mod hex;
pub mod kernel;
pub mod ledger;
mod names;
pub mod nonfinite;
pub mod notice;
#[cfg(feature = "python")]
mod python;
pub mod schedule;
#[cfg(feature = "shrew")]
pub mod shrew;

pub use averages::Averages;
pub use dtype::{DType, ShadowDType};
pub use ema::EMA;
pub use error::{Error, Result};
pub use kernel::view::{View, ViewMut};
pub use ledger::Config;
pub use nonfinite::NonFinite;
pub use notice::Notice;
pub use schedule::Schedule;
