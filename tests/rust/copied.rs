//! Tensors of integers and booleans: their latest values are kept, bit for bit, and no average of them.

use crate::bits::engines;
use shrew_ema::dtype::Element;
use shrew_ema::schedule::Schedule;
use shrew_ema::{Averages, Config, DType, View, ViewMut};

/// Several pieces of 1024 elements, and a rest.
const LENGTH: usize = 3001;

/// Bits of every kind, so that nothing less than a copy keeps them.
fn bits(seed: u64) -> impl Iterator<Item = u64> {
    (0..LENGTH as u64).map(move |i| (i + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31))
}

fn latest<T: Element>(averages: &Averages, horizon: usize) -> &[T] {
    let shadow = averages.shadow(0, horizon).unwrap();
    assert_eq!(shadow.dtype(), T::DTYPE);
    shadow.as_slice().unwrap()
}

/// Every third place from the last one back.
fn spread<T: Element>(values: &[T]) -> Vec<T> {
    let mut memory = vec![T::zeroed(); 3 * values.len()];
    values.iter().rev().enumerate().for_each(|(i, &value)| memory[3 * i] = value);
    memory
}

fn check<T: Element + PartialEq>(of: impl Fn(u64) -> T) {
    let [start, next, last]: [Vec<T>; 3] = [1, 2, 3].map(|seed| bits(seed).map(&of).collect());
    let (shape, strides) = ([LENGTH], [-3]);
    for engine in engines() {
        let schedules = [0.999, 1.0, 0.0].map(|decay| Schedule::constant(decay).unwrap());
        let config = Config::horizons(schedules).unwrap();
        let mut averages = Averages::new(&[View::from(&start[..])], config).unwrap().engine(engine);
        assert!((0..3).all(|horizon| latest::<T>(&averages, horizon) == start));
        averages.update(&[View::from(&next[..])]).unwrap();
        assert!([0, 2].iter().all(|&horizon| latest::<T>(&averages, horizon) == next));
        assert!(latest::<T>(&averages, 1) == start, "a decay of 1 reads nothing");
        assert_eq!(averages.ledger().skipped().count(), 0);

        let mut target = vec![T::zeroed(); LENGTH];
        averages.copy_to(&mut [(&mut target[..]).into()], 0).unwrap();
        assert!(target == next);
        averages.copy_to(&mut [(&mut target[..]).into()], 1).unwrap();
        assert!(target == start);

        // The same out of memory with gaps, and into it.
        let memory = spread(&last);
        averages.update(&[View::strided(&memory, 3 * LENGTH - 3, &shape, &strides).unwrap()]).unwrap();
        assert!(latest::<T>(&averages, 0) == last);
        let mut gaps = vec![T::zeroed(); 3 * LENGTH];
        let view = ViewMut::strided(&mut gaps, 3 * LENGTH - 3, &shape, &strides).unwrap();
        averages.copy_to(&mut [view], 0).unwrap();
        assert!(gaps == memory);
    }
}

#[test]
fn the_latest_value_of_every_integer_type_is_kept_and_written() {
    macro_rules! check {
        ($($type:ty)*) => { $(check(|bits| bits as $type);)* };
    }
    check!(i8 i16 i32 i64 u8 u16 u32 u64);
}

#[test]
fn the_latest_booleans_are_kept() {
    let words = |word: u64| vec![word; 126];
    let (start, next) = (words(0x0001_0100_0001_0001), words(0x0101_0000_0100_0101));
    let view = |words| View::over(words, DType::Bool, &[10, 100]);
    let mut averages = Averages::new(&[view(&start)], Config::new(0.9).unwrap()).unwrap();
    let bytes = |averages: &Averages| {
        let shadow = averages.shadow(0, 0).unwrap();
        assert_eq!((shadow.dtype(), shadow.shape()), (DType::Bool, &[10, 100][..]));
        shadow.as_slice::<u8>().unwrap().to_vec()
    };
    assert_eq!(bytes(&averages), view(&start).as_slice::<u8>().unwrap());
    averages.update(&[view(&next)]).unwrap();
    assert_eq!(bytes(&averages), view(&next).as_slice::<u8>().unwrap());
}

#[test]
fn integers_follow_the_beat_of_the_averages_beside_them() {
    let config = Config::new(0.5).unwrap().start(2).every(3).unwrap();
    let values: Vec<i64> = (0..12).map(|step| i64::MAX - step).collect();
    let float = [1.0];
    let views = |value| [View::from(&float[..]), View::from(std::slice::from_ref(value))];
    let mut averages = Averages::new(&views(&values[0]), config).unwrap();
    let mut expected = values[0];
    for (step, value) in values.iter().enumerate().skip(1) {
        averages.update(&views(value)).unwrap();
        // Call 2 copies, and then every third one averages.
        if [2, 5, 8, 11].contains(&step) {
            expected = *value;
        }
        assert_eq!(averages.shadow(1, 0).unwrap().as_slice::<i64>().unwrap(), [expected], "call {step}");
    }
}
