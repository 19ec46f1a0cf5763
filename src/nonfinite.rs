//! What to do with elements that are NaN or infinite, and the count of those that a pass met.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// What to do with an element whose new average is NaN or infinite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NonFinite {
    /// Keep the old average, count the element, and report an error once the pass is made.
    #[default]
    Raise,
    /// Keep the old average and count the element; one whose average is not finite takes the first finite value.
    Skip,
    /// Store it: an infinite parameter gives infinity or NaN, depending on the decay.
    Propagate,
}

impl NonFinite {
    /// Every policy.
    pub const ALL: [NonFinite; 3] = [NonFinite::Raise, NonFinite::Skip, NonFinite::Propagate];

    /// The policy as text.
    pub const fn name(self) -> &'static str {
        match self {
            NonFinite::Raise => "raise",
            NonFinite::Skip => "skip",
            NonFinite::Propagate => "propagate",
        }
    }
}

/// How many elements of each tensor a pass refused. Any number of threads may add to it.
#[derive(Debug, Default)]
pub struct Report {
    counts: Vec<AtomicU64>,
    any: AtomicBool,
}

impl Report {
    /// An empty report on so many tensors.
    pub fn new(tensors: usize) -> Self {
        Self { counts: (0..tensors).map(|_| AtomicU64::new(0)).collect(), any: AtomicBool::new(false) }
    }

    /// Adds `count` elements of the `index`th tensor.
    pub fn refuse(&self, index: usize, count: u64) {
        if count > 0 {
            self.counts[index].fetch_add(count, Relaxed);
            self.any.store(true, Relaxed);
        }
    }

    /// The tensors with refused elements, each with their number, and leaves the report empty.
    pub fn drain(&mut self) -> Vec<(usize, u64)> {
        // Passes without such an element, nearly all, cost one load here, not one for each tensor.
        if !std::mem::take(self.any.get_mut()) {
            return Vec::new();
        }
        let counts = self.counts.iter_mut().map(|count| std::mem::take(count.get_mut()));
        counts.enumerate().filter(|&(_, count)| count > 0).collect()
    }
}
