//! The verbs of the original design give its numbers, and the reference data's.

use half::{bf16, f16};
use ndarray::{ArrayD, arr1};
use serde_json::Value;
use shrew_ema::backend::ndarray::{Handle, NdArray, Shared, share};
use shrew_ema::{Averages, Config, DType, EMA, ShadowDType, View};

fn vectors(file: &str) -> Value {
    let path = format!("{}/tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn rows(value: &Value) -> Vec<Vec<f64>> {
    serde_json::from_value(value.clone()).unwrap()
}

fn set<T>(shared: &Shared<T>, values: Vec<T>) {
    *shared.write().unwrap() = ndarray::Array1::from(values).into_dyn();
}

fn get<T: Clone>(shared: &Shared<T>) -> Vec<T> {
    shared.read().unwrap().iter().cloned().collect()
}

/// To a relative difference that separately rounded formulas can have, and no mistake does.
fn close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance * expected.abs().max(1e-3), "{found} is not {expected}");
}

#[test]
fn the_original_cases_come_out() {
    let w = share(arr1(&[1.0]));
    let params = vec![Handle::from(&w)];
    let mut ema = EMA::<NdArray>::new(params.clone(), 0.9).unwrap();
    assert_eq!((ema.decay(), ema.num_updates()), (0.9, 0));
    for (value, expected) in [(2.0, 1.1), (3.0, 1.29)] {
        set(&w, vec![value]);
        ema.update(&params).unwrap();
        close(ema.shadow_values(0)[0], expected, 1e-15);
    }
    assert_eq!(ema.num_updates(), 2);

    set(&w, vec![1.0]);
    let mut ema = EMA::<NdArray>::new(params.clone(), 0.5).unwrap();
    set(&w, vec![3.0]);
    ema.update(&params).unwrap();
    assert_eq!(ema.shadow_values(0), [2.0]);
    ema.apply().unwrap();
    assert_eq!(get(&w), [2.0]);
    ema.restore().unwrap();
    assert_eq!(get(&w), [3.0]);
}

#[test]
fn a_warm_up_gives_the_printed_figures() {
    let w = share(arr1(&[0.0]));
    let params = vec![Handle::from(&w)];
    let mut ema = EMA::<NdArray>::new(params.clone(), 0.9).unwrap();
    set(&w, vec![1.0]);
    for expected in [0.818_181_818_2, 0.954_545_454_5, 0.986_013_986_0, 0.995_004_995_0, 0.998_001_998_0] {
        ema.update_with_warmup(&params).unwrap();
        assert!((ema.shadow_values(0)[0] - expected).abs() < 1e-10);
    }
}

#[test]
fn the_seed_rule_has_the_reference_decays() {
    let expected: Vec<(u64, f64)> =
        serde_json::from_value(vectors("decays.json")["decay_at_update"]["seed(0.999)"].clone()).unwrap();
    let w = [0.0];
    let mut averages = Averages::new(&[View::from(&w[..])], Config::new(0.999).unwrap()).unwrap();
    let mut checked = 0;
    for t in 1..=expected.last().unwrap().0 {
        let before = averages.ledger().initial_share(0);
        averages.update_with_warmup(&[View::from(&w[..])]).unwrap();
        if let Some((_, decay)) = expected.iter().find(|(at, _)| *at == t) {
            close(averages.ledger().initial_share(0) / before, *decay, 1e-11);
            checked += 1;
        }
    }
    assert_eq!(checked, expected.len());
}

type Update = fn(&mut EMA<NdArray>, &[Handle]) -> shrew_ema::Result<()>;

#[test]
fn trajectories_follow_the_reference() {
    let data = vectors("trajectories.json");
    let params = rows(&data["params"]);
    let cases: [(&str, f64, Update); 3] = [
        ("decay_0.9", 0.9, EMA::update),
        ("decay_0.999", 0.999, EMA::update),
        ("warmup_0.999", 0.999, EMA::update_with_warmup),
    ];
    for (case, decay, update) in cases {
        let w = share(arr1(&params[0]));
        let handles = vec![Handle::from(&w)];
        let mut ema = EMA::<NdArray>::new(handles.clone(), decay).unwrap();
        let mut averages = Averages::new(&[View::from(&params[0][..])], Config::new(decay).unwrap()).unwrap();
        for (row, expected) in params[1..].iter().zip(rows(&data[case])) {
            set(&w, row.clone());
            update(&mut ema, &handles).unwrap();
            for (&found, expected) in ema.shadow_values(0).iter().zip(expected) {
                close(found, expected, 1e-13);
            }
            let views = [View::from(&row[..])];
            if case.starts_with("warmup") {
                averages.update_with_warmup(&views).unwrap();
            } else {
                averages.update(&views).unwrap();
            }
            assert_eq!(averages.shadow_values(0), ema.shadow_values(0), "handles and slices give the same bits");
        }
        assert_eq!(ema.num_updates(), 49);
    }
}

#[test]
fn every_float_type_is_averaged_written_and_restored() {
    let (a, b, c, d) = (
        share(arr1(&[1.0_f64, 2.0])),
        share(arr1(&[1.0_f32, 2.0])),
        share(arr1(&[f16::ONE, f16::from_f32(2.0)])),
        share(arr1(&[bf16::ONE, bf16::from_f32(2.0)])),
    );
    let params = vec![Handle::from(&a), Handle::from(&b), Handle::from(&c), Handle::from(&d)];
    let mut ema = EMA::<NdArray>::new(params.clone(), 0.5).unwrap();
    set(&a, vec![2.0, 4.0]);
    set(&b, vec![2.0, 4.0]);
    set(&c, vec![f16::from_f32(2.0), f16::from_f32(4.0)]);
    set(&d, vec![bf16::from_f32(2.0), bf16::from_f32(4.0)]);
    ema.update(&params).unwrap();
    for index in 0..4 {
        assert_eq!(ema.shadow_values(index), [1.5, 3.0], "64 bits by default, whatever the parameter's type");
    }
    ema.apply().unwrap();
    assert_eq!((get(&a), get(&b)), (vec![1.5, 3.0], vec![1.5, 3.0]));
    assert_eq!(get(&c), [1.5, 3.0].map(f16::from_f32));
    assert_eq!(get(&d), [1.5, 3.0].map(bf16::from_f32));
    ema.restore().unwrap();
    assert_eq!((get(&a)[1], get(&b)[1], get(&c)[1].to_f32(), get(&d)[1].to_f32()), (4.0, 4.0, 4.0, 4.0));
}

#[test]
fn a_bf16_average_moves() {
    let w = share(arr1(&[bf16::ONE]));
    let params = vec![Handle::from(&w)];
    let config = Config::new(0.999).unwrap().shadow_dtype(ShadowDType::Auto);
    let mut ema = EMA::<NdArray>::with_config(params.clone(), config).unwrap();
    set(&w, vec![bf16::from_f32(1.5)]);
    for _ in 0..2000 {
        ema.update(&params).unwrap();
    }
    let average = ema.shadow(0, 0).unwrap();
    assert_eq!(average.dtype(), DType::F32);
    close(f64::from(average.as_slice::<f32>()[0]), 1.5 - 0.5 * 0.999_f64.powi(2000), 1e-5);
}

#[test]
fn several_horizons_are_as_many_single_averages() {
    let decays = [0.9, 0.99, 0.0, 1.0, 0.3];
    let schedules = decays.map(|decay| shrew_ema::schedule::Schedule::constant(decay).unwrap());
    let noise = crate::oracle::noise(99, 900).into_iter().map(|x| x as f32).collect();
    let mut w = ArrayD::from_shape_vec(vec![3, 300], noise).unwrap();
    let start = w.clone();
    let view = View::try_from(&start).unwrap();
    let config = Config::horizons(schedules).unwrap().shadow_dtype(ShadowDType::F32);
    let mut together = Averages::new(&[view], config).unwrap();
    let mut single =
        decays.map(|decay| Averages::new(&[view], Config::new(decay).unwrap().shadow_dtype(ShadowDType::F32)).unwrap());
    for step in 0..20 {
        if step > 0 {
            w.iter_mut().zip(crate::oracle::noise(step, 900)).for_each(|(w, noise)| *w = noise as f32);
            together.update(&[View::try_from(&w).unwrap()]).unwrap();
        }
        for (horizon, single) in single.iter_mut().enumerate() {
            if step > 0 {
                single.update(&[View::try_from(&w).unwrap()]).unwrap();
            }
            let (a, b) = (together.shadow(0, horizon).unwrap(), single.shadow(0, 0).unwrap());
            assert_eq!(a.as_slice::<f32>(), b.as_slice::<f32>(), "horizon {horizon}");
        }
    }
}

#[test]
fn an_interval_keeps_the_horizon_and_a_start_forgets_what_was_before() {
    let config = Config::new(0.9).unwrap().start(3).every(4).unwrap();
    let mut averages = Averages::new(&[View::from(&[0.0][..])], config).unwrap();
    let mut found = Vec::new();
    for step in 1..=11 {
        let w = [f64::from(step)];
        averages.update(&[View::from(&w[..])]).unwrap();
        found.push(averages.shadow_values(0)[0]);
    }
    // Call 3 copies; the averages fall on calls 7 and 11, with 1 - 0.9⁴.
    let alpha = 1.0 - 0.9_f64.powi(4);
    let seven = 3.0 + alpha * (7.0 - 3.0);
    let eleven = seven + alpha * (11.0 - seven);
    for (step, expected) in [(1, 0.0), (2, 0.0), (3, 3.0), (4, 3.0), (6, 3.0), (7, seven), (10, seven), (11, eleven)] {
        close(found[step - 1], expected, 1e-15);
    }
    assert_eq!((averages.ledger().step(), averages.ledger().num_updates()), (11, 2));
    assert_eq!(averages.ledger().initial_share(0), 0.0, "the copy at the start leaves nothing of the construction");
}

#[test]
fn a_warm_up_counts_the_calls_since_the_start() {
    for (start, every) in [(0, 1), (0, 3), (5, 1), (2, 3)] {
        let config = Config::new(0.9).unwrap().start(start).every(every).unwrap();
        let mut averages = Averages::new(&[View::from(&[0.0][..])], config).unwrap();
        let (mut average, mut kept) = (0.0, 1.0);
        for step in 1..=20_u64 {
            let w = [step as f64];
            // Every fifth call has no warm-up, and takes no part of its count either.
            let warmup = step % 5 != 0;
            let views = [View::from(&w[..])];
            if warmup { averages.update_with_warmup(&views) } else { averages.update(&views) }.unwrap();
            if step == start {
                average = w[0];
            } else if step > start {
                let t = step - start;
                kept *= if warmup { (1 + t) as f64 / (10 + t) as f64 } else { 0.9 };
                if t % every == 0 {
                    average = w[0] + kept * (average - w[0]);
                    kept = 1.0;
                }
            }
            close(averages.shadow_values(0)[0], average, 1e-14);
        }
    }
}
