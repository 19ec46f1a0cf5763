//! The verbs on slices: average, widen, narrow, copy; in [`view`], the memory that they work on; in [`overlap`], what of
//! it is shared.
//!
//! Averages are computed a few registers at a time together with the test for NaN and infinity, and only stored if all of
//! them pass. A store that selects, element by element, becomes a masked store with some instruction sets and costs up to
//! four times as much.
//!
//! The arithmetic is written once, in [`scalar`]. Each verb is compiled for every [`Level`] there is, and the widest that
//! the machine has is taken at run time.

mod ahead;
mod blocks;
mod layout;
mod level;
pub mod overlap;
pub mod part;
mod piece;
mod run;
pub mod scalar;
mod stream;
mod tile;
mod turn;
pub mod view;
mod view_mut;
mod walk;
mod work;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(test)]
mod tests;

pub use ahead::{Foresight, LINE, ask_stretch};
pub use blocks::Pair;
pub use layout::Layout;
pub use level::Level;
pub use stream::{Copies, Store};

use crate::dtype::{Param, Shadow};
use crate::nonfinite::NonFinite;
use scalar::Blend;

/// Where work is best cut in two: a multiple of all that is done at a time, and of a line of the caches.
pub const BLOCK: usize = 256;

/// How far one row is averaged before the next one is: with several, the parameters come from the first-level cache.
const STRETCH: usize = 4096;

/// Averages `params` into every row, row `h` with the weights `blends[h]`, and counts the elements refused by any row.
///
/// # Panics
/// Unless there is one row for each blend, each as long as `params`.
pub fn average<S: Shadow, P: Param>(rows: &mut [&mut [S]], params: &[P], blends: &[Blend<S>], on: NonFinite) -> u64 {
    let mut one = |pair: &mut [Pair<'_, S, P>], blend, marks: Option<&mut [u64]>| {
        level::run(blocks::Average::new(pair, blend, on, marks))
    };
    average_rows(rows, params, blends, &mut one)
}

/// Averages pair after pair with one weight, and counts the elements refused, in each and in all: of small tensors, a call for
/// each would take longer than they do.
pub fn average_pairs<S: Shadow, P: Param>(pairs: &mut [Pair<'_, S, P>], blend: Blend<S>, on: NonFinite) -> u64 {
    level::run(blocks::Average::new(pairs, blend, on, None))
}

/// Writes each of `params` in the shadow's type, exactly, and counts those that are NaN or infinite.
///
/// # Panics
/// Unless both have the same length.
pub fn widen<S: Shadow, P: Param>(params: &[P], into: &mut [S]) -> u64 {
    level::run(blocks::Widen::new(params, into))
}

/// Writes each of `averages` in the parameter's type, to nearest, ties to even, rounded once.
///
/// # Panics
/// Unless both have the same length.
pub fn narrow<S: Shadow, P: Param>(averages: &[S], into: &mut [P], store: Store) {
    level::run(blocks::Narrow::new(averages, into, store));
}

/// Averages each row by `one`, which is given a single pair and counts the elements that it refuses, or also marks them.
#[inline]
fn average_rows<S: Shadow, P: Param>(
    rows: &mut [&mut [S]],
    params: &[P],
    blends: &[Blend<S>],
    one: &mut impl FnMut(&mut [Pair<'_, S, P>], Blend<S>, Option<&mut [u64]>) -> u64,
) -> u64 {
    assert_eq!(rows.len(), blends.len(), "a row for each blend");
    match (rows, blends) {
        ([row], [blend]) => one(&mut [Pair::new(row, params)], *blend, None),
        (rows, blends) => average_several(rows, params, blends, one),
    }
}

/// The same of several rows, of which an element counts once.
#[inline(never)]
fn average_several<S: Shadow, P: Param>(
    rows: &mut [&mut [S]],
    params: &[P],
    blends: &[Blend<S>],
    one: &mut impl FnMut(&mut [Pair<'_, S, P>], Blend<S>, Option<&mut [u64]>) -> u64,
) -> u64 {
    assert!(rows.iter().all(|row| row.len() == params.len()), "rows and parameters differ in length");
    let mut count = 0;
    // Bits, as clearing so many bytes would take longer than to average a small tensor.
    let mut marks = [0; STRETCH / 64];
    for (at, params) in params.chunks(STRETCH).enumerate() {
        let mut refused = 0;
        for (row, &blend) in rows.iter_mut().zip(blends) {
            let pair = Pair::new(&mut row[at * STRETCH..][..params.len()], params);
            refused += one(&mut [pair], blend, Some(&mut marks));
        }
        if refused > 0 {
            count += marks.iter().map(|bits: &u64| u64::from(bits.count_ones())).sum::<u64>();
            marks.fill(0);
        }
    }
    count
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
        let mut one = |pair: &mut [Pair<'_, S, P>], blend, marks: Option<&mut [u64]>| {
            self.run(blocks::Average::new(pair, blend, on, marks))
        };
        average_rows(rows, params, blends, &mut one)
    }

    /// [`widen`] at this level.
    ///
    /// # Panics
    /// As [`widen`] does, and unless the level is available.
    pub fn widen<S: Shadow, P: Param>(self, params: &[P], into: &mut [S]) -> u64 {
        self.run(blocks::Widen::new(params, into))
    }

    /// [`narrow`] at this level.
    ///
    /// # Panics
    /// As [`narrow`] does, and unless the level is available.
    pub fn narrow<S: Shadow, P: Param>(self, averages: &[S], into: &mut [P], store: Store) {
        self.run(blocks::Narrow::new(averages, into, store));
    }
}
