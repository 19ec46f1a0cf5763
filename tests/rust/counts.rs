//! Counts of NaN and infinity: exact, however a tensor lies in memory and is divided over threads, and of the right one.

use crate::bits::engines;
use shrew_ema::backend::ndarray::{Handle, NdArray, share};
use shrew_ema::schedule::Schedule;
use shrew_ema::{Averages, Config, EMA, Error, NonFinite, Result, View};

/// One tensor without, one with few in all its pieces, one with many, one with a single one at its end.
const TENSORS: [(usize, usize); 4] = [(2000, 3000), (5000, 97), (2600, 3), (1500, 1500)];

fn bad(place: usize) -> f32 {
    [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][place % 3]
}

fn tensors() -> Vec<Vec<f32>> {
    let value = |place: usize, every: usize| if place % every == 0 { bad(place) } else { 1.0 };
    TENSORS.map(|(length, every)| (1..=length).map(|place| value(place, every)).collect()).into()
}

fn expected() -> Vec<(String, u64)> {
    let counts = TENSORS.iter().enumerate().map(|(i, (length, every))| (i.to_string(), (length / every) as u64));
    counts.filter(|&(_, count)| count > 0).collect()
}

/// One horizon; and horizons of each formula, and one that reads nothing: an element that several of them refuse is counted
/// once.
const DECAYS: [&[f64]; 2] = [&[0.9], &[0.9, 0.3, 0.0, 1.0]];

fn config(decays: &[f64], on: NonFinite) -> Config {
    let schedules = decays.iter().map(|&decay| Schedule::constant(decay).unwrap());
    Config::horizons(schedules).unwrap().nonfinite(on)
}

fn named<T>(result: Result<T>) -> Vec<(String, u64)> {
    match result {
        Err(Error::NonFinite { tensors, .. }) => tensors,
        Err(other) => panic!("{other}"),
        Ok(_) => Vec::new(),
    }
}

/// Calls `work` with views of the same values: plain, with gaps, and backwards.
fn layouts(tensors: &[Vec<f32>], mut work: impl FnMut(&[View<'_>])) {
    for stride in [1, 2, -3] {
        let step = isize::unsigned_abs(stride);
        let spread = |values: &Vec<f32>| {
            let mut memory = vec![f32::NAN; step * values.len()];
            let last = values.len() - 1;
            let place = |i| if stride < 0 { (last - i) * step } else { i * step };
            values.iter().enumerate().for_each(|(i, &value)| memory[place(i)] = value);
            (memory, [values.len()], if stride < 0 { last * step } else { 0 })
        };
        let memories: Vec<_> = tensors.iter().map(spread).collect();
        let strides = [stride];
        let view = |(memory, shape, first)| View::strided(memory, first, shape, &strides).unwrap();
        work(
            &memories.iter().map(|(memory, shape, first)| view((&memory[..], &shape[..], *first))).collect::<Vec<_>>(),
        );
    }
}

#[test]
fn an_update_counts_every_element_once() {
    let start: Vec<_> = TENSORS.map(|(length, _)| vec![1.0_f32; length]).into();
    let start: Vec<_> = start.iter().map(|values| View::from(&values[..])).collect();
    for (engine, decays) in engines().into_iter().flat_map(|engine| DECAYS.map(|decays| (engine, decays))) {
        layouts(&tensors(), |views| {
            let mut averages = Averages::new(&start, config(decays, NonFinite::Raise)).unwrap().engine(engine);
            assert_eq!(named(averages.update(views)), expected(), "{engine:?}");
            let mut averages = Averages::new(&start, config(decays, NonFinite::Skip)).unwrap().engine(engine);
            averages.update(views).unwrap();
            averages.update(views).unwrap();
            let found = averages.ledger().skipped().map(|(name, count)| (name.to_owned(), count / 2));
            assert_eq!(found.collect::<Vec<_>>(), expected(), "{engine:?}");
        });
    }
}

#[test]
fn a_construction_counts_every_element_of_each_tensor() {
    for decays in DECAYS {
        layouts(&tensors(), |views| {
            assert_eq!(named(Averages::new(views, config(decays, NonFinite::Raise))), expected());
        });
        let params = tensors().into_iter().map(|values| Handle::from(share(ndarray::Array1::from(values)))).collect();
        assert_eq!(named(EMA::<NdArray>::with_config(params, config(decays, NonFinite::Raise))), expected());
    }
}
