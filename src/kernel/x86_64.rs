//! The levels of x86-64: how each is detected, and the one function that makes the compiler use its instructions.

use super::work::Work;

/// Whether the processor and the system have AVX2.
#[inline]
pub fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
}

/// # Safety
/// The machine has to have AVX2.
#[target_feature(enable = "avx2")]
pub unsafe fn avx2<W: Work>(work: W) -> W::Output {
    work.run()
}

/// Whether the processor and the system have the parts of AVX-512 that all but its first processors have.
#[rustversion::since(1.89)]
#[inline]
pub fn has_avx512() -> bool {
    std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512dq")
        && std::arch::is_x86_feature_detected!("avx512vl")
}

/// # Safety
/// The machine has to have AVX-512 with its parts BW, DQ and VL.
#[rustversion::since(1.89)]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub unsafe fn avx512<W: Work>(work: W) -> W::Output {
    work.run()
}

/// Older compilers can't be asked for it.
#[rustversion::before(1.89)]
#[inline]
pub fn has_avx512() -> bool {
    false
}

/// # Safety
/// None is needed: nobody comes here.
#[rustversion::before(1.89)]
pub unsafe fn avx512<W: Work>(work: W) -> W::Output {
    work.run()
}
