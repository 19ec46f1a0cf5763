//! Where the original goes silently wrong: its wrong answer, and ours beside it.

use crate::training::{Cpu, tensor, vector};
use shrew_core::DType;
use shrew_ema::shrew::EMA;
use shrew_ema::{Config, DType as Ours, Error, NonFinite};
use shrew_optim::EMA as Original;
use std::slice::from_ref;

/// A parameter of 1 whose average is 1 when it becomes 3, so that the next average is 2 under a decay of ½.
fn moved() -> Cpu {
    vector(&[1.0, 1.0], DType::F32)
}

fn values(param: &Cpu) -> Vec<f64> {
    param.to_f64_vec().unwrap()
}

#[test]
fn a_second_apply_loses_the_training_values_in_the_original() {
    let param = moved();
    let mut theirs = Original::new(vec![param.clone()], 0.5).unwrap();
    let mut ours = EMA::new(vec![param.clone()], 0.5).unwrap();
    param.update_data_inplace(&[3.0, 3.0]).unwrap();
    theirs.update(from_ref(&param)).unwrap();
    ours.update(from_ref(&param)).unwrap();

    ours.apply().unwrap();
    assert!(matches!(ours.apply(), Err(Error::State { call: "apply", .. })));
    ours.restore().unwrap();
    assert_eq!(values(&param), [3.0, 3.0]);

    theirs.apply().unwrap();
    theirs.apply().unwrap();
    theirs.restore().unwrap();
    assert_eq!(values(&param), [2.0, 2.0], "the average, in the place of the training values");
}

#[test]
fn an_update_while_applied_averages_the_average_in_the_original() {
    let param = moved();
    let mut theirs = Original::new(vec![param.clone()], 0.5).unwrap();
    let mut ours = EMA::new(vec![param.clone()], 0.5).unwrap();
    param.update_data_inplace(&[3.0, 3.0]).unwrap();

    theirs.apply().unwrap();
    theirs.update(from_ref(&param)).unwrap();
    theirs.restore().unwrap();
    assert_eq!((theirs.num_updates(), theirs.shadow_values(0)), (1, &[1.0, 1.0][..]), "as if nothing was trained");

    ours.apply().unwrap();
    assert!(matches!(ours.update(from_ref(&param)), Err(Error::State { call: "update", .. })));
    ours.restore().unwrap();
    assert_eq!((ours.num_updates(), values(&param)), (0, vec![3.0, 3.0]));
}

#[test]
fn the_original_takes_any_number_of_parameters() {
    let params = [moved(), moved()];
    let mut theirs = Original::new(params.to_vec(), 0.5).unwrap();
    let mut ours = EMA::new(params.to_vec(), 0.5).unwrap();
    for param in &params {
        param.update_data_inplace(&[3.0, 3.0]).unwrap();
    }
    for given in [&params[..0], &params[..1]] {
        theirs.update(given).unwrap();
        let error = ours.update(given).unwrap_err();
        assert!(matches!(&error, Error::Names { missing, .. } if missing.len() == 2 - given.len()), "{error}");
    }
    assert_eq!(theirs.num_updates(), 2);
    assert_eq!((theirs.shadow_values(0), theirs.shadow_values(1)), (&[2.0, 2.0][..], &[1.0, 1.0][..]));
    assert_eq!(ours.num_updates(), 0);
    assert_eq!((ours.shadow_values(0), ours.shadow_values(1)), (&[1.0, 1.0][..], &[1.0, 1.0][..]));

    let more = [moved(), moved(), moved()];
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| theirs.update(&more)));
    assert!(panic.is_err(), "an index out of bounds");
    assert!(matches!(ours.update(&more), Err(Error::Names { .. })));
}

#[test]
fn the_original_takes_tensors_that_are_too_short_and_of_other_dtypes() {
    let param = vector(&[1.0, 1.0, 1.0], DType::F32);
    let mut theirs = Original::new(vec![param.clone()], 0.5).unwrap();
    let mut ours = EMA::new(vec![param.clone()], 0.5).unwrap();
    let short = vector(&[3.0], DType::F32);
    theirs.update(from_ref(&short)).unwrap();
    assert_eq!(theirs.shadow_values(0), [2.0, 1.0, 1.0]);
    let error = ours.update(&[short]).unwrap_err();
    assert_eq!(error.to_string(), "parameter \"0\" has shape (1,), expected (3,)");

    let across = tensor(&[1.0; 3], (3, 1), DType::F32);
    let error = ours.update(&[across]).unwrap_err();
    assert_eq!(error.to_string(), "parameter \"0\" has shape (3, 1), expected (3,)");
    let halves = vector(&[3.0; 3], DType::F16);
    theirs.update(from_ref(&halves)).unwrap();
    let error = ours.update(&[halves]).unwrap_err();
    assert_eq!(error.to_string(), "parameter \"0\" is float16, expected float32");
    assert_eq!((ours.num_updates(), ours.shadow_values(0)), (0, &[1.0; 3][..]));
    assert_eq!(ours.ledger().descriptors()[0].dtype, Ours::F32);
}

#[test]
fn one_nan_is_for_good_in_the_original() {
    let param = vector(&[1.0, 1.0], DType::F64);
    let mut theirs = Original::new(vec![param.clone()], 0.5).unwrap();
    let mut ours = EMA::new(vec![param.clone()], 0.5).unwrap();
    for values in [[f64::NAN, 3.0], [3.0, 3.0], [3.0, 3.0]] {
        param.update_data_inplace(&values).unwrap();
        theirs.update(from_ref(&param)).unwrap();
        let refused = ours.update(from_ref(&param));
        assert_eq!(matches!(refused, Err(Error::NonFinite { .. })), values[0].is_nan());
    }
    assert!(theirs.shadow_values(0)[0].is_nan());
    assert_eq!((ours.num_updates(), ours.shadow_values(0)), (3, &[2.5, 2.75][..]));

    let poisoned = vector(&[f64::NAN], DType::F64);
    assert!(Original::new(vec![poisoned.clone()], 0.5).is_ok());
    assert!(matches!(EMA::new(vec![poisoned.clone()], 0.5), Err(Error::NonFinite { .. })));
    let config = Config::new(0.5).unwrap().nonfinite(NonFinite::Propagate);
    assert!(EMA::with_config(vec![poisoned], config).unwrap().shadow_values(0)[0].is_nan());
}

#[test]
fn the_original_takes_any_decay_and_any_tensor() {
    for decay in [1.5, -0.1, f64::NAN] {
        assert!(Original::new(vec![moved()], decay).is_ok());
        assert!(matches!(EMA::new(vec![moved()], decay), Err(Error::Config { argument: "decay", .. })));
    }
    let labels = vector(&[1.0, 2.0], DType::I64);
    let mut theirs = Original::new(vec![labels.clone()], 0.5).unwrap();
    labels.update_data_inplace(&[2.0, 5.0]).unwrap();
    theirs.update(from_ref(&labels)).unwrap();
    theirs.apply().unwrap();
    assert_eq!(values(&labels), [1.0, 3.0], "averages, cut off");
    let error = EMA::new(vec![labels], 0.5).unwrap_err();
    assert_eq!(error.to_string(), "parameter \"0\" is i64: only f64, f32, f16 and bf16 are averaged");
}

#[test]
fn a_drop_while_applied_leaves_the_averages_in_the_original_and_a_guard_does_not() {
    let param = moved();
    let mut theirs = Original::new(vec![param.clone()], 0.5).unwrap();
    let mut ours = EMA::new(vec![param.clone()], 0.5).unwrap();
    param.update_data_inplace(&[3.0, 3.0]).unwrap();
    let evaluation = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _applied = ours.applied().unwrap();
        assert_eq!(values(&param), [3.0, 3.0], "in mid-evaluation");
    }));
    assert!(evaluation.is_err());
    assert_eq!((values(&param), ours.is_applied()), (vec![3.0, 3.0], false));
    theirs.apply().unwrap();
    drop(theirs);
    assert_eq!(values(&param), [1.0, 1.0]);
}

#[test]
fn averages_in_sixteen_bits_are_rounded_twice_in_the_original() {
    for (dtype, spacing) in [(DType::F16, 2_f64.powi(-10)), (DType::BF16, 2_f64.powi(-7))] {
        let param = vector(&[1.0], dtype);
        // So that the average is just beyond the middle between 1 and the next number.
        let decay = 0.5 - 2_f64.powi(-29);
        let mut theirs = Original::new(vec![param.clone()], decay).unwrap();
        let mut ours = EMA::new(vec![param.clone()], decay).unwrap();
        param.update_data_inplace(&[1.0 + spacing]).unwrap();
        theirs.update(from_ref(&param)).unwrap();
        ours.update(from_ref(&param)).unwrap();
        assert_eq!(ours.shadow_values(0), theirs.shadow_values(0));
        assert!(ours.shadow_values(0)[0] > 1.0 + spacing / 2.0);
        theirs.apply().unwrap();
        assert_eq!(values(&param), [1.0], "{dtype}");
        theirs.restore().unwrap();
        ours.apply().unwrap();
        assert_eq!(values(&param), [1.0 + spacing], "{dtype}");
    }
}
