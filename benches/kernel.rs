//! Times the kernels with criterion: every level that this machine has, on one thread, in the caches and beyond them.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use half::{bf16, f16};
use shrew_ema::NonFinite;
use shrew_ema::dtype::{Param, Shadow};
use shrew_ema::kernel::{Level, Store, scalar::Blend};
use std::hint::black_box;
use std::sync::Once;
use std::time::Duration;

/// Elements that stay in a cache of the second level, and such as no cache holds.
const SIZES: [(&str, usize); 2] = [("16k", 1 << 14), ("16M", 1 << 24)];
/// Each side of ½ has its own formula.
const ALPHAS: [(&str, f64); 2] = [("small α", 0.001), ("large α", 0.7)];

/// A group for each size; the speed it shows is that of the bytes that have to be read and written.
fn sized<'c>(
    criterion: &'c mut Criterion,
    verb: &str,
    (size, elements): (&str, usize),
    bytes: usize,
) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(format!("{verb}, {size}"));
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    group.throughput(Throughput::Bytes((elements * bytes) as u64));
    group
}

/// The levels that this machine has. One that it lacks is named once.
fn levels() -> impl Iterator<Item = Level> {
    static SAID: Once = Once::new();
    let (here, lacking): (Vec<_>, Vec<_>) = Level::ALL.iter().partition(|level| level.is_available());
    SAID.call_once(|| {
        if !lacking.is_empty() {
            eprintln!("not timed, as this machine or this compiler lacks them: {lacking:?}");
        }
    });
    here.into_iter()
}

fn values<T: Param>(elements: usize) -> Vec<T> {
    (0..elements).map(|i| T::from_f32(1.0 + (i % 61) as f32 / 64.0)).collect()
}

fn average<S: Shadow, P: Param>(criterion: &mut Criterion) {
    for size in SIZES {
        let (mut row, params) = (values::<S>(size.1), values::<P>(size.1));
        let verb = format!("average {} <- {}", S::DTYPE, P::DTYPE);
        let mut group = sized(criterion, &verb, size, 2 * size_of::<S>() + size_of::<P>());
        for level in levels() {
            for (branch, alpha) in ALPHAS {
                let blend = [Blend::new(alpha)];
                group.bench_function(format!("{level:?}, {branch}"), |bencher| {
                    bencher.iter(|| level.average(&mut [black_box(&mut row)], &params, &blend, NonFinite::Raise));
                });
            }
        }
    }
}

fn widen<S: Shadow, P: Param>(criterion: &mut Criterion) {
    for size in SIZES {
        let (params, mut into) = (values::<P>(size.1), values::<S>(size.1));
        let verb = format!("widen {} -> {}", P::DTYPE, S::DTYPE);
        let mut group = sized(criterion, &verb, size, size_of::<S>() + size_of::<P>());
        for level in levels() {
            group.bench_function(format!("{level:?}"), |bencher| {
                bencher.iter(|| level.widen(&params, black_box(&mut into)));
            });
        }
    }
}

fn narrow<S: Shadow, P: Param>(criterion: &mut Criterion) {
    for size in SIZES {
        let (averages, mut into) = (values::<S>(size.1), values::<P>(size.1));
        let verb = format!("narrow {} -> {}", S::DTYPE, P::DTYPE);
        let mut group = sized(criterion, &verb, size, size_of::<S>() + size_of::<P>());
        for level in levels() {
            for store in [Store::Cached, Store::Streamed] {
                group.bench_function(format!("{level:?}, {store:?}"), |bencher| {
                    bencher.iter(|| level.narrow(&averages, black_box(&mut into), store));
                });
            }
        }
    }
}

criterion_group!(
    kernel,
    average::<f32, f32>,
    average::<f32, bf16>,
    average::<f32, f16>,
    average::<f64, f32>,
    average::<f64, f64>,
    widen::<f32, bf16>,
    widen::<f32, f16>,
    widen::<f64, f32>,
    narrow::<f32, bf16>,
    narrow::<f32, f16>,
    narrow::<f64, f32>,
);
criterion_main!(kernel);
