//! A run of elements, each as far from the one before it: copied out of a tensor, or into it. Neither is a part of the loops
//! that call it: there are many of those, and to call it takes little of what a run does.

use super::ahead::{LINE, ask_line};
use crate::dtype::Element;
use std::mem::MaybeUninit;

/// Elements that are copied between two questions for memory.
const SOME: usize = 16;

/// Bytes between what is asked for and what is copied.
const DISTANCE: usize = 2048;

/// Copies a run, which begins at `from`, until `into` is full.
///
/// # Safety
/// The elements of the run must be readable and aligned at these places.
#[inline(never)]
pub unsafe fn read<T: Element>(from: *const T, stride: isize, into: &mut [MaybeUninit<T>]) {
    // SAFETY: the caller's own promise. Where the compiler knows the stride, it takes several elements at a time.
    unsafe {
        match stride {
            1 => read_at(from, 1, into),
            2 => read_at(from, 2, into),
            _ => read_at(from, stride, into),
        }
    }
}

/// # Safety
/// As for [`read`].
#[inline(always)]
unsafe fn read_at<T: Element>(from: *const T, stride: isize, into: &mut [MaybeUninit<T>]) {
    for (at, place) in into.iter_mut().enumerate() {
        // SAFETY: this is an element of the run.
        place.write(unsafe { *from.wrapping_offset(at as isize * stride) });
    }
}

/// Copies `from` into a run, which begins at `into`. Lines of which only some elements are written have to be there first.
///
/// # Safety
/// The elements of the run must be writable and aligned at these places.
#[inline(never)]
pub unsafe fn write<T: Element>(from: &[T], into: *mut T, stride: isize) {
    if stride == 1 {
        // SAFETY: the elements of the run, which follow each other, are not those of `from`, which nobody may write.
        return unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), into, from.len()) };
    }
    let bytes = stride.unsigned_abs().saturating_mul(size_of::<T>()).max(1);
    // Elements to what is asked for, and from one line of it to the next.
    let (distance, line) = ((DISTANCE / bytes).max(SOME), (LINE / bytes).clamp(1, SOME));
    let (mut place, mut rest) = (into, from);
    while let Some((values, later)) = rest.split_first_chunk::<SOME>() {
        if later.len() > distance {
            for element in (distance..distance + SOME).step_by(line) {
                ask_line(place.wrapping_offset(element as isize * stride));
            }
        }
        for &value in values {
            // SAFETY: this is an element of the run.
            unsafe { *place = value };
            place = place.wrapping_offset(stride);
        }
        rest = later;
    }
    for &value in rest {
        // SAFETY: as above.
        unsafe { *place = value };
        place = place.wrapping_offset(stride);
    }
}
