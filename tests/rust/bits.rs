//! Bits: every thread count, task size, memory layout and order of tensors gives those of the scalar oracle.

use crate::oracle::{nearest, next_f32, next_f64, noise};
use half::{bf16, f16};
use ndarray::{Array3, ArrayD, Axis, IxDyn, ShapeBuilder};
use proptest::prelude::*;
use shrew_ema::backend::ndarray::{Handle, NdArray, assign, share};
use shrew_ema::dtype::Element;
use shrew_ema::engine::Engine;
use shrew_ema::{Averages, Config, EMA, ShadowDType, View};

/// Around the edges of blocks (256), of pieces of strided tensors (1024) and of tasks of 256 to 1024 elements.
fn lengths() -> Vec<usize> {
    let edges = [256, 512, 768, 1024, 1280, 2048, 4096];
    (0..18).chain(edges.into_iter().flat_map(|edge| edge - 2..=edge + 2)).chain([100, 5000, 10_000]).collect()
}

fn views<T: Element>(tensors: &[Vec<T>]) -> Vec<View<'_>> {
    tensors.iter().map(|tensor| View::from(&tensor[..])).collect()
}

fn config(decay: f64, dtype: ShadowDType) -> Config {
    Config::new(decay).unwrap().shadow_dtype(dtype)
}

/// Serial; parallel over whole tensors; parallel inside of tensors, in the smallest tasks there are.
pub fn engines() -> Vec<Engine> {
    let parallel = |threads, grain| Engine::new().threads(threads).serial_below(0).grain(grain);
    let mut all = vec![Engine::new()];
    all.extend([1, 2, 3, 8].into_iter().flat_map(|threads| [1, 300, 1 << 18].map(|grain| parallel(threads, grain))));
    all
}

#[test]
fn every_thread_count_and_task_size_gives_the_oracle_s_bits() {
    let lengths = lengths();
    // With 0.50000001, α is below ½, and ½ in 32 bits: which formula is used must not depend on the averages' dtype.
    for decay in [0.999, 0.50000001, 0.5, 0.3, 0.0, 1.0] {
        let start: Vec<Vec<f32>> =
            lengths.iter().map(|&n| noise(n as u64, n).iter().map(|&x| x as f32).collect()).collect();
        let next: Vec<Vec<f32>> =
            lengths.iter().map(|&n| noise(n as u64 + 99, n).iter().map(|&x| x as f32).collect()).collect();
        let (start_views, next_views) = (views(&start), views(&next));
        for engine in engines() {
            let mut narrow = Averages::new(&start_views, config(decay, ShadowDType::F32)).unwrap().engine(engine);
            let mut wide = Averages::new(&start_views, config(decay, ShadowDType::F64)).unwrap().engine(engine);
            narrow.update(&next_views).unwrap();
            wide.update(&next_views).unwrap();
            for (index, (s, p)) in start.iter().zip(&next).enumerate() {
                let expected: Vec<u32> =
                    s.iter().zip(p).map(|(&s, &p)| next_f32(s, p, 1.0 - decay).to_bits()).collect();
                let found = narrow.shadow(index, 0).unwrap();
                let found: Vec<u32> = found.as_slice::<f32>().unwrap().iter().map(|x| x.to_bits()).collect();
                assert_eq!(found, expected, "{} elements, {engine:?}", s.len());
                let expected: Vec<f64> =
                    s.iter().zip(p).map(|(&s, &p)| next_f64(s.into(), p.into(), 1.0 - decay)).collect();
                assert_eq!(wide.shadow_values(index), expected, "{} elements, {engine:?}", s.len());
            }
        }
    }
}

#[test]
fn the_order_of_tensors_does_not_matter() {
    let tensors: Vec<Vec<f64>> = lengths().iter().map(|&n| noise(n as u64, n)).collect();
    let moved: Vec<Vec<f64>> = lengths().iter().map(|&n| noise(n as u64 + 5, n)).collect();
    let averages = |order: &[usize]| -> Vec<Vec<f64>> {
        let pick = |from: &'_ [Vec<f64>]| order.iter().map(|&i| from[i].clone()).collect::<Vec<_>>();
        let (start, next) = (pick(&tensors), pick(&moved));
        let engine = Engine::new().threads(3).serial_below(0).grain(512);
        let mut averages = Averages::new(&views(&start), Config::new(0.9).unwrap()).unwrap().engine(engine);
        averages.update(&views(&next)).unwrap();
        let mut back = vec![Vec::new(); order.len()];
        order.iter().enumerate().for_each(|(at, &i)| back[i] = averages.shadow_values(at).to_vec());
        back
    };
    let forward: Vec<usize> = (0..tensors.len()).collect();
    let backward: Vec<usize> = forward.iter().rev().copied().collect();
    assert_eq!(averages(&forward), averages(&backward));
}

/// The same values in every layout that ndarray has.
fn layouts(values: &[f64]) -> Vec<(&'static str, ArrayD<f64>)> {
    let plain = Array3::from_shape_vec((7, 11, 29), values.to_vec()).unwrap();
    let mut fortran = Array3::zeros((7, 11, 29).f());
    fortran.assign(&plain);
    let mut permuted = Array3::zeros((29, 7, 11)).permuted_axes([1, 2, 0]);
    permuted.assign(&plain);
    let mut negative = Array3::zeros((7, 11, 29));
    negative.invert_axis(Axis(0));
    negative.invert_axis(Axis(2));
    negative.assign(&plain);
    let mut gaps = Array3::zeros((14, 11, 58));
    gaps.slice_collapse(ndarray::s![..;2, .., 1..;2]);
    gaps.assign(&plain);
    [("C", plain), ("Fortran", fortran), ("permuted", permuted), ("negative", negative), ("gaps", gaps)]
        .map(|(name, array)| (name, array.into_dyn()))
        .into()
}

#[test]
fn every_layout_is_read_written_and_restored_alike() {
    let (start, next) = (noise(1, 7 * 11 * 29), noise(2, 7 * 11 * 29));
    // Not 0.1: the weight is what is left of 1 by the nearest number to 0.9.
    let alpha = 1.0 - 0.9;
    let expected: Vec<f64> = start.iter().zip(&next).map(|(&s, &p)| next_f64(s, p, alpha)).collect();
    for engine in engines() {
        for ((name, start), (_, next)) in layouts(&start).into_iter().zip(layouts(&next)) {
            let w = share(start);
            let params = vec![Handle::from(&w)];
            let names = vec!["w".to_owned()];
            let config = Config::new(0.9).unwrap();
            let mut ema = EMA::with_backend(NdArray::new(engine), names, params.clone(), config).unwrap();
            w.write().unwrap().assign(&next);
            ema.update(&params).unwrap();
            assert_eq!(ema.shadow_values(0), expected, "{name}");
            ema.apply().unwrap();
            assert!(w.read().unwrap().iter().eq(&expected), "{name}");
            ema.restore().unwrap();
            assert_eq!(*w.read().unwrap(), next, "{name}");
        }
    }
}

#[test]
fn scalars_and_empty_tensors_are_tensors() {
    let scalar = share(ArrayD::from_elem(IxDyn(&[]), 1.0_f32));
    let empty = share(ArrayD::<f32>::zeros(IxDyn(&[3, 0, 2])));
    let params = vec![Handle::from(&scalar), Handle::from(&empty)];
    let mut ema = EMA::<NdArray>::new(params.clone(), 0.5).unwrap();
    scalar.write().unwrap()[IxDyn(&[])] = 2.0;
    ema.update(&params).unwrap();
    assert_eq!((ema.shadow_values(0), ema.shadow_values(1)), (&[1.5][..], &[][..]));
    ema.apply().unwrap();
    assert_eq!(scalar.read().unwrap()[IxDyn(&[])], 1.5);
    ema.restore().unwrap();
    assert_eq!(scalar.read().unwrap()[IxDyn(&[])], 2.0);
}

/// Applies and restores an array with these bits; NaN and infinity are let in by the policy.
macro_rules! round_trip {
    ($type:ty, $bits:expr) => {{
        let bits = $bits;
        let w = share(ndarray::Array1::from_iter(bits.iter().map(|&bits| <$type>::from_bits(bits))));
        let config = Config::new(0.9).unwrap().nonfinite(shrew_ema::NonFinite::Skip);
        let mut ema = EMA::<NdArray>::with_config(vec![Handle::from(&w)], config).unwrap();
        w.write().unwrap().invert_axis(Axis(0));
        let turned: Vec<_> = w.read().unwrap().iter().map(|x| x.to_bits()).collect();
        ema.apply().unwrap();
        assert!(w.read().unwrap().iter().map(|x| x.to_bits()).ne(turned.iter().copied()));
        ema.restore().unwrap();
        assert!(w.read().unwrap().iter().map(|x| x.to_bits()).eq(turned.iter().copied()));
    }};
}

#[test]
fn every_16_bit_pattern_comes_back() {
    round_trip!(f16, (0..=u16::MAX).collect::<Vec<_>>());
    round_trip!(bf16, (0..=u16::MAX).collect::<Vec<_>>());
}

#[test]
fn signalling_and_quiet_nans_with_payloads_come_back() {
    round_trip!(f32, (0x7f80_0001..0x7f80_1000).chain(0xffc0_0000..0xffc0_1000).collect::<Vec<u32>>());
    round_trip!(
        f64,
        (0x7ff0_0000_0000_0001..0x7ff0_0000_0000_1000)
            .chain(0xfff8_dead_0000_0000..0xfff8_dead_0000_1000)
            .collect::<Vec<u64>>()
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_32_bit_patterns_come_back(bits in prop::collection::vec(any::<u32>(), 3..3000)) {
        prop_assume!(bits.iter().ne(bits.iter().rev()));
        round_trip!(f32, bits);
    }

    #[test]
    fn random_64_bit_patterns_come_back(bits in prop::collection::vec(any::<u64>(), 3..3000)) {
        prop_assume!(bits.iter().ne(bits.iter().rev()));
        round_trip!(f64, bits);
    }

    /// Not against the `half` crate, whose conversions from 64 bits round wrongly.
    #[test]
    fn averages_are_narrowed_to_nearest(values in prop::collection::vec(-65000.0_f64..65000.0, 1..600)) {
        let averages = Averages::new(&[View::from(&values[..])], Config::new(0.9).unwrap()).unwrap();
        let average = averages.shadow(0, 0).unwrap();
        let mut single = ndarray::Array1::<f32>::zeros(values.len());
        let mut brain = ndarray::Array1::from_elem(values.len(), bf16::ZERO);
        let mut half = ndarray::Array1::from_elem(values.len(), f16::ZERO);
        assign(&mut single, &average).unwrap();
        assign(&mut brain, &average).unwrap();
        assign(&mut half, &average).unwrap();
        for (i, &value) in values.iter().enumerate() {
            prop_assert_eq!(single[i], value as f32);
            prop_assert_eq!(half[i], f16::from_bits(nearest(value, |bits| f16::from_bits(bits).to_f64())));
            prop_assert_eq!(brain[i], bf16::from_bits(nearest(value, |bits| bf16::from_bits(bits).to_f64())));
        }
    }
}
