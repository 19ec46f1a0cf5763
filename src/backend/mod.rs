//! What a framework offers so that its models can be averaged: batched verbs, or just access to its host memory. The
//! [`guide`] has an example of each.

#[cfg(feature = "candle")]
pub mod candle;
pub mod guide;
mod host;
#[cfg(feature = "ndarray")]
pub mod ndarray;
#[cfg(feature = "shrew")]
pub mod shrew;

use crate::descriptor::Spec;
use crate::dtype::DType;
use crate::engine::Buffer;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::nonfinite::{NonFinite, Report};

pub use crate::kernel::overlap::Owners;
pub use host::HostMemory;

/// What [`Backend::describe`] calls for each tensor: with its index, dtype and shape.
pub type Visit<'a> = &'a mut dyn FnMut(usize, DType, &[usize]) -> Result<()>;

/// A framework, wherever its tensors live. Every verb takes a whole model, so that a backend can make all its checks
/// before its first write, and launch its work once.
///
/// Frameworks with tensors in host memory implement [`HostMemory`] instead, and get this from it.
pub trait Backend {
    /// A handle on a parameter: cheap, and it sees what the optimizer writes.
    type Tensor;
    /// The averages of a whole model.
    type Shadows;
    /// The values of a whole model at some moment.
    type Backup: Default;

    /// Calls `each` for every tensor in order, and stops at the first error of `each`.
    ///
    /// # Errors
    /// What `each` returns, or that a tensor can't be read now.
    fn describe(&self, params: &[Self::Tensor], each: Visit<'_>) -> Result<()>;

    /// Whether [`Backend::write`] may write every tensor.
    ///
    /// # Errors
    /// If not, for the first such tensor.
    fn writable(&self, params: &[Self::Tensor]) -> Result<()>;

    /// For each tensor, the index of the first one that is the same memory under another name, or its own: a model has one
    /// average for all names of a tensor. `into` is mostly what an earlier call was given, with memory to use again.
    ///
    /// # Errors
    /// [`Error::Overlap`] if two tensors share some memory and are not the same, or [`Error::layout`] if one tensor's
    /// elements share memory: what is written to them can't be what each should hold.
    fn owners(&self, params: &[Self::Tensor], into: &mut Owners) -> Result<()>;

    /// Whether two tensors are the same memory. This is asked at every update, of tensors that [`Backend::owners`] found to
    /// be the same before.
    ///
    /// # Errors
    /// If they can't be looked at.
    fn same(&self, a: &Self::Tensor, b: &Self::Tensor) -> Result<bool>;

    /// The first tensor given that is on other memory than the one held under its index, as far as the handles tell without
    /// a look at the tensors; none where they don't.
    fn replaced(&self, held: &[Self::Tensor], given: &[Self::Tensor]) -> Option<usize> {
        let _ = (held, given);
        None
    }

    /// Averages that start as copies of the parameters. The report counts elements that are NaN or infinite.
    ///
    /// # Errors
    /// If a tensor can't be read.
    fn shadows(&self, params: &[Self::Tensor], spec: Spec<'_>, report: &Report) -> Result<Self::Shadows>;

    /// Averages in every parameter whose averages are its own, each horizon with its α; elements that `on` refuses go to
    /// the report.
    ///
    /// # Errors
    /// If a tensor can't be read. That should come before the first write; where another thread interferes in the middle
    /// of a pass, some tensors may have been averaged by a call that is not counted.
    fn average(
        &self,
        to: &mut Self::Shadows,
        params: &[Self::Tensor],
        alphas: &[f64],
        on: NonFinite,
        report: &Report,
    ) -> Result<()>;

    /// Whether any element of a parameter has another value than its average at a horizon; also where it is not known. Asked for
    /// advice only: at one early update, and once more when averages are used that nobody seems to have trained.
    ///
    /// # Errors
    /// If a tensor can't be read.
    fn moved(&self, params: &[Self::Tensor], shadows: &Self::Shadows, horizon: usize) -> Result<bool> {
        let _ = (params, shadows, horizon);
        Ok(true)
    }

    /// Copies every parameter, bit for bit; the memory of an earlier backup is used again. `owners` are what
    /// [`Backend::owners`] has just said: of tensors that are the same, one copy is enough.
    ///
    /// # Errors
    /// If a tensor can't be read.
    fn backup(&self, params: &[Self::Tensor], owners: &[usize], into: &mut Self::Backup) -> Result<()>;

    /// Writes every parameter: averages cast to nearest, a backup bit for bit. `owners` are what [`Backend::owners`] has
    /// just said: tensors that are the same are to hold the same, and writing their owner is enough.
    ///
    /// # Errors
    /// If a tensor can't be written.
    fn write(&self, params: &[Self::Tensor], owners: &[usize], from: Source<'_, Self>) -> Result<()>;

    /// The averages of one tensor at one horizon, in host memory. Later passes don't change what was given out.
    ///
    /// # Errors
    /// If they can't be read.
    fn export(&self, shadows: &Self::Shadows, horizon: usize, index: usize) -> Result<Buffer>;

    /// Averages out of host memory, such as a file's: for each tensor those of its horizons. Those of a tensor that owns
    /// none are those of its owner once more.
    ///
    /// # Errors
    /// If they can't be taken.
    fn import(&self, averages: Vec<Buffer>, spec: Spec<'_>) -> Result<Self::Shadows>;
}

/// What [`Backend::write`] writes.
pub enum Source<'a, B: Backend + ?Sized> {
    /// The averages of one horizon.
    Averages {
        /// The averages of all horizons.
        shadows: &'a B::Shadows,
        /// The one to write.
        horizon: usize,
    },
    /// The values that were backed up.
    Backup(&'a B::Backup),
}
