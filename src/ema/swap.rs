//! The averages go into the model, and the training values come back.

use super::{Applied, EMA, Holds, check};
use crate::backend::{Backend, Source};
use crate::error::{Error, Result};

impl<B: Backend> EMA<B> {
    /// Backs up the training values and writes the averages over them.
    ///
    /// # Errors
    /// [`Error::State`] while Applied; the errors of [`EMA::update`] on parameters that changed; [`Error::Layout`] if one
    /// can't be written; [`Error::Overlap`] if two share memory, unless they are the same and have the same averages.
    /// Nothing is changed then.
    pub fn apply(&mut self) -> Result<()> {
        self.apply_horizon(0)
    }

    /// As [`EMA::apply`], with the averages of one of several horizons.
    ///
    /// # Errors
    /// As [`EMA::apply`], and [`Error::Config`] where there is no such horizon.
    pub fn apply_horizon(&mut self, horizon: usize) -> Result<()> {
        self.check_training("apply", "restore() first, or the training values would be lost")?;
        self.write_averages(horizon)?;
        self.holds = Holds::Averages { horizon };
        Ok(())
    }

    /// Puts the training values back, bit for bit, after [`EMA::apply`]; else does nothing.
    ///
    /// # Errors
    /// As [`EMA::apply`] on parameters that changed, and [`Error::Overlap`] if two became the same memory since. The averages
    /// stay applied then, and the backup is kept.
    pub fn restore(&mut self) -> Result<()> {
        let (Holds::Averages { horizon } | Holds::Mixture { horizon }) = self.holds else { return Ok(()) };
        check(&self.backend, &self.ledger, &self.params)?;
        self.labelled(self.backend.writable(&self.params))?;
        self.find_owners_of_backup()?;
        self.holds = Holds::Mixture { horizon };
        self.labelled(self.backend.write(&self.params, &self.owners, Source::Backup(&self.backup)))?;
        self.holds = Holds::Training;
        Ok(())
    }

    /// Applies the averages until the guard that this gives goes, also by a panic.
    ///
    /// # Errors
    /// As [`EMA::apply`].
    pub fn applied(&mut self) -> Result<Applied<'_, B>> {
        self.applied_horizon(0)
    }

    /// As [`EMA::applied`], with the averages of one of several horizons.
    ///
    /// # Errors
    /// As [`EMA::apply_horizon`].
    pub fn applied_horizon(&mut self, horizon: usize) -> Result<Applied<'_, B>> {
        self.apply_horizon(horizon)?;
        Ok(Applied { ema: self })
    }

    /// Finishes on the averages: writes them for good, while Applied too, and forgets the training values.
    ///
    /// # Errors
    /// As [`EMA::apply`], but possible while Applied.
    pub fn copy_to(&mut self) -> Result<()> {
        self.copy_horizon_to(0)
    }

    /// As [`EMA::copy_to`], with the averages of one of several horizons.
    ///
    /// # Errors
    /// As [`EMA::copy_to`]; [`Error::Config`] where there is no such horizon, [`Error::State`] while another one is
    /// applied.
    pub fn copy_horizon_to(&mut self, horizon: usize) -> Result<()> {
        self.ledger.check_horizon(horizon)?;
        match self.holds {
            Holds::Averages { horizon: other } | Holds::Mixture { horizon: other } if other != horizon => {
                self.check_training("copy_to", "another horizon is applied: restore() first")?;
            }
            _ => {}
        }
        self.write_averages(horizon)?;
        self.holds = Holds::Training;
        self.backup = B::Backup::default();
        self.expect_moves();
        Ok(())
    }

    /// Writes the averages over the model, with the training values backed up if it holds these, and leaves
    /// [`Holds::Mixture`] if it can neither finish nor undo that, by a panic too.
    fn write_averages(&mut self, horizon: usize) -> Result<()> {
        self.ledger.check_horizon(horizon)?;
        check(&self.backend, &self.ledger, &self.params)?;
        self.labelled(self.backend.writable(&self.params))?;
        self.find_owners_of_averages(horizon)?;
        self.advise_on_rest(horizon)?;
        self.ledger.advise_on_share(horizon);
        let before = self.holds;
        if before == Holds::Training {
            let backed_up = self.backend.backup(&self.params, &self.owners, &mut self.backup);
            self.labelled(backed_up)?;
            self.backed_up.clear();
            self.backed_up.extend_from_slice(&self.owners);
        }
        self.holds = Holds::Mixture { horizon };
        let averages = Source::Averages { shadows: &self.shadows, horizon };
        let written = self.backend.write(&self.params, &self.owners, averages);
        let undo = written.is_err() && before == Holds::Training;
        if undo && self.backend.write(&self.params, &self.owners, Source::Backup(&self.backup)).is_ok() {
            self.holds = Holds::Training;
        }
        self.labelled(written)
    }

    pub(crate) fn check_training(&self, call: &'static str, advice: &'static str) -> Result<()> {
        let state = match self.holds {
            Holds::Training => return Ok(()),
            Holds::Averages { .. } => "the averages are applied",
            Holds::Mixture { .. } => "a write of the model failed half-way",
        };
        Err(Error::State { call, state, advice })
    }
}
