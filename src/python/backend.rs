//! The backend of Python models: arrays in host memory, whose facts the caller of a verb has just read.

use super::array::{Access, Tensor};
use crate::backend::{Backend, Owners, Source, Visit};
use crate::descriptor::Spec;
use crate::engine::{Buffer, Engine, HostBackup, HostShadows};
use crate::error::{Error, Result};
use crate::kernel::overlap;
use crate::kernel::view::View;
use crate::nonfinite::{NonFinite, Report};

/// Models in Python containers.
///
/// Its verbs look at memory that the tensors only point to. Every one of them is therefore called under the gate of the EMA,
/// and either right after `Container::recall`, with the interpreter held and no Python code run; or between `Container::read`
/// and the release of the references that were taken for it, with the interpreter held or the arrays pinned. That is what each
/// `SAFETY` below stands on.
#[derive(Debug, Default)]
pub struct PythonModel {
    engine: Engine,
}

impl PythonModel {
    /// Whether a pass over so many elements takes so long that the interpreter is released meanwhile: Python itself lets
    /// another thread run every 5 ms, and fewer take less.
    pub fn is_long(elements: usize) -> bool {
        elements >= 1 << 22
    }
}

fn view<'p>(params: &'p [Tensor]) -> impl Fn(usize) -> View<'p> + Sync {
    // SAFETY: the arrays are alive and as they were read; see `PythonModel`.
    move |index| unsafe { params[index].view() }
}

impl Backend for PythonModel {
    type Tensor = Tensor;
    type Shadows = HostShadows;
    type Backup = HostBackup;

    fn describe(&self, params: &[Tensor], each: Visit<'_>) -> Result<()> {
        params.iter().enumerate().try_for_each(|(index, tensor)| each(index, tensor.dtype(), tensor.shape()))
    }

    fn writable(&self, params: &[Tensor]) -> Result<()> {
        for (index, tensor) in params.iter().enumerate() {
            let problem = match tensor.access() {
                Access::Writable => continue,
                Access::ReadOnly => {
                    "is read-only and can't be written: averages need an array with flags.writeable, or averages() gives them"
                }
                Access::Scalar => {
                    "is a NumPy scalar and can't be written: keep it a 0-d array by writing p[\"b\"][...] = value"
                }
            };
            return Err(Error::layout(problem).at(index));
        }
        Ok(())
    }

    fn owners(&self, params: &[Tensor], into: &mut Owners) -> Result<()> {
        into.find(params.len(), view(params))
    }

    fn same(&self, a: &Tensor, b: &Tensor) -> Result<bool> {
        // SAFETY: the arrays are alive and as they were read; see `PythonModel`.
        Ok(unsafe { overlap::same(&a.view(), &b.view()) })
    }

    fn shadows(&self, params: &[Tensor], spec: Spec<'_>, report: &Report) -> Result<Self::Shadows> {
        self.engine.shadows(view(params), spec, report)
    }

    fn average(
        &self,
        to: &mut Self::Shadows,
        params: &[Tensor],
        alphas: &[f64],
        on: NonFinite,
        report: &Report,
    ) -> Result<()> {
        self.engine.average(to, 0..params.len(), view(params), alphas, on, report)
    }

    fn moved(&self, params: &[Tensor], shadows: &Self::Shadows, horizon: usize) -> Result<bool> {
        let view = view(params);
        Ok((0..params.len()).any(|index| shadows.differs(horizon, index, &view(index))))
    }

    fn backup(&self, params: &[Tensor], owners: &[usize], into: &mut Self::Backup) -> Result<()> {
        self.engine.backup(into, 0..params.len(), owners, view(params))
    }

    fn write(&self, params: &[Tensor], owners: &[usize], from: Source<'_, Self>) -> Result<()> {
        let from = |index| match &from {
            Source::Averages { shadows, horizon } => shadows.average(*horizon, index),
            Source::Backup(backup) => backup.get(index).view(),
        };
        // SAFETY: the arrays are alive and as they were read, see `PythonModel`; they are writable, as `EMA` asked
        // before; each owner is taken once, and `owners`, which `EMA` asked in this call, found that they share nothing.
        self.engine.write(owners, from, |index| unsafe { params[index].view_mut() });
        Ok(())
    }

    fn export(&self, shadows: &Self::Shadows, horizon: usize, index: usize) -> Result<Buffer> {
        Ok(shadows.get(horizon, index))
    }

    fn import(&self, averages: Vec<Buffer>, spec: Spec<'_>) -> Result<Self::Shadows> {
        HostShadows::of(averages, spec)
    }
}
