//! Files: what is kept of an EMA is a model file, its averages under the parameters' names, with the books in the metadata.
//!
//! A checkpoint is a [safetensors](https://huggingface.co/docs/safetensors) file that every program can open as a model.
//! All that a resume to the bit needs is in its metadata: schedule, counters, policies, the parameters' dtypes. Several
//! horizons are several files, `ema.h0.safetensors` and so on for `ema.safetensors`.
//!
//! A file is written under another name, flushed to the disk and renamed, so that a crash leaves the old one or the new
//! one. A file that is damaged, cut short, of another program or of other parameters is refused before anything is
//! changed. A checksum covers the names, dtypes, shapes and books; of the values it is not known whether a bit of them has
//! changed on the disk.

mod atomic;
mod document;
mod early;
mod fill;
mod header;
mod problem;
mod read;
mod set;
mod watch;
mod write;

use crate::averages::Averages;
use crate::backend::Backend;
use crate::dtype::DType;
use crate::ema::EMA;
use crate::engine::Buffer;
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use document::Books;
pub(crate) use problem::Problem;
use read::Opened;
use std::path::{Path, PathBuf};

#[cfg(feature = "python")]
pub(crate) use document::{Document, books, check_set, read as read_document, write as write_document};
#[cfg(feature = "python")]
pub(crate) use header::Entry;
pub use watch::Watch;

/// Saves books and averages; `export(horizon, index)` gives each average, and `dtype` is what they are rounded to, if
/// anything.
///
/// # Errors
/// As [`EMA::save`]; [`Error::Interrupted`] once `watch` says that the call may not go on. The old files stay then.
pub fn save(
    path: &Path,
    ledger: &Ledger,
    dtype: Option<DType>,
    export: &dyn Fn(usize, usize) -> Result<Buffer>,
    watch: Watch<'_>,
) -> Result<()> {
    check_host(path)?;
    check_rounding(ledger, dtype)?;
    let rounded_to = dtype.filter(|&dtype| ledger.dtypes().iter().any(|&own| document::kept(own, Some(dtype)) != own));
    let horizons = ledger.horizons();
    let set = (horizons > 1).then(set::id);
    let files = set::files(path, horizons).map_err(|problem| problem.at(path))?;
    if set.is_some() {
        set::finish(path, horizons);
    }
    let mut drafts = Vec::new();
    for (horizon, path) in files.into_iter().enumerate() {
        let at = |problem: Problem| problem.at(&path);
        // The folder of the process may become another one meanwhile.
        let target = atomic::target(&path).and_then(|target| Ok(std::path::absolute(target)?)).map_err(at)?;
        atomic::check_replaceable(&target).map_err(at)?;
        atomic::clean(&target);
        let export = |index| export(horizon, index);
        let draft = write::draft(target, ledger, horizon, (rounded_to, set.as_deref()), &export, watch).map_err(at)?;
        drafts.push((path, draft));
    }
    // All are on the disk before the first takes its place, and no two saves take places in turns. Once one has, the
    // rest are kept whatever happens: the next load or save finds them.
    let _turn = atomic::turn(drafts[0].1.target());
    let complete = |(horizon, (path, draft)): (usize, (PathBuf, atomic::Draft))| {
        draft.complete(horizon > 0).map_err(|problem| problem.at(&path))
    };
    let mut completed = drafts.into_iter().enumerate().map(complete);
    completed.next().transpose()?;
    completed.fold(Ok(()), Result::and)
}

/// Whether averages can be rounded to a dtype.
///
/// # Errors
/// [`Error::Config`] if not.
pub(crate) fn check_rounding(ledger: &Ledger, dtype: Option<DType>) -> Result<()> {
    let Some(dtype) = dtype else { return Ok(()) };
    match document::narrower(ledger, dtype) {
        Some(own) => {
            let valid = format!("a float dtype no wider than that of the averages, {own}");
            Err(Error::config("dtype", dtype, valid))
        }
        None => Ok(()),
    }
}

/// A checkpoint that was opened: everything is checked that can be checked before its values are read.
///
/// ```
/// use shrew_ema::checkpoint::Checkpoint;
/// use shrew_ema::{Averages, Config, View};
/// let path = std::env::temp_dir().join(format!("shrew-ema-{}.safetensors", std::process::id()));
/// let mut averages = Averages::new(&[View::from(&[1.0, 2.0][..])], Config::new(0.9)?)?;
/// averages.update(&[View::from(&[2.0, 2.0][..])])?;
/// averages.save(&path)?;
/// let mut resumed = Averages::load(&path)?;
/// assert_eq!(resumed.shadow_values(0), averages.shadow_values(0));
/// assert_eq!(Checkpoint::open(&path)?.names(), ["0"]);
/// # std::fs::remove_file(&path).unwrap();
/// # Ok::<(), shrew_ema::Error>(())
/// ```
#[derive(Debug)]
pub struct Checkpoint {
    files: Vec<Opened>,
    rounded: bool,
}

impl Checkpoint {
    /// Opens the file of one horizon, or those of all horizons that were saved under this path.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if there is none, or one that can't be loaded.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        check_host(path)?;
        Ok(Self { files: set::open(path)?, rounded: false })
    }

    /// Takes averages that were rounded when they were saved as they are. Going on from these is another training than
    /// the one that was saved.
    #[must_use]
    pub fn accept_rounded(self) -> Self {
        Self { rounded: true, ..self }
    }

    /// The names of the parameters, in the order that they had.
    pub fn names(&self) -> Vec<String> {
        self.files[0].document.names()
    }

    /// The books, with the tensors in the order of `names` if any are given.
    pub(crate) fn books(&self, names: Option<&[String]>) -> Result<Books> {
        let at = |(place, problem): (usize, Problem)| problem.at(&self.files[place].path);
        let rounded_to = self.files[0].document.rounded_to().map_err(|problem| at((0, problem)))?;
        if let Some(dtype) = rounded_to.filter(|_| !self.rounded) {
            let problem = format!(
                "holds averages that were rounded to {dtype}, which is not where the training was: resume=False \
                 (in Rust, accept_rounded()) takes them as they are"
            );
            return Err(at((0, Problem::Content(problem))));
        }
        let documents: Vec<_> = self.files.iter().map(|file| &file.document).collect();
        let stored: Vec<_> = self.files.iter().map(|file| &file.entries[..]).collect();
        document::books(&documents, &stored, names).map_err(at)
    }

    /// The averages that these books are on: for each tensor those of its horizons.
    pub(crate) fn averages(self, books: &Books, watch: Watch<'_>) -> Result<Vec<Buffer>> {
        let ledger = &books.ledger;
        let (mut paths, mut columns) = (Vec::new(), Vec::new());
        for (file, places) in self.files.into_iter().zip(&books.places) {
            let path = file.path.clone();
            let values = file.values(places, ledger.dtypes(), watch).map_err(|problem| problem.at(&path))?;
            columns.push(values.into_iter());
            paths.push(path);
        }
        let mut averages = Vec::with_capacity(ledger.names().len() * columns.len());
        for _ in ledger.names() {
            averages.extend(columns.iter_mut().filter_map(Iterator::next));
        }
        check_ties(ledger, &averages).map_err(|(horizon, problem)| problem.at(&paths[horizon]))?;
        Ok(averages)
    }

    /// The EMA, over a model in a backend.
    ///
    /// # Errors
    /// [`Error::Names`], [`Error::DType`] or [`Error::Shape`] if these are not the parameters that were averaged;
    /// [`Error::Overlap`] if two share memory and are not the same; [`Error::Checkpoint`] if the averages were rounded or
    /// can't be read.
    pub fn resume<B: Backend>(
        self,
        backend: B,
        params: impl IntoIterator<Item = (String, B::Tensor)>,
    ) -> Result<EMA<B>> {
        let (names, params): (Vec<_>, Vec<_>) = params.into_iter().unzip();
        let books = self.books(Some(&names))?;
        EMA::check_params(&backend, &books.ledger, &params)?;
        let averages = self.averages(&books, &mut || true)?;
        EMA::with_books(backend, params, books.ledger, averages)
    }

    /// The averages without a model.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if they were rounded or can't be read.
    pub fn resume_averages(self) -> Result<Averages> {
        let books = self.books(None)?;
        let averages = self.averages(&books, &mut || true)?;
        Averages::resume(books.ledger, averages)
    }
}

/// Whether tied names have one average between them, to the last bit; if not, also the horizon that has two.
pub(crate) fn check_ties(ledger: &Ledger, averages: &[Buffer]) -> std::result::Result<(), (usize, Problem)> {
    let spec = ledger.spec();
    for (index, &owner) in spec.owners.iter().enumerate().filter(|&(index, &owner)| index != owner) {
        let row = |index: usize| &averages[index * spec.horizons..][..spec.horizons];
        let differs = row(index).iter().zip(row(owner)).position(|(a, b)| a != b);
        if let Some(horizon) = differs {
            let (a, b) = (&ledger.names()[owner], &ledger.names()[index]);
            let problem = format!("has two averages for \"{a}\" and \"{b}\", which were one parameter");
            return Err((horizon, Problem::Content(problem)));
        }
    }
    Ok(())
}

/// The files are little-endian, and so far written and read byte by byte.
fn check_host(path: &Path) -> Result<()> {
    if cfg!(target_endian = "little") {
        return Ok(());
    }
    Err(Problem::Content("can't be written or read on a big-endian machine yet".to_owned()).at(path))
}

impl<B: Backend> EMA<B> {
    /// Saves the averages as a model file, with all that [`EMA::load`] needs to go on to the bit: whatever the model
    /// holds now, it is the averages that are saved.
    ///
    /// The file is replaced as a whole, once it is on the disk; of two saves at once, the one that ends later wins. Of
    /// several horizons each is a file, `ema.h0.safetensors` and so on for `ema.safetensors`. A symbolic link stays one, and
    /// the file that it leads to is written.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if it can't be written, or is there and read-only; the old file stays then.
    ///
    /// ```
    /// use shrew_ema::EMA;
    /// use shrew_ema::backend::ndarray::{Handle, NdArray, share};
    /// let weights = share(ndarray::arr1(&[1.0_f32, 2.0]));
    /// let params = || [("w".to_owned(), Handle::from(&weights))];
    /// let mut ema = EMA::<NdArray>::named(params(), shrew_ema::Config::new(0.9)?)?;
    /// # let path = std::env::temp_dir().join(format!("shrew-ema-{}-ema.safetensors", std::process::id()));
    /// ema.save(&path)?;
    /// let resumed = EMA::<NdArray>::load(&path, params())?;
    /// assert_eq!(resumed.shadow_values(0), ema.shadow_values(0));
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), shrew_ema::Error>(())
    /// ```
    pub fn save(&mut self, path: impl AsRef<Path>) -> Result<()> {
        self.save_as(path, None)
    }

    /// As [`EMA::save`], with the averages rounded to a narrower float dtype if one is given: a model to ship, and nothing
    /// to resume from. Integers keep their dtype.
    ///
    /// # Errors
    /// As [`EMA::save`], and [`Error::Config`] unless `dtype` is a float dtype no wider than the averages.
    pub fn save_as(&mut self, path: impl AsRef<Path>, dtype: Option<DType>) -> Result<()> {
        self.advise_on_shares();
        // No reason not to save: what can't be looked at may be all that is wrong with the model.
        let _ = self.advise_on_rest(0);
        let export = |horizon, index| self.shadow(index, horizon);
        save(path.as_ref(), self.ledger(), dtype, &export, &mut || true)
    }

    /// The EMA that was saved, over a model of the same names, dtypes and shapes in whatever order: as if the training had
    /// never stopped.
    ///
    /// # Errors
    /// As [`Checkpoint::open`] and [`Checkpoint::resume`].
    pub fn load(path: impl AsRef<Path>, params: impl IntoIterator<Item = (String, B::Tensor)>) -> Result<Self>
    where
        B: Default,
    {
        Checkpoint::open(path)?.resume(B::default(), params)
    }
}

impl Averages {
    /// Saves the averages as [`EMA::save`] does.
    ///
    /// # Errors
    /// As [`EMA::save`].
    pub fn save(&mut self, path: impl AsRef<Path>) -> Result<()> {
        self.save_as(path, None)
    }

    /// As [`EMA::save_as`].
    ///
    /// # Errors
    /// As [`EMA::save_as`].
    pub fn save_as(&mut self, path: impl AsRef<Path>, dtype: Option<DType>) -> Result<()> {
        self.advise_on_shares();
        let export = |horizon, index| Ok(self.buffer(index, horizon));
        save(path.as_ref(), self.ledger(), dtype, &export, &mut || true)
    }

    /// The averages that were saved, in the order that they had.
    ///
    /// # Errors
    /// As [`Checkpoint::open`] and [`Checkpoint::resume_averages`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Checkpoint::open(path)?.resume_averages()
    }
}
