//! The state machine, row by row: Training → apply → Applied → restore → Training.

use crate::waiting::within_a_minute;
use ndarray::arr1;
use shrew_ema::backend::ndarray::{Handle, NdArray, Shared, share};
use shrew_ema::{EMA, Error};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A weight that went from 1 to 3 with decay ½: its average is 2.
fn moved() -> (Shared<f64>, Vec<Handle>, EMA<NdArray>) {
    let w = share(arr1(&[1.0, 1.0]));
    let params = vec![Handle::from(&w)];
    let mut ema = EMA::new(params.clone(), 0.5).unwrap();
    set(&w, 3.0);
    ema.update(&params).unwrap();
    (w, params, ema)
}

fn set(w: &Shared<f64>, value: f64) {
    w.write().unwrap().fill(value);
}

fn get(w: &Shared<f64>) -> f64 {
    w.read().unwrap()[[0]]
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>, call: &str) {
    let error = result.unwrap_err();
    assert!(error.to_string().starts_with(&format!("{call}: the averages are applied; restore() first")), "{error}");
}

#[test]
fn applied_refuses_what_would_lose_or_mix_values() {
    let (w, params, mut ema) = moved();
    ema.apply().unwrap();
    refused(ema.apply(), "apply");
    refused(ema.applied().map(drop), "apply");
    refused(ema.update(&params), "update");
    refused(ema.update_with_warmup(&params), "update_with_warmup");
    assert_eq!((get(&w), ema.shadow_values(0), ema.num_updates()), (2.0, &[2.0, 2.0][..], 1));
    assert!(ema.is_applied());
    ema.restore().unwrap();
    assert_eq!((get(&w), ema.is_applied()), (3.0, false));
    ema.update(&params).unwrap();
}

#[test]
fn other_handles_are_averaged_and_those_of_the_construction_written() {
    let (w, params, mut ema) = moved();
    let other = share(arr1(&[6.0, 8.0]));
    for update in [EMA::update, EMA::update_with_warmup] {
        let before = ema.num_updates();
        update(&mut ema, &[Handle::from(&other)]).unwrap();
        assert_eq!(ema.num_updates(), before + 1);
    }
    // From 2 with decay ½, then with the smaller decay of the warm-up's third update, 4/13.
    let expected = [6.0, 8.0].map(|p| {
        let half = f64::midpoint(2.0, p);
        p - 4.0 / 13.0 * (p - half)
    });
    ema.shadow_values(0).iter().zip(expected).for_each(|(s, e)| assert!((s - e).abs() < 1e-15, "{s} is not {e}"));
    ema.apply().unwrap();
    assert_eq!(w.read().unwrap().as_slice().unwrap(), ema.shadow_values(0));
    assert_eq!(other.read().unwrap().as_slice().unwrap(), [6.0, 8.0]);
    ema.restore().unwrap();
    assert_eq!(get(&w), 3.0);
    ema.update(&params).unwrap();
}

#[test]
fn restore_in_training_does_nothing() {
    let (w, _, mut ema) = moved();
    ema.restore().unwrap();
    ema.apply().unwrap();
    ema.restore().unwrap();
    set(&w, 7.0);
    ema.restore().unwrap();
    assert_eq!(get(&w), 7.0, "an old backup is never written");
}

#[test]
fn a_guard_restores_when_it_goes_also_by_a_panic() {
    let (w, params, mut ema) = moved();
    {
        let applied = ema.applied().unwrap();
        assert_eq!((get(&w), applied.num_updates()), (2.0, 1));
    }
    assert_eq!(get(&w), 3.0);
    ema.applied().unwrap().restore().unwrap();
    assert_eq!(get(&w), 3.0);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _applied = ema.applied().unwrap();
        panic!("an evaluation fails");
    }));
    assert!(panicked.is_err());
    assert_eq!(get(&w), 3.0);
    ema.update(&params).unwrap();
}

#[test]
fn a_guard_may_end_on_the_averages() {
    let (w, _, mut ema) = moved();
    {
        let mut applied = ema.applied().unwrap();
        applied.copy_to().unwrap();
    }
    assert_eq!((get(&w), ema.is_applied()), (2.0, false));
}

#[test]
fn a_guard_that_can_t_restore_says_so() {
    within_a_minute(|| {
        let (w, _, mut ema) = moved();
        let lock = w.clone();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _applied = ema.applied().unwrap();
            let held = lock.read().unwrap();
            std::mem::forget(held);
        }));
        let text = *panicked.unwrap_err().downcast::<String>().unwrap();
        assert!(text.starts_with("the averages stay applied: parameter \"0\" is locked"), "{text}");
        assert!(ema.is_applied());
    });
}

#[test]
fn copy_to_finishes_on_the_averages_from_both_states() {
    let (w, params, mut ema) = moved();
    ema.copy_to().unwrap();
    assert_eq!((get(&w), ema.is_applied()), (2.0, false));
    ema.restore().unwrap();
    assert_eq!(get(&w), 2.0);

    set(&w, 4.0);
    ema.update(&params).unwrap();
    ema.apply().unwrap();
    ema.copy_to().unwrap();
    assert_eq!((get(&w), ema.is_applied()), (3.0, false));
    ema.restore().unwrap();
    assert_eq!(get(&w), 3.0, "the backup is forgotten");
}

#[test]
fn an_explicit_apply_is_never_undone_behind_the_user_s_back() {
    let (w, _, mut ema) = moved();
    ema.apply().unwrap();
    drop(ema);
    assert_eq!(get(&w), 2.0);
}

#[test]
fn early_averages_are_advised_against_once() {
    let (_, params, mut ema) = moved();
    ema.applied().unwrap().restore().unwrap();
    let texts: Vec<_> = ema.take_notices().iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["the averages still hold 50% of the initial values: use update_with_warmup or a shorter decay"]);
    ema.applied().unwrap().restore().unwrap();
    assert!(ema.take_notices().is_empty());
    let mut late = EMA::<NdArray>::new(params.clone(), 0.5).unwrap();
    (0..5).for_each(|_| late.update(&params).unwrap());
    late.apply().unwrap();
    assert!(late.take_notices().is_empty(), "1/32 of the start is little");
    late.restore().unwrap();
}

#[test]
fn averages_are_early_from_a_twentieth_of_the_start_on() {
    type Use = fn(&mut EMA<NdArray>);
    let uses: [Use; 3] = [|ema| ema.apply().unwrap(), |ema| ema.copy_to().unwrap(), |ema| drop(ema.applied().unwrap())];
    for (decay, advice) in [(0.0499, 0), (0.0501, 1), (0.3, 1)] {
        for make_use in uses {
            let params = vec![Handle::from(share(arr1(&[1.0])))];
            let mut ema = EMA::<NdArray>::new(params.clone(), decay).unwrap();
            ema.update(&params).unwrap();
            make_use(&mut ema);
            assert_eq!(ema.take_notices().len(), advice, "{decay}");
            ema.restore().unwrap();
        }
    }
}
