//! Every refusal: its class, a message that names the tensor, the value and what is valid, and nothing changed.

use ndarray::{Array2, arr1};
use shrew_ema::backend::ndarray::{Handle, NdArray, Shared, share};
use shrew_ema::schedule::Schedule;
use shrew_ema::{Averages, Config, EMA, Error, NonFinite, Result, ShadowDType, View};

struct Model {
    tensors: Vec<Shared<f32>>,
    ema: EMA<NdArray>,
}

const NAMES: [&str; 3] = ["first", "middle", "last"];

fn handles(tensors: &[Shared<f32>]) -> Vec<Handle> {
    tensors.iter().map(Handle::from).collect()
}

fn model(nonfinite: NonFinite) -> Model {
    let tensors: Vec<_> = (0..3).map(|i| share(Array2::from_elem((2, 3), i as f32))).collect();
    let named = NAMES.map(str::to_owned).into_iter().zip(handles(&tensors));
    let mut ema = EMA::named(named, Config::new(0.9).unwrap().nonfinite(nonfinite)).unwrap();
    tensors.iter().for_each(|t| *t.write().unwrap() += 1.0);
    ema.update(&handles(&tensors)).unwrap();
    Model { tensors, ema }
}

#[derive(PartialEq)]
struct Everything {
    params: Vec<Vec<u32>>,
    averages: Vec<Vec<u64>>,
    counters: [u64; 3],
    applied: bool,
    skipped: Vec<(String, u64)>,
}

impl Model {
    /// Everything that a refused call has to leave alone, bit by bit.
    fn state(&self) -> Everything {
        let bits = |t: &Shared<f32>| t.read().unwrap().iter().map(|x| x.to_bits()).collect();
        let ledger = self.ema.ledger();
        Everything {
            params: self.tensors.iter().map(bits).collect(),
            averages: (0..3).map(|i| self.ema.shadow_values(i).iter().map(|x| x.to_bits()).collect()).collect(),
            counters: [self.ema.num_updates(), ledger.step(), ledger.initial_share(0).to_bits()],
            applied: self.ema.is_applied(),
            skipped: ledger.skipped().map(|(name, count)| (name.to_owned(), count)).collect(),
        }
    }

    fn refuses(&mut self, message: &str, call: impl FnOnce(&mut EMA<NdArray>) -> Result<()>) -> Error {
        let before = self.state();
        let error = call(&mut self.ema).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert!(self.state() == before, "the refused call changed something");
        error
    }
}

type Update = fn(&mut EMA<NdArray>, &[Handle]) -> Result<()>;
const UPDATES: [Update; 2] = [EMA::update, EMA::update_with_warmup];

#[test]
fn another_number_of_parameters() {
    for update in UPDATES {
        let mut model = model(NonFinite::Raise);
        let few = handles(&model.tensors[..2]);
        let text = "the parameters are not those that are averaged: missing \"last\"";
        let error = model.refuses(text, |ema| update(ema, &few));
        assert!(matches!(error, Error::Names { .. }));
        let mut many = handles(&model.tensors);
        many.push(many[0].clone());
        let text = "the parameters are not those that are averaged: unexpected \"3\"";
        model.refuses(text, |ema| update(ema, &many));
    }
}

#[test]
fn another_shape_or_dtype_wherever_it_is() {
    for update in UPDATES {
        for (place, name) in NAMES.iter().enumerate() {
            let mut model = model(NonFinite::Raise);
            for (shape, shown) in [((3, 2), "(3, 2)"), ((1, 3), "(1, 3)"), ((2, 1), "(2, 1)"), ((2, 4), "(2, 4)")] {
                let mut params = handles(&model.tensors);
                params[place] = Handle::from(share(Array2::<f32>::zeros(shape)));
                let text = format!("parameter \"{name}\" has shape {shown}, expected (2, 3)");
                let error = model.refuses(&text, |ema| update(ema, &params));
                assert!(matches!(error, Error::Shape { .. }));
            }
            let mut params = handles(&model.tensors);
            params[place] = Handle::from(share(Array2::<f64>::zeros((2, 3))));
            let text = format!("parameter \"{name}\" is float64, expected float32");
            let error = model.refuses(&text, |ema| update(ema, &params));
            assert!(matches!(error, Error::DType { .. }));
        }
    }
}

#[test]
fn a_parameter_that_changed_under_apply_restore_and_copy_to() {
    for (place, name) in NAMES.iter().enumerate() {
        let text = format!("parameter \"{name}\" has shape (6, 1), expected (2, 3)");
        for call in [EMA::<NdArray>::apply as fn(&mut _) -> _, EMA::copy_to] {
            let mut model = model(NonFinite::Raise);
            *model.tensors[place].write().unwrap() = Array2::zeros((6, 1)).into_dyn();
            model.refuses(&text, call);
        }
        let mut model = model(NonFinite::Raise);
        let before = model.state();
        model.ema.apply().unwrap();
        let averages = model.tensors[place].read().unwrap().clone();
        *model.tensors[place].write().unwrap() = Array2::zeros((6, 1)).into_dyn();
        model.refuses(&text, EMA::restore);
        *model.tensors[place].write().unwrap() = averages;
        model.ema.restore().unwrap();
        assert!(model.state() == before, "the backup was kept");
    }
}

#[test]
fn a_decay_outside_the_unit_interval() {
    let w = share(arr1(&[1.0]));
    for (decay, shown) in [
        (-0.1, "-0.1"),
        (1.0000000000000002, "1.0000000000000002"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
    ] {
        let error = EMA::<NdArray>::new(vec![Handle::from(&w)], decay).unwrap_err();
        assert_eq!(error.to_string(), format!("decay must be a number in [0, 1], got {shown}"));
        assert!(matches!(error, Error::Config { argument: "decay", .. }));
    }
    for decay in [0.0, -0.0, 1.0, 0.5] {
        EMA::<NdArray>::new(vec![Handle::from(&w)], decay).unwrap();
    }
}

#[test]
fn settings_that_mean_nothing() {
    let message = |result: Result<Config>| result.unwrap_err().to_string();
    assert_eq!(message(Config::new(0.9).unwrap().every(0)), "every must be at least 1, got 0");
    let none: [Schedule; 0] = [];
    assert_eq!(message(Config::horizons(none)), "decay must be at least one decay or schedule, got an empty list");
    let nothing = EMA::<NdArray>::new(vec![], 0.9).unwrap_err();
    assert_eq!(nothing.to_string(), "params must be one tensor or more, got none");
    let w = share(arr1(&[1.0]));
    let twice = ["w", "w"].map(|name| (name.to_owned(), Handle::from(&w)));
    let twice = EMA::<NdArray>::named(twice, Config::new(0.9).unwrap()).unwrap_err();
    assert_eq!(twice.to_string(), "params must be tensors of different names, got \"w\" twice");
    let narrow = Config::new(0.9).unwrap().shadow_dtype(ShadowDType::F32);
    let narrow = EMA::<NdArray>::with_config(vec![Handle::from(&w)], narrow).unwrap_err();
    assert!(matches!(narrow, Error::DType { .. }));
    assert!(narrow.to_string().starts_with("parameter \"0\" is float64, expected at most float32"), "{narrow}");
}

#[test]
fn an_index_or_a_horizon_that_there_is_not() {
    let mut model = model(NonFinite::Raise);
    model.refuses("no parameter \"3\": the indices are 0 to 2", |ema| ema.shadow(3, 0).map(drop));
    model.refuses("horizon must be 0, the only one, got 1", |ema| ema.shadow(0, 1).map(drop));
    model.refuses("horizon must be 0, the only one, got 7", |ema| ema.apply_horizon(7));
    model.refuses("horizon must be 0, the only one, got 7", |ema| ema.copy_horizon_to(7));
}

#[test]
fn nan_and_infinity_at_construction() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for place in [0, 1, 254, 255, 256, 298, 299] {
            let mut values = vec![1.0_f32; 300];
            values[place] = bad;
            let make = |on| Averages::new(&[View::from(&values[..])], Config::new(0.9).unwrap().nonfinite(on));
            let error = make(NonFinite::Raise).unwrap_err();
            assert!(matches!(&error, Error::NonFinite { tensors, .. } if *tensors == [("0".to_owned(), 1)]));
            assert!(
                error.to_string().starts_with("construction: NaN or infinite elements in \"0\" (1): no averages"),
                "{error}"
            );
            make(NonFinite::Skip).unwrap();
            make(NonFinite::Propagate).unwrap();
        }
    }
}

#[test]
fn nan_and_infinity_in_an_update_under_each_policy() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for decay in [0.9, 0.3, 0.0] {
            for place in [0, 255, 256, 298, 299] {
                let start = vec![1.0_f32; 300];
                let mut next = vec![2.0_f32; 300];
                next[place] = bad;
                let run = |on| {
                    let config = Config::new(decay).unwrap().nonfinite(on);
                    let mut averages = Averages::new(&[View::from(&start[..])], config).unwrap();
                    let result = averages.update(&[View::from(&next[..])]);
                    (averages, result)
                };
                let good = 1.0 + (1.0 - decay);
                let (raised, error) = run(NonFinite::Raise);
                let (skipped, fine) = run(NonFinite::Skip);
                let (propagated, also_fine) = run(NonFinite::Propagate);
                assert!(fine.is_ok() && also_fine.is_ok());
                let error = error.unwrap_err();
                assert_eq!(
                    error.to_string(),
                    "update: NaN or infinite elements in \"0\" (1): these kept their old averages, all others are \
                     updated, and the call is counted"
                );
                for (averages, expected) in [(&raised, 1.0), (&skipped, 1.0), (&propagated, f64::from(bad))] {
                    let values = averages.shadow_values(0);
                    assert!(
                        values[place].total_cmp(&expected).is_eq()
                            || values[place].is_nan() && expected.is_nan()
                            || expected.is_infinite() && !values[place].is_finite()
                    );
                    let others = values.iter().enumerate().filter(|&(i, _)| i != place);
                    assert!(others.into_iter().all(|(_, &value)| (value - good).abs() < 1e-12));
                    assert_eq!(averages.ledger().num_updates(), 1);
                }
                assert_eq!(skipped.ledger().skipped().collect::<Vec<_>>(), [("0", 1)]);
                assert_eq!(propagated.ledger().skipped().count(), 0);
            }
        }
    }
}

#[test]
fn skipped_elements_are_advised_of_once_and_counted_always() {
    let mut model = model(NonFinite::Skip);
    model.ema.take_notices();
    model.tensors[1].write().unwrap()[[0, 1]] = f32::NAN;
    for _ in 0..3 {
        let params = handles(&model.tensors);
        model.ema.update(&params).unwrap();
    }
    let texts: Vec<_> = model.ema.take_notices().iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "NaN or infinite elements were left out of the averages, 1 in this update and the first in \"middle\": they are \
          counted in skipped from now on"
        ]
    );
    assert_eq!(model.ema.ledger().skipped().collect::<Vec<_>>(), [("middle", 3)]);
}

#[test]
fn a_slow_narrow_shadow_is_advised_against() {
    let w = [1.0_f32];
    let advice = |decay, dtype| {
        let config = Config::new(decay).unwrap().shadow_dtype(dtype);
        Averages::new(&[View::from(&w[..])], config).unwrap().take_notices().len()
    };
    assert_eq!(advice(0.99991, ShadowDType::F32), 1);
    for (decay, dtype) in
        [(0.9999, ShadowDType::F32), (0.9, ShadowDType::F32), (1.0, ShadowDType::F32), (0.99999, ShadowDType::F64)]
    {
        assert_eq!(advice(decay, dtype), 0, "{decay} {dtype:?}");
    }
}
