//! Which tensors are the same memory or share some, against an oracle that looks at every byte of every element.

use half::f16;
use proptest::prelude::*;
use shrew_ema::dtype::Element;
use shrew_ema::kernel::overlap::Owners;
use shrew_ema::{DType, Error, Result, View};
use std::collections::HashSet;

/// A tensor within some memory: where its lowest element lies, and its layout from there.
#[derive(Clone, Debug)]
struct Spec {
    dtype: DType,
    lowest: usize,
    shape: Vec<usize>,
    strides: Vec<isize>,
}

impl Spec {
    fn new(dtype: DType, lowest: usize, shape: &[usize], strides: &[isize]) -> Self {
        Self { dtype, lowest, shape: shape.to_vec(), strides: strides.to_vec() }
    }

    /// How many elements the first one lies behind the lowest.
    fn back(&self) -> usize {
        let back = |(&extent, &stride): (&usize, &isize)| extent.saturating_sub(1) * stride.min(0).unsigned_abs();
        self.shape.iter().zip(&self.strides).map(back).sum()
    }

    fn view<'v>(&'v self, memory: &'v [u64]) -> View<'v> {
        fn view<'v, T: Element>(spec: &'v Spec, memory: &'v [u64]) -> View<'v> {
            View::strided::<T>(bytemuck::cast_slice(memory), spec.lowest + spec.back(), &spec.shape, &spec.strides)
                .unwrap()
        }
        match self.dtype {
            DType::U8 => view::<u8>(self, memory),
            DType::U16 => view::<u16>(self, memory),
            DType::F16 => view::<f16>(self, memory),
            DType::F32 => view::<f32>(self, memory),
            other => unreachable!("{other}"),
        }
    }

    /// The address of every byte of every element, counted from the start of the memory.
    fn bytes(&self) -> Vec<usize> {
        let mut elements = vec![(self.lowest + self.back()) as isize];
        for (&extent, &stride) in self.shape.iter().zip(&self.strides) {
            elements = elements.iter().flat_map(|&at| (0..extent as isize).map(move |i| at + i * stride)).collect();
        }
        let size = self.dtype.size();
        elements.iter().flat_map(|&at| at as usize * size..(at as usize + 1) * size).collect()
    }

    fn overlaps_itself(&self) -> bool {
        let bytes = self.bytes();
        bytes.iter().collect::<HashSet<_>>().len() < bytes.len()
    }

    fn shares(&self, other: &Self) -> bool {
        let bytes: HashSet<_> = self.bytes().into_iter().collect();
        other.bytes().iter().any(|at| bytes.contains(at))
    }

    fn is(&self, other: &Self) -> bool {
        // In the order of its indices, every element at the same place.
        (self.dtype, &self.shape, self.bytes()) == (other.dtype, &other.shape, other.bytes()) && self.shares(other)
    }
}

fn owners<'v>(count: usize, view: impl Fn(usize) -> View<'v>) -> Result<Vec<usize>> {
    let mut owners = Owners::default();
    owners.find(count, view).map(|()| owners.to_vec())
}

fn found(specs: &[Spec]) -> Result<Vec<usize>> {
    let words = specs.iter().flat_map(Spec::bytes).max().unwrap_or(0) / 8 + 1;
    let memory = vec![0; words.max(100)];
    owners(specs.len(), |index| specs[index].view(&memory))
}

/// Asserts that what is found in all of these is what the oracle says.
fn check(specs: &[Spec]) -> std::result::Result<(), TestCaseError> {
    let pairs = || (0..specs.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
    let wrong = |(a, b): (usize, usize)| specs[a].shares(&specs[b]) && !specs[a].is(&specs[b]);
    match found(specs) {
        Ok(owners) => {
            prop_assert!(!specs.iter().any(Spec::overlaps_itself) && !pairs().any(wrong), "{owners:?}");
            let first = |index: usize| (0..index).find(|&other| specs[other].is(&specs[index])).unwrap_or(index);
            prop_assert_eq!(owners, (0..specs.len()).map(first).collect::<Vec<_>>());
        }
        Err(Error::Layout { index: Some(index), .. }) => prop_assert!(specs[index].overlaps_itself(), "{index}"),
        Err(Error::Overlap { indices, .. }) => {
            prop_assert!(indices.0 < indices.1 && wrong(indices), "{indices:?}");
        }
        Err(other) => prop_assert!(false, "{other}"),
    }
    Ok(())
}

fn any_spec() -> impl Strategy<Value = Spec> {
    let dtype = prop::sample::select(vec![DType::U8, DType::U16, DType::F16, DType::F32]);
    let axis = (0_usize..5, prop_oneof![-6_isize..7, Just(8), Just(12), Just(-16)]);
    (dtype, 0_usize..30, prop::collection::vec(axis, 0..4)).prop_map(|(dtype, lowest, axes)| {
        let (shape, strides) = axes.into_iter().unzip();
        Spec { dtype, lowest, shape, strides }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_is_what_every_byte_says(
        specs in prop::collection::vec(any_spec(), 1..4),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..5),
    ) {
        check(&specs)?;
        // Some of them more than once.
        check(&picks.iter().map(|pick| pick.get(&specs).clone()).collect::<Vec<_>>())?;
    }

    #[test]
    fn columns_and_rows_of_one_matrix(
        cuts in prop::collection::vec((0_usize..6, 0_usize..6, 0_usize..8, 1_usize..4, 1_isize..4, any::<bool>()), 1..5),
    ) {
        // Of a matrix with rows of eight, cut out in both directions, some of it backwards.
        let specs = cuts.into_iter().map(|(row, rows, column, columns, step, backwards)| {
            let columns = columns.min((8 - column).div_ceil(step as usize));
            let sign = if backwards { -1 } else { 1 };
            Spec::new(DType::F32, row * 8 + column, &[rows, columns], &[8 * sign, step * sign])
        });
        check(&specs.collect::<Vec<_>>())?;
    }
}

#[test]
fn parts_of_one_tensor_share_nothing() {
    let (f, u) = (DType::F32, DType::U8);
    let disjoint: [&[Spec]; 8] = [
        &[Spec::new(f, 0, &[768, 5], &[10, 1]), Spec::new(f, 5, &[768, 5], &[10, 1])],
        &[Spec::new(f, 0, &[4, 3], &[3, 1]), Spec::new(f, 12, &[4, 3], &[3, 1])],
        &[Spec::new(f, 0, &[50], &[2]), Spec::new(f, 1, &[50], &[-2])],
        &[Spec::new(f, 0, &[6, 7], &[21, 3]), Spec::new(f, 1, &[6, 7], &[21, 3]), Spec::new(f, 2, &[42], &[-3])],
        // One row of the matrix whose other columns the next one has.
        &[Spec::new(f, 6, &[4], &[1]), Spec::new(f, 0, &[3, 6], &[10, 1])],
        // No matrix has both as its columns.
        &[Spec::new(u, 0, &[10], &[4]), Spec::new(u, 1, &[6], &[6])],
        &[Spec::new(u, 1, &[0], &[1]), Spec::new(u, 0, &[4], &[1]), Spec::new(u, 2, &[3, 0], &[0, 1])],
        // Each byte once, though the axes reach over each other.
        &[Spec::new(u, 0, &[2, 3], &[3, 2])],
    ];
    for specs in disjoint {
        assert_eq!(found(specs).unwrap(), (0..specs.len()).collect::<Vec<_>>(), "{specs:?}");
    }
}

#[test]
fn what_overlaps_is_named() {
    let (f, u) = (DType::F32, DType::U8);
    let w = Spec::new(f, 0, &[4, 4], &[4, 1]);
    for other in [
        Spec::new(f, 15, &[2], &[1]),
        Spec::new(f, 0, &[4, 4], &[1, 4]),
        Spec::new(f, 0, &[16], &[1]),
        Spec::new(f, 0, &[4, 4], &[-4, -1]),
        Spec::new(u, 63, &[], &[]),
    ] {
        let apart = Spec::new(f, 20, &[1], &[1]);
        let error = found(&[apart, other.clone(), w.clone()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "parameters \"1\" and \"2\" share memory without being the same tensor: make one of them a copy, or give what \
             is tied on purpose once, under one of its names",
            "{other:?}"
        );
    }
    for spec in [
        Spec::new(f, 0, &[3], &[0]),
        Spec::new(f, 0, &[3, 3], &[1, 1]),
        Spec::new(f, 0, &[2, 2, 2], &[3, 2, 1]),
        Spec::new(u, 0, &[3, 4], &[3, 2]),
    ] {
        let error = found(&[w.clone(), Spec { lowest: 70, ..spec }]).unwrap_err();
        assert_eq!(error.to_string(), "parameter \"1\" has elements that share memory: make it a copy");
    }
}

#[test]
fn columns_of_any_length_are_told_apart_and_what_takes_too_long_says_so() {
    const MANY: usize = (1 << 22) + 1;
    let memory = vec![0_u8; 3 * MANY];
    let shape = [MANY];
    let columns = |index| View::strided(&memory, index, &shape, &[2]).unwrap();
    assert_eq!(owners(2, columns).unwrap(), [0, 1]);

    // One in steps of two and one in steps of three.
    let error = owners(2, |index| View::strided(&memory, index, &shape, [&[2], &[3]][index]).unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "parameters \"0\" and \"1\" may share memory, and are too involved to tell: make one of them a copy"
    );
    let repeated = owners(1, |_| View::strided(&memory, 0, &[MANY, 1 << 20], &[0, 1]).unwrap()).unwrap_err();
    assert_eq!(repeated.to_string(), "parameter \"0\" has elements that share memory: make it a copy");
    let error = owners(1, |_| View::strided(&memory, 0, &[2, MANY], &[3, 2]).unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "parameter \"0\" may have elements that share memory, too many to tell: make it a copy"
    );
}
