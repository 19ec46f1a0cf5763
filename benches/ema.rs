//! Times whole calls of `EMA<NdArray>` with criterion: locks, checks and threads included.

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use ndarray::Array1;
use shrew_ema::backend::ndarray::{Handle, NdArray, share};
use shrew_ema::{Config, EMA, Schedule, ShadowDType};
use std::time::Duration;

/// Many tensors, where the calls for each of them count; more than a thread should do alone; and one that no cache holds.
const MODELS: [(&str, usize, usize); 3] = [("1000 of 16", 1000, 16), ("1000 of 2100", 1000, 2100), ("16M", 1, 1 << 24)];
const SHADOWS: [(&str, ShadowDType); 2] = [("f32", ShadowDType::F32), ("f64", ShadowDType::F64)];

/// A model in 32 bits; its averages have made their first step, and the start has nearly gone.
fn model(tensors: usize, elements: usize, config: Config) -> (Vec<Handle>, EMA<NdArray>) {
    let array = || Array1::from_iter((0..elements).map(|i| 1.0 + (i % 61) as f32 / 64.0));
    let handles: Vec<_> = (0..tensors).map(|_| Handle::from(share(array()))).collect();
    let mut ema = EMA::with_config(handles.clone(), config).expect("a model");
    for _ in 0..5 {
        ema.update(&handles).expect("its own handles");
    }
    (handles, ema)
}

fn constants<const K: usize>(decays: [f64; K]) -> Config {
    Config::horizons(decays.map(|decay| Schedule::constant(decay).expect("a decay"))).expect("decays")
}

fn calls(criterion: &mut Criterion) {
    for (name, tensors, elements) in MODELS {
        let mut group = criterion.benchmark_group(name);
        group
            .sampling_mode(SamplingMode::Flat)
            .sample_size(20)
            .warm_up_time(Duration::from_millis(200))
            .measurement_time(Duration::from_secs(1));
        group.throughput(Throughput::Elements((tensors * elements) as u64));
        for (shadow, dtype) in SHADOWS {
            let (handles, mut ema) = model(tensors, elements, constants([0.5]).shadow_dtype(dtype));
            group.bench_function(format!("update, {shadow}"), |bencher| {
                bencher.iter(|| ema.update(&handles).expect("its own handles"));
            });
            group.bench_function(format!("apply and restore, {shadow}"), |bencher| {
                bencher.iter(|| {
                    ema.apply().expect("Training");
                    ema.restore().expect("nothing has changed");
                });
            });
            let four = constants([0.5, 0.9, 0.99, 0.999]).shadow_dtype(dtype);
            let (handles, mut ema) = model(tensors, elements, four);
            group.bench_function(format!("update, four horizons, {shadow}"), |bencher| {
                bencher.iter(|| ema.update(&handles).expect("its own handles"));
            });
        }
    }
}

criterion_group!(ema, calls);
criterion_main!(ema);
