//! Locked handles: errors instead of waiting for oneself, and no dead-lock found with other threads.

use crate::lender::{Lender, Lent};
use crate::waiting::within_a_minute;
use ndarray::{ArrayD, arr1};
use shrew_ema::EMA;
use shrew_ema::backend::ndarray::{Handle, NdArray, share};
use shrew_ema::engine::Engine;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[test]
fn a_caller_that_holds_the_lock_is_told_so() {
    within_a_minute(|| {
        let (a, b) = (share(arr1(&[1.0])), share(arr1(&[2.0])));
        let params = vec![Handle::from(&a), Handle::from(&b)];
        let names = ["a", "b"].map(str::to_owned);
        let config = shrew_ema::Config::new(0.5).unwrap();
        let mut ema = EMA::<NdArray>::named(names.into_iter().zip(params.clone()), config).unwrap();
        let writing = b.write().unwrap();
        let error = ema.update(&params).unwrap_err();
        assert_eq!(
            error.to_string(),
            "parameter \"b\" is locked, by this thread or another: give the guard back before the call"
        );
        drop(writing);
        ema.update(&params).unwrap();
        let reading = b.read().unwrap();
        ema.update(&params).unwrap();
        assert!(ema.apply().unwrap_err().to_string().contains("\"b\" is locked"));
        assert!(!ema.is_applied());
        drop(reading);
        ema.apply().unwrap();
        assert_eq!(ema.num_updates(), 2);
        ema.restore().unwrap();
    });
}

#[test]
fn a_guard_restores_also_where_the_panic_poisoned_the_lock() {
    within_a_minute(|| {
        let w = share(arr1(&[1.0]));
        let mut ema = EMA::<NdArray>::new(vec![Handle::from(&w)], 0.5).unwrap();
        *w.write().unwrap() = arr1(&[3.0]).into_dyn();
        let evaluation = catch_unwind(AssertUnwindSafe(|| {
            let _applied = ema.applied().unwrap();
            let _guard = w.write().unwrap();
            panic!("in mid-evaluation");
        }));
        assert!(evaluation.is_err() && w.is_poisoned());
        w.clear_poison();
        assert_eq!((w.read().unwrap()[[0]], ema.is_applied()), (3.0, false));
    });
}

#[test]
fn tied_handles_are_lent_once_and_nothing_is_lent_between_calls() {
    let tied = Lent::new(vec![1.0, 2.0]);
    // More than a batch, and the last batch is not full.
    let single: Vec<Lent> = (0..150).map(|i| Lent::new(vec![i as f32; i])).collect();
    let params: Vec<Lent> = single.iter().flat_map(|lent| [lent.clone(), tied.clone()]).collect();
    let mut ema = EMA::<Lender>::new(params.clone(), 0.5).unwrap();
    tied.values.borrow_mut().fill(5.0);
    ema.update(&params).unwrap();
    assert_eq!((ema.shadow_values(1), ema.shadow_values(299)), (&[3.0, 3.5][..], &[3.0, 3.5][..]));
    ema.apply().unwrap();
    assert_eq!(tied.get(), [3.0, 3.5]);
    ema.restore().unwrap();
    assert_eq!(tied.get(), [5.0, 5.0]);
    for lent in &params {
        assert_eq!((lent.most.get(), lent.now.get()), (1, 0));
    }
}

#[test]
fn tied_handles_and_a_waiting_writer_do_not_hang() {
    within_a_minute(|| {
        let w = share(ArrayD::from_elem(vec![50_000], 1.0_f32));
        let params = vec![Handle::from(&w); 5];
        let mut ema = EMA::<NdArray>::new(params.clone(), 0.5).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let writer = {
            let (w, stop) = (Arc::clone(&w), Arc::clone(&stop));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    w.write().unwrap()[[0]] += 1.0;
                    // Leaves a chance to others, and mostly comes back while a pass has the lock.
                    std::thread::sleep(Duration::from_micros(100));
                }
            })
        };
        let mut done = 0;
        while done < 100 {
            // Refused while the writer is in; nothing is counted then.
            done += usize::from(ema.update(&params).is_ok());
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        assert_eq!(ema.num_updates(), 100);
    });
}

/// A worker that waits for other threads takes up the next job of its own pool, which here wants the lock that the pass
/// holds: with a lock that waits, that would be for ever.
#[test]
fn no_other_job_runs_on_a_worker_in_the_middle_of_its_pass() {
    within_a_minute(|| {
        // One worker, so that the lock is free whenever that worker is in no pass.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let w = share(ArrayD::from_elem(vec![1 << 18], 1.0_f32));
        let params = vec![Handle::from(&w)];
        let backend = NdArray::new(Engine::new().threads(2).serial_below(0).grain(1 << 12));
        let config = shrew_ema::Config::new(0.5).unwrap();
        let mut ema = EMA::with_backend(backend, vec!["w".to_owned()], params.clone(), config).unwrap();
        for _ in 0..20 {
            pool.scope(|scope| {
                scope.spawn(|_| w.try_write().expect("a pass is going on")[[0]] += 1.0);
                ema.update(&params).unwrap();
            });
        }
        assert_eq!((ema.num_updates(), w.read().unwrap()[[0]]), (20, 21.0));
    });
}
