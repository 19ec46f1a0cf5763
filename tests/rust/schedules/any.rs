//! What all schedules promise, whatever their arguments.

use proptest::prelude::*;
use shrew_ema::schedule::Schedule;

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        0.0..=1.0_f64,
        (1e-9..1e9_f64),
        prop::sample::select(vec![0.0, 1.0, 0.5, 5e-324, f64::MIN_POSITIVE, 1e-300, 1e300, f64::MAX, f64::INFINITY]),
    ]
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![0..5_u64, 0..10_000_u64, prop::sample::select(vec![u64::MAX - 1, u64::MAX])]
}

/// Every schedule that the constructors let through, of arguments that were not chosen to fit.
pub fn any_schedule() -> impl Strategy<Value = Schedule> {
    let arguments = (0..20_usize, number(), number(), number(), number(), count(), count(), any::<bool>());
    arguments.prop_filter_map("refused", |(rule, a, b, c, e, n, m, flag)| {
        let schedule = match rule {
            0 => Schedule::constant(a),
            1 => Schedule::ratio(a, b, c, n, m),
            2 => Schedule::inverse_power(a, b, c, e, n, m),
            3 => Schedule::exponential(a, b),
            4 => Schedule::mean_teacher(a),
            5 => Schedule::annealing(a, b),
            6 => Schedule::half_life(a, b),
            7 => Schedule::edm(a, b, c, flag),
            8 => Schedule::cosine(n, a),
            9 => Schedule::swa(n),
            10 => Schedule::power(a),
            11 => Schedule::power_gamma(a),
            12 => Schedule::delayed(a, n),
            13 => Schedule::diffusers(a, b, n, flag, c, e),
            14 => Schedule::timm(a, b, n, c, e),
            15 => Schedule::k_diffusion(c, e, b, a, n),
            16 => Schedule::ema_pytorch(a, n, m, c, e, b),
            17 => Schedule::composer(a, n),
            18 => Schedule::tensorflow_addons(a, n, flag),
            _ => Schedule::d2go(a, b),
        };
        schedule.ok()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn a_decay_is_a_number_from_0_to_1(schedule in any_schedule(), late in 1..1_000_000_000_000_u64) {
        for t in [1, 2, 3, 1000, late, u64::MAX] {
            let (alpha, decay) = (schedule.alpha(t), schedule.decay(t));
            prop_assert!((0.0..=1.0).contains(&alpha), "{schedule} at {t}: α = {alpha}");
            prop_assert!((0.0..=1.0).contains(&decay), "{schedule} at {t}: d = {decay}");
            prop_assert!((alpha + decay - 1.0).abs() <= 4.5e-16, "{schedule} at {t}: α = {alpha}, d = {decay}");
        }
    }

    #[test]
    fn what_is_printed_tells_schedules_apart(one in any_schedule(), other in any_schedule()) {
        prop_assert_eq!(one == other, one.to_string() == other.to_string());
        prop_assert_eq!(one.clone(), one);
    }

    #[test]
    fn a_peer_that_does_not_make_up_for_its_interval_only_counts_between(
        inner in any_schedule(), every in 1..50_u64, t in 1..10_000_u64,
    ) {
        for first in [1, every] {
            let sparse = Schedule::uncompensated(inner.clone(), every, first).unwrap();
            let on = t >= first && (t - first) % every == 0;
            prop_assert_eq!(sparse.alpha(t), if on { inner.alpha(t) } else { 0.0 });
            prop_assert_eq!(sparse.decay(t), if on { inner.decay(t) } else { 1.0 });
        }
    }
}
