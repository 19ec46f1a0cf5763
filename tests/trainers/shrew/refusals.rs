//! Tensors that can't be averaged or written: each is refused before anything is changed.

use crate::remote::{Device, Remote};
use crate::training::{Cpu, FLOATS, numbers, tensor, vector};
use shrew_core::backend::BackendStorage;
use shrew_core::{DType, Tensor};
use shrew_ema::shrew::EMA;
use shrew_ema::{Config, Error};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice::from_ref;
use std::sync::atomic::Ordering::Relaxed;

fn values(param: &Cpu) -> Vec<f64> {
    param.to_f64_vec().unwrap()
}

#[test]
fn views_with_an_offset_a_gap_or_another_order_are_refused() {
    let base = tensor(&numbers(12, 1), (3, 4), DType::F32);
    let before = values(&base);
    for (view, what) in [
        (base.narrow(0, 1, 2).unwrap(), "shape [2, 4], strides [4, 1], offset 4, storage of 12"),
        (base.narrow(0, 0, 2).unwrap(), "shape [2, 4], strides [4, 1], offset 0, storage of 12"),
        (base.narrow(1, 0, 1).unwrap(), "shape [3, 1], strides [4, 1], offset 0, storage of 12"),
        (base.transpose(0, 1).unwrap(), "shape [4, 3], strides [1, 4], offset 0, storage of 12"),
        (
            base.narrow(1, 0, 1).unwrap().expand((3, 4)).unwrap(),
            "shape [3, 4], strides [4, 0], offset 0, storage of 12",
        ),
    ] {
        let expected = format!(
            "parameter \"0\" is a view of its storage and not all of it in its order ({what}): give the tensor that it is \
             a view of"
        );
        assert_eq!(EMA::new(vec![view.clone()], 0.5).unwrap_err().to_string(), expected);

        // In the place of a parameter of the same shape, which comes after one that could be averaged.
        let params =
            [vector(&[1.0], DType::F32), tensor(&vec![0.5; view.elem_count()], view.dims().to_vec(), DType::F32)];
        let mut ema = EMA::new(params.to_vec(), 0.5).unwrap();
        params[0].update_data_inplace(&[3.0]).unwrap();
        let error = ema.update(&[params[0].clone(), view]).unwrap_err();
        assert_eq!(error.to_string(), expected.replace("\"0\"", "\"1\""));
        assert_eq!((ema.num_updates(), ema.shadow_values(0)), (0, &[1.0][..]));
        assert_eq!(values(&base), before);
    }
}

/// What the refusals above are good for.
#[test]
fn the_original_scrambles_the_base_of_a_view() {
    let base = tensor(&[1.0, 2.0, 3.0, 4.0], (2, 2), DType::F32);
    let mut theirs = shrew_optim::EMA::new(vec![base.transpose(0, 1).unwrap()], 0.5).unwrap();
    theirs.apply().unwrap();
    theirs.restore().unwrap();
    assert_eq!(values(&base), [1.0, 3.0, 2.0, 4.0]);

    let mut theirs = shrew_optim::EMA::new(vec![base.narrow(0, 0, 1).unwrap()], 0.5).unwrap();
    theirs.apply().unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| base.to_f64_vec())).is_err(), "the second row is gone");
    // Where that has happened, ours says so and panics not.
    let error = EMA::new(vec![base], 0.5).unwrap_err();
    assert!(error.to_string().contains("shape [2, 2], strides [2, 1], offset 0, storage of 2"), "{error}");
}

#[test]
fn a_storage_that_was_cut_short_during_the_training_is_noticed_before_anything_is_written() {
    let params = [vector(&[1.0], DType::F32), vector(&[1.0, 2.0], DType::F32)];
    let mut ema = EMA::new(params.to_vec(), 0.5).unwrap();
    params[0].update_data_inplace(&[3.0]).unwrap();
    params[1].narrow(0, 0, 1).unwrap().update_data_inplace(&[7.0]).unwrap();
    for refused in [ema.apply(), ema.copy_to(), ema.update(&params)] {
        let error = refused.unwrap_err().to_string();
        assert!(error.starts_with("parameter \"1\" is a view of its storage"), "{error}");
        assert_eq!((values(&params[0]), ema.is_applied(), ema.num_updates()), (vec![3.0], false, 0));
    }
}

/// Tensors are lent some at a time, and what is behind the first of them is looked at as early as these.
#[test]
fn a_tensor_far_behind_is_refused_before_the_first_one_is_averaged() {
    let params: Vec<Cpu> = (0..200).map(|_| vector(&[1.0, 2.0], DType::F32)).collect();
    let mut ema = EMA::new(params.clone(), 0.5).unwrap();
    params[0].update_data_inplace(&[3.0, 3.0]).unwrap();
    params[199].narrow(0, 0, 1).unwrap().update_data_inplace(&[7.0]).unwrap();
    for refused in [ema.update(&params), ema.apply(), ema.copy_to()] {
        let error = refused.unwrap_err().to_string();
        assert!(error.starts_with("parameter \"199\" is a view of its storage"), "{error}");
        assert_eq!((ema.shadow_values(0), values(&params[0])), (&[1.0, 2.0][..], vec![3.0, 3.0]));
    }
}

/// Written through such a view, the storage is as long as the view, and begins in the middle of it.
#[test]
fn a_view_that_begins_behind_the_start_of_its_storage_is_refused_however_long_that_is() {
    let base = tensor(&[1.0, 2.0, 3.0, 4.0], (2, 2), DType::F32);
    let view = base.narrow(0, 1, 1).unwrap();
    view.update_data_inplace(&[7.0, 8.0]).unwrap();
    let error = EMA::new(vec![view], 0.5).unwrap_err().to_string();
    assert!(error.contains("shape [1, 2], strides [2, 1], offset 2, storage of 2"), "{error}");
}

#[test]
fn a_tensor_without_elements_is_averaged_on_every_device() {
    let device = Device::default();
    let remote = |values: &[f64], shape: &[usize]| {
        Tensor::<Remote>::from_f64_slice(values, shape.to_vec(), DType::F32, &device).unwrap()
    };
    let params = [remote(&[0.0], &[0, 3]), remote(&[1.0, 2.0], &[2])];
    let mut ema = EMA::new(params.to_vec(), 0.5).unwrap();
    ema.update(&params).unwrap();
    ema.apply().unwrap();
    ema.restore().unwrap();
    assert_eq!((ema.shadow_values(0), ema.shadow_values(1)), (&[][..], &[1.0, 2.0][..]));
}

#[test]
fn views_of_all_of_a_storage_are_averaged_and_written() {
    for dtype in FLOATS {
        let base = tensor(&[0.5, 1.0, 1.5, 2.0], (2, 2), dtype);
        for view in [
            base.reshape(4).unwrap(),
            base.unsqueeze(0).unwrap(),
            base.unsqueeze(2).unwrap(),
            base.reshape((4, 1)).unwrap().transpose(0, 1).unwrap(),
            base.detach(),
            base.freeze(),
        ] {
            base.update_data_inplace(&[0.5, 1.0, 1.5, 2.0]).unwrap();
            let mut ema = EMA::new(vec![view.clone()], 0.5).unwrap();
            base.update_data_inplace(&[1.5, 2.0, 2.5, 3.0]).unwrap();
            ema.update(&[view]).unwrap();
            ema.apply().unwrap();
            assert_eq!(values(&base), [1.0, 1.5, 2.0, 2.5]);
        }
    }
}

#[test]
fn scalars_and_tensors_without_elements_are_parameters_too() {
    let (scalar, empty) =
        (tensor(&[1.0], Vec::new(), DType::F32), Cpu::zeros((0, 3), DType::F32, &shrew_cpu::CpuDevice));
    let params = vec![scalar, empty.unwrap(), vector(&[1.0], DType::F64)];
    let mut ema = EMA::new(params.clone(), 0.5).unwrap();
    params[0].update_data_inplace(&[3.0]).unwrap();
    ema.update(&params).unwrap();
    ema.apply().unwrap();
    assert_eq!((values(&params[0]), ema.shadow_values(1)), (vec![2.0], &[][..]));
    assert_eq!(params[1].storage().len(), 1, "to shrew, it has an element");
    ema.restore().unwrap();
    assert_eq!(values(&params[0]), [3.0]);
}

#[test]
fn integers_are_refused_by_name() {
    for dtype in [DType::U8, DType::U32, DType::I64] {
        let named = [("weight".to_owned(), vector(&[1.0], DType::F32)), ("steps".to_owned(), vector(&[1.0], dtype))];
        let error = EMA::named(named, Config::new(0.5).unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("parameter \"steps\" is {dtype}: only f64, f32, f16 and bf16 are averaged")
        );
    }
}

#[test]
fn names_in_another_order_are_no_matter_to_files() {
    let tensors = || [("b", 2.0), ("a", 1.0)].map(|(name, value)| (name.to_owned(), vector(&[value], DType::F32)));
    let mut ema = EMA::named(tensors(), Config::new(0.5).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ema.safetensors");
    ema.save(&path).unwrap();
    let mut reversed = tensors();
    reversed.reverse();
    let loaded = EMA::load(&path, reversed).unwrap();
    assert_eq!((loaded.shadow_values(0), loaded.shadow_values(1)), (&[1.0][..], &[2.0][..]));
    let other = tensors().map(|(name, tensor)| (format!("model.{name}"), tensor));
    assert!(matches!(EMA::load(&path, other), Err(Error::Names { .. })));
}

fn remote(values: &[f64], dtype: DType, device: &Device) -> Tensor<Remote> {
    Tensor::from_f64_slice(values, values.len(), dtype, device).unwrap()
}

#[test]
fn any_device_is_averaged_by_copying_to_the_same_bits() {
    let device = Device::default();
    for dtype in FLOATS {
        let start = numbers(1000, 1);
        let (here, there) = (vector(&start, dtype), remote(&start, dtype, &device));
        let tied = there.detach();
        let mut lent = EMA::new(vec![here.clone()], 0.9).unwrap();
        let mut copied = EMA::new(vec![there.clone(), tied.clone()], 0.9).unwrap();
        for seed in 2..6 {
            here.update_data_inplace(&numbers(1000, seed)).unwrap();
            there.update_data_inplace(&numbers(1000, seed)).unwrap();
            lent.update_with_warmup(from_ref(&here)).unwrap();
            copied.update_with_warmup(&[there.clone(), tied.clone()]).unwrap();
        }
        assert_eq!(lent.shadow_values(0), copied.shadow_values(0));
        lent.apply().unwrap();
        copied.apply().unwrap();
        assert_eq!(values(&here), there.to_f64_vec().unwrap());
        copied.restore().unwrap();
        lent.restore().unwrap();
        assert_eq!(values(&here), there.to_f64_vec().unwrap());
    }
}

#[test]
fn a_device_that_fails_is_an_error_and_changes_nothing() {
    let device = Device::default();
    let (sound, faulty) = (remote(&[1.0], DType::F32, &Device::default()), remote(&[1.0], DType::F32, &device));
    let params = vec![sound.clone(), faulty.clone()];
    let mut ema = EMA::new(params.clone(), 0.5).unwrap();
    sound.update_data_inplace(&[3.0]).unwrap();
    faulty.update_data_inplace(&[5.0]).unwrap();
    device.to_read.store(true, Relaxed);
    for refused in [ema.update(&params), ema.apply(), EMA::new(params.clone(), 0.5).map(drop)] {
        assert_eq!(refused.unwrap_err().to_string(), "parameter \"1\" can't be read: the device does not answer");
    }
    assert_eq!((ema.num_updates(), ema.shadow_values(0), ema.is_applied()), (0, &[1.0][..], false));
    device.to_read.store(false, Relaxed);
    device.to_write.store(true, Relaxed);
    let error = ema.apply().unwrap_err();
    assert_eq!(error.to_string(), "parameter \"1\" can't be written: the device is full");
    device.to_write.store(false, Relaxed);
    ema.restore().unwrap();
    assert_eq!((sound.to_f64_vec().unwrap(), faulty.to_f64_vec().unwrap()), (vec![3.0], vec![5.0]));
}

#[test]
fn a_poisoned_lock_is_an_error_and_no_panic() {
    let device = Device::default();
    let (sound, lost) = (remote(&[1.0], DType::F32, &device), remote(&[1.0], DType::F32, &device));
    let params = vec![sound.clone(), lost.clone()];
    let mut ema = EMA::new(params.clone(), 0.5).unwrap();
    sound.update_data_inplace(&[3.0]).unwrap();
    device.to_free.store(true, Relaxed);
    assert!(catch_unwind(AssertUnwindSafe(|| lost.update_data_inplace(&[2.0]))).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(lost.storage()))).is_err(), "as shrew itself does");
    let message = "parameter \"1\" can't be read or written any more, as a thread panicked while it wrote it: make the \
                   tensor anew";
    for refused in [ema.update(&params), ema.apply(), ema.copy_to(), EMA::new(params.clone(), 0.5).map(drop)] {
        assert_eq!(refused.unwrap_err().to_string(), message);
    }
    assert_eq!((ema.num_updates(), ema.shadow_values(0), ema.is_applied()), (0, &[1.0][..], false));
    assert_eq!(sound.to_f64_vec().unwrap(), [3.0]);
}
