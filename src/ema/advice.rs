//! Advice on putting averages to use, where they may not be what the user takes them for.

use super::{EMA, check};
use crate::backend::Backend;
use crate::descriptor::Descriptor;
use crate::dtype::Class;
use crate::error::Result;

/// Updates in which every parameter has to have stood still before that is worth a word.
const STILL: u64 = 10;

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
        (self.expected, self.moved) = (self.ledger.num_updates(), None);
    }

    /// The averages that were made since the parameters were expected to move.
    fn updates(&self) -> u64 {
        self.ledger.num_updates() - self.expected
    }

    /// Whether the average that is about to be made is the one before which to look: then, and not only when the averages are
    /// used, as who has written these over the model by hand has trained it.
    pub(super) fn is_time_to_look(&self) -> bool {
        self.moved.is_none() && self.updates() >= STILL - 1
    }

    /// Whether using the averages of a horizon now calls for a look at the parameters; never where those are copies.
    pub(crate) fn may_rest(&self, horizon: usize) -> bool {
        self.moved == Some(false) && !self.is_applied() && self.ledger.decay(horizon) > 0.0
    }

    /// Advises where every parameter is its average still: nobody trains what is averaged.
    ///
    /// # Errors
    /// Those of [`EMA::update`] on parameters that changed.
    pub(crate) fn advise_on_rest(&mut self, horizon: usize) -> Result<()> {
        if !self.may_rest(horizon) {
            return Ok(());
        }
        check(&self.backend, &self.ledger, &self.params)?;
        let moved = self.labelled(self.backend.moved(&self.params, &self.shadows, horizon))?;
        self.moved = Some(true); // or it is told now, once
        let counts = |tensor: &Descriptor| tensor.dtype.class() == Class::Averaged && tensor.elements() > 0;
        if !moved && self.ledger.descriptors().iter().any(counts) {
            self.ledger.advise_on_rest(self.updates());
        }
        Ok(())
    }
}
