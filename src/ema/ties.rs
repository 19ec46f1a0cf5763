//! Tied tensors, one memory under several names: their averages part when they part, and no write takes two for one.

use super::EMA;
use super::resume::export;
use crate::backend::Backend;
use crate::descriptor::Spec;
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use std::borrow::Cow;

/// Gives tensors that are no longer the same averages of their own. These go on from those that they had in common, which
/// is exact: until now they had the same values.
pub(super) fn part<B: Backend>(
    backend: &B,
    ledger: &mut Ledger,
    shadows: &mut B::Shadows,
    params: &[B::Tensor],
) -> Result<()> {
    if !ledger.has_ties() {
        return Ok(());
    }
    let Cow::Owned(owners) = parted(backend, ledger.owners(), params)? else { return Ok(()) };
    let spec = Spec { owners: &owners, ..ledger.spec() };
    *shadows = backend.import(export(backend, shadows, spec)?, spec)?;
    ledger.tie(owners)
}

/// The owners of tensors that had those of `before`: owned if they are others now.
fn parted<'o, B: Backend>(backend: &B, before: &'o [usize], params: &[B::Tensor]) -> Result<Cow<'o, [usize]>> {
    let mut owners = Cow::Borrowed(before);
    for (index, &first) in before.iter().enumerate().filter(|&(index, &first)| first != index) {
        // Mostly the first of the group; one after it where that is what left.
        let mut owner = index;
        for other in (first..index).filter(|&other| before[other] == first) {
            if owners[other] == other && backend.same(&params[other], &params[index]).map_err(|e| e.at(index))? {
                owner = other;
                break;
            }
        }
        if owner != first {
            owners.to_mut()[index] = owner;
        }
    }
    Ok(owners)
}

impl<B: Backend> EMA<B> {
    /// Finds the owners of the model's memory as it is now, and whether that can hold the averages of a horizon.
    pub(super) fn find_owners_of_averages(&mut self, horizon: usize) -> Result<()> {
        self.find_owners()?;
        let before = self.ledger.owners();
        self.check_ties(|index, owner| {
            let equal = before[index] == before[owner]
                || self.backend.export(&self.shadows, horizon, index)?
                    == self.backend.export(&self.shadows, horizon, owner)?;
            Ok(if equal { None } else { Some("are the same memory now, and have different averages: part them again") })
        })
    }

    /// Finds the owners of the model's memory as it is now, and whether that can hold what was backed up.
    pub(super) fn find_owners_of_backup(&mut self) -> Result<()> {
        self.find_owners()?;
        self.check_ties(|index, owner| {
            let equal = self.backed_up[index] == self.backed_up[owner];
            Ok(if equal {
                None
            } else {
                Some("became the same memory while the averages were applied: part them again")
            })
        })
    }

    fn find_owners(&mut self) -> Result<()> {
        let found = self.backend.owners(&self.params, &mut self.owners);
        self.labelled(found)
    }

    /// Whether no tensor has a problem with being the same memory as its owner.
    fn check_ties(&self, problem: impl Fn(usize, usize) -> Result<Option<&'static str>>) -> Result<()> {
        for (index, &owner) in self.owners.iter().enumerate().filter(|&(index, &owner)| owner != index) {
            if let Some(problem) = self.labelled(problem(index, owner))? {
                return self.labelled(Err(Error::overlap((owner, index), problem)));
            }
        }
        Ok(())
    }
}
