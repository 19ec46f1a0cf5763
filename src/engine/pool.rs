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
use std::sync::mpsc::channel;
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
    /// It is in a pool that could not be had, for good too.
    Lost,
}

thread_local! {
    static PART: Cell<Part> = const { Cell::new(Part::No) };
}

/// Has the calling thread do a part of the work that it hands over from now on, instead of sleeping until others have done
/// it.
///
/// At the next call on a large model it becomes one of the threads of a pool, and remains so. Whatever else it does with rayon
/// would then be done in that pool, and might be taken up in the middle of a call of ours. So this is for where rayon is ours
/// alone, as in the extension module, and no part of the crate's interface.
#[cfg_attr(not(feature = "python"), allow(dead_code))]
pub fn take_part() {
    if PART.get() == Part::No && rayon::current_thread_index().is_none() {
        PART.set(Part::Willing);
    }
}

/// Whether the calling thread may hand work over. A worker that waits for its part may take up another job, and that one may
/// want a lock that is held here; in the pool of a thread that takes part there are only our own.
pub fn is_free() -> bool {
    rayon::current_thread_index().is_none() || matches!(PART.get(), Part::Member(_) | Part::Lost)
}

/// A pool, and how the calling thread comes to it.
pub struct Pool {
    threads: &'static ThreadPool,
    /// Whether the thread is one of another pool. To wait for this one it would look for work in its own, whose threads may be
    /// gone.
    abroad: bool,
}

/// Elements from which on a stranger has a thread made to hand the work over by: that takes as long as some millions do.
const WORTH_A_THREAD: usize = 1 << 22;

impl Pool {
    /// Calls `work` in the pool with true, or here with false if that can't be, or takes too long for so many elements.
    pub fn install<R: Send, W: FnOnce(bool) -> R + Send>(&self, elements: usize, work: W) -> R {
        if !self.abroad {
            return self.threads.install(|| work(true));
        }
        if elements < WORTH_A_THREAD {
            return work(false);
        }
        let pool = self.threads;
        thread::scope(|scope| {
            let (send, receive) = channel::<W>();
            let there = move || receive.recv().map(|work| pool.install(|| work(true)));
            // Sent only then, as what goes with a thread that can't be had is gone.
            let Ok(thread) = thread::Builder::new().spawn_scoped(scope, there) else { return work(false) };
            send.send(work).expect("it is waited for");
            thread.join().unwrap_or_else(|panic| resume_unwind(panic)).expect("it was sent")
        })
    }
}

/// The pool of this process with so many threads, if these are several and the system grants them; 0 means as many as
/// `RAYON_NUM_THREADS` or else the processor says.
pub fn get(threads: usize) -> Option<Pool> {
    let anyone = Key { process: process::id(), threads, member: None };
    let (key, abroad) = match PART.get() {
        _ if threads == 1 => return None,
        Part::No => (anyone, false),
        Part::Willing => (Key { member: Some(thread::current().id()), ..anyone }, false),
        Part::Member(own) if (own.process, own.threads) == (anyone.process, threads) => (own, false),
        Part::Member(_) | Part::Lost => (anyone, true),
    };
    let found = find(key);
    if PART.get() == Part::Willing {
        PART.set(if found.is_some() { Part::Member(key) } else { Part::Lost });
    }
    found.filter(|pool| pool.current_num_threads() > 1).map(|threads| Pool { threads, abroad })
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
    use std::sync::{Arc, Barrier};

    fn in_a_thread(work: impl FnOnce() + Send + 'static) {
        thread::spawn(work).join().unwrap();
    }

    /// The thread that does some work, and how many are in its pool; none if that is done here.
    fn place(threads: usize, elements: usize) -> Option<(ThreadId, usize)> {
        let work = |there: bool| there.then(|| (thread::current().id(), rayon::current_num_threads()));
        get(threads).and_then(|pool| pool.install(elements, work))
    }

    #[test]
    fn a_thread_that_takes_part_does_the_work_itself_in_one_pool() {
        in_a_thread(|| {
            take_part();
            let here = thread::current().id();
            for _ in 0..2 {
                assert_eq!(place(1, usize::MAX), None);
                assert_eq!(place(3, 0), Some((here, 3)));
                assert_eq!(get(3).unwrap().install(0, |_| rayon::join(|| 2, || 3)), (2, 3));
                assert!(is_free());
            }
        });
    }

    #[test]
    fn it_is_a_stranger_to_other_pools_and_goes_there_for_large_work() {
        in_a_thread(|| {
            take_part();
            let here = thread::current().id();
            assert_eq!(place(3, 0), Some((here, 3)));
            assert_eq!(place(2, WORTH_A_THREAD - 1), None);
            let (there, threads) = place(2, WORTH_A_THREAD).unwrap();
            assert!(there != here && threads == 2);
            let pool = get(2).unwrap();
            let panics = || pool.install(WORTH_A_THREAD, |_| panic!("there"));
            let panic = catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
            assert_eq!(panic.downcast_ref(), Some(&"there"));
        });
    }

    #[test]
    fn what_could_not_be_had_is_asked_for_again_as_by_a_stranger() {
        in_a_thread(|| {
            PART.set(Part::Lost);
            assert!(is_free() && place(2, 0).is_none());
            assert!(place(2, WORTH_A_THREAD).is_some_and(|(there, _)| there != thread::current().id()));
        });
    }

    #[test]
    fn threads_that_take_part_at_once_have_a_pool_each() {
        let start = Arc::new(Barrier::new(8));
        let threads = [(); 8].map(|()| {
            let start = Arc::clone(&start);
            thread::spawn(move || {
                take_part();
                start.wait();
                place(2, 0) == Some((thread::current().id(), 2))
            })
        });
        assert!(threads.map(|thread| thread.join().unwrap()).iter().all(|&own| own));
    }

    #[test]
    fn others_hand_the_work_over_and_share_a_pool() {
        in_a_thread(|| {
            assert!(place(3, 0).is_some_and(|(there, threads)| there != thread::current().id() && threads == 3));
            assert!(is_free() && std::ptr::eq(get(3).unwrap().threads, get(3).unwrap().threads));
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
