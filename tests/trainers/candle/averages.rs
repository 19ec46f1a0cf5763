//! Averages of candle's variables: the numbers, the bits, the names and the files.

use crate::oracle::{next_f64, noise};
use crate::support::{get, map, set, var};
use candle_core::{D, DType, Device, Module, Tensor, Var};
use candle_nn::{AdamW, Optimizer, VarBuilder, VarMap, linear};
use half::{bf16, f16};
use shrew_ema::backend::candle::{Candle, named};
use shrew_ema::engine::Engine;
use shrew_ema::{Config, EMA, Error, NonFinite, Notice};

#[test]
fn a_map_s_variables_come_in_the_order_of_their_names() {
    let names: Vec<String> = (0..30).map(|i| format!("layers.{}.weight", i * 7 % 30)).collect();
    let vars: Vec<Var> = (0..30).map(|i| var(&[i as f32])).collect();
    let map = map(names.iter().map(String::as_str).zip(&vars));
    let found = named(&map).unwrap();
    assert!(found.is_sorted_by(|(a, _), (b, _)| a < b));
    for (name, var) in &found {
        let index = names.iter().position(|other| other == name).unwrap();
        assert_eq!(get(var), [index as f32], "{name}");
    }
    assert_eq!(found.len(), 30);
}

#[test]
fn handles_see_every_step_of_the_optimizer() {
    let variables = VarMap::new();
    let builder = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
    let layer = linear(3, 2, builder.pp("layer")).unwrap();
    let mut optimizer = AdamW::new_lr(variables.all_vars(), 0.05).unwrap();
    let mut ema = EMA::<Candle>::named(named(&variables).unwrap(), Config::new(0.75).unwrap()).unwrap();
    assert_eq!(ema.ledger().names(), ["layer.bias", "layer.weight"]);
    let params = ema.params().to_vec();
    let start: Vec<Vec<f32>> = params.iter().map(get).collect();
    let mut expected: Vec<Vec<f64>> = start.iter().map(|v| v.iter().copied().map(f64::from).collect()).collect();

    let x = Tensor::from_vec(noise(1, 24).iter().map(|&x| x as f32).collect(), (8, 3), &Device::Cpu).unwrap();
    for _ in 0..50 {
        let loss = layer.forward(&x).unwrap().sqr().unwrap().mean(D::Minus1).unwrap().mean(0).unwrap();
        optimizer.backward_step(&loss).unwrap();
        ema.update(&params).unwrap();
        for (row, var) in expected.iter_mut().zip(&params) {
            for (s, p) in row.iter_mut().zip(get(var)) {
                *s = next_f64(*s, f64::from(p), 0.25);
            }
        }
    }
    assert_ne!(params.iter().map(get).collect::<Vec<_>>(), start);
    for (index, row) in expected.iter().enumerate() {
        assert_eq!(ema.shadow_values(index), row);
    }

    // The layer computes with what is written.
    let weight: Vec<f32> = expected[1].iter().map(|&s| s as f32).collect();
    ema.apply().unwrap();
    assert_eq!(layer.weight().flatten_all().unwrap().to_vec1::<f32>().unwrap(), weight);
}

/// Numbers and what is none, with the bits of each dtype.
macro_rules! exact {
    ($($test:ident $type:ty: $bits:ty, $special:expr;)*) => {
        $(#[test]
        fn $test() {
            let special: Vec<$type> = $special.into_iter().map(<$type>::from_bits).collect();
            let length = special.len();
            let bits = |var: &Var| -> Vec<$bits> {
                var.to_vec1::<$type>().unwrap().into_iter().map(<$type>::to_bits).collect()
            };
            let var = Var::zeros(length, <$type as candle_core::WithDType>::DTYPE, &Device::Cpu).unwrap();
            for engine in [Engine::new(), Engine::new().threads(2).serial_below(0).grain(1)] {
                let config = Config::new(0.5).unwrap().nonfinite(NonFinite::Skip);
                var.set(&var.zeros_like().unwrap()).unwrap();
                let names = vec!["w".to_owned()];
                let mut ema = EMA::with_backend(Candle::new(engine), names, vec![var.clone()], config).unwrap();
                var.set(&Tensor::from_slice(&special, length, &Device::Cpu).unwrap()).unwrap();
                let training = bits(&var);
                assert_eq!(training, $special);
                ema.apply().unwrap();
                assert_eq!(bits(&var), vec![0; length]);
                ema.restore().unwrap();
                assert_eq!(bits(&var), training);
            }
        })*
    };
}

exact! {
    f64_is_restored_to_the_bit f64: u64, [0x7ff0_0000_0000_0001, 0xfff8_1234_5678_9abc, 1 << 63, 1, 0x7ff << 52, 42];
    f32_is_restored_to_the_bit f32: u32, [0x7f80_0001, 0xffc1_2345, 1 << 31, 1, 0xff << 23, 42];
    f16_is_restored_to_the_bit f16: u16, [0x7c01, 0xfe12, 1 << 15, 1, 0x7c00, 42];
    bf16_is_restored_to_the_bit bf16: u16, [0x7f81, 0xffc1, 1 << 15, 1, 0x7f80, 42];
}

#[test]
fn tied_variables_have_one_average_which_is_written_once() {
    let (w, b) = (var(&[1.0, 2.0]), var(&[3.0, 3.0]));
    let map = map([("encoder", &w), ("bias", &b), ("decoder", &w)]);
    let mut ema = EMA::<Candle>::named(named(&map).unwrap(), Config::new(0.5).unwrap()).unwrap();
    assert_eq!((ema.ledger().names()[1].as_str(), ema.ledger().owners()), ("decoder", &[0, 1, 1][..]));
    set(&w, &[3.0, 6.0]);
    let params = ema.params().to_vec();
    ema.update(&params).unwrap();
    assert_eq!((ema.shadow_values(1), ema.shadow_values(2)), (&[2.0, 4.0][..], &[2.0, 4.0][..]));
    ema.apply().unwrap();
    assert_eq!((get(&w), get(&b)), (vec![2.0, 4.0], vec![3.0, 3.0]));
    ema.restore().unwrap();
    assert_eq!(get(&w), [3.0, 6.0]);
}

#[test]
fn a_variable_that_took_the_place_of_another_is_averaged_and_written_once_it_is_bound() {
    let (old, new) = (var(&[1.0]), var(&[5.0]));
    let map = map([("w", &old)]);
    let mut ema = EMA::<Candle>::named(named(&map).unwrap(), Config::new(0.5).unwrap()).unwrap();
    map.data().lock().unwrap().insert("w".to_owned(), new.clone());
    let params: Vec<Var> = named(&map).unwrap().into_iter().map(|(_, var)| var).collect();
    ema.update(&params).unwrap();
    assert_eq!(ema.shadow_values(0), [3.0]);
    assert_eq!(ema.take_notices(), [Notice::Replaced { name: "w".to_owned() }]);
    ema.bind(params).unwrap();
    ema.apply().unwrap();
    assert_eq!((get(&old), get(&new)), (vec![1.0], vec![3.0]));
}

#[test]
fn a_file_resumes_to_the_bit_and_candle_opens_it_itself() {
    let vars = [var(&[1.0, 2.0]), var(&[3.0]), Var::ones((2, 3), DType::F32, &Device::Cpu).unwrap()];
    let map = map([("c", &vars[0]), ("a", &vars[1]), ("b", &vars[2])]);
    let mut ema = EMA::<Candle>::named(named(&map).unwrap(), Config::new(0.9).unwrap()).unwrap();
    let params = ema.params().to_vec();
    set(&vars[0], &[0.1, -7.0]);
    ema.update(&params).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ema.safetensors");
    ema.save(&path).unwrap();
    let mut resumed = EMA::<Candle>::load(&path, named(&map).unwrap()).unwrap();
    for ema in [&mut ema, &mut resumed] {
        set(&vars[2], &[0.3; 6]);
        ema.update_with_warmup(&params).unwrap();
    }
    for index in 0..3 {
        assert_eq!(ema.shadow_values(index), resumed.shadow_values(index));
    }
    let other = crate::support::map([("only", &vars[1])]);
    assert!(matches!(EMA::<Candle>::load(&path, named(&other).unwrap()), Err(Error::Names { .. })));

    ema.save_as(&path, Some(shrew_ema::DType::F32)).unwrap();
    let mut map = map;
    map.load(&path).unwrap();
    let averages: Vec<f32> = ema.shadow_values(2).iter().map(|&s| s as f32).collect();
    assert_eq!(get(&vars[0]), averages);
}
