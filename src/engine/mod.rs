//! The verbs on whole models in host memory: each tensor's shadow and parameter, over all threads, to the kernels.

mod buffer;
mod filling;
mod places;
mod pool;
mod rows;
mod seats;
mod shadows;
mod split;
mod tasks;
mod unmoved;
mod words;

pub use buffer::Buffer;
pub use shadows::HostShadows;
use split::Items;

use crate::descriptor::{Descriptor, Spec};
use crate::dtype::{Class, DType, dispatch};
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::kernel::Store;
use crate::kernel::view::{View, ViewMut};
use crate::nonfinite::{NonFinite, Report};
use std::ops::Range;

/// How work is spread over threads. The bits of a result never depend on it.
///
/// The threads are our own and are named `shrew-ema-0` and so on. On Linux, in a pool of up to eight, the others are kept off the
/// processor of the one that begins with a call's work, until it is done, as far as they may run elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Engine {
    threads: usize,
    serial_below: usize,
    grain: usize,
}

impl Default for Engine {
    fn default() -> Self {
        Self { threads: 0, serial_below: 1 << 19, grain: 1 << 18 }
    }
}

/// The values of a model at some moment, bit for bit, those of tied tensors once. Its memory is used again for the next one.
#[derive(Clone, Debug, Default)]
pub struct HostBackup {
    owners: Vec<usize>,
    /// Empty ones where another tensor has the values.
    buffers: Vec<Buffer>,
}

impl HostBackup {
    /// The values of one tensor.
    pub fn get(&self, index: usize) -> &Buffer {
        &self.buffers[self.owners[index]]
    }
}

/// Calls that write so many elements go past the caches: they hold more than these, and nobody soon reads what is written
/// to a backup.
const STREAMED_FROM: usize = 1 << 22;

/// How a call that writes so many elements stores them.
fn store(elements: usize) -> Store {
    if elements < STREAMED_FROM { Store::Cached } else { Store::Streamed }
}

impl Engine {
    /// Threads for large models as `RAYON_NUM_THREADS` or else the processor says; small ones are done by the caller.
    pub fn new() -> Self {
        Self::default()
    }

    /// With so many threads; 0 means what `RAYON_NUM_THREADS` or else the processor says.
    pub fn threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// With calls of fewer than so many elements done by the caller alone: handing work over takes longer than doing
    /// some 500,000 elements.
    pub fn serial_below(self, elements: usize) -> Self {
        Self { serial_below: elements, ..self }
    }

    /// With tasks of about so many elements.
    pub fn grain(self, elements: usize) -> Self {
        Self { grain: elements.max(1), ..self }
    }

    /// Whether a call on so many elements is spread over threads.
    pub fn is_parallel(&self, elements: usize) -> bool {
        elements >= self.serial_below && pool::is_free()
    }

    fn run<R: Send>(&self, elements: usize, work: impl FnOnce(usize) -> R + Send) -> R {
        let pool = if self.is_parallel(elements) { pool::get(self.threads) } else { None };
        match pool {
            Some(pool) => pool.install(|| work(self.grain)),
            None => work(usize::MAX),
        }
    }

    /// Calls `work(part, items, grain)` for parts of `range` with their share of the items. `elements` is the sum of the
    /// weights of the tensors that are their own owners.
    fn run_parts<I: Items>(
        &self,
        elements: usize,
        owners: &[usize],
        range: Range<usize>,
        items: I,
        weight: impl Fn(usize) -> usize + Sync,
        work: impl Fn(Range<usize>, I, usize) + Sync,
    ) {
        let weight = |index: usize| if owners[index] == index { weight(index) } else { 0 };
        self.run(elements, |grain| {
            split::tensors(range, items, &weight, grain, &|part, items| work(part, items, grain));
        });
    }

    /// The same, with `work(index, item, grain)` for each tensor in `range` that is its own owner, and one item for each.
    fn run_owners<T: Send>(
        &self,
        elements: usize,
        owners: &[usize],
        range: Range<usize>,
        items: &mut [T],
        weight: impl Fn(usize) -> usize + Sync,
        work: impl Fn(usize, &mut T, usize) + Sync,
    ) {
        self.run_parts(elements, owners, range, items, weight, |part, items: &mut [T], grain| {
            for (index, item) in part.zip(items).filter(|&(index, _)| owners[index] == index) {
                work(index, item, grain);
            }
        });
    }

    /// Averages that start as copies of the parameters; the report counts the parameters that are NaN or infinite.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough.
    ///
    /// # Panics
    /// Unless the specification is sound, and there is a place for each tensor in the report.
    pub fn shadows<'v>(
        &self,
        params: impl Fn(usize) -> View<'v>,
        spec: Spec<'_>,
        report: &Report,
    ) -> Result<HostShadows> {
        let mut shadows = HostShadows::with_room(spec);
        for (index, &dtype) in spec.dtypes.iter().enumerate() {
            self.shadow(&mut shadows, &params(index), dtype, report)?;
        }
        Ok(shadows)
    }

    /// Adds the averages of one more tensor, as [`Engine::shadows`] does for all.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough.
    ///
    /// # Panics
    /// Unless there is a place for the tensor in the report.
    pub fn shadow(&self, to: &mut HostShadows, param: &View<'_>, dtype: DType, report: &Report) -> Result<()> {
        let index = to.tensors();
        if !to.owns(index) {
            to.push_tied();
            return Ok(());
        }
        let buffer = match dtype.class() {
            Class::Copied => Buffer::copied(param)?,
            Class::Averaged => {
                let mut buffer = Buffer::zeroed(Descriptor::new(dtype, param.shape()))?;
                report.refuse(index, tasks::fill(&mut buffer, param));
                buffer
            }
        };
        let twins = (1..to.horizons()).map(|_| Buffer::copied(&buffer.view())).collect::<Result<Vec<_>>>()?;
        to.push(twins.into_iter().chain([buffer]))
    }

    /// One pass over the tensors in `range`: averages each horizon with its α, reading each parameter once; tensors of
    /// integers are copied. `params` may be called more than once for an index, from any thread.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough to leave snapshots alone; nothing is averaged then.
    ///
    /// # Panics
    /// Unless there is an α in [0, 1] for each horizon, and `params` gives tensors of the right dtypes and lengths.
    pub fn average<'v>(
        &self,
        shadows: &mut HostShadows,
        range: Range<usize>,
        params: impl Fn(usize) -> View<'v> + Sync,
        alphas: &[f64],
        on: NonFinite,
        report: &Report,
    ) -> Result<()> {
        let horizons = shadows.horizons();
        assert_eq!(alphas.len(), horizons, "an α for each horizon");
        shadows.own()?;
        let elements = shadows.elements(range.clone());
        let (owners, rows) = shadows.rows(range.clone());
        let pass = tasks::Pass::new(alphas, on);
        let weight = |index: usize| params(index).elements();
        self.run_parts(elements, owners, range, rows, weight, |part, rows, grain| {
            pass.average(part, rows, &params, grain, report);
        });
        Ok(())
    }

    /// Copies the tensors in `range` that are their own owners, bit for bit, into memory that is used again where it fits.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough.
    ///
    /// # Panics
    /// Where the tensors before `range` have no backup.
    pub fn backup<'v>(
        &self,
        into: &mut HostBackup,
        range: Range<usize>,
        owners: &[usize],
        params: impl Fn(usize) -> View<'v> + Sync,
    ) -> Result<()> {
        let owns = |index: usize| owners[index] == index;
        let mut elements = 0;
        for index in range.clone() {
            let view = params(index);
            elements += if owns(index) { view.elements() } else { 0 };
            let fits = |old: &Buffer| if owns(index) { old.is_like(&view) } else { old.elements() == 0 };
            let nothing = || Descriptor::new(DType::F32, &[0]);
            let fresh = || Buffer::zeroed(if owns(index) { view.descriptor() } else { nothing() });
            match into.buffers.get_mut(index) {
                Some(old) if fits(old) => {}
                Some(old) => *old = fresh()?,
                None => into.buffers.push(fresh()?),
            }
        }
        into.owners.truncate(range.start);
        into.owners.extend_from_slice(&owners[range.clone()]);
        let items = &mut into.buffers[range.clone()];
        items.iter_mut().try_for_each(Buffer::own)?;
        let weight = |index: usize| params(index).elements();
        let store = store(elements);
        self.run_owners(elements, owners, range, items, weight, |index, buffer, grain| {
            let from = params(index);
            dispatch!(word from.dtype() => W => tasks::copy::<W>(buffer.as_mut_slice(), &from, store, grain));
        });
        Ok(())
    }

    /// Writes `from(i)` into `into(i)` for each tensor that is its own owner, cast to the target's dtype: to nearest, ties
    /// to even, rounded once. `into` is called once for each of them, from any thread.
    ///
    /// # Panics
    /// Where a pair differs in length, or is neither of one dtype nor an average and a parameter.
    pub fn write<'b, 'v>(
        &self,
        owners: &[usize],
        from: impl Fn(usize) -> View<'b> + Sync,
        into: impl Fn(usize) -> ViewMut<'v> + Sync,
    ) {
        let weight = |index: usize| from(index).elements();
        let elements = (0..owners.len()).filter(|&index| owners[index] == index).map(weight).sum();
        // Of no size: only the indices are divided.
        let mut items = vec![(); owners.len()];
        let store = store(elements);
        self.run_owners(elements, owners, 0..owners.len(), &mut items, weight, |index, (), grain| {
            tasks::assign(&mut into(index), &from(index), store, grain);
        });
    }

    /// Writes one tensor into another, as [`Engine::write`] does.
    ///
    /// # Panics
    /// As [`Engine::write`] does.
    pub fn assign(&self, into: &mut ViewMut<'_>, from: &View<'_>) {
        let store = store(from.elements());
        self.run(from.elements(), |grain| tasks::assign(into, from, store, grain));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::Mutex;

    /// The places in a pool of those that looked at parameters in a pass over them.
    fn lookers(engine: Engine, lengths: &[usize]) -> HashSet<Option<usize>> {
        let memories: Vec<Vec<f32>> = lengths.iter().map(|&length| vec![1.0; length]).collect();
        let (dtypes, owners): (Vec<_>, Vec<_>) = (0..lengths.len()).map(|index| (DType::F32, index)).unzip();
        let spec = Spec { dtypes: &dtypes, horizons: 1, owners: &owners };
        let report = Report::new(lengths.len());
        let view = |index: usize| View::from(&memories[index][..]);
        let mut shadows = engine.shadows(view, spec, &report).unwrap();
        let seen = Mutex::new(HashSet::new());
        let look = |index: usize| {
            seen.lock().unwrap().insert(rayon::current_thread_index());
            view(index)
        };
        engine.average(&mut shadows, 0..lengths.len(), look, &[0.5], NonFinite::Raise, &report).unwrap();
        seen.into_inner().unwrap()
    }

    #[test]
    fn the_elements_of_all_tensors_together_decide_who_does_a_pass() {
        let engine = Engine::new().threads(2).serial_below(1000).grain(100);
        let here = HashSet::from([None]);
        assert_eq!(lookers(engine, &[333; 3]), here);
        assert!(lookers(engine, &[334; 3]).iter().all(Option::is_some));
        assert_eq!(lookers(engine.threads(1), &[334; 3]), here);
    }
}
