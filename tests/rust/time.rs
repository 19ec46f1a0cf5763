//! Several horizons, `every` and `start`: against the oracle, through the state machine, and in the advice.

use crate::oracle::{next_f64, noise};
use crate::schedules::any::any_schedule;
use ndarray::arr1;
use proptest::prelude::*;
use shrew_ema::backend::ndarray::{Handle, NdArray, Shared, share};
use shrew_ema::schedule::{Schedule, compound_alpha, log_decay, warmup_alpha};
use shrew_ema::{Averages, Config, EMA, Error, ShadowDType, View};

/// The average of one number, call by call, as the documentation says it.
struct Oracle {
    schedule: Schedule,
    every: u64,
    start: u64,
    step: u64,
    window: Vec<f64>,
    value: f64,
    /// The decays since the start, or since the copy.
    share: f64,
}

impl Oracle {
    fn new(schedule: Schedule, every: u64, start: u64, value: f64) -> Self {
        Oracle { schedule, every, start, step: 0, window: Vec::new(), value, share: 1.0 }
    }

    fn update(&mut self, p: f64, warmup: bool) {
        self.step += 1;
        if self.step < self.start {
            return;
        }
        if self.step == self.start {
            (self.value, self.share) = (p, 0.0);
            return;
        }
        let t = self.step - self.start;
        let own = self.schedule.alpha(t);
        self.window.push(if warmup { own.max(warmup_alpha(t)) } else { own });
        if t % self.every == 0 {
            let logs: f64 = self.window.iter().map(|&alpha| log_decay(alpha)).sum();
            let alpha = if self.every == 1 { self.window[0] } else { compound_alpha(logs) };
            self.share *= self.window.iter().map(|alpha| 1.0 - alpha).product::<f64>();
            self.window.clear();
            self.value = next_f64(self.value, p, alpha);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_schedules_together_agree_with_the_oracle_bit_for_bit(
        schedules in prop::collection::vec(any_schedule(), 1..5),
        every in 1..6_u64,
        start in 0..12_u64,
        warmups in prop::collection::vec(any::<bool>(), 30),
        seed in any::<u64>(),
    ) {
        let values = noise(seed, 31);
        let mut oracles: Vec<_> =
            schedules.iter().map(|schedule| Oracle::new(schedule.clone(), every, start, values[0])).collect();
        let config = Config::horizons(schedules).unwrap().every(every).unwrap().start(start);
        let mut averages = Averages::new(&[View::from(&values[..1])], config).unwrap();
        for (call, &warmup) in (1..).zip(&warmups) {
            let view = View::from(&values[call..=call]);
            if warmup { averages.update_with_warmup(&[view]) } else { averages.update(&[view]) }.unwrap();
            for (horizon, oracle) in oracles.iter_mut().enumerate() {
                oracle.update(values[call], warmup);
                let found = averages.shadow(0, horizon).unwrap().as_slice::<f64>().unwrap()[0];
                prop_assert_eq!(found.to_bits(), oracle.value.to_bits(), "{} at call {}", oracle.schedule, call);
                let share = averages.ledger().initial_share(horizon);
                prop_assert!((share - oracle.share).abs() <= 1e-13, "{share} is not {}", oracle.share);
            }
            let done = (call as u64).saturating_sub(start) / every;
            prop_assert_eq!((averages.ledger().step(), averages.ledger().num_updates()), (call as u64, done));
        }
    }
}

/// A weight that went from 0 to 1, with averages of decay ½, ¼ and 0.
fn moved() -> (Shared<f64>, Vec<Handle>, EMA<NdArray>) {
    let w = share(arr1(&[0.0]));
    let params = vec![Handle::from(&w)];
    let schedules = [0.5, 0.25, 0.0].map(|decay| Schedule::constant(decay).unwrap());
    let mut ema = EMA::<NdArray>::with_config(params.clone(), Config::horizons(schedules).unwrap()).unwrap();
    w.write().unwrap().fill(1.0);
    ema.update(&params).unwrap();
    (w, params, ema)
}

fn get(w: &Shared<f64>) -> f64 {
    w.read().unwrap()[[0]]
}

#[test]
fn any_horizon_is_applied_and_restored() {
    let (w, _, mut ema) = moved();
    for (horizon, expected) in [(0, 0.5), (1, 0.75), (2, 1.0), (0, 0.5)] {
        ema.apply_horizon(horizon).unwrap();
        assert_eq!((get(&w), ema.is_applied()), (expected, true));
        ema.restore().unwrap();
        assert_eq!((get(&w), ema.is_applied()), (1.0, false));
        {
            let _applied = ema.applied_horizon(horizon).unwrap();
            assert_eq!(get(&w), expected);
        }
        assert_eq!(get(&w), 1.0);
    }
    ema.copy_horizon_to(1).unwrap();
    assert_eq!(get(&w), 0.75);
}

#[test]
fn the_horizon_applied_is_the_only_one_to_finish_on() {
    let (w, params, mut ema) = moved();
    ema.apply_horizon(1).unwrap();
    for horizon in [0, 1, 2] {
        assert!(matches!(ema.apply_horizon(horizon), Err(Error::State { call: "apply", .. })));
        assert!(matches!(ema.applied_horizon(horizon).map(drop), Err(Error::State { call: "apply", .. })));
    }
    for horizon in [0, 2] {
        assert!(matches!(ema.copy_horizon_to(horizon), Err(Error::State { call: "copy_to", .. })));
    }
    assert!(matches!(ema.copy_horizon_to(3), Err(Error::Config { argument: "horizon", .. })));
    assert!(matches!(ema.update(&params), Err(Error::State { call: "update", .. })));
    assert_eq!((get(&w), ema.is_applied()), (0.75, true));
    ema.copy_horizon_to(1).unwrap();
    assert_eq!((get(&w), ema.is_applied()), (0.75, false));
}

#[test]
fn early_averages_are_advised_against_once_for_each_horizon() {
    let (_, _, mut ema) = moved();
    for (horizon, texts) in [(1, vec!["25"]), (0, vec!["50"]), (1, vec![]), (0, vec![]), (2, vec![])] {
        ema.applied_horizon(horizon).unwrap().restore().unwrap();
        let found: Vec<_> = ema.take_notices().iter().map(ToString::to_string).collect();
        let expected = texts.iter().map(|percent| {
            format!(
                "the averages of horizon {horizon} still hold {percent}% of the initial values: use \
                     update_with_warmup or a shorter decay"
            )
        });
        assert_eq!(found, expected.collect::<Vec<_>>());
    }
}

#[test]
fn a_schedule_is_advised_against_once_it_is_too_slow_for_32_bits() {
    let narrow = |schedule: Schedule, every| {
        let config = Config::horizons([Schedule::constant(0.5).unwrap(), schedule]).unwrap().every(every).unwrap();
        Averages::new(&[View::from(&[0.0_f32][..])], config.shadow_dtype(ShadowDType::F32)).unwrap()
    };
    let texts = |averages: &mut Averages| averages.take_notices().iter().map(ToString::to_string).collect::<Vec<_>>();
    // The mean of the first 10,000 still moves by 1e-4 of a difference.
    let mut mean = narrow(Schedule::mean_teacher(1.0).unwrap(), 1);
    for _ in 0..10_000 {
        mean.update(&[View::from(&[0.0_f32][..])]).unwrap();
    }
    assert!(texts(&mut mean).is_empty());
    mean.update(&[View::from(&[0.0_f32][..])]).unwrap();
    let said = texts(&mut mean);
    assert!(said.len() == 1 && said[0].starts_with("a float32 average loses steps at decay 0.9999000099"), "{said:?}");
    mean.update(&[View::from(&[0.0_f32][..])]).unwrap();
    assert!(texts(&mut mean).is_empty(), "it was said");

    // At construction where it is so from the first; by the decay from one average to the next.
    assert_eq!(texts(&mut narrow(Schedule::constant(0.99995).unwrap(), 1)).len(), 1);
    assert!(texts(&mut narrow(Schedule::constant(0.99995).unwrap(), 3)).is_empty());
    assert_eq!(texts(&mut narrow(Schedule::half_life(1e6, 1.0).unwrap(), 1)).len(), 1);
}

#[test]
fn the_decay_is_the_base_of_a_constant_schedule_and_else_the_one_last_used() {
    let schedules = [Schedule::constant(0.75), Schedule::torch_ema(0.999), Schedule::swa(1)].map(Result::unwrap);
    let config = Config::horizons(schedules).unwrap().start(1);
    let mut averages = Averages::new(&[View::from(&[0.0][..])], config).unwrap();
    let decays = |averages: &Averages| [0, 1, 2].map(|horizon| averages.ledger().decay(horizon));
    let zero = [View::from(&[0.0][..])];
    assert_eq!(decays(&averages), [0.75, 2.0 / 11.0, 0.5]);
    averages.update(&zero).unwrap(); // the copy
    averages.update(&zero).unwrap();
    averages.update(&zero).unwrap();
    assert_eq!(decays(&averages), [0.75, 0.25, 2.0 / 3.0]);
    averages.update_with_warmup(&zero).unwrap();
    let warm = 1.0 - warmup_alpha(3);
    assert_eq!(decays(&averages), [0.75, warm.min(4.0 / 13.0), warm]);
    averages.update(&zero).unwrap();
    assert_eq!(decays(&averages), [0.75, 5.0 / 14.0, 0.8]);
}

#[test]
fn a_warm_up_that_takes_the_place_of_a_rule_says_so_once() {
    let zero = [View::from(&[0.0][..])];
    let notices = |schedule: Schedule, calls: usize| {
        let mut averages = Averages::new(&zero, Config::horizons([schedule]).unwrap()).unwrap();
        (0..calls).for_each(|_| averages.update_with_warmup(&zero).unwrap());
        averages.take_notices().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let said = "update_with_warmup averages with decay 0.1818 where the schedule says 0.5000: a rule that varies by \
                itself goes with update";
    assert_eq!(notices(Schedule::swa(1).unwrap(), 9), [said]);
    // What is always the same is what the warm-up is for, and a quicker rule is left in its place.
    for schedule in [Schedule::constant(0.999), Schedule::half_life(1000.0, 10.0), Schedule::torch_ema(0.999)] {
        assert!(notices(schedule.unwrap(), 3).is_empty());
    }
}
