//! Makes one call so many times, for valgrind to count the instructions, or in little stack: with the arguments
//! `CASE CALLS`.

use half::{bf16, f16};
use ndarray::{Array1, Array2, ShapeBuilder};
use shrew_ema::backend::ndarray::{Handle, NdArray, share};
use shrew_ema::dtype::{Param, Shadow};
use shrew_ema::engine::Engine;
use shrew_ema::kernel::{Level, Store, scalar::Blend};
use shrew_ema::{Config, EMA, NonFinite, ShadowDType};
use std::hint::black_box;

const LARGE: usize = 1 << 20;
const SMALL: usize = 16;
const TENSORS: usize = 1000;

/// Averages with this α, by the instructions that valgrind knows.
fn average<S: Shadow, P: Param>(elements: usize, alpha: f64, calls: usize) {
    let params = vec![P::from_f32(1.25); elements];
    let mut row = vec![S::weight(1.5); elements];
    let blend = [Blend::new(alpha)];
    for _ in 0..calls {
        black_box(level().average(&mut [black_box(&mut row)], black_box(&params), black_box(&blend), NonFinite::Raise));
    }
}

fn narrow<S: Shadow, P: Param>(store: Store, calls: usize) {
    let averages = vec![S::weight(1.2); LARGE];
    let mut into = vec![P::from_f32(0.0); LARGE];
    for _ in 0..calls {
        level().narrow(black_box(&averages), black_box(&mut into), black_box(store));
    }
}

/// Counts that are compared have to be those of one level, whichever this machine has.
fn level() -> Level {
    #[cfg(target_arch = "x86_64")]
    return Level::Avx2;
    #[cfg(not(target_arch = "x86_64"))]
    Level::Baseline
}

/// Updates a model of small arrays.
fn update(shadow: ShadowDType, calls: usize) {
    let arrays: Vec<_> = (0..TENSORS).map(|_| share(Array1::from_elem(SMALL, 1.25_f32))).collect();
    let handles: Vec<_> = arrays.iter().map(Handle::from).collect();
    let config = Config::new(0.999).expect("a decay").shadow_dtype(shadow);
    let mut ema = EMA::<NdArray>::with_config(handles.clone(), config).expect("a model");
    // Once, a model that nobody trains is looked at to the last element.
    arrays[0].write().expect("nobody else has it").fill(1.5);
    for _ in 0..calls {
        black_box(&mut ema).update(black_box(&handles)).expect("nothing has changed");
    }
}

/// Passes that are cut into as many pieces as can be, of arrays whose memory runs both ways.
fn divided(calls: usize) {
    const SIDE: usize = 1024;
    let rows = Array2::from_elem((SIDE, SIDE), 1.25_f64);
    let columns = Array2::from_elem((SIDE, SIDE).f(), 1.25_f64);
    let handles: Vec<_> = [rows, columns].into_iter().map(|array| Handle::from(share(array))).collect();
    let engine = Engine::new().threads(8).serial_below(0).grain(1);
    let names = vec!["rows".to_owned(), "columns".to_owned()];
    let config = Config::new(0.9).expect("a decay");
    let mut ema = EMA::with_backend(NdArray::new(engine), names, handles.clone(), config).expect("a model");
    for _ in 0..calls {
        ema.update(&handles).expect("nothing has changed");
        ema.apply().expect("nothing is applied");
        ema.restore().expect("something is");
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let told = if let [case, calls] = &arguments[..] { calls.parse().ok().map(|calls| (case, calls)) } else { None };
    // `cargo bench` gives it what it gives to all benchmarks.
    let Some((case, calls)) = told else { return println!("calls: nothing was timed; `make counts` runs it") };
    match case.as_str() {
        "f32 <- f32, near" => average::<f32, f32>(LARGE, 0.001, calls),
        "f32 <- f32, far" => average::<f32, f32>(LARGE, 0.7, calls),
        "f32 <- bf16" => average::<f32, bf16>(LARGE, 0.001, calls),
        "f32 <- f16" => average::<f32, f16>(LARGE, 0.001, calls),
        "f64 <- f32" => average::<f64, f32>(LARGE, 0.001, calls),
        "f64 <- f64" => average::<f64, f64>(LARGE, 0.001, calls),
        "16 f32 <- f32" => average::<f32, f32>(SMALL, 0.001, calls),
        "16 f64 <- f32" => average::<f64, f32>(SMALL, 0.001, calls),
        "f32 -> bf16, cached" => narrow::<f32, bf16>(Store::Cached, calls),
        "f32 -> bf16, streamed" => narrow::<f32, bf16>(Store::Streamed, calls),
        "EMA<NdArray>, f32" => update(ShadowDType::F32, calls),
        "EMA<NdArray>, f64" => update(ShadowDType::F64, calls),
        "divided" => divided(calls),
        other => panic!("no case is called {other}"),
    }
}
