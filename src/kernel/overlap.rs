//! Which tensors are the same memory, and whether any others share some: decided exactly, byte by byte where need be.

use super::layout::nested;
use super::view::View;
use crate::error::{Error, Result};
use smallvec::SmallVec;
use std::ops::Deref;

/// The most runs of bytes that are compared among tensors whose extents meet. That takes some 100 MB, and it is rare: of
/// columns of one matrix, in any number, only one row is looked at.
const RUNS: usize = 1 << 22;

/// For each tensor of a model, the index of the first one that is the same memory in the same layout: mostly its own. It
/// is read as a slice.
///
/// What it takes to find them is kept, so that a look at a model of which nothing has changed takes no memory. Should
/// finding them fail, the owners mean nothing.
///
/// ```
/// use shrew_ema::View;
/// use shrew_ema::kernel::overlap::Owners;
/// let memory = [1.0_f32, 2.0, 3.0];
/// let views = [View::from(&memory[..1]), View::from(&memory[1..]), View::from(&memory[..1])];
/// let mut owners = Owners::default();
/// owners.find(views.len(), |index| views[index])?;
/// assert_eq!(owners[..], [0, 1, 0]);
/// # Ok::<(), shrew_ema::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Owners {
    owners: Vec<usize>,
    /// The tensors' indices, each after its key.
    keyed: Vec<(usize, usize)>,
    work: Work,
}

/// Some tensors of a model, whose owners are to be found.
#[derive(Debug)]
pub struct Group<'a> {
    keyed: &'a [(usize, usize)],
    owners: &'a mut [usize],
    work: &'a mut Work,
}

/// Lists that are made anew each time, in memory that is used again.
#[derive(Debug, Default)]
struct Work {
    extents: Vec<Extent>,
    distinct: Vec<Bytes>,
    columns: Vec<(usize, usize)>,
}

impl Owners {
    /// Looks at so many tensors. One without elements shares nothing.
    ///
    /// # Errors
    /// [`Error::Overlap`] if two tensors share some memory and are not the same, [`Error::Layout`] if elements of one
    /// share memory; also if telling would take too much work.
    pub fn find<'v>(&mut self, count: usize, view: impl Fn(usize) -> View<'v>) -> Result<()> {
        self.set(0..count);
        among(0..count, |index| Ok(view(index)), &mut self.owners, &mut self.work)
    }

    /// The same where only tensors of one key can share memory: calls `look` for every two or more of them.
    ///
    /// # Errors
    /// The first of `look`.
    pub fn find_by_key(
        &mut self,
        keys: impl Iterator<Item = usize>,
        mut look: impl FnMut(Group<'_>) -> Result<()>,
    ) -> Result<()> {
        let Self { owners, keyed, work } = self;
        keyed.clear();
        keyed.extend(keys.enumerate().map(|(index, key)| (key, index)));
        keyed.sort_unstable();
        owners.clear();
        owners.extend(0..keyed.len());
        let mut groups = keyed.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1);
        groups.try_for_each(|keyed| look(Group { keyed, owners, work }))
    }

    /// Takes them from whoever knows them: of each tensor its own index or that of an earlier one that owns itself.
    pub fn set(&mut self, owners: impl IntoIterator<Item = usize>) {
        self.owners.clear();
        self.owners.extend(owners);
    }
}

impl Deref for Owners {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.owners
    }
}

impl Group<'_> {
    /// The index of the first of its tensors.
    pub fn first(&self) -> usize {
        self.keyed[0].1
    }

    /// Looks at its tensors, of which `view` is asked for some more than once.
    ///
    /// # Errors
    /// As [`Owners::find`], and the first of `view`.
    pub fn find<'v>(self, view: impl Fn(usize) -> Result<View<'v>>) -> Result<()> {
        among(self.keyed.iter().map(|&(_, index)| index), view, self.owners, self.work)
    }
}

/// Sets the owner of each of some tensors that is the same as an earlier one.
fn among<'v>(
    tensors: impl Iterator<Item = usize>,
    view: impl Fn(usize) -> Result<View<'v>>,
    owners: &mut [usize],
    work: &mut Work,
) -> Result<()> {
    let Work { extents, distinct, columns } = work;
    extents.clear();
    for index in tensors {
        extents.extend(Extent::of(index, &view(index)?));
    }
    extents.sort_unstable();
    // What begins before all that came earlier has ended may share memory with it, and nothing else may.
    let mut rest = &extents[..];
    while let [first, later @ ..] = rest {
        let mut high = first.high;
        let meets = |next: &&Extent| {
            let meets = next.low < high;
            high = high.max(next.high);
            meets
        };
        let (cluster, after) = rest.split_at(1 + later.iter().take_while(meets).count());
        // Mostly a tensor in one piece that meets no other.
        if cluster.len() > 1 || first.strided {
            decide(cluster, &view, owners, distinct, columns)?;
        }
        rest = after;
    }
    Ok(())
}

/// Whether two tensors are the same memory in the same layout.
pub fn same(a: &View<'_>, b: &View<'_>) -> bool {
    let strides = match (a.strides, b.strides) {
        (None, None) => true,
        // A dimension of extent 1 is never stepped along.
        (Some(a_s), Some(b_s)) => a_s.iter().zip(b_s).zip(a.shape()).all(|((x, y), &extent)| x == y || extent == 1),
        _ => false,
    };
    strides && a.as_ptr() == b.as_ptr() && a.elements() > 0 && a.dtype() == b.dtype() && a.shape() == b.shape()
}

/// From a tensor's lowest byte to the one after its highest. The order is that of the lowest, and then of the tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Extent {
    low: usize,
    index: usize,
    high: usize,
    /// Whether it does not lie in one piece in the order of its elements.
    strided: bool,
}

impl Extent {
    fn of(index: usize, view: &View<'_>) -> Option<Self> {
        if view.elements() == 0 {
            return None;
        }
        let (size, start) = (view.dtype().size(), view.as_ptr().addr());
        let Some(strides) = view.strides else {
            return Some(Self { low: start, index, high: start + view.elements() * size, strided: false });
        };
        let (mut before, mut after) = (0, size);
        for (&extent, &stride) in view.shape().iter().zip(strides) {
            let span = (extent - 1) * stride.unsigned_abs() * size;
            *(if stride < 0 { &mut before } else { &mut after }) += span;
        }
        Some(Self { low: start - before, index, high: start + after, strided: true })
    }
}

/// Where exactly the bytes of a tensor lie: in runs, one for each way of stepping from the lowest along the axes.
#[derive(Debug)]
struct Bytes {
    extent: Extent,
    /// The length of each run.
    run: usize,
    /// How often and how far each axis steps, the nearest first. In a set of bytes every step goes upwards.
    axes: SmallVec<[(usize, usize); 6]>,
}

impl Bytes {
    fn of(extent: Extent, view: &View<'_>) -> Self {
        let size = view.dtype().size();
        let Some(strides) = view.strides else {
            return Self { extent, run: view.elements() * size, axes: SmallVec::new() };
        };
        let steps = view.shape().iter().zip(strides).filter(|&(&extent, _)| extent > 1);
        let mut steps: SmallVec<[_; 6]> =
            steps.map(|(&extent, &stride)| (extent, stride.unsigned_abs() * size)).collect();
        steps.sort_unstable_by_key(|&(_, stride)| stride);
        let mut bytes = Self { extent, run: size, axes: SmallVec::new() };
        for (extent, stride) in steps {
            match bytes.axes.last_mut() {
                None if stride == bytes.run => bytes.run *= extent,
                // It goes on where the axis before it ends.
                Some((nearer, step)) if stride == *nearer * *step => *nearer *= extent,
                _ => bytes.axes.push((extent, stride)),
            }
        }
        bytes
    }

    /// How many bytes the inner axes span, of which there are so many.
    fn span(&self, axes: usize) -> usize {
        self.run + self.axes[..axes].iter().map(|&(extent, stride)| (extent - 1) * stride).sum::<usize>()
    }

    /// Whether no two runs can meet.
    fn is_nested(&self) -> bool {
        nested(self.run, &self.axes)
    }

    /// How many runs there are.
    fn runs(&self) -> usize {
        self.axes.iter().fold(1, |runs, &(extent, _)| runs.saturating_mul(extent))
    }

    /// Where the run of a number begins.
    fn start(&self, mut number: usize) -> usize {
        self.extent.low
            + self.axes.iter().fold(0, |offset, &(extent, stride)| {
                let step = number % extent;
                number /= extent;
                offset + step * stride
            })
    }
}

/// Finds the owners among tensors whose extents meet, ordered by these.
fn decide<'v>(
    cluster: &[Extent],
    view: &impl Fn(usize) -> Result<View<'v>>,
    owners: &mut [usize],
    distinct: &mut Vec<Bytes>,
    columns: &mut Vec<(usize, usize)>,
) -> Result<()> {
    distinct.clear();
    for &extent in cluster {
        let this = view(extent.index)?;
        match distinct.last().map(|last| last.extent) {
            // Every tensor has an element at its lowest address.
            Some(last) if last.low == extent.low => {
                if !same(&view(last.index)?, &this) {
                    return Err(shared(last.index, extent.index));
                }
                owners[extent.index] = last.index;
            }
            _ => distinct.push(Bytes::of(extent, &this)),
        }
    }
    let alone = distinct.len() == 1;
    if distinct.iter().all(Bytes::is_nested) && (alone || in_columns(distinct, columns)) {
        return Ok(());
    }
    compare(distinct)
}

/// Whether the tensors lie in different columns of a matrix, each in rows of it: surely apart then.
fn in_columns(tensors: &[Bytes], columns: &mut Vec<(usize, usize)>) -> bool {
    let steps = tensors.iter().filter_map(|bytes| bytes.axes.last());
    let Some(period) = steps.map(|&(_, stride)| stride).max().filter(|&period| period > 0) else { return false };
    let base = tensors[0].extent.low;
    columns.clear();
    columns.extend(tensors.iter().map(|bytes| {
        let axes = bytes.axes.len();
        let rows = usize::from(bytes.axes.last().is_some_and(|&(_, stride)| stride == period));
        let first = (bytes.extent.low - base) % period;
        (first, first + bytes.span(axes - rows))
    }));
    columns.sort_unstable();
    columns.iter().all(|&(_, end)| end <= period) && columns.windows(2).all(|pair| pair[0].1 <= pair[1].0)
}

/// Compares all runs of bytes.
fn compare(tensors: &[Bytes]) -> Result<()> {
    // A step that ends within its own run, such as the one of length 0 that repeats an element.
    let short = |bytes: &&Bytes| bytes.axes.first().is_some_and(|&(_, stride)| stride < bytes.run);
    if let Some(Bytes { extent, .. }) = tensors.iter().find(short) {
        return Err(shared(extent.index, extent.index));
    }
    let runs = tensors.iter().fold(0_usize, |runs, bytes| runs.saturating_add(bytes.runs()));
    if runs > RUNS {
        return Err(match tensors {
            [one] => Error::layout("may have elements that share memory, too many to tell: make it a copy")
                .at(one.extent.index),
            _ => Error::overlap(
                (tensors[0].extent.index, tensors[1].extent.index),
                "may share memory, and are too involved to tell: make one of them a copy",
            ),
        });
    }
    let mut all = Vec::with_capacity(runs);
    for bytes in tensors {
        all.extend(
            (0..bytes.runs()).map(|number| bytes.start(number)).map(|at| (at, at + bytes.run, bytes.extent.index)),
        );
    }
    all.sort_unstable();
    match all.windows(2).find(|pair| pair[0].1 > pair[1].0) {
        Some(pair) => Err(shared(pair[0].2, pair[1].2)),
        None => Ok(()),
    }
}

fn shared(a: usize, b: usize) -> Error {
    if a == b {
        return Error::layout("has elements that share memory: make it a copy").at(a);
    }
    Error::overlap(
        (a, b),
        "share memory without being the same tensor: make one of them a copy, or give what is tied on purpose once, under \
         one of its names",
    )
}
