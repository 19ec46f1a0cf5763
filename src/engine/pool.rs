//! The threads for large models: pools of our own that a forked child never uses.
//!
//! After `fork` only the calling thread exists in the child, so a pool that the parent made would wait for ever. Pools
//! are therefore kept with the id of the process that made them, and are never dropped: the child's copy of a parent's
//! pool has no threads to join.

use once_cell::race::OnceBox;
use rayon::{ThreadPool, ThreadPoolBuilder};

struct Entry {
    process: u32,
    threads: usize,
    pool: ThreadPool,
    next: OnceBox<Entry>,
}

/// A list that only grows: one entry for each process of a chain of forks and number of threads, mostly one in all.
static POOLS: OnceBox<Entry> = OnceBox::new();

/// The pool of this process with so many threads; 0 means what `RAYON_NUM_THREADS` or else the processor says. None if
/// the system grants no threads.
pub fn get(threads: usize) -> Option<&'static ThreadPool> {
    let process = std::process::id();
    let mut cell = &POOLS;
    loop {
        match cell.get() {
            Some(entry) if entry.process == process && entry.threads == threads => return Some(&entry.pool),
            Some(entry) => cell = &entry.next,
            None => {
                let name = |i| format!("shrew-ema-{i}");
                let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build().ok()?;
                // Where another thread was faster, this pool is dropped and the next round finds the other's.
                let _ = cell.set(Box::new(Entry { process, threads, pool, next: OnceBox::new() }));
            }
        }
    }
}
