//! One caller at a time: other threads wait; a call out of itself, and a child forked in mid-call, are told so.

use crate::error::Error;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use std::ops::{Deref, DerefMut};
use std::process;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// A value that one thread at a time may use.
pub struct Gate<T> {
    value: Mutex<T>,
    process: AtomicU32,
    /// The thread inside; 0 is none.
    thread: AtomicUsize,
}

/// The right to use the value.
pub struct Inside<'a, T> {
    guard: MutexGuard<'a, T>,
    thread: &'a AtomicUsize,
}

thread_local! {
    static HERE: u8 = const { 0 };
}

/// A number that no other living thread of this process has.
fn here() -> usize {
    HERE.with(|place| std::ptr::from_ref(place).addr())
}

impl<T> Gate<T> {
    pub fn new(value: T) -> Self {
        Self { value: Mutex::new(value), process: AtomicU32::new(0), thread: AtomicUsize::new(0) }
    }

    /// Waits for its turn, and lets other Python threads run meanwhile.
    pub fn enter(&self, py: Python<'_>, call: &'static str) -> Result<Inside<'_, T>, Error> {
        let guard = match self.value.try_lock() {
            Ok(guard) => guard,
            // A panic inside left the books as they were before the call, or counted: both are sound.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                let thread = self.thread.load(Relaxed);
                let refuse = |state, advice| Err(Error::State { call, state, advice });
                if thread != 0 && self.process.load(Relaxed) != process::id() {
                    return refuse(
                        "this process was forked while a call was under way in its parent",
                        "make a new EMA here, or fork between calls",
                    );
                }
                if thread == here() {
                    return refuse("a call of this EMA is under way", "it was called from a warning or a finalizer");
                }
                self.value.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
            }
        };
        self.process.store(process::id(), Relaxed);
        self.thread.store(here(), Relaxed);
        Ok(Inside { guard, thread: &self.thread })
    }
}

impl<T> Drop for Inside<'_, T> {
    fn drop(&mut self) {
        self.thread.store(0, Relaxed);
    }
}

impl<T> Deref for Inside<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for Inside<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}
