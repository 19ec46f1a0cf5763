//! What is refused of candle's variables, by name, with nothing changed.

use crate::support::{get, map, set, var};
use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Tensor, Var};
use shrew_ema::backend::candle::{Candle, named};
use shrew_ema::{Config, EMA, Error};
use std::panic::{AssertUnwindSafe, catch_unwind};

fn ema(vars: &[&Var]) -> EMA<Candle> {
    let names = ["a", "b", "c"].map(str::to_owned);
    let params = names.into_iter().zip(vars.iter().copied().cloned());
    EMA::named(params, Config::new(0.5).unwrap()).unwrap()
}

#[test]
fn integers_are_refused() {
    for dtype in [DType::U8, DType::U32, DType::I64] {
        let steps = Var::zeros(2, dtype, &Device::Cpu).unwrap();
        let map = map([("steps", &steps), ("w", &var(&[1.0]))]);
        let error = EMA::<Candle>::named(named(&map).unwrap(), Config::new(0.5).unwrap()).unwrap_err();
        let expected = format!("parameter \"steps\" is of dtype {}, expected f64, f32, f16 or bf16", dtype.as_str());
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn other_parameters_than_those_of_the_construction_are_refused() {
    let (a, b) = (var(&[1.0, 2.0]), Var::ones((1, 3), DType::F32, &Device::Cpu).unwrap());
    let mut ema = ema(&[&a, &b]);
    let wide = Var::ones((1, 3), DType::F64, &Device::Cpu).unwrap();
    let flat = var(&[1.0, 1.0, 1.0]);
    let cases = [
        (vec![a.clone()], "missing \"b\""),
        (vec![a.clone(), b.clone(), b.clone()], "unexpected"),
        (vec![b.clone(), a.clone()], "parameter \"a\" has shape (1, 3), expected (2,)"),
        (vec![a.clone(), flat], "parameter \"b\" has shape (3,), expected (1, 3)"),
        (vec![a.clone(), wide], "parameter \"b\" is float64, expected float32"),
    ];
    for (params, problem) in cases {
        let error = ema.update(&params).unwrap_err();
        assert!(error.to_string().contains(problem), "{error}");
        assert_eq!((ema.num_updates(), ema.shadow_values(0)), (0, &[1.0, 2.0][..]));
    }
}

/// A view of a variable is no variable: candle makes one of it by a copy, so that none can have an offset or a gap.
#[test]
fn a_variable_of_a_view_has_memory_of_its_own() {
    let base = Var::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], (2, 2), &Device::Cpu).unwrap();
    let views = [base.t().unwrap(), base.narrow(1, 1, 1).unwrap(), base.narrow(0, 1, 1).unwrap()];
    let vars: Vec<Var> = views.iter().map(|view| Var::from_tensor(view).unwrap()).collect();
    let mut ema = ema(&vars.iter().collect::<Vec<_>>());
    assert_eq!((ema.shadow_values(0), ema.shadow_values(1)), (&[1.0, 3.0, 2.0, 4.0][..], &[2.0, 4.0][..]));
    for var in &vars {
        var.set(&var.zeros_like().unwrap()).unwrap();
    }
    ema.apply().unwrap();
    assert_eq!((get(&vars[0]), get(&vars[2])), (vec![1.0, 3.0, 2.0, 4.0], vec![3.0, 4.0]));
    assert_eq!(get(&base), [1.0, 2.0, 3.0, 4.0]);
    // The tensor of a variable is that variable, though.
    assert_eq!(get(&Var::from_tensor(base.as_tensor()).unwrap()), get(&base));
    ema.restore().unwrap();
}

/// An operation of the user's own has the whole storage in its hands.
struct Replace(CpuStorage);

impl InplaceOp1 for Replace {
    fn name(&self) -> &'static str {
        "replace"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, _: &Layout) -> candle_core::Result<()> {
        *storage = self.0.clone();
        Ok(())
    }
}

#[test]
fn a_storage_that_was_replaced_by_another_kind_is_refused_and_nothing_is_written() {
    for storage in [CpuStorage::F64(vec![1.0; 3]), CpuStorage::F32(vec![1.0; 2])] {
        let (a, b) = (var(&[1.0, 2.0]), var(&[3.0, 4.0, 5.0]));
        let mut ema = ema(&[&a, &b]);
        set(&a, &[7.0, 8.0]);
        b.inplace_op1(&Replace(storage)).unwrap();
        let params = ema.params().to_vec();
        for error in [ema.update(&params).unwrap_err(), ema.apply().unwrap_err(), ema.copy_to().unwrap_err()] {
            let expected = "parameter \"b\" has a storage of another dtype or length than its own: something has \
                            replaced it";
            assert_eq!(error.to_string(), expected);
        }
        assert_eq!((get(&a), ema.is_applied(), ema.num_updates()), (vec![7.0, 8.0], false, 0));
        // Another storage of the right kind is as good as the first.
        b.inplace_op1(&Replace(CpuStorage::F32(vec![9.0; 3]))).unwrap();
        ema.update(&params).unwrap();
        assert_eq!(ema.shadow_values(1), [6.0, 6.5, 7.0]);
    }
}

#[test]
fn a_storage_that_was_replaced_while_the_averages_are_applied_is_found_before_anything_is_restored() {
    let (a, b) = (var(&[1.0, 2.0]), var(&[3.0, 4.0, 5.0]));
    let mut ema = ema(&[&a, &b]);
    for (var, values) in [(&a, &[7.0, 8.0][..]), (&b, &[9.0; 3])] {
        set(var, values);
    }
    ema.apply().unwrap();
    b.inplace_op1(&Replace(CpuStorage::F32(vec![1.0; 2]))).unwrap();
    let error = ema.restore().unwrap_err();
    assert!(error.to_string().starts_with("parameter \"b\" has a storage of another dtype or length"), "{error}");
    assert_eq!((get(&a), ema.is_applied()), (vec![1.0, 2.0], true));
    b.inplace_op1(&Replace(CpuStorage::F32(vec![1.0; 3]))).unwrap();
    ema.restore().unwrap();
    assert_eq!((get(&a), get(&b)), (vec![7.0, 8.0], vec![9.0; 3]));
}

#[test]
fn an_update_while_applied_and_a_second_apply_are_refused() {
    let w = var(&[1.0]);
    let mut ema = ema(&[&w]);
    set(&w, &[5.0]);
    ema.apply().unwrap();
    assert!(matches!(ema.apply(), Err(Error::State { .. })));
    assert!(matches!(ema.update(std::slice::from_ref(&w)), Err(Error::State { .. })));
    assert_eq!(get(&w), [1.0]);
    ema.restore().unwrap();
    assert_eq!((get(&w), ema.num_updates()), (vec![5.0], 0));
}

#[test]
fn nan_is_named_and_does_not_stay_in_the_average() {
    let w = var(&[1.0, 1.0]);
    let mut ema = ema(&[&w]);
    set(&w, &[f32::NAN, 3.0]);
    let error = ema.update(std::slice::from_ref(&w)).unwrap_err();
    assert!(matches!(&error, Error::NonFinite { tensors, .. } if *tensors == [("a".to_owned(), 1)]), "{error}");
    assert_eq!(ema.shadow_values(0), [1.0, 2.0]);
}

#[test]
fn a_map_in_use_is_an_error_and_a_poisoned_one_is_as_good_as_another() {
    let w = var(&[1.0]);
    let map = map([("w", &w)]);
    let held = map.data().lock().unwrap();
    let error = named(&map).unwrap_err();
    assert_eq!(error.to_string(), "variables must be a map whose lock no thread holds, got one in use");
    drop(held);
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let _held = map.data().lock().unwrap();
        panic!("in the middle of something");
    }));
    assert!(panic.is_err() && map.data().is_poisoned());
    assert_eq!(named(&map).unwrap().len(), 1);
}

#[test]
fn a_panic_in_an_operation_leaves_the_variable_usable() {
    struct Panics;
    impl InplaceOp1 for Panics {
        fn name(&self) -> &'static str {
            "panics"
        }

        fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> candle_core::Result<()> {
            panic!("under candle's lock")
        }
    }
    let w = var(&[1.0]);
    let mut ema = ema(&[&w]);
    assert!(catch_unwind(AssertUnwindSafe(|| w.inplace_op1(&Panics))).is_err());
    w.set(&Tensor::new(&[3_f32], &Device::Cpu).unwrap()).unwrap();
    ema.update(std::slice::from_ref(&w)).unwrap();
    assert_eq!(ema.shadow_values(0), [2.0]);
}
