//! Advice on putting averages to use, where they may not be what the user takes them for.

use super::{EMA, check};
use crate::backend::Backend;
use crate::descriptor::Descriptor;
use crate::dtype::Class;
use crate::error::Result;

/// Updates in which every parameter has to have stood still before that is worth a word.
const STILL: u64 = 10;

/// Whether anybody trains what is averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Too few updates were made to tell.
    Early { updates: u64 },
    /// After so many, every parameter was its average, to the last bit.
    Suspected { updates: u64 },
    /// They have moved, or it was told.
    Settled,
}

impl<B: Backend> EMA<B> {
    /// Gives the advice that [`EMA::apply`] would give, before it, for a binding in which advice can stop a call.
    #[cfg(feature = "python")]
    pub(crate) fn advise(&mut self, horizon: usize) {
        if !self.is_applied() && horizon < self.ledger.horizons() {
            self.ledger.advise_on_share(horizon);
        }
    }

    /// Advises on using the averages of any horizon now.
    pub(crate) fn advise_on_shares(&mut self) {
        self.ledger.advise_on_shares();
    }

    /// Advises where update gave the tensor at an index another memory than the one held.
    #[cfg(feature = "python")]
    pub(crate) fn advise_on_replaced(&mut self, index: usize) {
        self.ledger.advise_on_replaced(index);
    }

    /// Expects the parameters to move from now on: they, or their averages, are others than before.
    pub(crate) fn expect_moves(&mut self) {
        self.rest = Rest::Early { updates: 0 };
    }

    /// Counts an average that was made. Whether the parameters have moved until then is seen now, and not only when the averages
    /// are used: who has written these over the model by hand has trained it.
    pub(super) fn count_rest(&mut self, moved: Option<bool>) {
        self.rest = match (self.rest, moved) {
            (Rest::Early { updates }, None) => Rest::Early { updates: updates + 1 },
            (Rest::Early { updates } | Rest::Suspected { updates }, Some(false)) => {
                Rest::Suspected { updates: updates + 1 }
            }
            (Rest::Suspected { updates }, None) => Rest::Suspected { updates: updates + 1 },
            (_, Some(true)) | (Rest::Settled, _) => Rest::Settled,
        };
    }

    /// Whether the average that is about to be made is the one before which to look.
    pub(super) fn is_time_to_look(&self) -> bool {
        matches!(self.rest, Rest::Early { updates } if updates >= STILL - 1)
    }

    /// Whether using the averages of a horizon now calls for a look at the parameters; never where those are copies.
    pub(crate) fn may_rest(&self, horizon: usize) -> bool {
        matches!(self.rest, Rest::Suspected { .. }) && !self.is_applied() && self.ledger.decay(horizon) > 0.0
    }

    /// Advises where every parameter is its average still: nobody trains what is averaged.
    ///
    /// # Errors
    /// Those of [`EMA::update`] on parameters that changed.
    pub(crate) fn advise_on_rest(&mut self, horizon: usize) -> Result<()> {
        let Rest::Suspected { updates } = self.rest else { return Ok(()) };
        if !self.may_rest(horizon) {
            return Ok(());
        }
        check(&self.backend, &self.ledger, &self.params)?;
        let moved = self.labelled(self.backend.moved(&self.params, &self.shadows, horizon))?;
        self.rest = Rest::Settled;
        let counts = |tensor: &Descriptor| tensor.dtype.class() == Class::Averaged && tensor.elements() > 0;
        if !moved && self.ledger.descriptors().iter().any(counts) {
            self.ledger.advise_on_rest(updates);
        }
        Ok(())
    }
}
