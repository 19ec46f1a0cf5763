//! Locks that other threads want too: no call of ours waits for one while it holds what would set it free.

use crate::training::{Cpu, vector};
use crate::waiting::within_a_minute;
use shrew_core::DType;
use shrew_ema::Config;
use shrew_ema::backend::shrew::Shrew;
use shrew_ema::engine::Engine;
use shrew_ema::shrew::EMA;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

/// Runs `work` while threads replace what these tensors hold, one after the other, as optimizers do.
fn beside_writers(params: &[Cpu], threads: usize, work: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    for param in params {
                        param.update_data_inplace(&vec![1.0; param.elem_count()]).unwrap();
                    }
                }
            });
        }
        work();
        stop.store(true, Relaxed);
    });
}

/// A second guard of one lock is never given while a writer waits for the first to go.
#[test]
fn tied_handles_and_a_waiting_writer_do_not_hang() {
    within_a_minute(|| {
        // So small that the writer is back soon, and as many names as are lent at a time.
        let weight = vector(&[1.0], DType::F32);
        let params = vec![weight.clone(); 64];
        let mut ema = EMA::new(params.clone(), 0.5).unwrap();
        beside_writers(&[weight], 1, || {
            for _ in 0..1000 {
                ema.update(&params).unwrap();
                ema.apply().unwrap();
                ema.restore().unwrap();
            }
        });
        assert_eq!(ema.num_updates(), 1000);
    });
}

/// A worker that waits for other threads takes up the next job of its pool, which here wants to write what the pass has lent.
#[test]
fn an_update_on_a_worker_takes_up_no_job_that_waits_for_its_own_locks() {
    within_a_minute(|| {
        // One worker, so that it is the same that is in the pass and takes up the job.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let weight = vector(&vec![1.0; 1 << 18], DType::F32);
        let params = vec![weight.clone()];
        let backend = Shrew::new(Engine::new().threads(2).serial_below(0).grain(1 << 12));
        let config = Config::new(0.5).unwrap();
        let mut ema = EMA::with_backend(backend, vec!["w".to_owned()], params.clone(), config).unwrap();
        let written = AtomicUsize::new(0);
        for _ in 0..20 {
            pool.scope(|scope| {
                scope.spawn(|_| {
                    weight.update_data_inplace(&vec![2.0; 1 << 18]).unwrap();
                    written.fetch_add(1, Relaxed);
                });
                ema.update(&params).unwrap();
            });
        }
        assert_eq!((ema.num_updates(), written.into_inner()), (20, 20));
    });
}

/// Each would hold what the other one wants, with a writer waiting for it in between.
#[test]
fn averages_of_one_model_in_two_orders_do_not_wait_for_each_other() {
    within_a_minute(|| {
        let params: Vec<Cpu> = (0..40).map(|_| vector(&[1.0; 64], DType::F32)).collect();
        let reversed: Vec<Cpu> = params.iter().rev().cloned().collect();
        beside_writers(&params, 2, || {
            thread::scope(|scope| {
                for params in [&params, &reversed] {
                    scope.spawn(move || {
                        let mut ema = EMA::new(params.clone(), 0.5).unwrap();
                        for _ in 0..1000 {
                            ema.update(params).unwrap();
                        }
                    });
                }
            });
        });
    });
}

#[test]
fn a_caller_may_hold_a_guard_during_an_update() {
    within_a_minute(|| {
        let params = vec![vector(&[1.0], DType::F32)];
        let mut ema = EMA::new(params.clone(), 0.5).unwrap();
        let reading = params[0].storage();
        ema.update(&params).unwrap();
        drop(reading);
        ema.apply().unwrap();
        assert_eq!(ema.num_updates(), 1);
    });
}

#[test]
fn an_ema_may_move_to_another_thread() {
    let params = vec![vector(&[1.0], DType::F32)];
    let mut ema = EMA::new(params.clone(), 0.5).unwrap();
    let updates = thread::spawn(move || ema.update(&params).map(|()| ema.num_updates())).join().unwrap();
    assert_eq!(updates, Ok(1));
}
