//! A block of a strided tensor, copied out of it or into it: what lies beside each other in memory becomes what follows each
//! other in logical order, or the other way round.

use super::ahead::{LINE, ask_line};
use super::stream::{Copies, Store};
use super::turn::{SIDE, turn};
use crate::dtype::Element;
use std::mem::MaybeUninit;
use std::ops::Range;

/// How many columns come before those whose memory is asked for.
const LATER: usize = 2 * SIDE;

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

/// Parts of some columns, from the start of a line of the caches on.
#[repr(align(64))]
struct Turned<T>([[T; LINE]; SIDE]);

impl Tile<'_> {
    /// How many elements it has.
    pub fn elements(&self) -> usize {
        self.rows * self.columns.len()
    }

    /// Copies the tile out of the tensor, row after row.
    ///
    /// # Safety
    /// The elements of the tile must be readable and aligned at these places after `data`.
    pub unsafe fn read<T: Element>(&self, data: *const T, piece: &mut [MaybeUninit<T>]) {
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
    /// The elements of the tile must be writable and aligned at these places after `data`, and nobody have a reference to them.
    #[inline(never)]
    pub unsafe fn write<T: Element>(&self, data: *mut T, piece: &[T], copies: &mut Copies) {
        let piece = &piece[..self.elements()];
        if self.stride == 1 && copies.store() == Store::Streamed {
            // SAFETY: the caller's own promise; the elements of a column follow each other in memory.
            return unsafe { self.write_columns(data, piece, copies) };
        }
        let (columns, piece) = (self.columns.len(), piece.as_ptr());
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

    /// The same one column after the other. What goes past the caches goes to memory there and then, which likes lines beside
    /// each other.
    ///
    /// # Safety
    /// As for [`Tile::write`]; the elements of a column must follow each other in memory.
    #[inline(never)]
    unsafe fn write_columns<T: Element>(&self, data: *mut T, piece: &[T], copies: &mut Copies) {
        let (all, piece) = (self.columns.len(), piece.as_ptr());
        let mut turned = Turned([[T::zeroed(); LINE]; SIDE]);
        let turned = &mut turned.0;
        for (first, columns) in (0..).step_by(SIDE).zip(self.columns.chunks(SIDE)) {
            for start in (0..self.rows).step_by(LINE) {
                let rows = LINE.min(self.rows - start);
                let whole = if columns.len() == SIDE { rows / SIDE * SIDE } else { 0 };
                for row in (0..whole).step_by(SIDE) {
                    // SAFETY: these are a square of the tile, and one of what is turned.
                    unsafe {
                        let from = std::array::from_fn(|i| piece.add((start + row + i) * all + first));
                        turn(from, turned.each_mut().map(|column| column.as_mut_ptr().add(row)));
                    }
                }
                for ((i, &place), turned) in columns.iter().enumerate().zip(&mut *turned) {
                    for (row, value) in (whole..rows).zip(&mut turned[whole..]) {
                        // SAFETY: this is an element of the tile.
                        *value = unsafe { *piece.add((start + row) * all + first + i) };
                    }
                    // SAFETY: these are elements of the column, to which nobody else has a reference.
                    let into =
                        unsafe { std::slice::from_raw_parts_mut(data.offset(self.offset + place).add(start), rows) };
                    copies.copy(&turned[..rows], into);
                }
            }
        }
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
