//! Small squares of a matrix with their rows and columns exchanged.

/// Rows and columns of a square.
pub(super) const SIDE: usize = 4;

/// Writes the square whose rows are `step` elements apart after `from`, turned, to where its rows are `into_step` apart.
///
/// # Safety
/// All elements of the square must be readable there, and writable here.
#[inline(always)]
pub(super) unsafe fn turn<T: Copy>(from: *const T, step: usize, into: *mut T, into_step: usize) {
    #[cfg(target_arch = "x86_64")]
    match size_of::<T>() {
        // SAFETY: the same square, as words of its elements' size; SSE2 is a part of x86-64.
        4 => return unsafe { words(from.cast(), step, into.cast(), into_step) },
        // SAFETY: as above.
        2 => return unsafe { halves(from.cast(), step, into.cast(), into_step) },
        _ => {}
    }
    for i in 0..SIDE {
        for j in 0..SIDE {
            // SAFETY: these are elements of the square.
            unsafe { *into.add(i * into_step + j) = *from.add(j * step + i) };
        }
    }
}

/// # Safety
/// As [`turn`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn words(from: *const u32, step: usize, into: *mut u32, into_step: usize) {
    use std::arch::x86_64::{
        _mm_loadu_si128, _mm_storeu_si128, _mm_unpackhi_epi32, _mm_unpackhi_epi64, _mm_unpacklo_epi32,
        _mm_unpacklo_epi64,
    };
    // SAFETY: each load and store is of one row of the square.
    unsafe {
        let [a, b, c, d] = [0, 1, 2, 3].map(|row| _mm_loadu_si128(from.add(row * step).cast()));
        let (ab, cd) = (_mm_unpacklo_epi32(a, b), _mm_unpacklo_epi32(c, d));
        let (ab_high, cd_high) = (_mm_unpackhi_epi32(a, b), _mm_unpackhi_epi32(c, d));
        let turned = [
            _mm_unpacklo_epi64(ab, cd),
            _mm_unpackhi_epi64(ab, cd),
            _mm_unpacklo_epi64(ab_high, cd_high),
            _mm_unpackhi_epi64(ab_high, cd_high),
        ];
        for (row, values) in turned.into_iter().enumerate() {
            _mm_storeu_si128(into.add(row * into_step).cast(), values);
        }
    }
}

/// # Safety
/// As [`turn`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn halves(from: *const u16, step: usize, into: *mut u16, into_step: usize) {
    use std::arch::x86_64::{
        _mm_loadl_epi64, _mm_storel_epi64, _mm_unpackhi_epi32, _mm_unpackhi_epi64, _mm_unpacklo_epi16,
        _mm_unpacklo_epi32,
    };
    // SAFETY: each load and store is of one row of the square, which is half a register.
    unsafe {
        let [a, b, c, d] = [0, 1, 2, 3].map(|row| _mm_loadl_epi64(from.add(row * step).cast()));
        let (ab, cd) = (_mm_unpacklo_epi16(a, b), _mm_unpacklo_epi16(c, d));
        for (row, two) in [_mm_unpacklo_epi32(ab, cd), _mm_unpackhi_epi32(ab, cd)].into_iter().enumerate() {
            _mm_storel_epi64(into.add(2 * row * into_step).cast(), two);
            _mm_storel_epi64(into.add((2 * row + 1) * into_step).cast(), _mm_unpackhi_epi64(two, two));
        }
    }
}
