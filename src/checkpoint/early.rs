//! A file whose beginning goes to the disk while the rest is written.
//!
//! A system keeps what is written in memory until it is told to bring it to the disk, which then has everything to do at
//! once, after it has had nothing to do. The advice that a stretch will not be read soon has Linux begin with it where there
//! is a disk, and nobody waits for it to arrive; its memory is then the first to be used for something else. Nothing is lost
//! where advice is not heeded: the file is brought to the disk as a whole in the end.

use std::fs::File;
use std::io::{self, Write};

/// Bytes after which the disk is told again: few enough for it to begin soon, and long enough to be worth its while.
const STRETCH: u64 = 32 << 20;

/// A file that is written from its beginning, and what is told of each stretch of it: where it begins, and its bytes.
pub struct Early<W, T> {
    file: W,
    tell: T,
    written: u64,
    told: u64,
}

/// Writes to a file that is still empty.
pub fn early(file: &File) -> Early<&File, impl FnMut(u64, u64)> {
    // What goes wrong with the disk is heard of when the whole file is brought there.
    Early::new(file, |from, bytes| drop(begin(file, from, bytes)))
}

impl<W, T: FnMut(u64, u64)> Early<W, T> {
    fn new(file: W, tell: T) -> Self {
        Self { file, tell, written: 0, told: 0 }
    }
}

impl<W: Write, T: FnMut(u64, u64)> Write for Early<W, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.written += count as u64;
        let untold = self.written - self.told;
        if untold >= STRETCH {
            (self.tell)(self.told, untold);
            self.told = self.written;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Has the disk begin with a stretch.
#[cfg(target_os = "linux")]
fn begin(file: &File, from: u64, bytes: u64) -> io::Result<()> {
    use rustix::fs::{Advice, fadvise};
    Ok(fadvise(file, from, std::num::NonZeroU64::new(bytes), Advice::DontNeed)?)
}

#[cfg(not(target_os = "linux"))]
fn begin(_: &File, _: u64, _: u64) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes only so many bytes at once, as a system may.
    struct Slow(Vec<u8>, usize);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(&bytes[..bytes.len().min(self.1)])
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_stretch_is_told_once_and_all_is_written() {
        let bytes: Vec<u8> = (0..100 << 20).map(|at: u32| (at % 251) as u8).collect();
        for (at_once, expected) in [(5 << 20, vec![33 << 20, 35 << 20, 32 << 20]), (1 << 20, vec![STRETCH; 3])] {
            let mut told = Vec::new();
            let mut file = Early::new(Slow(Vec::new(), at_once), |from, bytes| told.push((from, bytes)));
            for piece in bytes.chunks(7 << 20) {
                file.write_all(piece).unwrap();
            }
            assert!(file.file.0 == bytes);
            let mut ends = 0;
            for &(from, bytes) in &told {
                assert_eq!(from, ends);
                ends += bytes;
            }
            assert_eq!(told.iter().map(|&(_, bytes)| bytes).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn the_advice_is_taken_and_does_a_file_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bytes: Vec<u8> = (0..70 << 20).map(|at: u32| (at % 251) as u8).collect();
        let file = File::create(&path).unwrap();
        let mut writer = early(&file);
        bytes.chunks(16 << 20).for_each(|piece| writer.write_all(piece).unwrap());
        writer.flush().unwrap();
        begin(&file, 0, bytes.len() as u64).unwrap();
        assert!(std::fs::read(&path).unwrap() == bytes);
    }
}
