//! The header of a safetensors file: its tensors, our bookkeeping, and a checksum over all of it.
//!
//! The format is that of the `safetensors` crate, which writes the list of tensors and checks where each lies. Three things are
//! done here: it would take the last of two equal keys, and longer to read them; it does not notice a bit that has changed;
//! and it writes the metadata in another order each time.

use super::problem::{Problem, Result, content};
use crate::descriptor::{Descriptor, elements};
use crate::dtype::DType;
use crate::names;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use std::collections::HashMap;
use std::fmt;
use std::io::{Read, Write};
use std::marker::PhantomData;
use std::ops::Range;

/// A tensor in a file.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: String,
    pub descriptor: Descriptor,
}

impl Entry {
    /// How many bytes its values take.
    pub fn bytes(&self) -> usize {
        self.descriptor.elements() * self.descriptor.dtype.size()
    }
}

/// What a header says.
#[derive(Debug)]
pub struct Header {
    /// The tensors, one after the other as in the file.
    pub entries: Vec<Entry>,
    /// The bookkeeping.
    pub document: String,
}

/// The keys of the metadata. Programs that look for `format` take its value to mean that the tensors are plain ones.
const METADATA: &str = "__metadata__";
const FORMAT: (&str, &str) = ("format", "pt");
const DOCUMENT: &str = "shrew_ema";
const CHECKSUM: &str = "shrew_ema_crc32";
/// What the checksum is taken over in its own place.
const BLANK: &str = "00000000";

/// The longest header that other programs read.
const LONGEST: usize = 100_000_000;

const DTYPES: [(DType, Dtype); 13] = [
    (DType::Bool, Dtype::BOOL),
    (DType::I8, Dtype::I8),
    (DType::I16, Dtype::I16),
    (DType::I32, Dtype::I32),
    (DType::I64, Dtype::I64),
    (DType::U8, Dtype::U8),
    (DType::U16, Dtype::U16),
    (DType::U32, Dtype::U32),
    (DType::U64, Dtype::U64),
    (DType::BF16, Dtype::BF16),
    (DType::F16, Dtype::F16),
    (DType::F32, Dtype::F32),
    (DType::F64, Dtype::F64),
];

/// The order in which tensors lie in a file: the widest first, so that each is aligned, and then by name.
pub fn order(entries: &[Entry]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&entries[a], &entries[b]);
        b.descriptor.dtype.size().cmp(&a.descriptor.dtype.size()).then_with(|| a.name.cmp(&b.name))
    });
    order
}

/// Writes the header of tensors that follow in this order.
pub fn write<'e>(into: &mut impl Write, entries: impl Iterator<Item = &'e Entry>, document: &str) -> Result<()> {
    let mut end = 0;
    let mut tensors = Vec::new();
    for entry in entries {
        let Entry { name, descriptor } = entry;
        if name == METADATA {
            return content(format_args!("no file can have a tensor called \"{METADATA}\": rename the parameter"));
        }
        let dtype = DTYPES.iter().find(|(dtype, _)| *dtype == descriptor.dtype).expect("every dtype is there").1;
        let begin = end;
        end += entry.bytes();
        let info = TensorInfo { dtype, shape: descriptor.shape.to_vec(), data_offsets: (begin, end) };
        tensors.push((name.clone(), info));
    }
    let invalid = |error: &dyn fmt::Display| Problem::Content(format!("the header can't be written: {error}"));
    let tensors = Metadata::new(None, tensors).map_err(|error| invalid(&error))?;
    let tensors = serde_json::to_string(&tensors).map_err(|error| invalid(&error))?;
    let document = serde_json::to_string(document).map_err(|error| invalid(&error))?;
    let (format, plain) = FORMAT;
    let metadata = format!(r#""{METADATA}":{{"{format}":"{plain}","{DOCUMENT}":{document},"{CHECKSUM}":"{BLANK}"}}"#);
    let mut header = format!("{{{metadata},{}", &tensors[1..]);
    // The values begin at a multiple of 8 bytes.
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    if header.len() > LONGEST {
        return content(format_args!(
            "the header would have {} bytes, and other programs read {LONGEST}",
            header.len()
        ));
    }
    let place = checksum_place(&header).expect("it was just written");
    let checksum = checksum(&header);
    header.replace_range(place, &checksum);
    into.write_all(&(header.len() as u64).to_le_bytes())?;
    Ok(into.write_all(header.as_bytes())?)
}

/// Reads the header of a file of `length` bytes. No more memory is taken than some multiple of what the file has.
pub fn read(from: &mut impl Read, length: u64) -> Result<Header> {
    const START: u64 = 8;
    if length < START {
        return content(format_args!("is no safetensors file: it has {length} bytes"));
    }
    let mut start = [0; START as usize];
    from.read_exact(&mut start)?;
    let size = u64::from_le_bytes(start);
    if size > length - START || size > LONGEST as u64 {
        return content(format_args!(
            "is cut short, or no safetensors file: its header would have {size} bytes, and the file has {length}"
        ));
    }
    let mut bytes = vec![0; size as usize];
    from.read_exact(&mut bytes)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| damaged(&error))?;
    let Object(Listed { metadata, mut tensors }) = serde_json::from_str(text).map_err(|error| damaged(&error))?;
    if let Some(name) = names::repeated(tensors.iter().map(|(name, _)| name)) {
        return Err(damaged(&twice(name)));
    }
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let entries = tensors.iter().map(entry).collect::<Vec<_>>();
    // Whether each begins where the one before it ends, and is as long as its dtype and shape say.
    let tensors = Metadata::new(None, tensors).map_err(|error| damaged(&error))?;
    let data = length - START - size;
    if tensors.data_len() as u64 != data {
        return content(format_args!(
            "is cut short or too long: its tensors have {} bytes, and {data} are there",
            tensors.data_len()
        ));
    }
    let Some(document) = metadata.flatten().and_then(|mut metadata| metadata.0.remove(DOCUMENT)) else {
        return content("was written by another program: it has no bookkeeping of an EMA");
    };
    let found = checksum_place(text).and_then(|place| text.get(place));
    if found != Some(&checksum(text)) {
        return content("has a header that was changed after it was written, by another program or by damage");
    }
    Ok(Header { entries: entries.into_iter().collect::<Result<_>>()?, document })
}

/// A tensor of a file, if averages can be of its kind.
fn entry((name, info): &(String, TensorInfo)) -> Result<Entry> {
    match DTYPES.iter().find(|(_, dtype)| *dtype == info.dtype) {
        Some(&(dtype, _)) if elements(dtype, &info.shape).is_some() => {
            Ok(Entry { name: name.clone(), descriptor: Descriptor::new(dtype, &info.shape) })
        }
        _ => content(format_args!("has a tensor \"{name}\" of dtype {}, which no average has", info.dtype)),
    }
}

fn damaged(error: &dyn fmt::Display) -> Problem {
    Problem::Content(format!("is damaged, or no safetensors file: {error}"))
}

/// Where the digits of the checksum are. A quote within a string is written with a backslash, so that these bytes occur
/// nowhere else.
fn checksum_place(header: &str) -> Option<Range<usize>> {
    let key = format!("\"{CHECKSUM}\":\"");
    let begin = header.find(&key)? + key.len();
    let place = begin..begin + BLANK.len();
    (header.as_bytes().get(place.end) == Some(&b'"')).then_some(place)
}

/// The checksum of a header, with its own place blank.
fn checksum(header: &str) -> String {
    let (place, header) = (checksum_place(header).unwrap_or(0..0), header.as_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[..place.start]);
    hasher.update(&BLANK.as_bytes()[..place.len()]);
    hasher.update(&header[place.end..]);
    format!("{:08x}", hasher.finalize())
}

fn twice(key: &str) -> String {
    format!("the key \"{key}\" is there twice")
}

/// What the JSON of a header lists. No fact of a tensor, nor any text of the metadata is there twice; the tensors are as they
/// come.
#[derive(Default)]
struct Listed {
    /// None where there is none; for the format, nothing is metadata too.
    metadata: Option<Option<Object<Texts>>>,
    tensors: Vec<(String, TensorInfo)>,
}

/// The metadata.
type Texts = HashMap<String, String>;

/// A JSON object.
struct Object<T>(T);

/// What takes the entries of an object, one after the other.
trait Entries: Default {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: String, map: &mut A) -> std::result::Result<(), A::Error>;
}

impl Entries for Listed {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: String, map: &mut A) -> std::result::Result<(), A::Error> {
        if key != METADATA {
            self.tensors.push((key, map.next_value()?));
            return Ok(());
        }
        match self.metadata.replace(map.next_value()?) {
            Some(_) => Err(A::Error::custom(twice(METADATA))),
            None => Ok(()),
        }
    }
}

impl Entries for Texts {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: String, map: &mut A) -> std::result::Result<(), A::Error> {
        if self.contains_key(&key) {
            return Err(A::Error::custom(twice(&key)));
        }
        self.insert(key, map.next_value()?);
        Ok(())
    }
}

impl<'de, T: Entries> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Keys<T>(PhantomData<T>);

        impl<'de, T: Entries> Visitor<'de> for Keys<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<T, A::Error> {
                let mut entries = T::default();
                while let Some(key) = map.next_key()? {
                    entries.take(key, &mut map)?;
                }
                Ok(entries)
            }
        }

        deserializer.deserialize_map(Keys(PhantomData)).map(Object)
    }
}
