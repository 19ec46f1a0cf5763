//! How to bring a framework of your own: a guide, with two complete examples.
//!
//! # Which trait
//!
//! | the tensors are | implement | which takes |
//! |---|---|---|
//! | in host memory, and the framework lends or copies them | [`HostMemory`](super::HostMemory) | some 40 lines, all of them safe |
//! | elsewhere: on a GPU, in another process | [`Backend`](super::Backend) | the arithmetic as well |
//!
//! A framework whose parameters have no handle that could be kept needs neither: [`Averages`](crate::Averages) takes
//! views of them at each call.
//!
//! # Host memory
//!
//! A handle must see what the optimizer writes; a clone of what the framework itself shares mostly does. The rest is
//! how to read it, how to write it, and what to refuse. The engine does the arithmetic, on all dtypes and threads.
//!
//! ```
//! use shrew_ema::backend::HostMemory;
//! use shrew_ema::descriptor::Descriptor;
//! use shrew_ema::engine::Engine;
//! use shrew_ema::{Config, DType, EMA, Error, Result, View, ViewMut};
//! use std::sync::{Arc, RwLock, RwLockReadGuard};
//!
//! /// A tensor of the framework: clones share the values.
//! #[derive(Clone)]
//! struct Tensor {
//!     values: Arc<RwLock<Vec<f32>>>,
//!     shape: [usize; 2],
//! }
//!
//! #[derive(Default)]
//! struct Mine(Engine);
//!
//! /// Every message goes on after the tensor's name: "parameter "fc.weight" is locked ...".
//! fn locked<E>(_: E) -> Error {
//!     Error::layout("is locked: give the guard back before the call")
//! }
//!
//! impl HostMemory for Mine {
//!     type Tensor = Tensor;
//!     type Read<'a> = RwLockReadGuard<'a, Vec<f32>>;
//!
//!     fn engine(&self) -> &Engine {
//!         &self.0
//!     }
//!
//!     /// Handles on the same memory have the same number: they are read under one guard, and have one average.
//!     fn identity(tensor: &Tensor) -> usize {
//!         Arc::as_ptr(&tensor.values).addr()
//!     }
//!
//!     fn describe(tensor: &Tensor) -> Result<Descriptor> {
//!         Ok(Descriptor::new(DType::F32, &tensor.shape))
//!     }
//!
//!     /// Asked of every tensor before the first one is written. A lock that could be held is tried and not waited for:
//!     /// it may be this thread that holds it.
//!     fn writable(tensor: &Tensor) -> Result<()> {
//!         tensor.values.try_write().map(drop).map_err(locked)
//!     }
//!
//!     fn read(tensor: &Tensor) -> Result<Self::Read<'_>> {
//!         tensor.values.try_read().map_err(locked)
//!     }
//!
//!     fn view<'g>(tensor: &'g Tensor, read: &'g Self::Read<'_>) -> Result<View<'g>> {
//!         View::shaped(read, &tensor.shape)
//!     }
//!
//!     fn write(&self, tensor: &Tensor, values: &View<'_>) -> Result<()> {
//!         let mut memory = tensor.values.try_write().map_err(locked)?;
//!         self.0.assign(&mut ViewMut::shaped(&mut memory, &tensor.shape)?, values);
//!         Ok(())
//!     }
//! }
//!
//! // From here on it is as with any other framework.
//! let weight = Tensor { values: Arc::new(RwLock::new(vec![1.0; 6])), shape: [2, 3] };
//! let params = vec![("fc.weight".to_owned(), weight.clone())];
//! let mut ema = EMA::<Mine>::named(params, Config::new(0.9)?)?;
//! weight.values.write().unwrap().fill(2.0); // an optimizer's step
//! ema.update(&[weight.clone()])?;
//! {
//!     let _averaged = ema.applied()?;
//!     assert_eq!(*weight.values.read().unwrap(), [1.1; 6]);
//! }
//! assert_eq!(*weight.values.read().unwrap(), [2.0; 6]);
//!
//! // What this guard would make hang is refused instead.
//! let held = weight.values.write().unwrap();
//! let refusal = ema.update(&[weight.clone()]).unwrap_err();
//! assert_eq!(
//!     refusal.to_string(),
//!     "parameter \"fc.weight\" is locked: give the guard back before the call"
//! );
//! # drop(held);
//! # Ok::<(), Error>(())
//! ```
//!
//! What to watch:
//!
//! - *Guards are lent 64 at a time*, and never between calls. While they are held, a call made on a worker of rayon does
//!   its work alone: a worker that waits may take up another job, and that one may want a lock that is held.
//! - *A guard that waits may wait for ever*, if this thread holds the lock already. `read` may wait for a while, as
//!   another thread may be writing; `describe` and `writable` come first and must not wait at all.
//! - *A view may be strided*: [`View::strided`](crate::View::strided) takes any order of axes, so that nothing has to be
//!   copied to be read.
//! - *A framework that only copies* has `type Read<'a> = Vec<f32>`. It is as right, and takes as long as the copies do.
//! - *Two names of one tensor* are found by `identity` and the views, and so is memory that is shared in part, which is
//!   refused. An identity must not be used again while handles on the old tensor are about: the address of something that
//!   the handle keeps alive is a good one.
//!
//! # A device
//!
//! [`Backend`](super::Backend) has a verb for each thing that an EMA does with a whole model; a device launches once for
//! each. Names, counters, schedules, refusals and the way back after a failure are not its business, and nor are files,
//! which go through `export` and `import`. The tests of this crate have a device that fails and panics at will; here is
//! one that does not.
//!
//! ```
//! use shrew_ema::backend::{Backend, Owners, Source, Visit};
//! use shrew_ema::descriptor::{Descriptor, Spec};
//! use shrew_ema::engine::Buffer;
//! use shrew_ema::nonfinite::Report;
//! use shrew_ema::{Config, DType, EMA, NonFinite, Result};
//! use std::cell::RefCell;
//! use std::rc::Rc;
//!
//! /// A device, and the memory on it: a tensor is the number of its row.
//! #[derive(Clone, Default)]
//! struct Device(Rc<RefCell<Vec<Vec<f32>>>>);
//!
//! /// The averages on the device: of each tensor, one row for each horizon.
//! type Rows = Vec<Vec<Vec<f64>>>;
//!
//! impl Backend for Device {
//!     type Tensor = usize;
//!     type Shadows = Rows;
//!     type Backup = Vec<Vec<f32>>;
//!
//!     fn describe(&self, params: &[usize], each: Visit<'_>) -> Result<()> {
//!         let memory = self.0.borrow();
//!         params.iter().enumerate().try_for_each(|(index, &row)| each(index, DType::F32, &[memory[row].len()]))
//!     }
//!
//!     fn writable(&self, _: &[usize]) -> Result<()> {
//!         Ok(())
//!     }
//!
//!     fn owners(&self, params: &[usize], into: &mut Owners) -> Result<()> {
//!         let first = |row: &usize| params.iter().position(|other| other == row).expect("at least itself");
//!         into.set(params.iter().map(first));
//!         Ok(())
//!     }
//!
//!     fn same(&self, a: &usize, b: &usize) -> Result<bool> {
//!         Ok(a == b)
//!     }
//!
//!     fn shadows(&self, params: &[usize], spec: Spec<'_>, report: &Report) -> Result<Rows> {
//!         let memory = self.0.borrow();
//!         let rows = params.iter().enumerate().map(|(index, &row)| {
//!             let refused = memory[row].iter().filter(|p| !p.is_finite()).count();
//!             report.refuse(index, refused as u64);
//!             vec![memory[row].iter().map(|&p| p.into()).collect(); spec.horizons]
//!         });
//!         Ok(rows.collect())
//!     }
//!
//!     fn average(&self, to: &mut Rows, params: &[usize], alphas: &[f64], on: NonFinite, report: &Report) -> Result<()> {
//!         let memory = self.0.borrow();
//!         for (index, (horizons, &row)) in to.iter_mut().zip(params).enumerate() {
//!             // The one launch: a kernel that averages, tests, and counts what it leaves out.
//!             for (i, &p) in memory[row].iter().enumerate() {
//!                 let mut refused = false;
//!                 for (average, alpha) in horizons.iter_mut().zip(alphas) {
//!                     let mends = on == NonFinite::Skip && !average[i].is_finite();
//!                     let next = if mends { p.into() } else { average[i] + alpha * (f64::from(p) - average[i]) };
//!                     refused |= !next.is_finite();
//!                     if next.is_finite() || on == NonFinite::Propagate {
//!                         average[i] = next;
//!                     }
//!                 }
//!                 report.refuse(index, (refused && on != NonFinite::Propagate).into());
//!             }
//!         }
//!         Ok(())
//!     }
//!
//!     fn backup(&self, params: &[usize], _: &[usize], into: &mut Self::Backup) -> Result<()> {
//!         *into = params.iter().map(|&row| self.0.borrow()[row].clone()).collect();
//!         Ok(())
//!     }
//!
//!     fn write(&self, params: &[usize], owners: &[usize], from: Source<'_, Self>) -> Result<()> {
//!         for (index, &row) in params.iter().enumerate().filter(|&(index, _)| owners[index] == index) {
//!             self.0.borrow_mut()[row] = match &from {
//!                 Source::Averages { shadows, horizon } => {
//!                     shadows[index][*horizon].iter().map(|&s| s as f32).collect()
//!                 }
//!                 Source::Backup(backup) => backup[index].clone(),
//!             };
//!         }
//!         Ok(())
//!     }
//!
//!     fn export(&self, shadows: &Rows, horizon: usize, index: usize) -> Result<Buffer> {
//!         let row = &shadows[index][horizon];
//!         let mut buffer = Buffer::zeroed(Descriptor::new(DType::F64, &[row.len()]))?;
//!         buffer.as_mut_slice().copy_from_slice(row);
//!         Ok(buffer)
//!     }
//!
//!     fn import(&self, averages: Vec<Buffer>, spec: Spec<'_>) -> Result<Rows> {
//!         let row = |buffer: &Buffer| buffer.as_slice().to_vec();
//!         Ok(averages.chunks(spec.horizons).map(|horizons| horizons.iter().map(row).collect()).collect())
//!     }
//! }
//!
//! let device = Device::default();
//! *device.0.borrow_mut() = vec![vec![1.0, 2.0], vec![3.0]];
//! let names = vec!["weight".to_owned(), "bias".to_owned()];
//! let mut ema = EMA::with_backend(device.clone(), names, vec![0, 1], Config::new(0.5)?)?;
//! *device.0.borrow_mut() = vec![vec![3.0, 4.0], vec![f32::NAN]];
//! let refusal = ema.update(&[0, 1]).unwrap_err();
//! assert!(refusal.to_string().contains("\"bias\""), "{refusal}"); // counted by the device, named by the EMA
//! ema.apply()?;
//! assert_eq!(*device.0.borrow(), [vec![2.0, 3.0], vec![3.0]]);
//! ema.restore()?;
//! assert!(device.0.borrow()[1][0].is_nan());
//! # Ok::<(), shrew_ema::Error>(())
//! ```
//!
//! A device whose tensors may have several names keeps only the averages of those that are their own owners, as
//! [`Spec::owners`](crate::descriptor::Spec::owners) says, and reads those of the others from there.
