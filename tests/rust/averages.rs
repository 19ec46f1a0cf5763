//! Averages of plain memory: what they write where, and what they refuse before they write.

use half::{bf16, f16};
use shrew_ema::schedule::Schedule;
use shrew_ema::{Averages, Config, Error, View, ViewMut};

/// Two tensors that went from 1 to 2 and 3 with the decays ½ and ¼.
fn moved() -> Averages {
    let schedules = [0.5, 0.25].map(|decay| Schedule::constant(decay).unwrap());
    let views = |values: &'static [f64]| [View::from(&values[..2]), View::from(&values[2..])];
    let mut averages = Averages::new(&views(&[1.0; 5]), Config::horizons(schedules).unwrap()).unwrap();
    averages.update(&views(&[2.0, 2.0, 3.0, 3.0, 3.0])).unwrap();
    averages
}

#[test]
fn the_horizon_asked_for_is_written() {
    let averages = moved();
    for (horizon, expected) in [(0, [1.5, 2.0]), (1, [1.75, 2.5])] {
        let (mut a, mut b) = ([0.0; 2], [0.0; 3]);
        moved().copy_to(&mut [(&mut a[..]).into(), (&mut b[..]).into()], horizon).unwrap();
        assert_eq!((a, b), ([expected[0]; 2], [expected[1]; 3]));
        assert_eq!(averages.shadow(0, horizon).unwrap().as_slice::<f64>().unwrap(), a);
        assert_eq!(averages.shadow(1, horizon).unwrap().as_slice::<f64>().unwrap(), b);
    }
}

#[test]
fn every_float_type_and_layout_is_written() {
    let (mut a, mut b, mut c) = ([f16::ZERO; 3], [bf16::ZERO; 3], [0.0_f32; 7]);
    let next = ([f16::ONE; 3], [bf16::from_f32(3.0); 3], [5.0_f32, 0.0, 0.0, 3.0, 0.0, 0.0, 1.0]);
    let (shape, back) = ([3], [-3]);
    let views = |a, b, c| [View::from(a), View::from(b), View::strided(c, 6, &shape, &back).unwrap()];
    let mut averages = Averages::new(&views(&a[..], &b[..], &c[..]), Config::new(0.5).unwrap()).unwrap();
    averages.update(&views(&next.0[..], &next.1[..], &next.2[..])).unwrap();
    assert_eq!(averages.shadow_values(2), [0.5, 1.5, 2.5], "from the last to the first");
    c.fill(9.0);
    let last = ViewMut::strided(&mut c[..], 6, &shape, &back).unwrap();
    averages.copy_to(&mut [(&mut a[..]).into(), (&mut b[..]).into(), last], 0).unwrap();
    assert_eq!((a, b), ([f16::from_f32(0.5); 3], [bf16::from_f32(1.5); 3]));
    assert_eq!(c, [2.5, 9.0, 9.0, 1.5, 9.0, 9.0, 0.5], "and nothing in the gaps");
}

#[test]
fn a_refusal_comes_before_the_first_write() {
    let mut averages = moved();
    let (mut a, mut b, mut longer, mut narrower) = ([7.0; 2], [7.0; 3], [7.0; 4], [7.0_f32; 3]);
    let mut refused = |params: &mut [ViewMut<'_>], horizon| averages.copy_to(params, horizon).unwrap_err();
    let error = refused(&mut [(&mut a[..]).into(), (&mut b[..]).into()], 2);
    assert_eq!(error.to_string(), "horizon must be an index from 0 to 1, got 2");
    let error = refused(&mut [(&mut a[..]).into()], 0);
    assert_eq!(error.to_string(), "the parameters are not those that are averaged: missing \"1\"");
    let error = refused(&mut [(&mut a[..]).into(), (&mut b[..]).into(), (&mut longer[..]).into()], 0);
    assert_eq!(error.to_string(), "the parameters are not those that are averaged: unexpected \"2\"");
    let error = refused(&mut [(&mut a[..]).into(), (&mut longer[..]).into()], 0);
    assert_eq!(error.to_string(), "parameter \"1\" has shape (4,), expected (3,)");
    let error = refused(&mut [(&mut a[..]).into(), (&mut narrower[..]).into()], 0);
    assert_eq!(error.to_string(), "parameter \"1\" is float32, expected float64");
    let (shape, strides) = ([3, 1], [1, 1]);
    let upright = ViewMut::strided(&mut b[..], 0, &shape, &strides).unwrap();
    let error = refused(&mut [(&mut a[..]).into(), upright], 0);
    assert_eq!(error.to_string(), "parameter \"1\" has shape (3, 1), expected (3,)");
    assert_eq!((a, b, longer, narrower), ([7.0; 2], [7.0; 3], [7.0; 4], [7.0; 3]));
    assert!(averages.take_notices().is_empty(), "a refused call gives no advice");
}

#[test]
fn an_update_with_other_tensors_is_refused() {
    for update in [Averages::update, Averages::update_with_warmup] {
        let mut averages = moved();
        let (a, b, longer, narrower) = ([7.0; 2], [7.0; 3], [7.0; 4], [7.0_f32; 3]);
        let view = |values| View::from(values);
        for params in [
            &[view(&a[..])][..],
            &[view(&a[..]), view(&b[..]), view(&b[..])],
            &[view(&a[..]), view(&longer[..])],
            &[view(&a[..]), View::from(&narrower[..])],
        ] {
            update(&mut averages, params).unwrap_err();
            assert_eq!((averages.shadow_values(0), averages.shadow_values(1)), (&[1.5; 2][..], &[2.0; 3][..]));
            assert_eq!((averages.ledger().num_updates(), averages.ledger().step()), (1, 1));
        }
    }
}

#[test]
fn names_are_those_given() {
    let (w, other) = ([1.0], [1.0, 2.0]);
    let named = ["a", "b"].map(|name| (name.to_owned(), View::from(&w[..])));
    let mut averages = Averages::named(named, Config::new(0.5).unwrap()).unwrap();
    assert_eq!(averages.ledger().names(), ["a", "b"]);
    let error = averages.update(&[View::from(&w[..]), View::from(&other[..])]).unwrap_err();
    assert_eq!(error.to_string(), "parameter \"b\" has shape (2,), expected (1,)");
    let twice = ["a", "a"].map(|name| (name.to_owned(), View::from(&w[..])));
    assert!(matches!(Averages::named(twice, Config::new(0.5).unwrap()), Err(Error::Config { argument: "params", .. })));
}

#[test]
fn a_tensor_or_a_horizon_that_there_is_not() {
    let averages = moved();
    let message = |index, horizon| averages.shadow(index, horizon).unwrap_err().to_string();
    assert_eq!(message(2, 0), "no parameter \"2\": the indices are 0 to 1");
    assert_eq!(message(0, 2), "horizon must be an index from 0 to 1, got 2");
}

#[test]
fn early_averages_are_advised_against_by_their_horizon() {
    for (horizon, advice) in [(0, 1), (1, 0)] {
        let schedules = [0.5, 0.01].map(|decay| Schedule::constant(decay).unwrap());
        let mut w = [1.0];
        let mut averages = Averages::new(&[View::from(&w[..])], Config::horizons(schedules).unwrap()).unwrap();
        averages.update(&[View::from(&w[..])]).unwrap();
        averages.copy_to(&mut [(&mut w[..]).into()], horizon).unwrap();
        assert_eq!(averages.take_notices().len(), advice);
    }
}
