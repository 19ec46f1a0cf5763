//! Averages of what nobody trains: told when they are put to use, once.

use crate::waiting::within_a_minute;
use ndarray::Array1;
use shrew_ema::backend::ndarray::{Handle, NdArray, Shared, share};
use shrew_ema::{Config, EMA, Notice};

/// An EMA over two arrays that was updated so often.
fn updated(updates: u64, decay: f64) -> (Shared<f32>, EMA<NdArray>) {
    let arrays = [share(Array1::from_elem(100, 0.1)), share(Array1::from_elem(3000, 0.1))];
    let params: Vec<_> = arrays.iter().map(Handle::from).collect();
    let mut ema = EMA::with_config(params.clone(), Config::new(decay).unwrap()).unwrap();
    for _ in 0..updates {
        ema.update(&params).unwrap();
    }
    let [_, last] = arrays;
    (last, ema)
}

/// What was said of parameters that stand still.
fn said(ema: &mut EMA<NdArray>) -> Vec<Notice> {
    ema.take_notices().into_iter().filter(|notice| matches!(notice, Notice::Unmoved { .. })).collect()
}

#[test]
fn averages_that_never_moved_are_told_once() {
    let uses: [fn(&mut EMA<NdArray>); 3] = [
        |ema| ema.apply().unwrap(),
        |ema| ema.copy_to().unwrap(),
        |ema| ema.save(tempfile::tempdir().unwrap().path().join("ema")).unwrap(),
    ];
    for each in uses {
        let (_, mut ema) = updated(10, 0.5);
        each(&mut ema);
        assert_eq!(said(&mut ema), [Notice::Unmoved { updates: 10 }]);
        ema.restore().unwrap();
        ema.apply().unwrap();
        assert_eq!(said(&mut ema), []);
    }
}

#[test]
fn a_last_element_that_moved_is_enough() {
    let (last, mut ema) = updated(10, 0.5);
    last.write().unwrap()[[2999]] = 0.2;
    ema.apply().unwrap();
    ema.restore().unwrap();
    last.write().unwrap()[[2999]] = 0.1;
    ema.apply().unwrap();
    assert_eq!(said(&mut ema), [], "what has moved once is not looked at again");
}

#[test]
fn nothing_is_said_of_a_few_updates_or_of_copies() {
    for (updates, decay) in [(9, 0.5), (20, 0.0)] {
        let (_, mut ema) = updated(updates, decay);
        ema.apply().unwrap();
        assert_eq!(said(&mut ema), []);
    }
}

#[test]
fn other_tensors_have_as_many_updates_to_move_in() {
    let (_, mut ema) = updated(10, 0.5);
    let other: Vec<_> = [100, 3000].iter().map(|&len| Handle::from(share(Array1::from_elem(len, 0.1_f32)))).collect();
    ema.bind(other).unwrap();
    ema.apply().unwrap();
    assert_eq!(said(&mut ema), []);
}

#[test]
fn a_look_waits_for_no_lock() {
    // A guard of the caller's makes the writing fail, and does not make the look before it hang.
    within_a_minute(|| {
        let (last, mut ema) = updated(10, 0.5);
        let _reading = last.read().unwrap();
        ema.apply().unwrap_err();
    });
}
