//! Where the threads of a pool run: each piece of work on more than one processor from its beginning on.
//!
//! In a virtual machine Linux takes a processor that sleeps for a busy one. After a pause of a millisecond it puts every thread
//! that is woken up beside the one that wakes it, and the two take as long as one alone would.

#[cfg(not(target_os = "linux"))]
pub use elsewhere::Seats;
#[cfg(target_os = "linux")]
pub use linux::Seats;

#[cfg(target_os = "linux")]
mod linux {
    use rustix::io::Result;
    use rustix::thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity};
    use std::sync::Mutex;

    /// Where the workers of a pool run.
    #[derive(Debug, Default)]
    pub struct Seats(Mutex<Vec<Seat>>);

    #[derive(Debug)]
    struct Seat {
        worker: Pid,
        moved: Option<Moved>,
    }

    #[derive(Debug)]
    struct Moved {
        /// The processor that the worker is kept off.
        off: usize,
        /// Where others let it run: whoever started the process, or has pinned its threads since.
        allowed: CpuSet,
        /// Where it runs by our doing.
        to: CpuSet,
    }

    /// Workers that are moved: with more it takes long, and there mostly are processors to spare.
    const MOST: usize = 16;

    impl Seats {
        /// Called by each worker as it starts, which is moved from then on.
        pub fn take(&self) {
            if let Ok(mut seats) = self.0.lock() {
                seats.push(Seat { worker: gettid(), moved: None });
            }
        }

        /// Called by the thread that begins with some work: moves the others off its processor, as far as they may run
        /// elsewhere.
        pub fn keep_clear(&self) {
            let Ok(mut seats) = self.0.try_lock() else { return };
            let (me, here) = (gettid(), sched_getcpu());
            if seats.len() > MOST || here >= CpuSet::MAX_CPU {
                return;
            }
            if seats.iter_mut().any(|seat| seat.worker != me && seat.keep_off(here).is_err()) {
                // It is not ours to say, as in a sandbox.
                seats.clear();
            }
        }
    }

    impl Seat {
        fn keep_off(&mut self, processor: usize) -> Result<()> {
            let before = self.moved.as_ref();
            if before.is_some_and(|moved| moved.off == processor) {
                return Ok(());
            }
            let now = sched_getaffinity(Some(self.worker))?;
            let allowed = before.filter(|moved| moved.to == now).map_or(now, |moved| moved.allowed);
            let mut others = allowed;
            others.unset(processor);
            if others.count() > 0 {
                sched_setaffinity(Some(self.worker), &others)?;
            }
            self.moved = Some(Moved { off: processor, allowed, to: sched_getaffinity(Some(self.worker))? });
            Ok(())
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use std::sync::mpsc::channel;
        use std::thread;

        /// The processors of a set.
        fn processors(set: &CpuSet) -> Vec<usize> {
            (0..CpuSet::MAX_CPU).filter(|&processor| set.is_set(processor)).collect()
        }

        fn set_of(processors: &[usize]) -> CpuSet {
            let mut set = CpuSet::new();
            processors.iter().for_each(|&processor| set.set(processor));
            set
        }

        fn pin(worker: Option<Pid>, processors: &[usize]) {
            sched_setaffinity(worker, &set_of(processors)).unwrap();
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
                let processors = processors(&sched_getaffinity(None).unwrap());
                thread::scope(|scope| scope.spawn(|| test(&seats, &workers, &processors)).join()).unwrap();
                drop(end);
            });
        }

        /// Where the workers run once a thread has begun with some work on a processor.
        fn after_a_beginning_at(seats: &Seats, processor: usize, workers: &[Pid]) -> Vec<Vec<usize>> {
            pin(None, &[processor]);
            seats.keep_clear();
            workers.iter().map(|&worker| processors(&sched_getaffinity(Some(worker)).unwrap())).collect()
        }

        /// All processors but one, unless that is the only one.
        fn without(all: &[usize], processor: usize) -> Vec<usize> {
            if all.len() == 1 { all.to_vec() } else { all.iter().copied().filter(|&p| p != processor).collect() }
        }

        #[test]
        fn workers_are_kept_off_the_processor_where_work_begins() {
            with_workers(2, |seats, workers, all| {
                for &processor in all.iter().chain(all) {
                    let found = after_a_beginning_at(seats, processor, workers);
                    assert_eq!(found, [(); 2].map(|()| without(all, processor)));
                }
            });
        }

        #[test]
        fn a_worker_that_begins_stays_where_it_is() {
            with_workers(1, |seats, workers, all| {
                seats.take();
                let found = after_a_beginning_at(seats, all[0], &[workers[0], gettid()]);
                assert_eq!(found, [without(all, all[0]), vec![all[0]]]);
            });
        }

        #[test]
        fn a_worker_that_somebody_has_pinned_stays_among_those_processors() {
            with_workers(1, |seats, workers, all| {
                let (first, last) = (all[0], all[all.len() - 1]);
                assert_eq!(after_a_beginning_at(seats, first, workers), [without(all, first)]);
                pin(Some(workers[0]), &[first]);
                for processor in [last, first, last] {
                    assert_eq!(after_a_beginning_at(seats, processor, workers), [[first]]);
                }
            });
        }

        #[test]
        fn workers_of_a_large_pool_are_left_alone() {
            with_workers(MOST + 1, |seats, workers, all| {
                assert_eq!(after_a_beginning_at(seats, all[0], workers), vec![all; MOST + 1]);
            });
        }

        #[test]
        fn workers_that_cannot_be_moved_are_not_asked_again() {
            let nobody = Pid::from_raw(i32::MAX).unwrap();
            let seats = Seats(Mutex::new(vec![Seat { worker: nobody, moved: None }]));
            seats.keep_clear();
            assert!(seats.0.lock().unwrap().is_empty());
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    /// Nothing: no other system is known to need it.
    #[derive(Debug, Default)]
    pub struct Seats;

    impl Seats {
        pub fn take(&self) {}

        pub fn keep_clear(&self) {}
    }
}
