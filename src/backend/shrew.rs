//! Tensors of the `shrew` framework: lent where they are in its CPU's memory, copied from any other device.

use super::HostMemory;
use crate::descriptor::Descriptor;
use crate::dtype::{DType, Element};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::kernel::view::{View, ViewMut};
use shrew_core::backend::{Backend, BackendStorage};
use shrew_core::{DType as Theirs, Tensor};
use shrew_cpu::{CpuBackend, CpuDevice, CpuStorage};
use std::any::{Any, TypeId};
use std::fmt::Display;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::RwLockReadGuard;

/// The backend of models made of shrew's tensors, on whatever device its backend `B` has them: see
/// [`shrew`](crate::shrew) on what it does and does not.
#[derive(Clone, Debug)]
pub struct Shrew<B> {
    engine: Engine,
    backend: PhantomData<fn() -> B>,
}

impl<B> Shrew<B> {
    /// With another way of spreading work over threads.
    pub fn new(engine: Engine) -> Self {
        Self { engine, backend: PhantomData }
    }
}

impl<B> Default for Shrew<B> {
    fn default() -> Self {
        Self::new(Engine::default())
    }
}

/// A readable tensor.
#[derive(Debug)]
pub enum Read<'a, B: Backend> {
    /// Its own memory, which nobody writes meanwhile.
    Lent(RwLockReadGuard<'a, B::Storage>),
    /// A copy of its values, in its own dtype.
    Copied(CpuStorage),
}

/// The guard of a tensor's storage. It may have to wait, but only while another thread replaces what the storage holds:
/// shrew lends no more than read guards.
fn lock<B: Backend>(tensor: &Tensor<B>) -> Result<RwLockReadGuard<'_, B::Storage>> {
    // shrew has no way to ask, and panics where the lock is poisoned. In programs that abort on a panic none ever is.
    catch_unwind(AssertUnwindSafe(|| tensor.storage())).map_err(|_| {
        Error::layout("can't be read or written any more, as a thread panicked while it wrote it: make the tensor anew")
    })
}

fn refused(doing: &str, error: impl Display) -> Error {
    Error::layout(format!("can't be {doing}: {error}"))
}

fn dtype<B: Backend>(tensor: &Tensor<B>) -> Result<DType> {
    match tensor.dtype() {
        Theirs::F64 => Ok(DType::F64),
        Theirs::F32 => Ok(DType::F32),
        Theirs::F16 => Ok(DType::F16),
        Theirs::BF16 => Ok(DType::BF16),
        other => Err(Error::layout(format!("is {other}: only f64, f32, f16 and bf16 are averaged"))),
    }
}

/// How many elements a tensor has, if it is all that its storage holds, element after element. A write replaces the whole
/// storage: that of any other tensor would scramble what is beside it, or leave too little for the tensors that share it.
fn check<B: Backend>(tensor: &Tensor<B>, storage: &impl BackendStorage) -> Result<usize> {
    let (shape, layout) = (tensor.dims(), tensor.layout());
    if storage.dtype() != tensor.dtype() {
        return Err(Error::layout(format!("is {}, and its storage {}", tensor.dtype(), storage.dtype())));
    }
    if shape.contains(&0) {
        // To shrew, it has an element, which is nobody's.
        return Ok(0);
    }
    let mut elements = 1;
    let packed = shape.iter().zip(layout.strides()).rev().all(|(&extent, &stride)| {
        let next = extent == 1 || stride == elements;
        elements *= extent;
        next
    });
    if packed && layout.offset() == 0 && storage.len() == elements {
        return Ok(elements);
    }
    Err(Error::layout(format!(
        "is a view of its storage and not all of it in its order (shape {shape:?}, strides {:?}, offset {}, storage of \
         {}): give the tensor that it is a view of",
        layout.strides(),
        layout.offset(),
        storage.len(),
    )))
}

/// Values as they will be in a tensor of `T`, in shrew's own terms.
fn cast<T: Element + Into<f64>>(engine: &Engine, values: &View<'_>) -> Vec<f64> {
    let mut cast = vec![T::zeroed(); values.elements()];
    engine.assign(&mut ViewMut::from(&mut cast[..]), values);
    cast.into_iter().map(Into::into).collect()
}

impl<B: Backend> HostMemory for Shrew<B> {
    type Tensor = Tensor<B>;
    type Read<'a> = Read<'a, B>;

    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn identity(tensor: &Tensor<B>) -> usize {
        // The place of the storage in its lock, which stays the same when what it holds is replaced. Where there is no
        // guard, the call that follows says so.
        lock(tensor).map_or(0, |storage| std::ptr::from_ref(&*storage).addr())
    }

    fn describe(tensor: &Tensor<B>) -> Result<Descriptor> {
        let dtype = dtype(tensor)?;
        check(tensor, &*lock(tensor)?)?;
        Ok(Descriptor::new(dtype, tensor.dims()))
    }

    fn writable(tensor: &Tensor<B>) -> Result<()> {
        Self::describe(tensor).map(drop)
    }

    fn read(tensor: &Tensor<B>) -> Result<Read<'_, B>> {
        let storage = lock(tensor)?;
        if TypeId::of::<B::Storage>() == TypeId::of::<CpuStorage>() {
            return Ok(Read::Lent(storage));
        }
        let values = match check(tensor, &*storage)? {
            0 => Vec::new(),
            _ => B::to_f64_vec(&storage, tensor.layout()).map_err(|error| refused("read", error))?,
        };
        let copy = CpuBackend::from_f64_slice(&values, tensor.dtype(), &CpuDevice);
        copy.map(Read::Copied).map_err(|error| refused("read", error))
    }

    fn view<'g>(tensor: &'g Tensor<B>, read: &'g Read<'_, B>) -> Result<View<'g>> {
        let storage = match read {
            Read::Lent(storage) => {
                let storage: &dyn Any = &**storage;
                storage.downcast_ref().expect("lent only where it is one of the CPU")
            }
            Read::Copied(storage) => storage,
        };
        let elements = check(tensor, storage)?;
        match storage {
            CpuStorage::F64(values) => View::shaped(&values[..elements], tensor.dims()),
            CpuStorage::F32(values) => View::shaped(&values[..elements], tensor.dims()),
            CpuStorage::F16(values) => View::shaped(&values[..elements], tensor.dims()),
            CpuStorage::BF16(values) => View::shaped(&values[..elements], tensor.dims()),
            _ => Err(dtype(tensor).expect_err("the dtype of the storage")),
        }
    }

    fn write(&self, tensor: &Tensor<B>, values: &View<'_>) -> Result<()> {
        if check(tensor, &*lock(tensor)?)? == 0 {
            return Ok(());
        }
        // Cast here and not by shrew, whose 16-bit rounding drops bits that decide a tie.
        let values = match dtype(tensor)? {
            DType::F32 => cast::<f32>(&self.engine, values),
            DType::F16 => cast::<half::f16>(&self.engine, values),
            DType::BF16 => cast::<half::bf16>(&self.engine, values),
            _ => cast::<f64>(&self.engine, values),
        };
        tensor.update_data_inplace(&values).map_err(|error| refused("written", error))
    }
}
