//! Going on from averages and books that were kept, in place of fresh ones.

use super::{EMA, Holds, check};
use crate::backend::Backend;
use crate::engine::Buffer;
use crate::error::Result;
use crate::ledger::Ledger;
use crate::nonfinite::Report;

impl<B: Backend> EMA<B> {
    /// An EMA of these books and averages: for each tensor those of its horizons.
    ///
    /// # Errors
    /// Those of [`EMA::update`] if the parameters are not those of the books.
    pub(crate) fn resume(backend: B, params: Vec<B::Tensor>, ledger: Ledger, averages: Vec<Buffer>) -> Result<Self> {
        check(&backend, &ledger, &params)?;
        Self::with_books(backend, params, ledger, averages)
    }

    /// The same, whatever the parameters are.
    pub(crate) fn with_books(
        backend: B,
        params: Vec<B::Tensor>,
        ledger: Ledger,
        averages: Vec<Buffer>,
    ) -> Result<Self> {
        let shadows = backend.import(averages, ledger.spec())?;
        let report = Report::new(ledger.names().len());
        let (backup, backed_up) = (B::Backup::default(), Vec::new());
        Ok(Self { backend, params, ledger, shadows, backup, backed_up, holds: Holds::Training, report })
    }

    /// Whether parameters are those of books that an EMA is to go on with.
    ///
    /// # Errors
    /// Those of [`EMA::update`] if not.
    pub(crate) fn check_params(backend: &B, ledger: &Ledger, params: &[B::Tensor]) -> Result<()> {
        check(backend, ledger, params)
    }

    /// Goes on from other books and averages of the same parameters.
    ///
    /// # Errors
    /// If they are of other parameters, or can't be taken; nothing is changed then.
    #[cfg(feature = "python")]
    pub(crate) fn exchange(&mut self, ledger: Ledger, averages: Vec<Buffer>) -> Result<()> {
        ledger.check_count(self.ledger.names().len())?;
        for (index, own) in self.ledger.descriptors().iter().enumerate() {
            ledger.check(index, own.dtype, &own.shape)?;
        }
        self.shadows = self.backend.import(averages, ledger.spec())?;
        self.ledger = ledger;
        Ok(())
    }

    /// Advises on using the averages of any horizon now.
    pub(crate) fn advise_on_shares(&mut self) {
        (0..self.ledger.horizons()).for_each(|horizon| self.ledger.advise_on_share(horizon));
    }
}
