//! A device whose memory can't be lent, so that its tensors are copied; it fails where it is told to.

use shrew_core::backend::{Backend, BackendDevice, BackendStorage, BinaryOp, CmpOp, ReduceOp, UnaryOp};
use shrew_core::{DType, Error, Layout, Result, Shape};
use shrew_cpu::{CpuBackend, CpuDevice, CpuStorage};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

#[derive(Clone, Debug)]
pub struct Remote;

/// What fails, on the device that the tensors of one test have in common.
#[derive(Clone, Debug, Default)]
pub struct Device(Arc<Failures>);

#[derive(Debug, Default)]
pub struct Failures {
    pub to_read: AtomicBool,
    pub to_write: AtomicBool,
    /// A panic in the middle of a write, which poisons the lock.
    pub to_free: AtomicBool,
}

impl std::ops::Deref for Device {
    type Target = Failures;

    fn deref(&self) -> &Failures {
        &self.0
    }
}

impl BackendDevice for Device {
    fn name(&self) -> String {
        "remote".to_owned()
    }
}

#[derive(Clone)]
pub struct Storage {
    values: CpuStorage,
    device: Device,
}

impl Drop for Storage {
    fn drop(&mut self) {
        assert!(!self.device.to_free.swap(false, Relaxed), "the device is lost");
    }
}

impl BackendStorage for Storage {
    fn dtype(&self) -> DType {
        self.values.dtype()
    }

    fn len(&self) -> usize {
        self.values.len()
    }
}

/// What no test calls.
macro_rules! missing {
    ($($name:ident($($argument:ty),*);)*) => {
        $(fn $name($(_: $argument),*) -> Result<Storage> {
            unimplemented!("{} on the device", stringify!($name))
        })*
    };
}

impl Backend for Remote {
    type Device = Device;
    type Storage = Storage;

    fn from_f64_slice(data: &[f64], dtype: DType, device: &Device) -> Result<Storage> {
        if device.to_write.load(Relaxed) {
            return Err(Error::msg("the device is full"));
        }
        let values = CpuBackend::from_f64_slice(data, dtype, &CpuDevice)?;
        Ok(Storage { values, device: device.clone() })
    }

    fn to_f64_vec(input: &Storage, layout: &Layout) -> Result<Vec<f64>> {
        if input.device.to_read.load(Relaxed) {
            return Err(Error::msg("the device does not answer"));
        }
        CpuBackend::to_f64_vec(&input.values, layout)
    }

    missing! {
        zeros(&Shape, DType, &Device);
        ones(&Shape, DType, &Device);
        full(&Shape, f64, DType, &Device);
        rand_uniform(&Shape, DType, &Device);
        rand_normal(&Shape, DType, &Device);
        binary_op(BinaryOp, &Storage, &Layout, &Storage, &Layout);
        unary_op(UnaryOp, &Storage, &Layout);
        reduce_op(ReduceOp, &Storage, &Layout, &[usize], bool);
        matmul(&Storage, &Layout, &Storage, &Layout);
        to_contiguous(&Storage, &Layout);
        cmp_op(CmpOp, &Storage, &Layout, &Storage, &Layout);
        affine(&Storage, &Layout, f64, f64);
        index_select(&Storage, &Layout, &Storage, &Layout, usize);
        powf(&Storage, &Layout, f64);
        clamp(&Storage, &Layout, f64, f64);
        where_cond(&Storage, &Layout, &Storage, &Layout, &Storage, &Layout);
        gather(&Storage, &Layout, &Storage, &Layout, usize);
        cat(&[(&Storage, &Layout)], &Shape, usize);
    }
}
