//! Locked handles: errors instead of waiting for oneself, and no dead-lock found with other threads.

use ndarray::{ArrayD, arr1};
use shrew_ema::EMA;
use shrew_ema::backend::ndarray::{Handle, NdArray, share};
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// Fails instead of hanging.
fn within_a_minute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    wait.recv_timeout(Duration::from_secs(60)).expect("it hangs or has failed")
}

#[test]
fn a_caller_that_holds_the_lock_is_told_so() {
    let (a, b) = (share(arr1(&[1.0])), share(arr1(&[2.0])));
    let params = vec![Handle::from(&a), Handle::from(&b)];
    let names = ["a", "b"].map(str::to_owned);
    let config = shrew_ema::Config::new(0.5).unwrap();
    let mut ema = EMA::<NdArray>::named(names.into_iter().zip(params.clone()), config).unwrap();
    let writing = b.write().unwrap();
    let error = ema.update(&params).unwrap_err();
    assert_eq!(error.to_string(), "parameter \"b\" is locked: give the guard back before the call");
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
}

#[test]
fn a_poisoned_parameter_is_an_error() {
    let w = share(arr1(&[1.0]));
    let params = vec![Handle::from(&w)];
    let mut ema = EMA::<NdArray>::new(params.clone(), 0.5).unwrap();
    let other = Arc::clone(&w);
    assert!(
        catch_unwind(move || {
            let _guard = other.write().unwrap();
            panic!("in mid-write");
        })
        .is_err()
    );
    assert!(ema.update(&params).unwrap_err().to_string().contains("\"0\" is poisoned"));
    assert_eq!(ema.num_updates(), 0);
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

#[test]
fn updates_on_the_workers_of_a_pool_do_not_hang() {
    within_a_minute(|| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let w = share(ArrayD::from_elem(vec![1 << 20], 1.0_f32));
        pool.scope(|scope| {
            for _ in 0..8 {
                let params = vec![Handle::from(&w)];
                scope.spawn(move |_| {
                    let mut ema = EMA::<NdArray>::new(params.clone(), 0.5).unwrap();
                    for _ in 0..4 {
                        ema.update(&params).unwrap();
                    }
                    assert_eq!(ema.num_updates(), 4);
                });
            }
        });
    });
}
