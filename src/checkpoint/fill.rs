//! Fills memory with what comes next in a file, with several threads where it is long: from a file that the system has in
//! memory one thread gets no more than half of what two get, and what it copies into is new and has to be cleared as well.

use super::problem::Result;
use super::watch::{Watch, look};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{mem, panic, thread};

/// Bytes that a thread reads before it asks for more, and between two looks at the watch.
const PIECE: usize = 4 << 20;

/// Threads at most. Two are as quick as the memory of two processors; that more serve larger machines is a guess.
const READERS: usize = 4;

/// Bytes of the file that are read together where parts are smaller.
const TOGETHER: usize = 32 << 10;

/// Parts of memory whose values come one after the other in the file.
#[derive(Default)]
struct Piece<'m> {
    start: u64,
    length: usize,
    parts: Vec<&'m mut [u8]>,
}

impl Piece<'_> {
    fn fill(self, file: &File) -> io::Result<()> {
        let rest = Rest { file, place: self.start }.take(self.length as u64);
        // What is longer than the buffer is read into its place at once.
        let mut rest = BufReader::with_capacity(if self.parts.len() > 1 { TOGETHER } else { 0 }, rest);
        self.parts.into_iter().try_for_each(|part| rest.read_exact(part))
    }
}

/// A file from a place on. The threads share its handle, and so can't share the place of the handle.
struct Rest<'f> {
    file: &'f File,
    place: u64,
}

impl Read for Rest<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = read_at(self.file, into, self.place)?;
        self.place += read as u64;
        Ok(read)
    }
}

#[cfg(unix)]
fn read_at(file: &File, into: &mut [u8], place: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, into, place)
}

#[cfg(windows)]
fn read_at(file: &File, into: &mut [u8], place: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, into, place)
}

/// Fills these parts of memory with the bytes of the file from `start` on.
pub fn fill<'m>(file: &File, start: u64, parts: impl Iterator<Item = &'m mut [u8]>, watch: Watch<'_>) -> Result<()> {
    let pieces = pieces(PIECE, start, parts);
    let threads = || thread::available_parallelism().map_or(1, |threads| threads.get().min(READERS));
    // To ask for the number takes longer than to read a small file.
    let readers = if pieces.len() > 1 { threads().min(pieces.len()) } else { 1 };
    read(file, pieces, readers, watch)
}

/// Parts of memory put together, and long ones cut, to pieces of so many bytes.
fn pieces<'m>(bytes: usize, start: u64, parts: impl Iterator<Item = &'m mut [u8]>) -> Vec<Piece<'m>> {
    let mut pieces = Vec::new();
    let mut piece = Piece { start, ..Piece::default() };
    for mut rest in parts {
        while !rest.is_empty() {
            let (part, after) = rest.split_at_mut(rest.len().min(bytes - piece.length));
            piece.length += part.len();
            piece.parts.push(part);
            if piece.length == bytes {
                let start = piece.start + bytes as u64;
                pieces.push(mem::replace(&mut piece, Piece { start, ..Piece::default() }));
            }
            rest = after;
        }
    }
    if piece.length > 0 {
        pieces.push(piece);
    }
    pieces
}

/// Reads the pieces with so many threads, of which the caller is one, and the only one that looks at the watch.
fn read(file: &File, pieces: Vec<Piece<'_>>, readers: usize, watch: Watch<'_>) -> Result<()> {
    let pieces = Mutex::new(pieces.into_iter());
    let failed = AtomicBool::new(false);
    let next = || {
        let mut pieces = pieces.lock().unwrap_or_else(PoisonError::into_inner);
        pieces.next().filter(|_| !failed.load(Ordering::Relaxed))
    };
    let work = |watch: Watch<'_>| -> Result<()> {
        loop {
            look(watch, "load")?;
            let Some(piece) = next() else { return Ok(()) };
            piece.fill(file)?;
        }
    };
    let work = |watch: Watch<'_>| work(watch).inspect_err(|_| failed.store(true, Ordering::Relaxed));
    thread::scope(|scope| {
        // Without the others the caller reads everything.
        let helpers: Vec<_> = (1..readers)
            .map_while(|_| {
                let thread = thread::Builder::new().name("shrew-ema-load".to_owned());
                thread.spawn_scoped(scope, || work(&mut || true)).ok()
            })
            .collect();
        let own = work(watch);
        let helped =
            helpers.into_iter().map(|helper| helper.join().unwrap_or_else(|cause| panic::resume_unwind(cause)));
        helped.fold(own, Result::and)
    })
}

#[cfg(test)]
mod tests {
    use super::super::problem::Problem;
    use super::*;
    use crate::error::Error;
    use std::io::Write;
    use std::time::Duration;

    /// A file of so many bytes, none like its neighbours.
    fn file(length: usize) -> (File, Vec<u8>) {
        let bytes: Vec<u8> = (0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        (file, bytes)
    }

    fn parts(lengths: &[usize]) -> Vec<Vec<u8>> {
        lengths.iter().map(|&length| vec![0; length]).collect()
    }

    fn into(parts: &mut [Vec<u8>]) -> impl Iterator<Item = &mut [u8]> {
        parts.iter_mut().map(Vec::as_mut_slice)
    }

    #[test]
    fn every_part_gets_what_comes_next() {
        const START: usize = 13;
        for lengths in [
            vec![],
            vec![0],
            vec![0, 5, 0, 1, 0],
            vec![PIECE],
            vec![PIECE - 1, 1, 1],
            vec![PIECE + 1, 0, PIECE - 1, 3],
            vec![7, 5 * PIECE + 11, 2, PIECE, 9],
            (0..3000).collect(),
        ] {
            let (file, bytes) = file(START + lengths.iter().sum::<usize>() + 1);
            let mut parts = parts(&lengths);
            fill(&file, START as u64, into(&mut parts), &mut || true).unwrap();
            assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), lengths);
            assert!(parts.concat() == bytes[START..bytes.len() - 1], "{lengths:?}");
        }
    }

    #[test]
    fn a_file_that_ends_early_is_told_by_whoever_reads_there() {
        let (file, _) = file(3 * PIECE);
        for start in [1, PIECE, 3 * PIECE, 4 * PIECE] {
            let found = fill(&file, start as u64, into(&mut parts(&[PIECE, 2 * PIECE])), &mut || true);
            assert!(matches!(&found, Err(Problem::System(error)) if error.kind() == io::ErrorKind::UnexpectedEof));
        }
    }

    #[test]
    fn whoever_breaks_off_is_heard_before_each_piece() {
        let (file, bytes) = file(10 * 64);
        for looks in 0..=11 {
            let mut memory = parts(&[640]);
            let mut left = 0..looks;
            let read = read(&file, pieces(64, 0, into(&mut memory)), 1, &mut || left.next().is_some());
            let filled = 64 * looks.min(10);
            assert!(memory[0][..filled] == bytes[..filled] && memory[0][filled..].iter().all(|&byte| byte == 0));
            assert!(if looks > 10 { read.is_ok() } else { is_interrupted(&read) });
        }
        assert!(is_interrupted(&fill(&file, 0, into(&mut parts(&[640])), &mut || false)));
    }

    fn is_interrupted(found: &Result<()>) -> bool {
        matches!(found, Err(Problem::Other(Error::Interrupted { call: "load" })))
    }

    #[test]
    fn others_read_while_the_caller_waits_and_their_errors_are_told() {
        const COUNT: usize = 1000;
        let (file, bytes) = file(64 * COUNT);
        for (start, readers) in [(0, 2), (0, 4), (64, 2), (64, 4)] {
            let (mut memory, mut looks) = (parts(&[64 * COUNT]), 0);
            let mut wait = || {
                thread::sleep(Duration::from_millis(1));
                looks += 1;
                true
            };
            let read = read(&file, pieces(64, start as u64, into(&mut memory)), readers, &mut wait);
            assert!(looks < COUNT / 2, "the caller read alone");
            assert!(memory[0][..64 * COUNT - start] == bytes[start..]);
            assert_eq!(read.is_err(), start > 0);
        }
    }
}
