//! Every framework in host memory is a backend: its tensors are lent in small batches to the engine.

use super::{Backend, Owners, Source, Visit};
use crate::descriptor::{Descriptor, Spec};
use crate::engine::{Buffer, Engine, HostBackup, HostShadows};
use crate::error::{Error, Result};
use crate::kernel::overlap;
use crate::kernel::view::View;
use crate::nonfinite::{NonFinite, Report};
use smallvec::SmallVec;
use std::ops::Range;

/// Tensors lent at a time. Guards are held for no longer than a batch takes, and never between calls.
const BATCH: usize = 64;

/// A framework whose tensors are in host memory: how to borrow one, and how to write one.
pub trait HostMemory {
    /// A handle on a parameter: cheap, and it sees what the optimizer writes.
    type Tensor;
    /// What keeps a tensor readable: a lock guard, or a copy where the framework lends nothing.
    type Read<'a>
    where
        Self::Tensor: 'a;

    /// How the work is spread over threads.
    fn engine(&self) -> &Engine;

    /// The same number for handles on the same memory, and no other: such handles share one [`HostMemory::Read`], because
    /// taking a second read lock of one tensor hangs when a writer waits in between. Whether they are one tensor under two
    /// names, apart, or overlap is read off their views, so that several tensors may lie in what one lock guards.
    fn identity(tensor: &Self::Tensor) -> usize;

    /// The tensor's dtype and shape; must not allocate for six dimensions or fewer, nor wait for a lock.
    ///
    /// # Errors
    /// [`Error::layout`] if the tensor can't be read now.
    fn describe(tensor: &Self::Tensor) -> Result<Descriptor>;

    /// Whether [`HostMemory::write`] may write the tensor; must not wait for a lock.
    ///
    /// # Errors
    /// [`Error::layout`] if not.
    fn writable(tensor: &Self::Tensor) -> Result<()>;

    /// Makes the tensor readable.
    ///
    /// # Errors
    /// [`Error::layout`] if that is not possible.
    fn read(tensor: &Self::Tensor) -> Result<Self::Read<'_>>;

    /// The tensor's memory.
    ///
    /// # Errors
    /// [`Error::layout`] if it can't be lent.
    fn view<'g>(tensor: &'g Self::Tensor, read: &'g Self::Read<'_>) -> Result<View<'g>>;

    /// Writes the tensor; [`Engine::assign`] does the casting.
    ///
    /// # Errors
    /// [`Error::layout`] if that is not possible.
    fn write(&self, tensor: &Self::Tensor, values: &View<'_>) -> Result<()>;
}

/// Calls `work(range, views)` for batch after batch of tensors.
fn batches<H: HostMemory>(
    params: &[H::Tensor],
    mut work: impl FnMut(Range<usize>, &[View<'_>]) -> Result<()>,
) -> Result<()> {
    batches_while::<H>(params, |range, views| work(range, views).map(|()| true))
}

/// The same for as long as `work` says that it goes on.
fn batches_while<H: HostMemory>(
    params: &[H::Tensor],
    mut work: impl FnMut(Range<usize>, &[View<'_>]) -> Result<bool>,
) -> Result<()> {
    for start in (0..params.len()).step_by(BATCH) {
        let batch = &params[start..params.len().min(start + BATCH)];
        let mut order: SmallVec<[(usize, usize); BATCH]> = batch.iter().map(H::identity).zip(0..).collect();
        // In one order for all threads that do this, so that no two of them wait for each other.
        order.sort_unstable();
        let mut reads: SmallVec<[Option<H::Read<'_>>; BATCH]> = batch.iter().map(|_| None).collect();
        let mut owners: SmallVec<[usize; BATCH]> = (0..batch.len()).collect();
        for group in order.chunk_by(|a, b| a.0 == b.0) {
            let first = group[0].1;
            reads[first] = Some(H::read(&batch[first]).map_err(|error| error.at(start + first))?);
            group.iter().for_each(|&(_, i)| owners[i] = first);
        }
        let mut views: SmallVec<[View<'_>; BATCH]> = SmallVec::new();
        for (i, tensor) in batch.iter().enumerate() {
            let read = reads[owners[i]].as_ref().expect("the first handle of each identity was read");
            views.push(H::view(tensor, read).map_err(|error| error.at(start + i))?);
        }
        if !work(start..start + batch.len(), &views)? {
            break;
        }
    }
    Ok(())
}

/// Another thread may reshape a tensor between the checks of a call and its pass.
fn unchanged(view: &View<'_>, shape: &[usize], index: usize) -> Result<()> {
    if view.shape() == shape {
        return Ok(());
    }
    let problem = format!("was reshaped to {:?} by another thread during the call", view.shape());
    Err(Error::layout(problem).at(index))
}

impl<H: HostMemory> Backend for H {
    type Tensor = H::Tensor;
    type Shadows = HostShadows;
    type Backup = HostBackup;

    fn describe(&self, params: &[Self::Tensor], each: Visit<'_>) -> Result<()> {
        for (index, tensor) in params.iter().enumerate() {
            let found = H::describe(tensor).map_err(|error| error.at(index))?;
            each(index, found.dtype, &found.shape)?;
        }
        Ok(())
    }

    fn writable(&self, params: &[Self::Tensor]) -> Result<()> {
        let each = |(index, tensor)| H::writable(tensor).map_err(|error| error.at(index));
        params.iter().enumerate().try_for_each(each)
    }

    fn owners(&self, params: &[Self::Tensor], into: &mut Owners) -> Result<()> {
        into.find_by_key(params.iter().map(H::identity), |group| {
            let first = group.first();
            let read = H::read(&params[first]).map_err(|error| error.at(first))?;
            group.find(|index| H::view(&params[index], &read).map_err(|error| error.at(index)))
        })
    }

    fn same(&self, a: &Self::Tensor, b: &Self::Tensor) -> Result<bool> {
        if H::identity(a) != H::identity(b) {
            return Ok(false);
        }
        let read = H::read(a)?;
        Ok(overlap::same(&H::view(a, &read)?, &H::view(b, &read)?))
    }

    fn replaced(&self, held: &[Self::Tensor], given: &[Self::Tensor]) -> Option<usize> {
        held.iter().zip(given).position(|(held, given)| H::identity(held) != H::identity(given))
    }

    fn shadows(&self, params: &[Self::Tensor], spec: Spec<'_>, report: &Report) -> Result<Self::Shadows> {
        let mut shadows = HostShadows::with_room(spec);
        batches::<H>(params, |range, views| {
            for (index, view) in range.zip(views) {
                self.engine().shadow(&mut shadows, view, spec.dtypes[index], report)?;
            }
            Ok(())
        })?;
        Ok(shadows)
    }

    fn average(
        &self,
        to: &mut Self::Shadows,
        params: &[Self::Tensor],
        alphas: &[f64],
        on: NonFinite,
        report: &Report,
    ) -> Result<()> {
        batches::<H>(params, |range, views| {
            let start = range.start;
            for (index, view) in range.clone().zip(views) {
                unchanged(view, to.shape(index), index)?;
            }
            self.engine().average(to, range, |index| views[index - start], alphas, on, report)
        })
    }

    fn moved(&self, params: &[Self::Tensor], shadows: &Self::Shadows, horizon: usize) -> Result<bool> {
        let mut moved = false;
        batches_while::<H>(params, |range, views| {
            for (index, view) in range.zip(views) {
                unchanged(view, shadows.shape(index), index)?;
                moved = moved || shadows.differs(horizon, index, view);
            }
            Ok(!moved)
        })?;
        Ok(moved)
    }

    fn backup(&self, params: &[Self::Tensor], owners: &[usize], into: &mut Self::Backup) -> Result<()> {
        batches::<H>(params, |range, views| {
            let start = range.start;
            self.engine().backup(into, range, owners, |index| views[index - start])
        })
    }

    fn write(&self, params: &[Self::Tensor], owners: &[usize], from: Source<'_, Self>) -> Result<()> {
        for (index, tensor) in params.iter().enumerate().filter(|&(index, _)| owners[index] == index) {
            let values = match &from {
                Source::Averages { shadows, horizon } => shadows.average(*horizon, index),
                Source::Backup(backup) => backup.get(index).view(),
            };
            HostMemory::write(self, tensor, &values).map_err(|error| error.at(index))?;
        }
        Ok(())
    }

    fn export(&self, shadows: &Self::Shadows, horizon: usize, index: usize) -> Result<Buffer> {
        Ok(shadows.get(horizon, index))
    }

    fn import(&self, averages: Vec<Buffer>, spec: Spec<'_>) -> Result<Self::Shadows> {
        HostShadows::of(averages, spec)
    }
}
