//! Divides work between threads: first between tensors, then inside of one; without a list of tasks on the heap.

use crate::kernel::BLOCK;
use std::ops::Range;

/// What goes with tensors that follow each other.
pub trait Items: Sized + Send {
    /// How many tensors these are.
    fn tensors(&self) -> usize;

    /// What goes with the first so many of them, and what goes with the others.
    fn split_at(self, tensors: usize) -> (Self, Self);
}

/// One item for each tensor.
impl<T: Send> Items for &mut [T] {
    fn tensors(&self) -> usize {
        self.len()
    }

    fn split_at(self, tensors: usize) -> (Self, Self) {
        self.split_at_mut(tensors)
    }
}

/// Calls `run` for parts of `range` with their share of the items: for all at once, or in parallel where the indices' weights
/// together exceed `grain`. A single index may exceed it.
pub fn tensors<I: Items>(
    range: Range<usize>,
    items: I,
    weight: &(impl Fn(usize) -> usize + Sync),
    grain: usize,
    run: &(impl Fn(Range<usize>, I) + Sync),
) {
    debug_assert_eq!(range.len(), items.tensors());
    // The caller alone, who has no limit, need not look at every tensor twice.
    let limited = range.len() > 1 && grain != usize::MAX;
    let total = if limited { range.clone().fold(0_usize, |sum, i| sum.saturating_add(weight(i))) } else { 0 };
    if total <= grain {
        return run(range, items);
    }
    let mut left = 0;
    let mut cut = range.start + 1;
    while cut < range.end - 1 && left + weight(cut - 1) < total / 2 {
        left += weight(cut - 1);
        cut += 1;
    }
    let (first, second) = items.split_at(cut - range.start);
    rayon::join(
        || tensors(range.start..cut, first, weight, grain, run),
        || tensors(cut..range.end, second, weight, grain, run),
    );
}

/// Where to cut a range of a tensor's elements in two: at a multiple of `unit`, which its memory asks for, or else on the
/// edge of a block. None if it is not to be cut, or there is no such place.
pub fn cut(range: Range<usize>, unit: usize, grain: usize) -> Option<usize> {
    let middle = (range.start + range.len() / 2).next_multiple_of(if unit == 1 { BLOCK } else { unit });
    (range.len() > grain && middle > range.start && middle < range.end).then_some(middle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn every_tensor_is_run_once_with_its_own_items() {
        for sizes in [vec![], vec![5], vec![0, 0, 0], vec![1, 1000, 1], vec![300; 17], vec![1000, 1, 1, 1]] {
            for grain in [1, 256, 1000, usize::MAX] {
                let mut items: Vec<usize> = (0..sizes.len()).collect();
                let seen = Mutex::new(Vec::new());
                tensors(0..sizes.len(), &mut items[..], &|i| sizes[i], grain, &|part, items| {
                    assert_eq!(items, part.clone().collect::<Vec<_>>());
                    assert!(part.len() == 1 || sizes[part.clone()].iter().sum::<usize>() <= grain);
                    seen.lock().unwrap().extend(part);
                });
                let mut seen = seen.into_inner().unwrap();
                seen.sort_unstable();
                assert_eq!(seen, (0..sizes.len()).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn cuts_fall_on_steps_of_the_memory_where_there_are_any() {
        assert_eq!(cut(0..100_000, 10, 1000), Some(50_000));
        assert_eq!(cut(0..3000, 1000, 1000), Some(2000));
        assert_eq!(cut(0..3000, 2900, 1000), Some(2900));
        assert_eq!(cut(0..3000, 5000, 1000), None);
        assert_eq!(cut(2000..3000, 2000, 100), None);
    }

    #[test]
    fn cuts_fall_on_blocks_and_leave_something_on_both_sides() {
        assert_eq!(cut(0..1000, 1, 1000), None);
        assert_eq!(cut(0..1001, 1, 1000), Some(512));
        assert_eq!(cut(0..257, 1, 1), Some(256));
        assert_eq!(cut(0..256, 1, 1), None);
        assert_eq!(cut(0..0, 1, 0), None);
        assert_eq!(cut(1024..2048, 1, 512), Some(1536));
    }
}
