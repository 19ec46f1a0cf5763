//! Advice on putting averages to use, where they may not be what the user takes them for.

use super::{EMA, check};
use crate::backend::Backend;
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

    /// Expects the parameters to move from now on: they are others than before.
    pub(crate) fn expect_moves(&mut self) {
        self.unmoved = Some(0);
    }

    /// Whether [`EMA::advise_on_rest`] has something to look into: not yet after few updates, nor once it has, and never where
    /// the averages are copies.
    pub(crate) fn may_rest(&self, horizon: usize) -> bool {
        self.unmoved.is_some_and(|updates| updates >= STILL) && !self.is_applied() && self.ledger.decay(horizon) > 0.0
    }

    /// Advises where, after many updates, every parameter is still its average: nobody trains what is averaged.
    ///
    /// # Errors
    /// Those of [`EMA::update`] on parameters that changed.
    pub(crate) fn advise_on_rest(&mut self, horizon: usize) -> Result<()> {
        if !self.may_rest(horizon) {
            return Ok(());
        }
        check(&self.backend, &self.ledger, &self.params)?;
        let moved = self.labelled(self.backend.moved(&self.params, &self.shadows, horizon))?;
        let updates = self.unmoved.take().unwrap_or_default();
        if !moved && self.ledger.averages_any() {
            self.ledger.advise_on_rest(updates);
        }
        Ok(())
    }
}
