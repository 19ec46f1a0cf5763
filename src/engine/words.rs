//! Zeroed memory of whole words: for large tensors in pages of their own, as large as the system has them.

use crate::error::{Error, Result};
#[cfg(target_os = "linux")]
use memmap2::Advice;
use memmap2::MmapMut;
use std::ops::{Deref, DerefMut};

/// Memory of 64-bit words.
#[derive(Debug)]
pub enum Words {
    Heap(Vec<u64>),
    /// In pages of its own: large ones take less looking up, which a pass over a large model notices. NumPy asks for such
    /// ones as well.
    Pages(MmapMut),
}

/// Bytes from which on memory is in pages of its own: two of the larger size that x86-64 has.
const PAGED_FROM: usize = 4 << 20;

impl Words {
    /// So many words, all zero.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough.
    pub fn zeroed(words: usize) -> Result<Self> {
        let bytes = words.checked_mul(size_of::<u64>()).ok_or(Error::Memory { bytes: usize::MAX })?;
        if bytes < PAGED_FROM {
            let words = bytemuck::allocation::try_zeroed_slice_box(words).map_err(|()| Error::Memory { bytes })?;
            return Ok(Words::Heap(words.into_vec()));
        }
        let pages = MmapMut::map_anon(bytes).map_err(|_| Error::Memory { bytes })?;
        #[cfg(target_os = "linux")]
        // A system without large pages says no, and gives small ones.
        let _ = pages.advise(Advice::HugePage);
        Ok(Words::Pages(pages))
    }

    /// As many words with the same values.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough.
    pub fn copied(&self) -> Result<Self> {
        let mut copy = Self::zeroed(self.len())?;
        copy.copy_from_slice(self);
        Ok(copy)
    }

    /// The words.
    #[inline]
    pub fn as_slice(&self) -> &[u64] {
        match self {
            Words::Heap(words) => words,
            // Pages are aligned for words, and there are whole ones.
            Words::Pages(pages) => bytemuck::cast_slice(pages),
        }
    }
}

impl Deref for Words {
    type Target = [u64];

    #[inline]
    fn deref(&self) -> &[u64] {
        self.as_slice()
    }
}

impl DerefMut for Words {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u64] {
        match self {
            Words::Heap(words) => words,
            Words::Pages(pages) => bytemuck::cast_slice_mut(pages),
        }
    }
}

impl PartialEq for Words {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Words {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_both_kinds_are_zero_and_copied() {
        for count in [0, 1, PAGED_FROM / 8 - 1, PAGED_FROM / 8, PAGED_FROM / 8 + 3] {
            let mut words = Words::zeroed(count).unwrap();
            assert_eq!(matches!(words, Words::Pages(_)), count * 8 >= PAGED_FROM);
            assert!(words.len() == count && words.iter().all(|&word| word == 0));
            words.iter_mut().enumerate().for_each(|(i, word)| *word = i as u64);
            let copy = words.copied().unwrap();
            assert!(copy == words);
            words.iter_mut().for_each(|word| *word = 7);
            assert!(copy.iter().enumerate().all(|(i, &word)| word == i as u64));
        }
    }

    #[test]
    fn more_than_there_is_is_refused() {
        for words in [usize::MAX, usize::MAX / 8, 1 << 55] {
            assert!(matches!(Words::zeroed(words), Err(Error::Memory { .. })), "{words}");
        }
    }
}
