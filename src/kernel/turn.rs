//! Small squares of a matrix with their rows and columns exchanged.

/// Rows and columns of a square.
pub(super) const SIDE: usize = 4;

/// Writes the square whose rows begin at `from`, turned, to where its rows are to begin.
///
/// # Safety
/// All elements of the square must be readable there, and writable here.
#[inline(always)]
pub(super) unsafe fn turn<T: Copy>(from: [*const T; SIDE], into: [*mut T; SIDE]) {
    #[cfg(target_arch = "x86_64")]
    match size_of::<T>() {
        // SAFETY: the same square, as words of its elements' size; SSE2 is a part of x86-64.
        4 => return unsafe { words(from.map(<*const T>::cast), into.map(<*mut T>::cast)) },
        // SAFETY: as above.
        2 => return unsafe { halves(from.map(<*const T>::cast), into.map(<*mut T>::cast)) },
        _ => {}
    }
    for (i, row) in into.into_iter().enumerate() {
        for (j, column) in from.into_iter().enumerate() {
            // SAFETY: these are elements of the square.
            unsafe { *row.add(j) = *column.add(i) };
        }
    }
}

/// # Safety
/// As [`turn`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn words(from: [*const u32; SIDE], into: [*mut u32; SIDE]) {
    use std::arch::x86_64::{
        _mm_loadu_si128, _mm_storeu_si128, _mm_unpackhi_epi32, _mm_unpackhi_epi64, _mm_unpacklo_epi32,
        _mm_unpacklo_epi64,
    };
    // SAFETY: each load and store is of one row of the square.
    unsafe {
        let [a, b, c, d] = from.map(|row| _mm_loadu_si128(row.cast()));
        let (ab, cd) = (_mm_unpacklo_epi32(a, b), _mm_unpacklo_epi32(c, d));
        let (ab_high, cd_high) = (_mm_unpackhi_epi32(a, b), _mm_unpackhi_epi32(c, d));
        let turned = [
            _mm_unpacklo_epi64(ab, cd),
            _mm_unpackhi_epi64(ab, cd),
            _mm_unpacklo_epi64(ab_high, cd_high),
            _mm_unpackhi_epi64(ab_high, cd_high),
        ];
        for (row, values) in into.into_iter().zip(turned) {
            _mm_storeu_si128(row.cast(), values);
        }
    }
}

/// # Safety
/// As [`turn`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn halves(from: [*const u16; SIDE], into: [*mut u16; SIDE]) {
    use std::arch::x86_64::{
        _mm_loadl_epi64, _mm_storel_epi64, _mm_unpackhi_epi32, _mm_unpackhi_epi64, _mm_unpacklo_epi16,
        _mm_unpacklo_epi32,
    };
    // SAFETY: each load and store is of one row of the square, which is half a register.
    unsafe {
        let [a, b, c, d] = from.map(|row| _mm_loadl_epi64(row.cast()));
        let (ab, cd) = (_mm_unpacklo_epi16(a, b), _mm_unpacklo_epi16(c, d));
        let (two, other) = (_mm_unpacklo_epi32(ab, cd), _mm_unpackhi_epi32(ab, cd));
        let turned = [two, _mm_unpackhi_epi64(two, two), other, _mm_unpackhi_epi64(other, other)];
        for (row, values) in into.into_iter().zip(turned) {
            _mm_storel_epi64(row.cast(), values);
        }
    }
}
