//! The threads for large models: pools of our own that a forked child never uses.
//!
//! After `fork` only the calling thread exists in the child, so a pool that the parent made would wait for ever. Pools
//! are therefore kept with the id of the process that made them, and are never dropped: the child's copy of a parent's
//! pool has no threads to join.
//!
//! A thread that takes part is itself one of its pool: it begins with the work at once, where others hand it over and sleep
//! until it is done. Threads that have slept for long wake up late, and until they do it is this one that works.

use once_cell::race::OnceBox;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::cell::Cell;
use std::panic::resume_unwind;
use std::process;
use std::thread::{self, ThreadId};

/// What a pool was made for.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    process: u32,
    threads: usize,
    /// The thread that is one of the pool, if any.
    member: Option<ThreadId>,
}

struct Entry {
    key: Key,
    pool: ThreadPool,
    next: OnceBox<Entry>,
}

/// A list that only grows: one entry for each process of a chain of forks, number of threads and thread that takes part,
/// mostly one in all.
static POOLS: OnceBox<Entry> = OnceBox::new();

/// Whether a thread takes part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    No,
    /// From the next pool on.
    Willing,
    /// It does, in one pool for good: rayon lets none go.
    Member(Key),
}

thread_local! {
    static PART: Cell<Part> = const { Cell::new(Part::No) };
}

/// Has the calling thread do a part of the work that it hands over from now on, instead of sleeping until others have done
/// it. In Python the thread that imports the package does; in Rust it pays for a thread that trains and does not use rayon
/// otherwise.
///
/// At the next call on a large model it becomes one of the threads of a pool, and remains so: rayon's own functions, called
/// there, use that pool as well. Where it is a worker of rayon's already, nothing happens.
pub fn take_part() {
    if PART.get() == Part::No && rayon::current_thread_index().is_none() {
        PART.set(Part::Willing);
    }
}

/// Whether the calling thread may hand work over. A worker that waits for its part may take up another job, and that one may
/// want a lock that is held here; in the pool of a thread that takes part there are only our own.
pub fn is_free() -> bool {
    rayon::current_thread_index().is_none() || matches!(PART.get(), Part::Member(_))
}

/// A pool, and how the calling thread comes to it.
pub struct Pool {
    threads: &'static ThreadPool,
    /// Whether the thread is one of another pool. To wait for this one it would look for work in its own, whose threads may be
    /// gone.
    abroad: bool,
}

impl Pool {
    /// Calls `work` in the pool.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        if !self.abroad {
            return self.threads.install(work);
        }
        let done = thread::scope(|scope| scope.spawn(|| self.threads.install(work)).join());
        done.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// The pool of this process with so many threads, if these are several and the system grants them; 0 means as many as
/// `RAYON_NUM_THREADS` or else the processor says.
pub fn get(threads: usize) -> Option<Pool> {
    let anyone = Key { process: process::id(), threads, member: None };
    let (key, abroad) = match PART.get() {
        Part::No => (anyone, false),
        Part::Willing => (Key { member: Some(thread::current().id()), ..anyone }, false),
        Part::Member(own) if (own.process, own.threads) == (anyone.process, threads) => (own, false),
        Part::Member(_) => (anyone, true),
    };
    let pool = find(key)?;
    if key.member.is_some() {
        PART.set(Part::Member(key));
    }
    (pool.current_num_threads() > 1).then_some(Pool { threads: pool, abroad })
}

/// The pool for a key, which is made if there is none.
fn find(key: Key) -> Option<&'static ThreadPool> {
    let mut cell = &POOLS;
    let mut made = None;
    loop {
        match cell.get() {
            Some(entry) if entry.key == key => return Some(&entry.pool),
            Some(entry) => cell = &entry.next,
            None => {
                let entry = if let Some(entry) = made.take() { entry } else { make(key)? };
                // Where another thread was faster, this one comes after what that has made, unless it is for the same key.
                made = cell.set(entry).err();
            }
        }
    }
}

fn make(key: Key) -> Option<Box<Entry>> {
    let builder = ThreadPoolBuilder::new().num_threads(key.threads).thread_name(|i| format!("shrew-ema-{i}"));
    let builder = if key.member.is_some() { builder.use_current_thread() } else { builder };
    Some(Box::new(Entry { key, pool: builder.build().ok()?, next: OnceBox::new() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn in_a_thread(work: impl FnOnce() + Send + 'static) {
        thread::spawn(work).join().unwrap();
    }

    #[test]
    fn a_thread_that_takes_part_does_the_work_itself_in_one_pool() {
        in_a_thread(|| {
            take_part();
            let here = thread::current().id();
            for _ in 0..2 {
                let pool = get(3).unwrap();
                let work = || (thread::current().id(), rayon::current_num_threads());
                assert_eq!(pool.install(work), (here, 3));
                assert_eq!(pool.install(|| rayon::join(|| 2, || 3)), (2, 3));
                assert!(is_free() && get(1).is_none());
                let other = get(2).unwrap();
                let (there, threads) = other.install(work);
                assert!(there != here && threads == 2);
                let panic = catch_unwind(AssertUnwindSafe(|| other.install(|| panic!("there")))).unwrap_err();
                assert_eq!(panic.downcast_ref(), Some(&"there"));
            }
        });
    }

    #[test]
    fn two_threads_that_take_part_have_a_pool_each() {
        let pools = [(); 2].map(|()| {
            thread::spawn(|| {
                take_part();
                std::ptr::from_ref(get(2).unwrap().threads).addr()
            })
        });
        let [a, b] = pools.map(|pool| pool.join().unwrap());
        assert_ne!(a, b);
    }

    #[test]
    fn others_hand_the_work_over_and_share_a_pool() {
        in_a_thread(|| {
            let pool = get(3).unwrap();
            assert_ne!(pool.install(|| thread::current().id()), thread::current().id());
            assert!(is_free() && std::ptr::eq(pool.threads, get(3).unwrap().threads));
            assert!(get(1).is_none());
        });
    }

    #[test]
    fn a_worker_of_a_pool_neither_takes_part_nor_hands_over() {
        let pool = ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        pool.install(|| {
            take_part();
            assert!(!is_free() && PART.get() == Part::No);
        });
    }
}
