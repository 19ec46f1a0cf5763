//! Going on from averages and books that were kept, in place of fresh ones.

use super::{EMA, check};
use crate::backend::{Backend, Owners};
use crate::descriptor::Spec;
use crate::engine::Buffer;
use crate::error::Result;
use crate::ledger::Ledger;
use crate::nonfinite::Report;

/// All averages of a model: for each tensor those of its horizons.
pub(super) fn export<B: Backend>(backend: &B, shadows: &B::Shadows, spec: Spec<'_>) -> Result<Vec<Buffer>> {
    let each = |index| (0..spec.horizons).map(move |horizon| backend.export(shadows, horizon, index));
    (0..spec.owners.len()).flat_map(each).collect()
}

impl<B: Backend> EMA<B> {
    /// An EMA of these books and averages, for each tensor those of its horizons. Whether the parameters are those of the
    /// books, [`EMA::check_params`] says.
    ///
    /// # Errors
    /// If the averages can't be taken.
    pub(crate) fn with_books(
        backend: B,
        params: Vec<B::Tensor>,
        ledger: Ledger,
        averages: Vec<Buffer>,
    ) -> Result<Self> {
        let shadows = backend.import(averages, ledger.spec())?;
        let report = Report::new(ledger.names().len());
        Ok(Self::around(backend, params, ledger, shadows, Owners::default(), report))
    }

    /// Whether parameters are those of books that an EMA is to go on with. Which of them are tied is for the first update
    /// and the first write to find, as it is when entries of a model are replaced.
    ///
    /// # Errors
    /// Those of [`EMA::update`] if not, and [`Error::Overlap`](crate::Error::Overlap) if two share memory and are not the
    /// same: now, as at a construction, and not after hours of training that can't be evaluated.
    pub(crate) fn check_params(backend: &B, ledger: &Ledger, params: &[B::Tensor]) -> Result<()> {
        check(backend, ledger, params)?;
        backend.owners(params, &mut Owners::default()).map_err(|error| ledger.label(error))
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
        self.expect_moves();
        Ok(())
    }

    /// All averages: for each tensor those of its horizons.
    ///
    /// # Errors
    /// If they can't be read.
    #[cfg(feature = "python")]
    pub(crate) fn averages(&self) -> Result<Vec<Buffer>> {
        self.labelled(export(&self.backend, &self.shadows, self.ledger.spec()))
    }
}
