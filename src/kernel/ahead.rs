//! Asking for memory before it is needed.

/// Bytes of a line of the caches.
const LINE: usize = 64;

/// Has the first lines of a slice fetched into the caches meanwhile. A pass over small tensors, each of which lies
/// elsewhere, would else wait for every one of them.
#[inline(always)]
pub fn fetch<T>(slice: &[T]) {
    let bytes = size_of_val(slice);
    if bytes > 0 {
        line(slice.as_ptr().cast());
    }
    if bytes > LINE {
        line(slice.as_ptr().cast::<u8>().wrapping_add(LINE));
    }
}

#[inline(always)]
fn line(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: asking for memory reads none, whatever the address; SSE, which this is of, is a part of x86-64.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
