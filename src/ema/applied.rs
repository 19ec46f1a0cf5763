//! The guard that keeps the averages in a model.

use super::EMA;
use crate::backend::Backend;
use crate::error::Result;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};

/// Keeps the averages in the model, and puts the training values back when it goes. See [`EMA::applied`].
#[must_use = "the training values are put back when this goes"]
pub struct Applied<'a, B: Backend> {
    pub(super) ema: &'a mut EMA<B>,
}

impl<B: Backend> Applied<'_, B> {
    /// Puts the training values back and says whether that worked.
    ///
    /// # Errors
    /// As [`EMA::restore`]; the averages stay applied then.
    pub fn restore(self) -> Result<()> {
        let mut guard = ManuallyDrop::new(self);
        guard.ema.restore()
    }
}

impl<B: Backend> Deref for Applied<'_, B> {
    type Target = EMA<B>;

    fn deref(&self) -> &EMA<B> {
        self.ema
    }
}

impl<B: Backend> DerefMut for Applied<'_, B> {
    fn deref_mut(&mut self) -> &mut EMA<B> {
        self.ema
    }
}

/// # Panics
/// If the training values can't be put back; during another panic it says so in the log.
impl<B: Backend> Drop for Applied<'_, B> {
    fn drop(&mut self) {
        match self.ema.restore() {
            Ok(()) => {}
            Err(error) if std::thread::panicking() => log::error!("the averages stay applied: {error}"),
            Err(error) => panic!("the averages stay applied: {error}"),
        }
    }
}
