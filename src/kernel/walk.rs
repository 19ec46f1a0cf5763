//! The way through a strided tensor that its memory likes best: along the last axis, or in tiles where another is nearer.

use super::ahead::LINE;
use super::piece::PIECE;
use super::stream::first_line;
use super::tile::Tile;
use crate::dtype::Element;
use smallvec::SmallVec;
use std::ops::Range;

/// Columns of a tile, unless there are fewer. Each lies in lines of the caches of its own, and the longer its rows are, the
/// more of these follow each other.
const COLUMNS: usize = 128;

/// Rows of a tile of so many columns. With fewer, a thread takes so little of each column that what the processor reads ahead
/// of it is another thread's.
const ROWS: usize = PIECE / COLUMNS;

// A tile ends where a line of the caches does, whatever its elements are.
const _: () = assert!(ROWS % LINE == 0);

/// A strided tensor, with its axes as few as they can be.
pub(super) struct Walk {
    /// Extent and stride; the last one steps from an element to the next one in logical order.
    axes: SmallVec<[(usize, isize); 6]>,
    /// An axis whose elements are nearer to each other in memory than those of the last one.
    near: Option<usize>,
    /// How many elements one step along it, or else along the last axis, goes over in logical order.
    pub unit: usize,
}

impl Walk {
    pub fn new(shape: &[usize], strides: &[isize]) -> Self {
        let mut axes: SmallVec<[(usize, isize); 6]> = SmallVec::new();
        for (&extent, &stride) in shape.iter().zip(strides).filter(|&(&extent, _)| extent != 1) {
            match axes.last_mut() {
                // The outer axis goes on where the inner one ends: together they are one.
                Some((outer, step)) if *step == stride.wrapping_mul(extent as isize) => {
                    *outer *= extent;
                    *step = stride;
                }
                _ => axes.push((extent, stride)),
            }
        }
        if axes.is_empty() {
            axes.push((1, 1));
        }
        let last = axes.len() - 1;
        // An axis pays that is long, while the last one steps from line to line of the caches.
        let pays = |&axis: &usize| axes[axis].0 >= 8 && axes[axis].1.unsigned_abs() < axes[last].1.unsigned_abs() / 4;
        let near = (0..last).filter(pays).min_by_key(|&axis| axes[axis].1.unsigned_abs());
        let unit = near.map_or(1, |axis| axes[axis + 1..].iter().map(|&(extent, _)| extent).product());
        Self { axes, near, unit }
    }

    /// Where a range should begin and end: so that there are enough rows for a tile.
    pub fn cuts(&self) -> usize {
        let Some(near) = self.near else { return 1 };
        let rows: usize = self.axes[..=near].iter().map(|&(extent, _)| extent).product();
        // Of few rows, fewer than fill a tile, or only one thread would have work.
        let least = if rows < 2 * ROWS { ROWS / 4 } else { ROWS };
        self.unit.saturating_mul(least)
    }

    /// How long a stretch is that lies in one piece; 1 if there is none.
    pub fn plain(&self) -> usize {
        let (extent, stride) = self.axes[self.axes.len() - 1];
        if stride == 1 { extent } else { 1 }
    }

    /// The part of a range that can be walked in tiles, if any: whole steps along the nearest axis.
    pub fn tiled(&self, range: &Range<usize>) -> Range<usize> {
        let whole = range.start.next_multiple_of(self.unit)..range.end / self.unit * self.unit;
        if self.near.is_none() || whole.is_empty() { range.end..range.end } else { whole }
    }

    /// Calls `visit(offset, stride, count)` for each run along the last axis in a range, in order.
    pub fn runs(&self, range: Range<usize>, visit: impl FnMut(isize, isize, usize)) {
        runs(&self.axes, range, visit);
    }

    /// Calls `visit` for each tile in a range that [`Walk::tiled`] gave, of a tensor that begins at `data`. Where one tile ends
    /// and the next one begins, so does a line of the caches, if columns follow each other in memory.
    pub fn tiles<T: Element>(&self, range: Range<usize>, data: *const T, mut visit: impl FnMut(Tile<'_>)) {
        let Some(near) = self.near else { return };
        let (unit, (extent, stride)) = (self.unit, self.axes[near]);
        let (outer, inner) = (&self.axes[..near], &self.axes[near + 1..]);
        let mut columns = [0; COLUMNS];
        for first in (0..unit).step_by(COLUMNS) {
            let columns = &mut columns[..COLUMNS.min(unit - first)];
            let mut places = columns.iter_mut();
            runs(inner, first..first + places.len(), |offset, stride, count| {
                for (i, place) in places.by_ref().take(count).enumerate() {
                    *place = offset + i as isize * stride;
                }
            });
            // Of few columns more rows, as the nearest cache has room for all their lines.
            let most = PIECE / columns.len() / LINE * LINE;
            let (mut row, end) = (range.start / unit, range.end / unit);
            while row < end {
                let left = (end - row).min(extent - row % extent);
                let offset = place(outer, row / extent) + (row % extent) as isize * stride;
                let rows = match first_line(data.wrapping_offset(offset + columns[0])) {
                    lead @ 1.. if stride == 1 && most < left => lead,
                    _ => most.min(left),
                };
                visit(Tile { at: row * unit + first, offset, rows, stride, columns });
                row += rows;
            }
        }
    }
}

/// Where the element of a logical number lies.
fn place(axes: &[(usize, isize)], number: usize) -> isize {
    let mut number = number;
    axes.iter().rev().fold(0, |offset, &(extent, stride)| {
        let step = number % extent;
        number /= extent;
        offset + step as isize * stride
    })
}

fn runs(axes: &[(usize, isize)], range: Range<usize>, mut visit: impl FnMut(isize, isize, usize)) {
    let last = axes.len() - 1;
    let mut at: SmallVec<[usize; 6]> = SmallVec::from_elem(0, axes.len());
    let mut rest = range.start;
    for axis in (0..axes.len()).rev() {
        at[axis] = rest % axes[axis].0;
        rest /= axes[axis].0;
    }
    let mut offset = place(axes, range.start);
    let mut left = range.len();
    while left > 0 {
        let (extent, stride) = axes[last];
        let run = left.min(extent - at[last]);
        visit(offset, stride, run);
        left -= run;
        // The next run begins where the first axis that has not ended takes a step, and those within it begin again.
        offset += run as isize * stride;
        at[last] += run;
        for axis in (1..axes.len()).rev() {
            let (extent, stride) = axes[axis];
            if at[axis] < extent {
                break;
            }
            at[axis] = 0;
            at[axis - 1] += 1;
            offset += axes[axis - 1].1 - extent as isize * stride;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ROWS, Walk};
    use crate::dtype::Element;
    use crate::kernel::Store;
    use crate::kernel::ahead::LINE;
    use crate::kernel::view::{View, ViewMut};

    /// Where each element lies, in logical order, the slow and obvious way.
    fn places(first: usize, shape: &[usize], strides: &[isize]) -> Vec<usize> {
        let mut all = vec![first as isize];
        for (&extent, &stride) in shape.iter().zip(strides) {
            all = all.iter().flat_map(|&at| (0..extent as isize).map(move |i| at + i * stride)).collect();
        }
        all.into_iter().map(|at| at as usize).collect()
    }

    /// The start of a memory, how long it is, and the layout of a tensor in it.
    type Case = (usize, usize, &'static [usize], &'static [isize]);

    const SMALL: &[Case] = &[
        (0, 60, &[3, 5, 4], &[20, 4, 1]),
        (0, 60, &[3, 5, 4], &[1, 3, 15]),
        (0, 60, &[3, 5, 4], &[1, 12, 3]),
        (0, 60, &[3, 5, 4], &[5, 1, 15]),
        (199, 200, &[3, 5, 4], &[-50, -7, -1]),
        (100, 200, &[3, 5, 4], &[-20, 3, -1]),
        (0, 60, &[3, 1, 5, 4, 1], &[1, 99, 3, 15, -7]),
        (0, 120, &[3, 5, 4], &[40, 8, 2]),
        (0, 64, &[2, 2, 2, 2, 2, 2], &[1, 2, 4, 8, 16, 32]),
        (0, 7, &[7], &[1]),
        (0, 400, &[9, 10], &[1, 40]),
        (0, 1000, &[2, 9, 7], &[500, 1, 40]),
        (8, 1000, &[9, 2, 3], &[-1, 500, 40]),
        (0, 1000, &[9, 5], &[2, 40]),
    ];

    /// Larger than tiles and pieces, with ends that fill none.
    const LARGE: &[Case] = &[
        (0, 70 * 130, &[70, 130], &[1, 70]),
        (0, 3000 * 3, &[3000, 3], &[1, 3000]),
        (0, 3 * 3000, &[3, 3000], &[1, 3]),
        (0, 40 * 5 * 30, &[40, 5, 30], &[1, 1200, 40]),
        (0, 8 * 300 * 2, &[8, 300], &[600, 2]),
        (0, 8 * 600, &[8, 300], &[600, 1]),
        (70 * 130 - 1, 70 * 130, &[70, 130], &[-1, -70]),
        // With columns that all begin at the same place in a line, or each at another one.
        (7, 160 * 131 + 7, &[150, 131], &[1, 160]),
        (0, 150 * 131, &[150, 131], &[1, 150]),
    ];

    fn check((first, length, shape, strides): Case, ranges: impl Iterator<Item = (usize, usize)>) {
        let memory: Vec<u16> = (0..length as u16).collect();
        let places = places(first, shape, strides);
        let expected: Vec<u16> = places.iter().map(|&at| memory[at]).collect();
        let view = View::strided(&memory, first, shape, strides).unwrap();
        for (start, end) in ranges {
            let mut out = vec![0_u16; end - start];
            view.gather(start, &mut out);
            assert_eq!(out, expected[start..end], "{shape:?} {strides:?} {start}..{end}");

            let mut outcome = vec![u16::MAX; length];
            places[start..end].iter().for_each(|&at| outcome[at] = memory[at]);
            for store in [Store::Cached, Store::Streamed] {
                let mut written = vec![u16::MAX; length];
                let mut target = ViewMut::strided(&mut written, first, shape, strides).unwrap();
                // One of the cases has elements that share memory.
                let Ok((_, rest)) = target.part().split_at(start) else { continue };
                let (part, _) = rest.split_at(end).unwrap();
                part.fill(store, |at, values: &mut [u16]| values.copy_from_slice(&expected[at..][..values.len()]));
                assert_eq!(written, outcome, "{shape:?} {strides:?} {start}..{end} {store:?}");
            }
        }
    }

    #[test]
    fn every_part_of_every_order_is_read_and_written_in_logical_order() {
        for &case in SMALL {
            let elements = case.2.iter().product::<usize>();
            check(case, (0..=elements).flat_map(|start| (start..=elements).map(move |end| (start, end))));
        }
    }

    #[test]
    fn tiles_and_pieces_cover_large_tensors() {
        for &case in LARGE {
            let n = case.2.iter().product::<usize>();
            check(
                case,
                [(0, n), (1, n), (0, n - 1), (130, 2300), (777, n - 99), (n / 2, n / 2 + 1), (5, 5)].into_iter(),
            );
        }
    }

    #[test]
    fn every_width_is_written_through_tiles() {
        fn check<T: Element + PartialEq>(value: impl Fn(usize) -> T) {
            let (shape, strides, length) = ([150, 131], [1, 170], 131 * 170);
            let (source, places) = ((0..length).map(value).collect::<Vec<_>>(), places(0, &shape, &strides));
            let mut expected = vec![T::zeroed(); length];
            places.iter().for_each(|&at| expected[at] = source[at]);
            for store in [Store::Cached, Store::Streamed] {
                let mut written = vec![T::zeroed(); length];
                let mut target = ViewMut::strided(&mut written, 0, &shape, &strides).unwrap();
                let next = |values: &mut [T], at: usize| {
                    values.iter_mut().zip(&places[at..]).for_each(|(value, &at)| *value = source[at]);
                };
                target.part().fill(store, |at, values| next(values, at));
                assert!(written == expected, "{} {store:?}", T::DTYPE);
            }
        }
        check(|at| at as u8);
        check(|at| at as u16);
        check(|at| at as u32);
        check(|at| at as u64);
    }

    #[test]
    fn tiles_part_where_lines_do() {
        let memory = vec![0_u32; 400 * 300];
        let walk = Walk::new(&[400, 300], &[1, 400]);
        for first in 0..LINE / size_of::<u32>() {
            let data = memory[first..].as_ptr();
            let mut rows = Vec::new();
            walk.tiles(0..200 * 300, data, |tile| {
                let begin = data.wrapping_offset(tile.offset).addr();
                assert!(begin % LINE == 0 || tile.at < walk.unit, "a tile begins within a line");
                rows.push(tile.rows);
            });
            assert_eq!(rows.iter().sum::<usize>(), 200 * 300_usize.div_ceil(super::COLUMNS));
        }
    }

    #[test]
    fn cuts_leave_whole_tiles_where_there_are_enough_rows() {
        let unit = |shape: &[usize], strides: &[isize]| {
            let memory = vec![0_u8; shape.iter().product()];
            View::strided(&memory, 0, shape, strides).unwrap().unit()
        };
        assert_eq!(unit(&[256, 30, 20], &[1, 5120, 256]), ROWS * 600);
        assert_eq!(unit(&[2, 128, 30], &[3840, 1, 128]), ROWS * 30);
        assert_eq!(unit(&[100, 30], &[1, 100]), ROWS / 4 * 30);
        assert_eq!(unit(&[100, 30], &[30, 1]), 1);
    }

    #[test]
    fn elements_that_repeat_are_read_and_never_written_by_two() {
        let mut memory = [1_u16, 2, 3, 4, 5];
        let view = View::strided(&memory, 0, &[3, 4], &[1, 0]).unwrap();
        let mut out = [0_u16; 12];
        view.gather(0, &mut out);
        assert_eq!(out, [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]);
        for (strides, apart) in [([1, 0], false), ([1, 1], false), ([0, 1], false), ([1, 2], true)] {
            let shape = if apart { [2, 2] } else { [2, 3] };
            let mut target = ViewMut::strided(&mut memory, 0, &shape, &strides).unwrap();
            assert_eq!(target.part().split_at(2).is_ok(), apart, "{strides:?}");
        }
    }

    #[test]
    #[should_panic(expected = "elements outside the tensor")]
    fn reading_past_the_end_panics() {
        View::strided(&[1_u8, 2, 3, 4], 0, &[2], &[2]).unwrap().gather(1, &mut [0_u8; 2]);
    }
}
