//! Candle's variables are read and written where they are.

use crate::counting::count;
use crate::support::{map, place, set, var};
use candle_core::{DType, Device, Var};
use shrew_ema::backend::candle::{Candle, named};
use shrew_ema::engine::Engine;
use shrew_ema::{Config, EMA};

/// Nor do the writes of ours; candle takes a list of a layout's strides each time that it lends a variable to be written.
#[test]
fn updates_in_steady_state_take_no_memory() {
    for (tensors, shape) in [(1, (80, 90)), (300, (6, 8)), (10_000, (1, 3))] {
        for dtype in [DType::F32, DType::BF16] {
            let mut params: Vec<Var> = Vec::new();
            for index in 0..tensors {
                params.push(match params.last() {
                    Some(last) if index % 3 == 2 => last.clone(),
                    _ => Var::ones(shape, dtype, &Device::Cpu).unwrap(),
                });
            }
            let names = (0..tensors).map(|index| index.to_string()).collect();
            let backend = Candle::new(Engine::new().serial_below(usize::MAX));
            let config = Config::new(0.9).unwrap();
            let mut ema = EMA::with_backend(backend, names, params.clone(), config).unwrap();
            for round in 0..4 {
                let update = count(|| ema.update(&params).unwrap()).here;
                let apply = count(|| ema.apply().unwrap()).here;
                let restore = count(|| ema.restore().unwrap()).here;
                if round > 1 {
                    let written = tensors - tensors / 3;
                    let expected = (0, written, written);
                    assert_eq!((update, apply, restore), expected, "{tensors} of {dtype:?} in round {round}");
                }
            }
        }
    }
    assert_eq!(count(|| drop(Box::new(1))).here, 1, "or nothing would ever be counted");
}

#[test]
fn a_variable_stays_where_it_is() {
    let w = var(&[1.0; 1000]);
    let before = place(&w);
    let mut ema = EMA::<Candle>::named(named(&map([("w", &w)])).unwrap(), Config::new(0.5).unwrap()).unwrap();
    set(&w, &[3.0; 1000]);
    ema.update(std::slice::from_ref(&w)).unwrap();
    ema.apply().unwrap();
    assert_eq!(place(&w), before);
    ema.restore().unwrap();
    assert_eq!(place(&w), before);
    ema.copy_to().unwrap();
    assert_eq!((place(&w), crate::support::get(&w)), (before, vec![2.0; 1000]));
}
