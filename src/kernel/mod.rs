//! The verbs on slices: average, widen, narrow, copy; in [`view`], the memory that they work on; in [`overlap`], what of
//! it is shared.
//!
//! Averages go through blocks of [`BLOCK`] elements that stay in the first-level cache: a block is computed into a buffer
//! on the stack together with the test for NaN and infinity, and only then copied to its place. A store that selects,
//! element by element, becomes a masked store with some instruction sets and costs up to four times as much.
//!
//! The arithmetic is written once, in [`scalar`]. Each verb is compiled for every [`Level`] there is, and the widest that
//! the machine has is taken at run time.

mod blocks;
mod layout;
mod level;
pub mod overlap;
pub mod part;
pub mod scalar;
mod stream;
pub mod view;
mod walk;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(test)]
mod tests;

pub use layout::Layout;
pub use level::Level;
pub use stream::Store;

use crate::dtype::{Element, Param, Shadow};
use crate::nonfinite::NonFinite;
use scalar::Blend;

/// Elements in a block.
pub const BLOCK: usize = 256;

/// Averages `params` into every row, row `h` with the weights `blends[h]`, and counts the elements refused by any row.
///
/// # Panics
/// Unless there is one row for each blend, each as long as `params`.
pub fn average<S: Shadow, P: Param>(rows: &mut [&mut [S]], params: &[P], blends: &[Blend<S>], on: NonFinite) -> u64 {
    Level::best().average(rows, params, blends, on)
}

/// Writes each of `params` in the shadow's type, exactly, and counts those that are NaN or infinite.
///
/// # Panics
/// Unless both have the same length.
pub fn widen<S: Shadow, P: Param>(params: &[P], into: &mut [S]) -> u64 {
    Level::best().widen(params, into)
}

/// Writes each of `averages` in the parameter's type, to nearest, ties to even, rounded once.
///
/// # Panics
/// Unless both have the same length.
pub fn narrow<S: Shadow, P: Param>(averages: &[S], into: &mut [P], store: Store) {
    Level::best().narrow(averages, into, store);
}

/// Copies bit for bit.
///
/// # Panics
/// Unless both have the same length.
pub fn copy<T: Element>(from: &[T], into: &mut [T], store: Store) {
    stream::copy(from, into, store);
}

impl Level {
    /// [`average`](average()) at this level.
    ///
    /// # Panics
    /// As [`average`](average()) does, and unless the level is available.
    pub fn average<S: Shadow, P: Param>(
        self,
        rows: &mut [&mut [S]],
        params: &[P],
        blends: &[Blend<S>],
        on: NonFinite,
    ) -> u64 {
        assert_eq!(rows.len(), blends.len(), "a row for each blend");
        assert!(rows.iter().all(|row| row.len() == params.len()), "rows and parameters differ in length");
        self.run(blocks::Average { rows, params, blends, on })
    }

    /// [`widen`] at this level.
    ///
    /// # Panics
    /// As [`widen`] does, and unless the level is available.
    pub fn widen<S: Shadow, P: Param>(self, params: &[P], into: &mut [S]) -> u64 {
        assert_eq!(params.len(), into.len(), "from and into differ in length");
        self.run(blocks::Widen { params, into })
    }

    /// [`narrow`] at this level.
    ///
    /// # Panics
    /// As [`narrow`] does, and unless the level is available.
    pub fn narrow<S: Shadow, P: Param>(self, averages: &[S], into: &mut [P], store: Store) {
        assert_eq!(averages.len(), into.len(), "from and into differ in length");
        self.run(blocks::Narrow { averages, into, store });
    }
}
