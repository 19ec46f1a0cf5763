//! One caller at a time: other threads wait; a call out of itself, and a child forked in mid-call, are told so.
//!
//! Not a plain lock: a thread that waits for one takes it before it has the interpreter again, and a fork in between
//! leaves the child a lock that nobody holds and nobody will release. Here the gate is taken with the interpreter held,
//! in one step, together with the name of who takes it.

use crate::error::Error;
use pyo3::prelude::*;
use std::ops::{Deref, DerefMut};
use std::process;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::sleep;
use std::time::Duration;

/// A value that one thread at a time may use.
pub struct Gate<T> {
    /// Only ever tried by whoever is inside.
    value: Mutex<T>,
    /// The process and the thread inside; 0 is nobody.
    inside: AtomicU64,
    /// A process, and how many of its threads wait.
    waiting: AtomicU64,
}

/// The right to use the value.
pub struct Inside<'a, T> {
    guard: Option<MutexGuard<'a, T>>,
    inside: &'a AtomicU64,
}

/// The first and the longest pause of a thread that waits.
const PAUSES: (Duration, Duration) = (Duration::from_micros(20), Duration::from_micros(200));

/// How long a thread that comes back steps aside for those that wait already, for several of their pauses.
const COURTESY: Duration = Duration::from_millis(1);

/// A number that no other thread of this process has.
fn thread() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    thread_local! {
        static HERE: u32 = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    HERE.with(|&number| number)
}

fn join(process: u32, number: u32) -> u64 {
    u64::from(process) << 32 | u64::from(number)
}

/// The process and the number of a word.
fn split(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

impl<T> Gate<T> {
    pub fn new(value: T) -> Self {
        Self { value: Mutex::new(value), inside: AtomicU64::new(0), waiting: AtomicU64::new(0) }
    }

    /// The value, where nobody else can be inside.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for its turn, and lets other Python threads run meanwhile.
    pub fn enter(&self, py: Python<'_>, call: &'static str) -> PyResult<Inside<'_, T>> {
        let (process, thread) = (process::id(), thread());
        if !self.try_enter(process, thread, call, self.waiting(process) == 0)? {
            self.wait(py, process, thread, call)?;
        }
        let guard = match self.value.try_lock() {
            Ok(guard) => guard,
            // A panic inside left the books as they were before the call, or counted: both are sound.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => unreachable!("only this thread is inside"),
        };
        Ok(Inside { guard: Some(guard), inside: &self.inside })
    }

    /// Enters if nobody is inside and `free` says that it may; says what can never be waited for.
    fn try_enter(&self, process: u32, thread: u32, call: &'static str, free: bool) -> Result<bool, Error> {
        let me = join(process, thread);
        let refuse = |state, advice| Err(Error::State { call, state, advice });
        let found = if free {
            self.inside.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed)
        } else {
            Err(self.inside.load(Ordering::Relaxed))
        };
        match found {
            Ok(_) => Ok(true),
            Err(0) => Ok(false),
            Err(other) if other == me => {
                refuse("a call of this EMA is under way", "it was called from a warning or a finalizer")
            }
            Err(other) if split(other).0 != process => refuse(
                "this process was forked while a call was under way in its parent",
                "make a new EMA here, or fork between calls",
            ),
            Err(_) => Ok(false),
        }
    }

    fn wait(&self, py: Python<'_>, process: u32, thread: u32, call: &'static str) -> PyResult<()> {
        if self.waiting(process) > 0 {
            py.detach(|| sleep(COURTESY));
        }
        // All of this is done with the interpreter held, so that no two threads count at the same time.
        self.waiting.store(join(process, self.waiting(process) + 1), Ordering::Relaxed);
        let mut pause = PAUSES.0;
        let entered = loop {
            match self.try_enter(process, thread, call, true) {
                Ok(true) => break Ok(()),
                Ok(false) => {}
                Err(error) => break Err(error.into()),
            }
            py.detach(|| sleep(pause));
            pause = PAUSES.1.min(2 * pause);
            if let Err(interrupt) = py.check_signals() {
                break Err(interrupt);
            }
        };
        self.waiting.store(join(process, self.waiting(process).saturating_sub(1)), Ordering::Relaxed);
        entered
    }

    /// How many threads of this process wait; those of a parent are not here.
    fn waiting(&self, process: u32) -> u32 {
        match split(self.waiting.load(Ordering::Relaxed)) {
            (same, count) if same == process => count,
            _ => 0,
        }
    }
}

impl<T> Drop for Inside<'_, T> {
    fn drop(&mut self) {
        self.guard = None;
        self.inside.store(0, Ordering::Release);
    }
}

impl<T> Deref for Inside<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.guard.as_ref().expect("held until it is dropped")
    }
}

impl<T> DerefMut for Inside<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_mut().expect("held until it is dropped")
    }
}
