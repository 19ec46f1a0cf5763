//! Where each average of a model lies: small ones side by side in blocks, a large one by itself.

use super::words::words;
use crate::dtype::DType;

/// Bytes from which on an average lies by itself: to find it is then little of what it takes.
pub const SMALL: usize = 1 << 10;

/// Words of a block: enough that small averages are read in a row, few enough to be copied where one of them was given out.
pub const BLOCK: usize = 512;

const _: () = assert!(SMALL < BLOCK * size_of::<u64>());

/// Where one average lies, or the place where another tensor has the averages.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The block and the word in it where a small one begins, or else the next small one would if it fitted. Past the first
    /// word, there are small ones before it in that block.
    pub(super) block: u32,
    pub(super) word: u16,
    /// Of a small one: its elements, and the words that they take.
    pub(super) elements: u16,
    pub(super) words: u16,
    /// How many large ones come before it.
    pub(super) large: u32,
    pub(super) kind: Kind,
    /// None where another tensor has the averages, of whatever kind they are.
    pub(super) dtype: Option<DType>,
}

// Of many small tensors a pass reads little else, and that from memory.
const _: () = assert!(size_of::<Place>() <= 16);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Small,
    /// A small one, the first of its block.
    Begins,
    Large,
}

/// What lies at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A small average: of so many elements, in this block from this word on.
    Small { block: usize, word: usize, elements: usize, dtype: DType },
    /// The large average of this number.
    Large(usize),
    /// Nothing: another tensor has the averages.
    Tied,
}

impl Place {
    pub fn find(&self) -> Found {
        match self.dtype {
            None => Found::Tied,
            Some(_) if self.kind == Kind::Large => Found::Large(self.large as usize),
            Some(dtype) => Found::Small {
                block: self.block as usize,
                word: usize::from(self.word),
                elements: usize::from(self.elements),
                dtype,
            },
        }
    }
}

/// Gives out places, one after the other: where the next one is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Places {
    /// The block that is being filled and the words of it that are, of which there are some once there is a block.
    block: usize,
    filled: usize,
    large: usize,
}

impl Places {
    /// The place of a small average.
    ///
    /// # Panics
    /// Unless it is small.
    pub fn small(&mut self, elements: usize, dtype: DType) -> Place {
        let words = words(elements, dtype.size());
        assert!(words * size_of::<u64>() < SMALL, "{elements} elements of {dtype} are not few");
        if self.filled + words > BLOCK {
            (self.block, self.filled) = (self.block + 1, 0);
        }
        let kind = if self.filled == 0 && words > 0 { Kind::Begins } else { Kind::Small };
        let place = Place { elements: fit(elements), words: fit(words), ..self.place(kind, Some(dtype)) };
        self.filled += words;
        place
    }

    /// The place of a large average.
    pub fn large(&mut self, dtype: DType) -> Place {
        let place = self.place(Kind::Large, Some(dtype));
        self.large += 1;
        place
    }

    /// The place of what another tensor has.
    pub fn tied(&self) -> Place {
        self.place(Kind::Small, None)
    }

    /// How many words of the last block are filled.
    pub fn filled(&self) -> usize {
        self.filled
    }

    fn place(&self, kind: Kind, dtype: Option<DType>) -> Place {
        let (block, word, large) = (fit(self.block), fit(self.filled), fit(self.large));
        Place { block, word, elements: 0, words: 0, large, kind, dtype }
    }
}

fn fit<T: TryFrom<usize>>(number: usize) -> T {
    T::try_from(number).unwrap_or_else(|_| panic!("{number} is more than a place can say"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_averages_of_every_dtype_share_no_word_and_fit_into_their_block() {
        let mut places = Places::default();
        let mut end = (0, 0);
        for (length, &dtype) in (0..128).flat_map(|length| DType::ALL.iter().map(move |dtype| (length, dtype))) {
            let Found::Small { block, word, elements, dtype: found } = places.small(length, dtype).find() else {
                panic!("not small")
            };
            assert_eq!((elements, found), (length, dtype));
            let words = (length * dtype.size()).div_ceil(8);
            assert!(word + words <= BLOCK && ((block, word) == end || (block, word) == (end.0 + 1, 0)));
            assert!(block == end.0 || end.1 + words > BLOCK, "there was room");
            end = (block, word + words);
        }
        assert!(end.0 > 3);
    }
}
