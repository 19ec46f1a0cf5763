//! Opens a file and reads its header; its values only once the books have been accepted.

use super::document::{self, Document};
use super::fill::fill;
use super::header::{self, Entry};
use super::problem::{Problem, Result, check_file, content};
use super::watch::{Watch, look};
use crate::dtype::DType;
use crate::engine::Buffer;
use crate::error;
use std::fs::{self, File};
use std::io::{self, BufReader, Seek};
use std::path::{Path, PathBuf};

/// Bytes that are read before they are widened, which has them in memory twice.
const WIDENED: usize = 16 << 20;

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
        let mut wanted: Vec<_> = self.entries.iter().map(|entry| (entry, entry.descriptor.dtype)).collect();
        for (&place, &dtype) in places.iter().zip(dtypes) {
            wanted[place].1 = dtype;
        }
        let widens = wanted.iter().any(|(entry, dtype)| entry.descriptor.dtype != *dtype);
        let most = if widens { WIDENED } else { usize::MAX };
        let (mut start, mut wanted) = (self.start, &wanted[..]);
        let mut values = Vec::with_capacity(wanted.len());
        while !wanted.is_empty() {
            let (now, later) = wanted.split_at(first(wanted, most));
            let stored = now.iter().map(|(entry, _)| Buffer::zeroed(entry.descriptor.clone()));
            let mut stored = stored.collect::<error::Result<Vec<_>>>()?;
            fill(&self.file, start, stored.iter_mut().map(Buffer::as_mut_bytes), watch).map_err(cut_short)?;
            for (buffer, &(entry, dtype)) in stored.into_iter().zip(now) {
                look(watch, "load")?;
                if buffer.has_odd_bools() {
                    let name = &entry.name;
                    return content(format_args!("has a tensor \"{name}\" of bools that are neither true nor false"));
                }
                values.push(Some(if dtype == entry.descriptor.dtype { buffer } else { buffer.widened(dtype)? }));
                start += entry.bytes() as u64;
            }
            wanted = later;
        }
        let mut value = |&place: &usize| values[place].take().expect("each tensor has a place of its own");
        Ok(places.iter().map(&mut value).collect())
    }
}

/// How many tensors come until they have so many bytes.
fn first(tensors: &[(&Entry, DType)], bytes: usize) -> usize {
    let mut left = bytes;
    let before = tensors.iter().take_while(|(entry, _)| {
        left = left.saturating_sub(entry.bytes());
        left > 0
    });
    tensors.len().min(before.count() + 1)
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
