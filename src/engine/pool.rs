//! The threads for large models: pools of our own that a forked child never uses.
//!
//! After `fork` only the calling thread exists in the child, so a pool that the parent made would wait for ever. Pools
//! are therefore kept with the id of the process that made them, and are never dropped: the child's copy of a parent's
//! pool has no threads to join.

use super::seats::Seats;
use once_cell::race::OnceBox;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::process;
use std::sync::Arc;

/// The threads of a process.
pub struct Pool {
    process: u32,
    /// How many were asked for.
    asked: usize,
    threads: ThreadPool,
    seats: Arc<Seats>,
    next: OnceBox<Pool>,
}

/// A list that only grows: one entry for each process of a chain of forks and number of threads, mostly one in all.
static POOLS: OnceBox<Pool> = OnceBox::new();

/// Whether the calling thread may hand work over. A worker that waits for its part may take up another job, and that one may
/// want a lock that is held here.
pub fn is_free() -> bool {
    rayon::current_thread_index().is_none()
}

/// The pool of this process with so many threads, if these are several and the system grants them; 0 means as many as
/// `RAYON_NUM_THREADS` or else the processor says.
pub fn get(threads: usize) -> Option<&'static Pool> {
    if threads == 1 {
        return None;
    }
    let process = process::id();
    let mut cell = &POOLS;
    let mut made = None;
    let found = loop {
        match cell.get() {
            Some(pool) if (pool.process, pool.asked) == (process, threads) => break pool,
            Some(pool) => cell = &pool.next,
            None => {
                let pool = if let Some(pool) = made.take() { pool } else { Box::new(Pool::new(process, threads)?) };
                // Where another thread was faster, this one comes after what that has made, unless it is the same.
                made = cell.set(pool).err();
            }
        }
    };
    (found.threads.current_num_threads() > 1).then_some(found)
}

impl Pool {
    fn new(process: u32, asked: usize) -> Option<Self> {
        let seats = Arc::<Seats>::default();
        let taken = Arc::clone(&seats);
        let builder = ThreadPoolBuilder::new().num_threads(asked).thread_name(|i| format!("shrew-ema-{i}"));
        let threads = builder.start_handler(move |_| taken.take()).build().ok()?;
        Some(Self { process, asked, threads, seats, next: OnceBox::new() })
    }

    /// Has one of the threads call `work`, which may divide it between all of them; the caller sleeps.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.threads.install(|| {
            let _spread = self.seats.spread(rayon::current_num_threads());
            work()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn threads_of_one_process_share_the_pool_of_a_number() {
        let start = Barrier::new(8);
        let find = || {
            start.wait();
            std::ptr::from_ref(get(6).unwrap()).addr()
        };
        let found: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(find)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(found, [found[0]; 8]);
        assert_ne!(found[0], std::ptr::from_ref(get(3).unwrap()).addr());
    }

    #[test]
    fn work_is_handed_over_to_so_many_threads() {
        let place = || (rayon::current_thread_index().is_some(), rayon::current_num_threads());
        assert_eq!(get(3).unwrap().install(place), (true, 3));
        assert!(!get(3).unwrap().install(is_free));
        assert!(is_free() && get(1).is_none());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn whoever_begins_after_a_pause_has_its_processor_to_itself_until_the_end() {
        use rustix::thread::sched_getaffinity;
        let processors = || sched_getaffinity(None).unwrap().count();
        let look = || (rayon::current_thread_index().unwrap(), rayon::broadcast(|_| processors()));
        let (pool, all) = (get(5).unwrap(), processors());
        // All threads are there after the first look.
        let _ = pool.install(look);
        thread::sleep(Duration::from_millis(5));
        let (begins, found) = pool.install(look);
        let mut expected = [1.max(all - 1); 5];
        expected[begins] = all;
        assert_eq!(found, expected);
        assert_eq!(pool.threads.broadcast(|_| processors()), [all; 5]);
    }
}
