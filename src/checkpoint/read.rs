//! Opens a file and reads its header; its values only once the books have been accepted.

use super::document::{self, Document};
use super::header::{self, Entry};
use super::problem::{Problem, Result, check_file, content};
use super::ready;
use super::write::{PIECE, Watch};
use crate::dtype::DType;
use crate::engine::Buffer;
use crate::error::Error;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// A file whose header was read.
#[derive(Debug)]
pub struct Opened {
    pub path: PathBuf,
    file: BufReader<File>,
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
    Ok(Opened { path: path.to_owned(), file, entries: header.entries, document: document::read(&header.document)? })
}

impl Opened {
    /// Whether this is a horizon of the save that another file is of.
    pub fn is_beside(&self, first: &Opened, horizon: usize) -> bool {
        self.document.horizon == horizon && self.document.is_of_save(&first.document)
    }

    /// The values of tensors at these places, each in the dtype given.
    pub fn values(mut self, places: &[usize], dtypes: &[DType], watch: Watch<'_>) -> Result<Vec<Buffer>> {
        let mut wanted = vec![None; self.entries.len()];
        for (tensor, (&place, &dtype)) in places.iter().zip(dtypes).enumerate() {
            wanted[place] = Some((tensor, dtype));
        }
        let wanted = wanted.into_iter().map(|wanted| wanted.expect("the books have every tensor of the file"));
        let wanted: Vec<_> = wanted.collect();
        let mut values: Vec<Option<Buffer>> = vec![None; places.len()];
        let tensors: Vec<_> = self.entries.iter().map(|entry| entry.descriptor.clone()).collect();
        // What is widened is in memory twice, so that nothing is made ahead of it.
        let widens = tensors.iter().zip(&wanted).any(|(tensor, &(_, dtype))| tensor.dtype != dtype);
        ready::ahead(if widens { &[] } else { &tensors }, |mut ready| {
            for (entry, &(tensor, dtype)) in self.entries.iter().zip(&wanted) {
                let buffer = ready.next().unwrap_or_else(|| Buffer::zeroed(entry.descriptor.clone()))?;
                let buffer = fill(buffer, entry, &mut self.file, watch)?;
                values[tensor] = Some(if dtype == entry.descriptor.dtype { buffer } else { buffer.widened(dtype)? });
            }
            Ok(values.into_iter().map(|buffer| buffer.expect("each is at a place of its own")).collect())
        })
    }
}

/// Reads the values of a tensor, which come next in the file.
fn fill(mut buffer: Buffer, entry: &Entry, file: &mut impl Read, watch: Watch<'_>) -> Result<Buffer> {
    for piece in buffer.as_mut_bytes().chunks_mut(PIECE) {
        if !watch() {
            return Err(Error::Interrupted { call: "load" }.into());
        }
        file.read_exact(piece).map_err(|error| cut_short(error.into()))?;
    }
    if buffer.has_odd_bools() {
        return content(format_args!("has a tensor \"{}\" of bools that are neither true nor false", entry.name));
    }
    Ok(buffer)
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
