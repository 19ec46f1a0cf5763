//! Schedules: every rule against printed figures and reference data, and what all of them promise.

use serde_json::Value;
use shrew_ema::schedule::{Schedule, compound_alpha, decay_of, half_life_of, lag, log_decay, noise, scaled};
use shrew_ema::{Averages, Config, Error, View};

pub mod any;
mod json;

fn vectors(file: &str) -> Value {
    let path = format!("{}/tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn pairs(value: &Value) -> Vec<(u64, f64)> {
    serde_json::from_value(value.clone()).unwrap()
}

fn close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance * expected.abs(), "{found:?} is not {expected:?}");
}

/// The decays at some updates, to the digits that a table prints.
fn prints(schedule: Result<Schedule, Error>, table: &[(u64, f64)], half_a_digit: f64) {
    let schedule = schedule.unwrap();
    for &(t, expected) in table {
        let found = schedule.decay(t);
        assert!((found - expected).abs() <= half_a_digit, "{schedule} at {t}: {found:?} is not {expected:?}");
        assert!((1.0 - schedule.alpha(t) - expected).abs() <= half_a_digit.max(2.3e-16), "{schedule} at {t}");
    }
}

/// The averages of one number, after each update.
fn averages(schedule: Schedule, start: f64, values: &[f64]) -> Vec<f64> {
    let mut averages = Averages::new(&[View::from(&[start][..])], Config::horizons([schedule]).unwrap()).unwrap();
    let each = values.iter().map(|&value| {
        averages.update(&[View::from(&[value][..])]).unwrap();
        averages.shadow_values(0)[0]
    });
    each.collect()
}

#[test]
fn the_tabulated_decays_come_out() {
    let tables = vectors("decays.json");
    let rules = [
        ("seed(0.999)", Schedule::torch_ema(0.999)),
        ("tf_from_zero(0.999)", Schedule::tensorflow(0.999)),
        ("timm(0.9999,gamma=1,power=2/3)", Schedule::timm(0.9999, 0.0, 0, 1.0, 2.0 / 3.0)),
        ("diffusers(0.9999)", Schedule::diffusers(0.9999, 0.0, 0, false, 1.0, 2.0 / 3.0)),
        ("exponential(0.9999,tau=2000)", Schedule::exponential(0.9999, 2000.0)),
        ("mean_teacher(0.999)", Schedule::mean_teacher(0.999)),
    ];
    assert_eq!(tables["decay_at_update"].as_object().unwrap().len(), rules.len());
    for (name, schedule) in rules {
        let schedule = schedule.unwrap();
        for (t, expected) in pairs(&tables["decay_at_update"][name]) {
            close(schedule.decay(t), expected, 4e-16);
            // α has all digits of its own; here are those of the decay, which are fewer.
            assert!((1.0 - schedule.alpha(t) - expected).abs() < 2.3e-16, "{name} at {t}");
        }
    }
}

#[test]
fn alpha_keeps_the_digits_that_the_decay_loses() {
    let alpha = &vectors("decays.json")["alpha"];
    let expected = |name: &str| alpha[name].as_f64().unwrap();
    close(Schedule::half_life(1000.0, 1.0).unwrap().alpha(1), expected("half_life_1000_step_1_alpha"), 2e-16);
    close(Schedule::half_life(1000.0, 10.0).unwrap().alpha(1), expected("half_life_1000_every_10_alpha"), 2e-16);
    // ln 2 and its reciprocals at once, from the other end of the scale.
    close(Schedule::half_life(1e18, 1.0).unwrap().alpha(1), std::f64::consts::LN_2 * 1e-18, 1e-15);
    close(Schedule::power_gamma(1.0).unwrap().alpha(1 << 40), 2.0 / (1_u64 << 40) as f64, 1e-12);

    close(compound_alpha(10.0 * log_decay(1e-4)), expected("decay_0.9999_every_10_alpha"), 4e-16);
    // Of every tenth call, through the books; the float 0.9999 is off by 1.1e-13 of what it leaves of 1.
    let constant = every_ten(Schedule::constant(0.9999).unwrap(), 10);
    close(constant, expected("decay_0.9999_every_10_alpha"), 1.2e-13);
    let half_life = every_ten(Schedule::half_life(1000.0, 1.0).unwrap(), 10);
    close(half_life, expected("half_life_1000_every_10_alpha"), 1e-15);
}

/// α of the average that falls on call `t`, the last of ten, measured: a parameter that is 1 only then.
fn every_ten(schedule: Schedule, t: u64) -> f64 {
    let config = Config::horizons([schedule]).unwrap().every(10).unwrap();
    let mut averages = Averages::new(&[View::from(&[0.0][..])], config).unwrap();
    for call in 1..=t {
        averages.update(&[View::from(&[f64::from(u8::from(call == t))][..])]).unwrap();
    }
    assert_eq!(averages.ledger().num_updates(), t / 10);
    averages.shadow_values(0)[0]
}

#[test]
fn the_power_function_has_its_gammas_and_decays() {
    let table = vectors("power.json");
    for row in table["sigma_rel_to_gamma"].as_array().unwrap() {
        let of = |name: &str| row[name].as_f64().unwrap();
        let schedule = Schedule::power(of("sigma_rel")).unwrap();
        let Schedule::Power { gamma, .. } = schedule else { panic!("{schedule}") };
        close(gamma, of("gamma"), 1e-13);
        close(schedule.decay(1000), of("beta_1000"), 1e-14);
        // An average at every tenth call compounds to the power function of the longer step.
        close(1.0 - every_ten(schedule, 1000), of("beta_1000_every_10"), 1e-13);
    }
}

#[test]
fn the_power_average_of_time_is_the_tabulated_one() {
    let table = vectors("power.json");
    for row in table["average_of_theta_equals_t"].as_array().unwrap() {
        let times: Vec<f64> = (1..=1000).map(f64::from).collect();
        // The start is 0 and counts for nothing.
        let found = averages(Schedule::power(row["sigma_rel"].as_f64().unwrap()).unwrap(), 0.0, &times);
        for (t, expected) in pairs(&row["t_value"]) {
            close(found[t as usize - 1], expected, 1e-13);
        }
    }
}

#[test]
fn a_width_that_no_power_function_has_is_refused() {
    let table = vectors("power.json");
    let refused: Vec<f64> = serde_json::from_value(table["reject_sigma_rel"].clone()).unwrap();
    for sigma_rel in refused.into_iter().chain([f64::NAN, f64::INFINITY, 0.288_675_134_594_812_9]) {
        let error = Schedule::power(sigma_rel).unwrap_err();
        assert!(matches!(error, Error::Config { argument: "sigma_rel", .. }), "{sigma_rel}: {error}");
        assert!(error.to_string().contains("0.288675"), "{error}");
    }
    // Up to the edge, where γ falls to 0, and down to where its square is lost.
    for (sigma_rel, low, high) in [(0.288_675_13, 0.0, 1e-6), (1e-9, 0.99e9, 1.01e9), (5e-324, 1e300, f64::MAX)] {
        let Schedule::Power { gamma, .. } = Schedule::power(sigma_rel).unwrap() else { unreachable!() };
        assert!((low..=high).contains(&gamma), "{sigma_rel}: {gamma}");
    }
}

#[test]
fn the_peers_print_their_figures() {
    let third = 2.0 / 3.0;
    let timm = [(1, 0.0), (2, 0.37003948), (3, 0.51925014), (100, 0.95358411), (1000, 0.99), (31600, 0.99899952)];
    prints(Schedule::timm(0.9999, 0.0, 0, 1.0, third), &timm, 5e-9);
    prints(Schedule::diffusers(0.9999, 0.0, 0, true, 1.0, third), &timm, 5e-9);
    // k-diffusion's epoch is 0 at the first update, which is where the others have copied.
    prints(Schedule::k_diffusion(1.0, third, 0.0, 1.0, 0), &timm, 5e-9);
    let diffusers = [(1, 0.0), (2, 0.181818), (3, 0.25), (4, 0.307692), (5, 0.357143), (6, 0.4)];
    prints(Schedule::diffusers(0.9999, 0.0, 0, false, 1.0, third), &diffusers, 5e-7);
    let ultralytics = [(1, 0.00049983), (100, 0.0487657), (2000, 0.63205735), (10_000, 0.99316273)];
    prints(Schedule::ultralytics(0.9999, 2000.0), &ultralytics, 5e-8);
    prints(Schedule::composer(10.0, 1), &[(1, 0.9330329915), (7, 0.9330329915)], 5e-11);
    prints(Schedule::d2go(0.999, 10.0), &[(1, 2.0 / 11.0), (2, 0.25), (100_000, 0.999)], 0.0);
    prints(Schedule::d2go(0.999, -1.0), &[(1, 0.999)], 0.0);
    prints(Schedule::d2go(0.999, 0.0), &[(1, 0.999)], 0.0);
    prints(Schedule::mmengine(0.0002, 100.0), &[(1, 0.0), (101, 0.5), (1_000_000, 0.9998)], 2e-16);
    prints(Schedule::torch(0.999), &[(1, 0.0), (2, 0.999)], 0.0);
    prints(Schedule::keras(0.99), &[(1, 0.0), (2, 0.99)], 1e-17);
    prints(Schedule::tensorflow_addons(0.99, 3, false), &[(3, 0.0), (4, 0.99)], 1e-17);
    prints(Schedule::tensorflow_addons(0.99, 3, true), &[(3, 0.0), (4, 0.1), (5, 2.0 / 11.0)], 1e-16);
}

#[test]
fn edm_prints_its_figures() {
    // By the images that were seen before the update, of 512 each.
    let edm = [(512, 9.53674316e-7), (5120, 0.25), (512_000, 0.986232704493), (51_200_000, 0.999290469123)];
    for (images, expected) in edm {
        prints(Schedule::edm(500_000.0, 0.05, 512.0, false), &[(images / 512 + 1, expected)], 5e-13);
        prints(Schedule::edm(500_000.0, 0.05, 512.0, true), &[(images / 512, expected)], 5e-13);
    }
    prints(Schedule::edm(500_000.0, 0.05, 512.0, false), &[(1, 0.0)], 0.0);
    // Nothing bounds EDM2's but the images seen, those of the update included: ½^(1/(0.09 t)).
    for t in [1, 10, 1_000_000] {
        prints(Schedule::edm2(0.09, 2048.0), &[(t, 0.5_f64.powf(1.0 / (0.09 * t as f64)))], 1e-15);
    }
    // And nothing bounds this but the half-life.
    for t in [1, 1000] {
        prints(Schedule::edm(512.0, f64::INFINITY, 512.0, false), &[(t, 0.5)], 0.0);
    }
}

#[test]
fn the_updates_before_the_rule_are_counted_as_the_peers_do() {
    // timm and diffusers copy until the rule has begun; k-diffusion has its lower bound until then.
    prints(Schedule::timm(0.9999, 0.5, 3, 1.0, 1.0), &[(4, 0.0), (5, 0.5), (6, 2.0 / 3.0)], 1e-15);
    prints(Schedule::diffusers(0.9999, 0.2, 3, false, 1.0, 1.0), &[(4, 0.0), (5, 0.2), (6, 0.25)], 1e-15);
    prints(Schedule::k_diffusion(1.0, 1.0, 0.25, 1.0, 3), &[(1, 0.25), (4, 0.25), (5, 0.5), (6, 2.0 / 3.0)], 1e-15);
    // ema-pytorch looks at calls 1, 11, ... 101, where it copies, and 111, which is its tenth step after the copies.
    let pytorch = Schedule::ema_pytorch(0.9999, 100, 10, 1.0, 1.0, 0.0);
    prints(pytorch, &[(101, 0.0), (110, 1.0), (111, 1.0 - 1.0 / 11.0), (112, 1.0), (121, 1.0 - 1.0 / 21.0)], 1e-15);
    prints(Schedule::ema_pytorch(0.9999, 0, 1, 1.0, 1.0, 0.0), &[(1, 0.0), (2, 0.5), (3, 2.0 / 3.0)], 1e-15);
}

#[test]
fn the_numeric_cases_of_the_peers_own_tests_come_out() {
    let all = |found: Vec<f64>, expected: &[f64]| {
        assert_eq!(found.len(), expected.len());
        found.iter().zip(expected).for_each(|(&found, &expected)| close(found, expected, 1e-15));
    };
    // d2go: d = .7 without warm-up.
    all(averages(Schedule::d2go(0.7, -1.0).unwrap(), 1.0, &[0.0, 1.0, 2.0]), &[0.7, 0.79, 1.153]);
    // ignite: momentum ½, at every iteration and at every second one.
    all(averages(Schedule::ignite(0.5, 1).unwrap(), 1.0, &[2.0, 3.0, 4.0, 5.0])[3..].into(), &[4.0625]);
    all(averages(Schedule::ignite(0.5, 2).unwrap(), 1.0, &[2.0, 3.0, 4.0, 5.0]), &[1.0, 2.0, 2.0, 3.5]);
    // SimpleTuner: d = .9, copying before its third step.
    all(averages(Schedule::delayed(0.9, 2).unwrap(), 0.0, &[1.0, 2.0, 3.0]), &[1.0, 2.0, 2.1]);
    // torch_ema and LitEma: a shadow of 0 towards 1.
    let warm = averages(Schedule::torch_ema(0.9).unwrap(), 0.0, &[1.0; 5]);
    let printed = [0.8181818182, 0.9545454545, 0.986013986, 0.995004995, 0.998001998];
    warm.iter().zip(printed).for_each(|(found, expected)| assert!((found - expected).abs() < 5.1e-11));
    // TensorFlow: the same with n from 0.
    let zero = averages(Schedule::tensorflow(0.999).unwrap(), 0.0, &[1.0; 3]);
    zero.iter().zip([0.9, 0.98182, 0.99545]).for_each(|(found, expected)| assert!((found - expected).abs() < 5.1e-6));
}

#[test]
fn torch_s_random_walk_comes_out() {
    let walk: Vec<f64> = crate::oracle::noise(11, 10).iter().scan(0.0, |at, step| Some(*at + step)).collect();
    let expected = walk
        .iter()
        .enumerate()
        .fold(0.0, |sum, (i, p)| sum + p * 0.999_f64.powi(9 - i as i32) * if i == 0 { 1.0 } else { 1.0 - 0.999 });
    close(averages(Schedule::torch(0.999).unwrap(), 7.0, &walk)[9], expected, 1e-13);
}

#[test]
fn means_are_means() {
    let values = crate::oracle::noise(3, 40);
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    let teacher = averages(Schedule::mean_teacher(1.0).unwrap(), 9.0, &values);
    let swa = averages(Schedule::swa(1).unwrap(), 9.0, &values);
    let sparse = averages(Schedule::swa(4).unwrap(), 9.0, &values);
    let with_start = |of: &mut dyn Iterator<Item = f64>| mean(&std::iter::once(9.0).chain(of).collect::<Vec<_>>());
    for n in 1..=values.len() {
        assert!((teacher[n - 1] - mean(&values[..n])).abs() < 1e-13);
        assert!((swa[n - 1] - with_start(&mut values[..n].iter().copied())).abs() < 1e-13);
        let fourth = &mut values[..n].iter().copied().skip(3).step_by(4);
        assert!((sparse[n - 1] - with_start(fourth)).abs() < 1e-13);
    }
}

#[test]
fn a_cosine_ends_still() {
    // BYOL, 1 - (1 - d₀)(cos(πk/K) + 1)/2 with k from 0.
    let expected = |k: f64| 1.0 - (1.0 - 0.996) * ((std::f64::consts::PI * k / 300.0).cos() + 1.0) / 2.0;
    let table: Vec<_> = (1..=300).map(|t| (t, expected(t as f64 - 1.0))).collect();
    prints(Schedule::cosine(300, 0.996), &table, 2.3e-16);
    prints(Schedule::cosine(300, 0.996), &[(301, 1.0), (u64::MAX, 1.0)], 0.0);
}

#[test]
fn helpers_say_what_a_decay_means() {
    let argument = |result: Result<f64, Error>| match result {
        Err(Error::Config { argument, .. }) => argument,
        other => panic!("{other:?}"),
    };
    for decay in [1.0, 1.5, -0.1, f64::NAN, f64::INFINITY] {
        for helper in [half_life_of, lag, noise] {
            assert_eq!(argument(helper(decay)), "decay");
        }
        assert_eq!(argument(scaled(decay, 2.0)), "decay");
    }
    for wrong in [0.0, -1.0, f64::NAN] {
        assert_eq!(argument(decay_of(wrong)), "half_life");
        assert_eq!(argument(scaled(0.9, wrong)), "kappa");
    }
    for (decay, expected) in [(0.25, 0.5), (0.5, 1.0), (1e-300, 1.0 / 996.578_428_466_209_f64), (0.0, 0.0)] {
        close(half_life_of(decay).unwrap(), expected, 1e-14);
    }
    close(decay_of(0.01).unwrap(), 2.0_f64.powi(-100), 1e-12);
    assert_eq!((lag(0.0).unwrap(), lag(0.75).unwrap()), (0.0, 3.0));
    assert_eq!((noise(0.0).unwrap(), noise(0.6).unwrap()), (1.0, 0.5));
    close(scaled(0.9999, 8.0).unwrap(), 0.9999_f64.powi(8), 1e-15);
    // What the words mean, measured: half of a step is left after the half-life; a ramp is `lag` behind.
    let twelve = decay_of(12.0).unwrap();
    close(averages(Schedule::constant(twelve).unwrap(), 1.0, &[0.0; 12])[11], 0.5, 1e-14);
    let ramp: Vec<f64> = (1..=2000).map(f64::from).collect();
    close(2000.0 - averages(Schedule::constant(0.9).unwrap(), 0.0, &ramp)[1999], lag(0.9).unwrap(), 1e-12);
}
