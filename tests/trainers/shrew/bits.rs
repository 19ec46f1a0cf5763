//! Training values come back bit for bit, and handles see what optimizers write.

use crate::training::{Rule, Training, bits, vector};
use half::{bf16, f16};
use shrew_core::{DType, Tensor};
use shrew_cpu::{CpuBackend, CpuStorage};
use shrew_ema::shrew::EMA;
use shrew_ema::{Config, NonFinite};

/// What a tensor has in its storage, as it is there.
fn stored(param: &Tensor<CpuBackend>) -> Vec<u64> {
    match &*param.storage() {
        CpuStorage::F64(values) => values.iter().map(|value| value.to_bits()).collect(),
        CpuStorage::F32(values) => values.iter().map(|value| value.to_bits().into()).collect(),
        CpuStorage::F16(values) => values.iter().map(|value| value.to_bits().into()).collect(),
        CpuStorage::BF16(values) => values.iter().map(|value| value.to_bits().into()).collect(),
        _ => panic!("no float"),
    }
}

/// A tensor of these values, and the bits that shrew stored for them.
fn param(values: &[f64], dtype: DType) -> (Tensor<CpuBackend>, Vec<u64>) {
    let param = vector(values, dtype);
    let bits = stored(&param);
    (param, bits)
}

/// What shrew stores for each value of 16 bits: signalling NaNs are quieted when the tensor is made.
fn all_quiet(infinity: u16, quiet: u16) -> Vec<u64> {
    let signalling = |bits: u16| bits & 0x7fff > infinity && bits & quiet == 0;
    (0..=u16::MAX).map(|bits| u64::from(if signalling(bits) { bits | quiet } else { bits })).collect()
}

#[test]
fn every_value_of_16_bits_and_the_special_ones_of_the_others_come_back() {
    let wide = [0.0, -0.0, 5e-324, -5e-324, 1e-310, f64::MIN_POSITIVE, f64::MAX, f64::MIN, 0.1, 1.0 / 3.0];
    let signalling = [0x7ff0_0000_0000_0001, 0xfff0_0000_dead_beef, 0x7ff7_ffff_ffff_ffff];
    let quiet = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -f64::NAN, f64::from_bits(0x7ff8_0000_dead_beef)];
    let single = [0x8000_0000_u32, 1, 0x007f_ffff, 0x0080_0000, 0x7f7f_ffff, 0xff80_0000, 0x7fc0_1234, 0xffff_ffff];
    let params = [
        param(&[&wide[..], &quiet, &signalling.map(f64::from_bits)].concat(), DType::F64),
        param(&single.map(|bits| f32::from_bits(bits).into()), DType::F32),
        param(&(0..=u16::MAX).map(|bits| f16::from_bits(bits).to_f64()).collect::<Vec<_>>(), DType::F16),
        param(&(0..=u16::MAX).map(|bits| bf16::from_bits(bits).to_f64()).collect::<Vec<_>>(), DType::BF16),
    ];
    assert_eq!(params[0].1[15..], signalling, "of 64 bits, they stay");
    assert_eq!(params[1].1, single.map(u64::from));
    assert_eq!(params[2].1, all_quiet(0x7c00, 0x0200));
    assert_eq!(params[3].1, all_quiet(0x7f80, 0x0040));

    let handles: Vec<_> = params.iter().map(|(param, _)| param.clone()).collect();
    let config = Config::new(0.5).unwrap().nonfinite(NonFinite::Skip);
    let mut ema = EMA::with_config(handles.clone(), config).unwrap();
    ema.update(&handles).unwrap();
    ema.apply().unwrap();
    for (param, _) in &params {
        param.update_data_inplace(&vec![0.5; param.elem_count()]).unwrap();
    }
    ema.restore().unwrap();
    for (param, bits) in &params {
        assert_eq!(stored(param), *bits);
    }
}

#[test]
fn handles_see_what_optimizers_write_and_swaps_leave_no_trace_in_the_training() {
    for rule in [Rule::Momentum, Rule::Adam] {
        let (mut swapped, mut alone) = (Training::new(DType::F32, rule), Training::new(DType::F32, rule));
        let mut ema = EMA::new(swapped.parameters(), 0.9).unwrap();
        let handles = ema.params().to_vec();
        for _ in 0..20 {
            let before = bits(&handles);
            assert_eq!(swapped.step(), alone.step());
            assert_ne!(bits(&handles), before);
            ema.update(&handles).unwrap();
            ema.apply().unwrap();
            assert_ne!(bits(&swapped.parameters()), bits(&alone.parameters()));
            ema.restore().unwrap();
            assert_eq!(bits(&swapped.parameters()), bits(&alone.parameters()));
        }
    }
}
