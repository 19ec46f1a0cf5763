//! No dead-lock found with other threads that want the same variables.

use crate::support::{get, var};
use crate::waiting::within_a_minute;
use candle_core::{CpuStorage, Device, InplaceOp1, Layout, Var};
use shrew_ema::backend::candle::Candle;
use shrew_ema::engine::Engine;
use shrew_ema::{Config, EMA};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Adds one to the first element, as a writer does that waits for the lock.
struct Increment;

impl InplaceOp1 for Increment {
    fn name(&self) -> &'static str {
        "increment"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, _: &Layout) -> candle_core::Result<()> {
        if let CpuStorage::F32(values) = storage {
            values[0] += 1.0;
        }
        Ok(())
    }
}

#[test]
fn tied_handles_and_a_waiting_writer_do_not_hang() {
    within_a_minute(|| {
        let w = Var::ones(50_000, candle_core::DType::F32, &Device::Cpu).unwrap();
        let params = vec![w.clone(); 5];
        let mut ema = EMA::<Candle>::new(params.clone(), 0.5).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let writer = {
            let (w, stop) = (w.clone(), Arc::clone(&stop));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    w.inplace_op1(&Increment).unwrap();
                    // Comes back while a pass has the lock.
                    std::thread::sleep(Duration::from_micros(100));
                }
            })
        };
        for _ in 0..100 {
            ema.update(&params).unwrap();
            ema.apply().unwrap();
            ema.restore().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        assert_eq!(ema.num_updates(), 100);
    });
}

/// A worker that waits for other threads takes up the next job of its own pool, which here wants the lock that the pass
/// holds, and would wait for it for ever.
#[test]
fn a_pass_on_a_worker_waits_for_no_job_that_waits_for_its_lock() {
    within_a_minute(|| {
        // One worker, so that the lock is free whenever that worker is in no pass.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let w = Var::ones(1 << 18, candle_core::DType::F32, &Device::Cpu).unwrap();
        let params = vec![w.clone()];
        let backend = Candle::new(Engine::new().threads(2).serial_below(0).grain(1 << 12));
        let config = Config::new(0.5).unwrap();
        let mut ema = EMA::with_backend(backend, vec!["w".to_owned()], params.clone(), config).unwrap();
        for _ in 0..20 {
            pool.scope(|scope| {
                scope.spawn(|_| w.inplace_op1(&Increment).unwrap());
                ema.update(&params).unwrap();
                ema.apply().unwrap();
                ema.restore().unwrap();
            });
        }
        assert_eq!((ema.num_updates(), get(&w)[0]), (20, 21.0));
    });
}

#[test]
fn workers_that_all_want_the_lock_do_not_starve_a_pass_on_threads() {
    within_a_minute(|| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let w = Var::ones(1 << 18, candle_core::DType::F32, &Device::Cpu).unwrap();
        let params = vec![w.clone()];
        let backend = Candle::new(Engine::new().threads(2).serial_below(0).grain(1 << 12));
        let config = Config::new(0.5).unwrap();
        let mut ema = EMA::with_backend(backend, vec!["w".to_owned()], params.clone(), config).unwrap();
        let done = AtomicUsize::new(0);
        pool.in_place_scope(|scope| {
            for _ in 0..200 {
                scope.spawn(|_| {
                    w.inplace_op1(&Increment).unwrap();
                    done.fetch_add(1, Ordering::Relaxed);
                });
            }
            for _ in 0..20 {
                ema.update(&params).unwrap();
                ema.apply().unwrap();
                ema.copy_to().unwrap();
            }
        });
        assert_eq!((ema.num_updates(), done.load(Ordering::Relaxed)), (20, 200));
    });
}

#[test]
fn a_caller_that_reads_a_variable_may_update() {
    within_a_minute(|| {
        let w = var(&[1.0]);
        let mut ema = EMA::<Candle>::new(vec![w.clone()], 0.5).unwrap();
        let (_reading, _) = w.storage_and_layout();
        ema.update(std::slice::from_ref(&w)).unwrap();
        assert_eq!(ema.num_updates(), 1);
    });
}
