//! The way through a strided tensor that its memory likes best: along the last axis, or in tiles where another is nearer.

use super::ahead::{LINE, ask_line};
use super::turn::{SIDE, turn};
use crate::dtype::Element;
use smallvec::SmallVec;
use std::mem::MaybeUninit;
use std::ops::Range;

/// The most elements that are taken through the stack at a time.
pub(super) const PIECE: usize = 8192;

/// Columns of a tile, unless there are fewer. Each lies in lines of the caches of its own, and the longer its rows are, the
/// more of these follow each other.
const COLUMNS: usize = 128;

/// Rows of a tile of so many columns. With fewer, a thread takes so little of each column that what the processor reads ahead
/// of it is another thread's.
const ROWS: usize = PIECE / COLUMNS;

/// How many columns come before those whose memory is asked for.
const LATER: usize = 2 * SIDE;

/// A strided tensor, with its axes as few as they can be.
pub(super) struct Walk {
    /// Extent and stride; the last one steps from an element to the next one in logical order.
    axes: SmallVec<[(usize, isize); 6]>,
    /// An axis whose elements are nearer to each other in memory than those of the last one.
    near: Option<usize>,
    /// How many elements one step along it, or else along the last axis, goes over in logical order.
    pub unit: usize,
}

/// A block of rows and columns: the rows lie beside each other in memory, and the columns follow each other logically.
pub(super) struct Tile<'a> {
    /// The logical number of its first element.
    pub at: usize,
    /// Where that lies in memory.
    pub offset: isize,
    /// How many rows there are, and how far apart they are in memory.
    pub rows: usize,
    pub stride: isize,
    /// Where the elements of a row lie after its first one.
    pub columns: &'a [isize],
}

impl Tile<'_> {
    /// How many elements it has.
    pub fn elements(&self) -> usize {
        self.rows * self.columns.len()
    }

    /// Copies the tile out of the tensor, row after row.
    ///
    /// # Safety
    /// The elements of the tile must be readable and aligned at these places after `data`.
    pub unsafe fn read<T: Element>(&self, data: *const T, piece: &mut [MaybeUninit<T>; PIECE]) {
        let columns = self.columns.len();
        let piece = piece[..self.elements()].as_mut_ptr().cast::<T>();
        self.squares(
            |row, column| {
                self.ask(data, row, column);
                // SAFETY: these are a square of the tile, whose columns follow each other in memory, and of the piece.
                unsafe {
                    let from = std::array::from_fn(|i| data.offset(self.offset + self.columns[column + i]).add(row));
                    turn(from, std::array::from_fn(|i| piece.add((row + i) * columns + column)));
                }
            },
            |row, column| {
                // SAFETY: this is an element of the tile, and of the piece.
                unsafe { *piece.add(row * columns + column) = *data.offset(self.place(row, column)) };
            },
        );
    }

    /// Copies the tile into the tensor, from where its rows follow each other.
    ///
    /// # Safety
    /// The elements of the tile must be writable and aligned at these places after `data`.
    pub unsafe fn write<T: Element>(&self, data: *mut T, piece: &[T]) {
        let columns = self.columns.len();
        let piece = piece[..self.elements()].as_ptr();
        self.squares(
            |row, column| {
                self.ask(data, row, column);
                // SAFETY: as in `read`, the other way round.
                unsafe {
                    let into = std::array::from_fn(|i| data.offset(self.offset + self.columns[column + i]).add(row));
                    turn(std::array::from_fn(|i| piece.add((row + i) * columns + column)), into);
                }
            },
            |row, column| {
                // SAFETY: as in `read`, the other way round.
                unsafe { *data.offset(self.place(row, column)) = *piece.add(row * columns + column) };
            },
        );
    }

    /// Calls `square(row, column)` for the first of each square whose columns follow each other in memory, and
    /// `single(row, column)` for what is in none. All rows of some columns come before the next columns: those may be such
    /// powers of two apart that the nearest cache has room for a few of them only.
    #[inline(always)]
    fn squares(&self, mut square: impl FnMut(usize, usize), mut single: impl FnMut(usize, usize)) {
        let whole = |count: usize| if self.stride == 1 { count / SIDE * SIDE } else { 0 };
        let (rows, columns) = (whole(self.rows), whole(self.columns.len()));
        for column in (0..columns).step_by(SIDE) {
            for row in (0..rows).step_by(SIDE) {
                square(row, column);
            }
        }
        for column in 0..self.columns.len() {
            for row in if column < columns { rows } else { 0 }..self.rows {
                single(row, column);
            }
        }
    }

    /// Asks for the line that a square of later columns needs, at the first square that needs a line: the processor can't
    /// guess where a column lies.
    #[inline(always)]
    fn ask<T>(&self, data: *const T, row: usize, column: usize) {
        if row % (LINE / size_of::<T>()) == 0 {
            for &place in self.columns.iter().skip(column + LATER).take(SIDE) {
                ask_line(data.wrapping_offset(self.offset + place).wrapping_add(row));
            }
        }
    }

    /// Where an element lies.
    fn place(&self, row: usize, column: usize) -> isize {
        self.offset + self.columns[column] + row as isize * self.stride
    }

    /// Calls `visit(start, part)` for each row: the logical number of its first element, and its elements' numbers in the
    /// tile. Rows that follow each other logically, as `unit` columns do, are taken as one.
    pub fn stretches(&self, unit: usize, mut visit: impl FnMut(usize, Range<usize>)) {
        let columns = self.columns.len();
        if columns == unit {
            return visit(self.at, 0..self.elements());
        }
        for row in 0..self.rows {
            visit(self.at + row * unit, row * columns..(row + 1) * columns);
        }
    }
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

    /// Calls `visit` for each tile in a range that [`Walk::tiled`] gave.
    pub fn tiles(&self, range: Range<usize>, mut visit: impl FnMut(Tile<'_>)) {
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
            let most = PIECE / columns.len();
            let (mut row, end) = (range.start / unit, range.end / unit);
            while row < end {
                let rows = most.min(end - row).min(extent - row % extent);
                let offset = place(outer, row / extent) + (row % extent) as isize * stride;
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
    use super::ROWS;
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

            let mut written = vec![u16::MAX; length];
            let mut target = ViewMut::strided(&mut written, first, shape, strides).unwrap();
            // One of the cases has elements that share memory.
            let Ok((_, rest)) = target.part().split_at(start) else { continue };
            let (part, _) = rest.split_at(end).unwrap();
            part.fill(|at, values: &mut [u16]| values.copy_from_slice(&expected[at..][..values.len()]));
            let mut expected = vec![u16::MAX; length];
            places[start..end].iter().for_each(|&at| expected[at] = memory[at]);
            assert_eq!(written, expected, "{shape:?} {strides:?} {start}..{end}");
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
