//! An allocator that counts, on the calling thread and on all others but the test harness's own.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::Add;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// How often memory was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// By the calling thread.
    pub here: usize,
    /// By any other.
    pub elsewhere: usize,
}

impl Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Count { here: self.here + other.here, elsewhere: self.elsewhere + other.elsewhere }
    }
}

/// Counts what `work` asks for, and what other threads do meanwhile.
pub fn count(work: impl FnOnce()) -> Count {
    let now = || Count { here: HERE.get(), elsewhere: ALL.load(Relaxed) };
    let before = now();
    work();
    let (here, all) = (now().here - before.here, now().elsewhere - before.elsewhere);
    Count { here, elsewhere: all - here }
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static ALL: AtomicUsize = AtomicUsize::new(0);

/// What tells the thread that was the first to ask: the main one, on which the harness waits and prints.
static HARNESS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static HERE: Cell<usize> = const { Cell::new(0) };
}

fn note() {
    HERE.with(|here| {
        let thread = here.as_ptr().addr();
        if HARNESS.compare_exchange(0, thread, Relaxed, Relaxed).unwrap_or_else(|harness| harness) != thread {
            ALL.fetch_add(1, Relaxed);
            here.set(here.get() + 1);
        }
    });
}

// SAFETY: the system's allocator does all the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: what the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}
