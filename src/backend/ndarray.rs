//! Arrays of the `ndarray` crate: shared behind a lock as handles on parameters, or borrowed as views.

use super::HostMemory;
use crate::descriptor::{Descriptor, Shape};
use crate::dtype::Element;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::kernel::view::{View, ViewMut};
use ::ndarray::{Array, ArrayBase, ArrayD, Data, DataMut, Dimension};
use half::{bf16, f16};
use smallvec::SmallVec;
use std::sync::{Arc, RwLock, RwLockReadGuard, TryLockError, TryLockResult};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A parameter that a model, an optimizer and an EMA have in common.
pub type Shared<T> = Arc<RwLock<ArrayD<T>>>;

/// A parameter as handed to `EMA::<NdArray>`.
///
/// ```
/// use shrew_ema::backend::ndarray::{Handle, share};
/// let weights = share(ndarray::arr2(&[[1.0_f32, 2.0], [3.0, 4.0]]));
/// let handle = Handle::from(&weights); // both see what either writes
/// # let _ = handle;
/// ```
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum Handle {
    /// 64 bits.
    F64(Shared<f64>),
    /// 32 bits.
    F32(Shared<f32>),
    /// IEEE half precision.
    F16(Shared<f16>),
    /// bfloat16.
    BF16(Shared<bf16>),
}

/// Shares an array.
pub fn share<T, D: Dimension>(array: Array<T, D>) -> Shared<T> {
    Arc::new(RwLock::new(array.into_dyn()))
}

macro_rules! handles {
    ($($variant:ident $type:ty,)*) => {
        $(impl From<&Shared<$type>> for Handle {
            fn from(shared: &Shared<$type>) -> Self {
                Handle::$variant(Arc::clone(shared))
            }
        }

        impl From<Shared<$type>> for Handle {
            fn from(shared: Shared<$type>) -> Self {
                Handle::$variant(shared)
            }
        })*
    };
}

handles! { F64 f64, F32 f32, F16 f16, BF16 bf16, }

/// Evaluates an expression with the shared array of a handle, whatever its type.
macro_rules! each {
    ($handle:expr, $shared:ident => $body:expr) => {
        match $handle {
            Handle::F64($shared) => $body,
            Handle::F32($shared) => $body,
            Handle::F16($shared) => $body,
            Handle::BF16($shared) => $body,
        }
    };
}

/// The backend of models made of [`Handle`]s.
#[derive(Clone, Debug, Default)]
pub struct NdArray {
    engine: Engine,
}

impl NdArray {
    /// With another way of spreading work over threads.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

/// A lent array, and its values in logical order where the array itself has gaps in memory.
#[derive(Debug)]
pub struct Lent<'a, T> {
    guard: RwLockReadGuard<'a, ArrayD<T>>,
    packed: Option<ArrayD<T>>,
}

/// A lent array of any type.
#[derive(Debug)]
pub enum Read<'a> {
    /// 64 bits.
    F64(Lent<'a, f64>),
    /// 32 bits.
    F32(Lent<'a, f32>),
    /// IEEE half precision.
    F16(Lent<'a, f16>),
    /// bfloat16.
    BF16(Lent<'a, bf16>),
}

/// How long a call that has begun waits for another thread that has a tensor; its first check does not wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// A guard at once, or none. A poisoned lock is as good as another: a panic elsewhere leaves numbers, and a backup has to
/// come back into them.
fn now<G>(guard: TryLockResult<G>) -> Option<G> {
    match guard {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

fn locked() -> Error {
    Error::layout("is locked, by this thread or another: give the guard back before the call")
}

/// A guard before long. Not the lock's own waiting, which would be for ever where a guard of this thread is in the way.
fn soon<G>(mut guard: impl FnMut() -> TryLockResult<G>) -> Result<G> {
    if let Some(guard) = now(guard()) {
        return Ok(guard);
    }
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        sleep(Duration::from_micros(20));
        if let Some(guard) = now(guard()) {
            return Ok(guard);
        }
    }
    Err(locked())
}

fn descriptor<T: Element>(shared: &RwLock<ArrayD<T>>) -> Result<Descriptor> {
    Ok(Descriptor::new(T::DTYPE, now(shared.try_read()).ok_or_else(locked)?.shape()))
}

fn lend<T: Element>(shared: &RwLock<ArrayD<T>>) -> Result<Lent<'_, T>> {
    let guard = soon(|| shared.try_read())?;
    // The first question is the one that takes less, and is mostly answered with yes.
    let whole = guard.is_standard_layout() || guard.as_slice_memory_order().is_some();
    let packed = if whole { None } else { Some(guard.as_standard_layout().into_owned()) };
    Ok(Lent { guard, packed })
}

impl<T: Element> Lent<'_, T> {
    fn view(&self) -> Result<View<'_>> {
        self.packed.as_ref().unwrap_or(&self.guard).try_into()
    }
}

impl HostMemory for NdArray {
    type Tensor = Handle;
    type Read<'a> = Read<'a>;

    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn identity(tensor: &Handle) -> usize {
        each!(tensor, shared => Arc::as_ptr(shared).addr())
    }

    fn describe(tensor: &Handle) -> Result<Descriptor> {
        each!(tensor, shared => descriptor(shared))
    }

    fn writable(tensor: &Handle) -> Result<()> {
        each!(tensor, shared => now(shared.try_write()).map(drop).ok_or_else(locked))
    }

    fn read(tensor: &Handle) -> Result<Read<'_>> {
        Ok(match tensor {
            Handle::F64(shared) => Read::F64(lend(shared)?),
            Handle::F32(shared) => Read::F32(lend(shared)?),
            Handle::F16(shared) => Read::F16(lend(shared)?),
            Handle::BF16(shared) => Read::BF16(lend(shared)?),
        })
    }

    fn view<'g>(_: &'g Handle, read: &'g Read<'_>) -> Result<View<'g>> {
        match read {
            Read::F64(lent) => lent.view(),
            Read::F32(lent) => lent.view(),
            Read::F16(lent) => lent.view(),
            Read::BF16(lent) => lent.view(),
        }
    }

    fn write(&self, tensor: &Handle, values: &View<'_>) -> Result<()> {
        each!(tensor, shared => {
            let mut array = soon(|| shared.try_write())?;
            if array.shape() != values.shape() {
                return Err(Error::layout("was reshaped by another thread during the call"));
            }
            write_array(&mut *array, values, &self.engine)
        })
    }
}

/// Where the first element lies in memory order: negative strides begin at the far end.
fn first(shape: &[usize], strides: &[isize]) -> usize {
    let back = |(&extent, &stride): (&usize, &isize)| extent.saturating_sub(1) * stride.min(0).unsigned_abs();
    shape.iter().zip(strides).map(back).sum()
}

fn gaps() -> Error {
    Error::config("array", "one with gaps in memory", "contiguous in some order, as as_standard_layout() makes it")
}

/// A view of an array or an `ArrayView` that is contiguous in memory, in whatever order of axes.
///
/// ```
/// use ndarray::Array2;
/// use shrew_ema::View;
/// let weights = Array2::<f32>::zeros((3, 4));
/// assert_eq!(View::try_from(&weights.t())?.shape(), [4, 3]);
/// # Ok::<(), shrew_ema::Error>(())
/// ```
impl<'a, T: Element, S: Data<Elem = T>, D: Dimension> TryFrom<&'a ArrayBase<S, D>> for View<'a> {
    type Error = Error;

    fn try_from(array: &'a ArrayBase<S, D>) -> Result<Self> {
        let (shape, strides) = (array.shape(), array.strides());
        if let Some(memory) = array.as_slice() {
            return View::shaped(memory, shape);
        }
        let memory = array.as_slice_memory_order().ok_or_else(gaps)?;
        View::strided(memory, first(shape, strides), shape, strides)
    }
}

/// Writes values, such as an average, into an array of any layout, cast to nearest.
///
/// ```
/// use ndarray::Array2;
/// use shrew_ema::backend::ndarray::assign;
/// use shrew_ema::{Averages, Config, View};
/// let mut weights = Array2::<f32>::ones((2, 3));
/// let averages = Averages::new(&[View::try_from(&weights)?], Config::new(0.999)?)?;
/// weights.fill(7.0);
/// assign(&mut weights, &averages.shadow(0, 0)?)?;
/// assert_eq!(weights, Array2::<f32>::ones((2, 3)));
/// # Ok::<(), shrew_ema::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] unless array and values have one shape; [`Error::DType`] unless they have one dtype, or the values are
/// of float64 or float32 and the array of a float type no wider.
pub fn assign<T, S, D>(array: &mut ArrayBase<S, D>, values: &View<'_>) -> Result<()>
where
    T: Element,
    S: DataMut<Elem = T>,
    D: Dimension,
{
    write_array(array, values, &Engine::default())
}

fn write_array<T, S, D>(array: &mut ArrayBase<S, D>, values: &View<'_>, engine: &Engine) -> Result<()>
where
    T: Element,
    S: DataMut<Elem = T>,
    D: Dimension,
{
    if array.shape() != values.shape() {
        let (expected, found) = (values.shape().to_vec(), array.shape().to_vec());
        return Err(Error::Shape { name: "array".to_owned(), expected, found });
    }
    if !values.dtype().narrows_to(T::DTYPE) {
        let valid = format!("{}, or a narrower float type where that is one of 32 or 64 bits", values.dtype());
        return Err(Error::DType { name: "array".to_owned(), found: T::DTYPE.name().to_owned(), valid });
    }
    let shape = Shape::from_slice(array.shape());
    let strides: SmallVec<[isize; 6]> = array.strides().into();
    if let Some(memory) = array.as_slice_memory_order_mut() {
        let mut target = ViewMut::strided(memory, first(&shape, &strides), &shape, &strides)?;
        engine.assign(&mut target, values);
        return Ok(());
    }
    let mut packed = vec![T::zeroed(); array.len()];
    engine.assign(&mut ViewMut::from(&mut packed[..]), values);
    for (target, value) in array.iter_mut().zip(packed) {
        *target = value;
    }
    Ok(())
}
