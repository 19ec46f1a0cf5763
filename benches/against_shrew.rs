//! Times one update against one of `shrew_optim::EMA` on the same tensor, and prints the pairs for the table, as JSON.

use shrew_core::{DType, Tensor};
use shrew_cpu::{CpuBackend, CpuDevice};
use shrew_ema::kernel::Level;
use shrew_ema::shrew::EMA;
use std::error::Error;
use std::thread::sleep;
use std::time::{Duration, Instant};

const ELEMENTS: usize = 16_777_216;
const DECAY: f64 = 0.999;
/// As the rows of the Python package: a pause before each sample.
const PAUSE: Duration = Duration::from_millis(8);
const PAIRS: usize = 15;

/// Parameters from [1, 2), other ones for each seed.
fn values(seed: usize) -> Vec<f64> {
    let value = |index: usize| 1.0 + ((index + 1) * (2 * seed + 3) * 7919 % 65_536) as f64 / 65_536.0;
    (0..ELEMENTS).map(value).collect()
}

/// Makes sure that an update was made.
fn check(average: &[f64], before: &[f64], params: &[f64]) {
    for ((average, s), p) in average.iter().zip(before).zip(params) {
        let expected = s + (1.0 - DECAY) * (p - s);
        assert!((average - expected).abs() < 1e-12, "an average is {average}, expected {expected}");
    }
}

/// Seconds of one call, after the pause.
fn timed<E>(call: impl FnOnce() -> Result<(), E>) -> Result<f64, E> {
    sleep(PAUSE);
    let began = Instant::now();
    call()?;
    Ok(began.elapsed().as_secs_f64())
}

fn main() -> Result<(), Box<dyn Error>> {
    let (start, end) = (values(0), values(1));

    // All values are exact in 32 bits.
    let params = [Tensor::<CpuBackend>::from_f64_slice(&start, ELEMENTS, DType::F32, &CpuDevice)?];
    let mut ours = EMA::new(params.to_vec(), DECAY)?;
    let mut theirs = shrew_optim::EMA::new(params.to_vec(), DECAY)?;
    params[0].update_data_inplace(&end)?;

    ours.update(&params)?;
    theirs.update(&params)?;
    check(ours.shadow_values(0), &start, &end);
    check(theirs.shadow_values(0), &start, &end);

    let mut pairs = Vec::with_capacity(PAIRS);
    for index in 0..PAIRS {
        // The two take turns at being first.
        let early = if index % 2 == 1 { Some(timed(|| theirs.update(&params))?) } else { None };
        let one = timed(|| ours.update(&params))?;
        let other = match early {
            Some(seconds) => seconds,
            None => timed(|| theirs.update(&params))?,
        };
        pairs.push(format!("[{one}, {other}]"));
    }
    println!(r#"{{"fact": "kernels compiled for: {:?}"}}"#, Level::best());
    println!(
        r#"{{"case": "update in Rust, f32 → f64, 16.8M", "against": "`shrew_optim::EMA`", "target": 0.15, "pairs": [{}]}}"#,
        pairs.join(", ")
    );
    Ok(())
}
