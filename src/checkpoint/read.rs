//! Opens a file and reads its header; its values only once the books have been accepted.

use super::document::{self, Document};
use super::fill;
use super::header::{self, Entry};
use super::problem::{Problem, Result, check_file, content};
use super::write::Watch;
use crate::dtype::DType;
use crate::engine::Buffer;
use crate::error;
use std::fs::{self, File};
use std::io::{self, BufReader, Seek};
use std::path::{Path, PathBuf};

/// A file whose header was read.
#[derive(Debug)]
pub struct Opened {
    pub path: PathBuf,
    file: File,
    /// Where their values begin.
    start: u64,
    /// The tensors as they lie in the file.
    pub entries: Vec<Entry>,
    pub document: Document,
}

/// Opens the file of one horizon.
pub fn open(path: &Path) -> Result<Opened> {
    // Looked at first: opening a pipe waits for somebody who writes into it.
    check_file(&fs::metadata(path)?)?;
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut file = BufReader::with_capacity(1 << 20, file);
    let header = header::read(&mut file, length).map_err(cut_short)?;
    let start = file.stream_position()?;
    Ok(Opened {
        path: path.to_owned(),
        file: file.into_inner(),
        start,
        entries: header.entries,
        document: document::read(&header.document)?,
    })
}

impl Opened {
    /// Whether this is a horizon of the save that another file is of.
    pub fn is_beside(&self, first: &Opened, horizon: usize) -> bool {
        self.document.horizon == horizon && self.document.is_of_save(&first.document)
    }

    /// The values of tensors at these places, each in the dtype given.
    pub fn values(self, places: &[usize], dtypes: &[DType], watch: Watch<'_>) -> Result<Vec<Buffer>> {
        let made = self.entries.iter().map(|entry| Buffer::zeroed(entry.descriptor.clone()));
        let mut stored = made.collect::<error::Result<Vec<_>>>()?;
        fill::fill(&self.file, self.start, stored.iter_mut().map(Buffer::as_mut_bytes), watch).map_err(cut_short)?;
        for (buffer, entry) in stored.iter().zip(&self.entries) {
            if buffer.has_odd_bools() {
                let name = &entry.name;
                return content(format_args!("has a tensor \"{name}\" of bools that are neither true nor false"));
            }
        }
        let mut stored: Vec<_> = stored.into_iter().map(Some).collect();
        let mut value = |(&place, &dtype): (&usize, &DType)| {
            let buffer = stored[place].take().expect("each tensor has a place of its own");
            Ok(if buffer.descriptor().dtype == dtype { buffer } else { buffer.widened(dtype)? })
        };
        places.iter().zip(dtypes).map(&mut value).collect()
    }
}

/// A file that ends before its header says is not one that the system can't read.
fn cut_short(problem: Problem) -> Problem {
    match problem {
        Problem::System(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Problem::Content("became shorter while it was read".to_owned())
        }
        other => other,
    }
}
