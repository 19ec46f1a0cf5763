//! The bookkeeping of an average as JSON: all that a resume to the bit needs, one document for each horizon.

use super::header::Entry;
use super::problem::{Problem, Result, content};
use crate::descriptor::{Descriptor, Shape};
use crate::dtype::{Class, DType, ShadowDType};
use crate::error::{self, Error, Tuple};
use crate::hex;
use crate::ledger::{Config, Counters, Ledger};
use crate::names::{self, Index};
use crate::nonfinite::NonFinite;
use crate::schedule::Schedule;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fmt::Display;

/// The version of the format.
const VERSION: u64 = 1;

/// What is kept of one horizon beside its averages.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    version: u64,
    pub horizon: usize,
    pub horizons: usize,
    schedule: Schedule,
    start: u64,
    every: u64,
    shadow_dtype: String,
    nonfinite: String,
    pub step: u64,
    num_updates: u64,
    warmed: bool,
    log_share: Hex,
    log_window: Hex,
    /// The parameters, in their order.
    tensors: Vec<Tensor>,
    /// The names of each set of tied tensors.
    ties: Vec<Vec<String>>,
    skipped: Vec<(String, u64)>,
    /// What tells the files of one save of several horizons from those of another; none for a single one.
    set: Option<String>,
    /// The dtype that the averages were rounded to for this file, which then is nothing to resume from.
    rounded_to: Option<String>,
}

/// The name and the dtype of a parameter.
type Tensor = (String, String);

/// A number to the last bit.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
struct Hex(f64);

impl From<Hex> for String {
    fn from(number: Hex) -> String {
        hex::print(number.0)
    }
}

impl TryFrom<String> for Hex {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        hex::parse(&text).map(Hex).ok_or_else(|| format!("\"{text}\" is no number in hexadecimal digits"))
    }
}

/// The document of a horizon.
pub fn write(ledger: &Ledger, horizon: usize, rounded_to: Option<DType>, set: Option<&str>) -> String {
    let counters = ledger.counters();
    let named = ledger.names().iter().zip(ledger.descriptors());
    let document = Document {
        version: VERSION,
        horizon,
        horizons: ledger.horizons(),
        schedule: ledger.schedule(horizon).clone(),
        start: ledger.start(),
        every: ledger.every(),
        shadow_dtype: ledger.shadow_dtype().name().to_owned(),
        nonfinite: ledger.nonfinite().name().to_owned(),
        step: counters.step,
        num_updates: ledger.num_updates(),
        warmed: counters.warmed,
        log_share: Hex(counters.log_shares[horizon]),
        log_window: Hex(counters.log_windows[horizon]),
        tensors: named.map(|(name, descriptor)| (name.clone(), descriptor.dtype.name().to_owned())).collect(),
        ties: ties(ledger),
        skipped: ledger.skipped().map(|(name, count)| (name.to_owned(), count)).collect(),
        set: set.map(str::to_owned),
        rounded_to: rounded_to.map(|dtype| dtype.name().to_owned()),
    };
    serde_json::to_string(&document).expect("text, numbers and lists of them")
}

/// The sets of tied names, each in order.
fn ties(ledger: &Ledger) -> Vec<Vec<String>> {
    let (names, spec) = (ledger.names(), ledger.spec());
    let mut sets = vec![Vec::new(); names.len()];
    for (name, &owner) in names.iter().zip(spec.owners) {
        sets[owner].push(name.clone());
    }
    sets.retain(|set| set.len() > 1);
    sets
}

/// Reads a document.
pub fn read(text: &str) -> Result<Document> {
    #[derive(Deserialize)]
    struct Version {
        version: u64,
    }
    // A list of its values in order would be taken for a document.
    if text.trim_start().starts_with('[') {
        return Err(damaged("a list, where an object is expected"));
    }
    let document = serde_json::from_str(text);
    let version = match &document {
        Ok(Document { version, .. }) => Ok(*version),
        // One of another version may have whatever it has.
        Err(_) => serde_json::from_str(text).map(|Version { version }| version),
    };
    match version {
        Ok(version) if version != VERSION => {
            content(format_args!("is of version {version} of the format, and this release reads version {VERSION}"))
        }
        _ => document.map_err(damaged),
    }
}

fn damaged(error: impl Display) -> Problem {
    Problem::Content(format!("has bookkeeping that is damaged: {error}"))
}

/// Whether documents, one for each horizon in order, are of one save.
#[cfg(feature = "python")]
pub fn check_set(documents: &[Document]) -> Result<()> {
    let first = &documents[0];
    for (horizon, document) in documents.iter().enumerate() {
        if document.horizon != horizon || !document.is_of_save(first) {
            return content(format_args!(
                "is of step {}, and the averages of horizon {horizon} of step {}: they are not of one save",
                first.step, document.step
            ));
        }
    }
    if first.horizons != documents.len() {
        return content(format_args!("has {} of its {} horizons", documents.len(), first.horizons));
    }
    Ok(())
}

/// The books that the documents of one save describe.
#[derive(Debug)]
pub struct Books {
    pub ledger: Ledger,
    /// For each horizon, where the average of each tensor is among those that are stored.
    pub places: Vec<Vec<usize>>,
}

/// The books, with the tensors in the order of `names` if any are given, once they have been found to agree with what is
/// stored for each horizon: tensors of different names. A problem comes with the place of the document that has it, among
/// these.
pub fn books(
    documents: &[&Document],
    stored: &[&[Entry]],
    names: Option<&[String]>,
) -> std::result::Result<Books, (usize, Problem)> {
    for (place, document) in documents.iter().enumerate() {
        let (horizon, horizons) = (document.horizon, document.horizons);
        if horizon >= horizons {
            return Err((place, damaged(format_args!("horizon {horizon} of {horizons} can't be"))));
        }
    }
    // But for the schedules, which were found to be some, and the shares, what the documents say is the same in all.
    let tensors = arranged(&documents[0].tensors, names).map_err(|problem| (0, problem))?;
    let each = stored.iter().enumerate();
    let places = each.map(|(place, stored)| found(&tensors, stored).map_err(|problem| (place, problem)));
    let places = places.collect::<std::result::Result<Vec<_>, _>>()?;
    let shapes = places[0].iter().map(|&place| &stored[0][place].descriptor.shape);
    let mut ledger = described(documents, &tensors, shapes).map_err(|problem| (0, problem))?;
    let rounded_to = documents[0].rounded_to().map_err(|problem| (0, problem))?;
    for (place, (stored, found)) in stored.iter().zip(&places).enumerate() {
        check_stored(&ledger, stored, found, rounded_to).map_err(|problem| (place, problem))?;
    }
    let strange = |share: &Hex| share.0.is_nan() || share.0 > 0.0;
    let is_strange = |document: &&Document| strange(&document.log_share) || strange(&document.log_window);
    let place = documents.iter().position(is_strange).unwrap_or(0);
    resumed(&mut ledger, documents).map_err(|problem| (place, problem))?;
    Ok(Books { ledger, places })
}

/// Where the average of each tensor is among those that are stored.
fn found(tensors: &[&Tensor], stored: &[Entry]) -> Result<Vec<usize>> {
    let mut index = Index::new(stored.iter().map(|entry| &entry.name[..]));
    let mut places = Vec::with_capacity(tensors.len());
    for (name, _) in tensors {
        let Some(place) = index.find(name) else { return content(format_args!("lacks the average of \"{name}\"")) };
        places.push(place);
    }
    if stored.len() > tensors.len() {
        let known: HashSet<_> = tensors.iter().map(|(name, _)| name).collect();
        let extra = stored.iter().map(|entry| &entry.name).filter(|name| !known.contains(name)).min();
        let extra = extra.map_or("?", String::as_str);
        return content(format_args!("has a tensor \"{extra}\" that its bookkeeping does not know"));
    }
    Ok(places)
}

/// Books that begin, over the tensors of these documents, of these shapes.
fn described<'s>(
    documents: &[&Document],
    tensors: &[&Tensor],
    shapes: impl Iterator<Item = &'s Shape>,
) -> Result<Ledger> {
    let mut descriptors = Vec::with_capacity(tensors.len());
    for ((name, dtype), shape) in tensors.iter().zip(shapes) {
        let dtype = DType::named(dtype).ok_or_else(|| damaged(format_args!("\"{name}\" is of dtype {dtype}")))?;
        descriptors.push(Descriptor { dtype, shape: shape.clone() });
    }
    let names = tensors.iter().map(|(name, _)| name.clone()).collect();
    let ledger = Ledger::new(names, descriptors, config(documents).map_err(damaged)?).map_err(damaged)?;
    match documents[0].rounded_to()?.filter(|&dtype| narrower(&ledger, dtype).is_some()) {
        Some(dtype) => Err(damaged(format_args!("averages can't have been rounded to {dtype}"))),
        None => Ok(ledger),
    }
}

/// Brings books to where those of the documents were.
fn resumed(ledger: &mut Ledger, documents: &[&Document]) -> Result<()> {
    let first = documents[0];
    let mut index = Index::new(ledger.names().iter().map(String::as_str));
    let mut place = |name: &String| index.find(name).ok_or_else(|| damaged(format_args!("no \"{name}\"")));
    let owners = owners(&first.ties, ledger.descriptors(), &mut place)?;
    let mut skipped = vec![0; owners.len()];
    for (name, count) in &first.skipped {
        // In another order, another one of tied tensors may be the first.
        let owner = owners[place(name)?];
        if std::mem::replace(&mut skipped[owner], *count) > 0 {
            return Err(damaged(format_args!("what was skipped of \"{name}\" is there twice")));
        }
    }
    ledger.tie(owners).map_err(damaged)?;
    let counters = Counters {
        step: first.step,
        warmed: first.warmed,
        skipped,
        log_shares: documents.iter().map(|document| document.log_share.0).collect(),
        log_windows: documents.iter().map(|document| document.log_window.0).collect(),
    };
    ledger.resume(counters).map_err(damaged)?;
    if ledger.num_updates() != first.num_updates {
        return Err(damaged(format_args!("{} averages after {} calls can't be", first.num_updates, first.step)));
    }
    Ok(())
}

/// The tensors in another order.
fn arranged<'t>(tensors: &'t [Tensor], names: Option<&[String]>) -> Result<Vec<&'t Tensor>> {
    let own = tensors.iter().map(|(name, _)| name);
    if let Some(name) = names::repeated(own.clone()) {
        return Err(damaged(format_args!("\"{name}\" is there twice")));
    }
    let Some(names) = names else { return Ok(tensors.iter().collect()) };
    names::check(own.clone(), names)?;
    if names.len() != tensors.len() {
        names::check_different(names)?;
    }
    let mut index = Index::new(own.map(String::as_str));
    Ok(names.iter().map(|name| &tensors[index.find(name).expect("the names are the same")]).collect())
}

/// For each tensor the first of those that it is tied with.
fn owners(
    ties: &[Vec<String>],
    tensors: &[Descriptor],
    place: &mut impl FnMut(&String) -> Result<usize>,
) -> Result<Vec<usize>> {
    let mut owners: Vec<usize> = (0..tensors.len()).collect();
    let mut tied = HashSet::new();
    for set in ties {
        let places = set.iter().map(&mut *place).collect::<Result<Vec<_>>>()?;
        let alike = places.iter().all(|&place| tensors[place] == tensors[places[0]]);
        if places.len() < 2 || !alike || !places.iter().all(|&place| tied.insert(place)) {
            return Err(damaged(format_args!("{set:?} can't be a tie")));
        }
        let owner = *places.iter().min().expect("at least two");
        places.into_iter().for_each(|place| owners[place] = owner);
    }
    Ok(owners)
}

fn config(documents: &[&Document]) -> error::Result<Config> {
    let first = documents[0];
    let unknown = |argument, value: &str| Error::Config {
        argument,
        value: format!("\"{value}\""),
        valid: "one that this release knows".to_owned(),
    };
    let width = ShadowDType::ALL.into_iter().find(|dtype| dtype.name() == first.shadow_dtype);
    let width = width.ok_or_else(|| unknown("shadow_dtype", &first.shadow_dtype))?;
    let nonfinite = NonFinite::ALL.into_iter().find(|policy| policy.name() == first.nonfinite);
    let nonfinite = nonfinite.ok_or_else(|| unknown("nonfinite", &first.nonfinite))?;
    let config = Config::horizons(documents.iter().map(|document| document.schedule.clone()))?;
    Ok(config.start(first.start).every(first.every)?.shadow_dtype(width).nonfinite(nonfinite))
}

impl Document {
    /// Whether this is a horizon of the same save.
    pub fn is_of_save(&self, other: &Document) -> bool {
        self.shared() == other.shared()
    }

    /// All that does not depend on the horizon.
    fn shared(&self) -> impl PartialEq + '_ {
        // Without `..`, so that a new field is thought of here.
        let Document {
            version,
            horizon: _,
            horizons,
            schedule: _,
            start,
            every,
            shadow_dtype,
            nonfinite,
            step,
            num_updates,
            warmed,
            log_share: _,
            log_window: _,
            tensors,
            ties,
            skipped,
            set,
            rounded_to,
        } = self;
        let settings = (version, horizons, start, every, shadow_dtype, nonfinite, rounded_to);
        (settings, (step, num_updates, warmed, skipped), (tensors, ties, set))
    }

    /// The names of the parameters, in their order.
    pub fn names(&self) -> Vec<String> {
        self.tensors.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The dtype that the averages were rounded to, if they were.
    pub fn rounded_to(&self) -> Result<Option<DType>> {
        let Some(name) = &self.rounded_to else { return Ok(None) };
        let dtype = DType::named(name).filter(|dtype| dtype.class() == Class::Averaged);
        dtype.map(Some).ok_or_else(|| damaged(format_args!("averages were rounded to \"{name}\"")))
    }
}

/// Whether the averages that are there, at these places, are those that the books describe.
fn check_stored(ledger: &Ledger, stored: &[Entry], places: &[usize], rounded_to: Option<DType>) -> Result<()> {
    for ((descriptor, &dtype), &place) in ledger.descriptors().iter().zip(ledger.dtypes()).zip(places) {
        let (dtype, shape) = (kept(dtype, rounded_to), &descriptor.shape);
        let Entry { name, descriptor: found } = &stored[place];
        if found.dtype != dtype || found.shape != *shape {
            return content(format_args!(
                "has an average \"{name}\" of {} {}, where its bookkeeping says {dtype} {}",
                found.dtype,
                Tuple(&found.shape),
                Tuple(shape)
            ));
        }
    }
    Ok(())
}

/// The dtype of averages that can't be rounded to this one, if there are such.
pub fn narrower(ledger: &Ledger, dtype: DType) -> Option<DType> {
    let mut averages = ledger.dtypes().iter().filter(|own| own.class() == Class::Averaged);
    averages.find(|own| !own.narrows_to(dtype)).copied()
}

/// The dtype in which an average is kept in a file.
pub fn kept(dtype: DType, rounded_to: Option<DType>) -> DType {
    match dtype.class() {
        Class::Copied => dtype,
        Class::Averaged => rounded_to.unwrap_or(dtype),
    }
}
