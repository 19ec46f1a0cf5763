//! Asks for memory before it is needed: the processor's own guess is late where a loop does more than to copy.

/// Bytes between what is asked for and what is worked on.
const DISTANCE: usize = 1024;

/// Bytes of a line of the caches.
pub const LINE: usize = 64;

/// Asks for the memory of so many elements, at a distance after the ones from `at` on, which are worked on now. Does nothing
/// where that is past the end, or on other processors than x86-64.
#[inline(always)]
pub(super) fn ask<T>(memory: &[T], at: usize, count: usize) {
    if let Some(later) = memory.get(at + DISTANCE / size_of::<T>()..) {
        ask_lines(later.as_ptr(), count);
    }
}

/// Asks for as much memory as a block has, at a distance after it, of whatever is there: at the end of a memory, in vain.
#[inline(always)]
pub(super) fn ask_after<T, const N: usize>(block: &[T; N]) {
    ask_lines(block.as_ptr().wrapping_byte_add(DISTANCE), N);
}

/// How many stretches come before the one that is asked for.
const STRETCHES: usize = 2;

/// Foresees where stretches of a memory begin that lie apart, mostly each as far from the one before it; where it is wrong,
/// what is asked for is of no use. The processor guesses only what follows without a gap.
#[derive(Debug)]
pub struct Foresight {
    /// Where the last stretch began, and where it ended.
    last: (usize, usize),
}

impl Foresight {
    /// Before a first stretch that begins at `start`.
    pub fn new(start: usize) -> Self {
        Self { last: (start, start) }
    }

    /// Where a later stretch begins, now that so many elements from `at` on are worked on; none if nothing lies between.
    pub fn after(&mut self, at: usize, count: usize) -> Option<usize> {
        let (begin, end) = std::mem::replace(&mut self.last, (at, at + count));
        (at != end).then(|| at.wrapping_add(at.wrapping_sub(begin).wrapping_mul(STRETCHES)))
    }
}

/// Asks for a stretch that [`Foresight`] has foreseen, as far as it lies in the memory.
pub fn ask_stretch<T>(memory: &[T], at: usize, count: usize) {
    if let Some(later) = memory.get(at..) {
        ask_lines(later.as_ptr(), count.min(later.len()));
    }
}

/// Asks for the lines of so many elements.
#[inline(always)]
fn ask_lines<T>(memory: *const T, count: usize) {
    for line in 0..(count * size_of::<T>()).div_ceil(LINE) {
        ask_line(memory.wrapping_byte_add(line * LINE));
    }
}

/// Asks for the line of the caches that an address is in. It is not read, so that it may be any.
#[inline(always)]
pub(super) fn ask_line<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 has the instruction, which may be given any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_at_one_distance_are_foreseen_and_those_without_a_gap_left_to_the_processor() {
        let mut foresight = Foresight::new(7);
        assert_eq!(foresight.after(7, 10), None);
        assert_eq!(foresight.after(107, 10), Some(107 + STRETCHES * 100));
        assert_eq!(foresight.after(207, 10), Some(207 + STRETCHES * 100));
        assert_eq!(foresight.after(217, 10), None);
        // The next tile begins before the last one ended.
        assert!(foresight.after(17, 10).is_some_and(|later| later > 1000));
    }

    #[test]
    fn any_place_may_be_asked_for() {
        let memory = [1.0_f32; 100];
        for (at, count) in [(0, 100), (50, 1000), (99, usize::MAX), (100, 1), (101, 1), (usize::MAX, usize::MAX)] {
            ask_stretch(&memory, at, count);
        }
    }
}
