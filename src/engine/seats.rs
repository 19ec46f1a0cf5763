//! Where the threads of a pool run: a piece of work that comes after a pause begins on several processors at once.
//!
//! In a virtual machine Linux takes a processor that sleeps for a busy one. After a pause of a tenth of a millisecond it puts
//! nearly every thread that is woken up beside the one that wakes it, and the two take as long as one alone would.

#[cfg(not(target_os = "linux"))]
pub use elsewhere::Seats;
#[cfg(target_os = "linux")]
pub use linux::Seats;

#[cfg(target_os = "linux")]
mod linux {
    use rustix::thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity};
    use smallvec::SmallVec;
    use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
    use std::time::{Duration, Instant};

    /// The workers of a pool.
    #[derive(Debug, Default)]
    pub struct Seats {
        workers: Mutex<Vec<Pid>>,
        /// When the last piece of work ended. Held by whoever works.
        ended: Mutex<Option<Instant>>,
    }

    /// A piece of work under way. When it is dropped, the workers may run where they could before.
    #[derive(Debug)]
    pub struct Spread<'a> {
        moved: SmallVec<[Moved; MOST]>,
        ended: MutexGuard<'a, Option<Instant>>,
    }

    #[derive(Debug)]
    struct Moved {
        worker: Pid,
        before: CpuSet,
        now: CpuSet,
    }

    /// The largest pool whose workers are moved: with more of them it takes long, and there mostly are processors to spare.
    const MOST: usize = 8;

    /// Threads that have slept for less are put where there is room.
    const PAUSE: Duration = Duration::from_micros(100);

    impl Seats {
        /// Called by each worker as it starts.
        pub fn take(&self) {
            self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(gettid());
        }

        /// Called by the thread that begins with a piece of work in a pool of so many: keeps the others off its processor, as
        /// far as they may run elsewhere, until the work is done. None where another piece is under way.
        pub fn spread(&self, threads: usize) -> Option<Spread<'_>> {
            let ended = match self.ended.try_lock() {
                Ok(ended) => ended,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return None,
            };
            let mut moved = SmallVec::new();
            if threads <= MOST && ended.is_none_or(|ended| ended.elapsed() >= PAUSE) {
                let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
                let (me, here) = (gettid(), sched_getcpu());
                moved.extend(
                    workers.iter().filter(|&&worker| worker != me).filter_map(|&worker| move_off(worker, here)),
                );
            }
            Some(Spread { moved, ended })
        }
    }

    /// Keeps a worker off a processor, if it may run on another one and the system lets us say so.
    fn move_off(worker: Pid, processor: usize) -> Option<Moved> {
        let before = sched_getaffinity(Some(worker)).ok()?;
        if processor >= CpuSet::MAX_CPU || !before.is_set(processor) {
            return None;
        }
        let mut now = before;
        now.unset(processor);
        // With no processor left it is refused.
        sched_setaffinity(Some(worker), &now).ok()?;
        Some(Moved { worker, before, now })
    }

    impl Drop for Spread<'_> {
        fn drop(&mut self) {
            for Moved { worker, before, now } in &self.moved {
                // Unless somebody else has moved it meanwhile.
                if sched_getaffinity(Some(*worker)).is_ok_and(|found| found == *now) {
                    // If it is refused, nothing can be done about it.
                    let _ = sched_setaffinity(Some(*worker), before);
                }
            }
            *self.ended = Some(Instant::now());
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use std::sync::mpsc::channel;
        use std::thread;

        /// Where a thread may run.
        fn processors(thread: Option<Pid>) -> Vec<usize> {
            let set = sched_getaffinity(thread).unwrap();
            (0..CpuSet::MAX_CPU).filter(|&processor| set.is_set(processor)).collect()
        }

        fn pin(thread: Option<Pid>, processors: &[usize]) {
            let mut set = CpuSet::new();
            processors.iter().for_each(|&processor| set.set(processor));
            sched_setaffinity(thread, &set).unwrap();
        }

        /// Calls `test` in a thread of its own with seats that so many workers have taken, who they are, and the processors
        /// that there are.
        fn with_workers(count: usize, test: impl FnOnce(&Seats, &[Pid], &[usize]) + Send) {
            let (seats, (tell, told)) = (Seats::default(), channel());
            let (end, ended) = channel::<()>();
            let ended = Mutex::new(ended);
            thread::scope(|scope| {
                for _ in 0..count {
                    let (tell, seats, ended) = (tell.clone(), &seats, &ended);
                    scope.spawn(move || {
                        seats.take();
                        tell.send(gettid()).unwrap();
                        let _ = ended.lock().unwrap().recv();
                    });
                }
                let workers: Vec<_> = told.iter().take(count).collect();
                let all = processors(None);
                let tested = thread::scope(|scope| scope.spawn(|| test(&seats, &workers, &all)).join());
                drop(end);
                tested.unwrap();
            });
        }

        /// Begins with a piece of work on a processor, after a pause.
        fn begin<'s>(seats: &'s Seats, threads: usize, processor: usize) -> Spread<'s> {
            pin(None, &[processor]);
            *seats.ended.lock().unwrap() = None;
            seats.spread(threads).unwrap()
        }

        /// All processors but one, unless that is the only one.
        fn without(all: &[usize], processor: usize) -> Vec<usize> {
            if all.len() == 1 { all.to_vec() } else { all.iter().copied().filter(|&p| p != processor).collect() }
        }

        #[test]
        fn others_are_kept_off_the_processor_where_work_begins_until_it_ends() {
            with_workers(2, |seats, workers, all| {
                for &processor in all.iter().chain(all) {
                    let spread = begin(seats, MOST, processor);
                    assert!(workers.iter().all(|&worker| processors(Some(worker)) == without(all, processor)));
                    drop(spread);
                    assert!(workers.iter().all(|&worker| processors(Some(worker)) == all));
                }
            });
        }

        #[test]
        fn the_one_that_begins_is_not_moved() {
            with_workers(1, |seats, workers, all| {
                seats.take();
                let spread = seats.spread(2).unwrap();
                assert_eq!(processors(None), all);
                assert_eq!(processors(Some(workers[0])).len(), 1.max(all.len() - 1));
                assert!(seats.spread(2).is_none());
                drop(spread);
            });
        }

        #[test]
        fn nobody_is_moved_without_a_pause_or_in_a_large_pool() {
            with_workers(1, |seats, workers, all| {
                *seats.ended.lock().unwrap() = Some(Instant::now() + Duration::from_secs(3600));
                drop(seats.spread(2).unwrap());
                let ended = *seats.ended.lock().unwrap();
                assert!(ended.unwrap() <= Instant::now());
                *seats.ended.lock().unwrap() = Some(Instant::now() + Duration::from_secs(3600));
                let unpaused = seats.spread(2);
                assert!(unpaused.is_some() && processors(Some(workers[0])) == all);
                drop(unpaused);
                let large = begin(seats, MOST + 1, all[0]);
                assert!(large.moved.is_empty() && processors(Some(workers[0])) == all);
            });
        }

        #[test]
        fn where_others_have_pinned_a_worker_it_stays() {
            with_workers(1, |seats, workers, all| {
                let (first, last) = (all[0], all[all.len() - 1]);
                let spread = begin(seats, 2, first);
                pin(Some(workers[0]), &[first]);
                drop(spread);
                for processor in [first, last, first] {
                    let spread = begin(seats, 2, processor);
                    assert_eq!(processors(Some(workers[0])), [first]);
                    drop(spread);
                    assert_eq!(processors(Some(workers[0])), [first]);
                }
            });
        }

        #[test]
        fn a_panic_in_the_middle_of_work_ends_it() {
            with_workers(1, |seats, workers, all| {
                let panics = || {
                    let _spread = seats.spread(2);
                    panic!("in the middle");
                };
                assert!(thread::scope(|scope| scope.spawn(panics).join()).is_err());
                assert_eq!(processors(Some(workers[0])), all);
                assert!(seats.spread(2).is_some());
            });
        }

        #[test]
        fn one_that_cannot_be_moved_is_left_alone() {
            let nobody = Pid::from_raw(i32::MAX).unwrap();
            let seats = Seats { workers: vec![nobody].into(), ..Seats::default() };
            assert!(seats.spread(2).unwrap().moved.is_empty());
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    /// Nothing: no other system is known to need it.
    #[derive(Debug, Default)]
    pub struct Seats;

    /// A piece of work under way.
    #[derive(Debug)]
    pub struct Spread;

    impl Seats {
        pub fn take(&self) {}

        pub fn spread(&self, _threads: usize) -> Spread {
            Spread
        }
    }
}
