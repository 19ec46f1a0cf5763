//! Instruction sets: which there are, which this machine has, and how the verbs are compiled for each.

use super::work::Work;
#[cfg(target_arch = "x86_64")]
use super::x86_64;

/// An instruction set that the verbs are compiled for. The bits of a result never depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Level {
    /// What every machine of this architecture has: SSE2 on x86-64, NEON on aarch64.
    Baseline,
    /// Registers of 256 bits.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Registers of 512 bits; from Rust 1.89 on.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// Every level, narrowest first.
    pub const ALL: &'static [Level] = &[
        Level::Baseline,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2,
        #[cfg(target_arch = "x86_64")]
        Level::Avx512,
    ];

    /// Whether this machine has it, and the compiler had it.
    #[inline]
    pub fn is_available(self) -> bool {
        match self {
            Level::Baseline => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => x86_64::has_avx2(),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => x86_64::has_avx512(),
        }
    }

    /// The widest level that is available.
    pub fn best() -> Self {
        let mut here = Level::ALL.iter().rev().filter(|level| level.is_available());
        *here.next().expect("the baseline is always available")
    }

    /// Does the work with the instructions of this level.
    ///
    /// # Panics
    /// Unless it is available.
    #[inline]
    pub(super) fn run<W: Work>(self, work: W) -> W::Output {
        assert!(self.is_available(), "this machine has no {self:?}");
        match self {
            Level::Baseline => work.run(),
            // SAFETY: the level is available.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86_64::avx2(work) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86_64::avx512(work) },
        }
    }
}

/// Does the work with the instructions of the widest level that is available.
#[inline]
pub(super) fn run<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if x86_64::has_avx512() {
            // SAFETY: the level is available.
            return unsafe { x86_64::avx512(work) };
        }
        if x86_64::has_avx2() {
            // SAFETY: as above.
            return unsafe { x86_64::avx2(work) };
        }
    }
    work.run()
}
