//! Tied tensors in the books: one memory under several names, which has one average, and refuses an element once.

use super::Ledger;
use crate::error::{Error, Result};

impl Ledger {
    /// For each tensor, the index of the one whose averages it has: see [`Spec::owners`](crate::descriptor::Spec::owners).
    pub fn owners(&self) -> &[usize] {
        &self.owners
    }

    /// Whether any tensor has the averages of another.
    pub(crate) fn has_ties(&self) -> bool {
        self.tied
    }

    /// Says whose averages each tensor has from now on. One that gets its own goes on with the counts of those it had.
    ///
    /// # Errors
    /// [`Error::Config`] unless each tensor has itself as its owner, or an earlier one that owns itself and is of the same
    /// dtype and shape; nothing is changed then.
    ///
    /// # Panics
    /// Unless there is an owner for each tensor.
    pub fn tie(&mut self, owners: Vec<usize>) -> Result<()> {
        assert_eq!(owners.len(), self.names.len(), "an owner for each tensor");
        for (index, &owner) in owners.iter().enumerate() {
            let owns = owner <= index && owners[owner] == owner;
            if !owns || self.descriptors[owner] != self.descriptors[index] {
                let tie = format!("\"{}\" with \"{}\"", self.names[index], self.names[owner]);
                return Err(Error::config("ties", tie, "sets of tensors of one dtype and shape"));
            }
        }
        for (index, _) in owners.iter().enumerate().filter(|&(index, &owner)| index == owner) {
            self.skipped[index] = self.skipped[self.owners[index]];
        }
        self.tied = (0..owners.len()).any(|index| owners[index] != index);
        self.owners = owners;
        Ok(())
    }
}
