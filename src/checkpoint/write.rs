//! Writes the averages of one horizon as a file.

use super::atomic::Draft;
use super::document::{self, kept};
use super::early::early;
use super::header::{self, Entry};
use super::problem::{Result, content};
use super::watch::{Watch, look};
use crate::descriptor::Descriptor;
use crate::dtype::DType;
use crate::engine::Buffer;
use crate::error;
use crate::ledger::Ledger;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

/// Bytes written between two looks at the watch.
const PIECE: usize = 16 << 20;

/// Writes a horizon into a draft of `target`, and brings it to the disk.
pub fn draft(
    target: PathBuf,
    ledger: &Ledger,
    horizon: usize,
    (rounded_to, set): (Option<DType>, Option<&str>),
    export: &dyn Fn(usize) -> error::Result<Buffer>,
    watch: Watch<'_>,
) -> Result<Draft> {
    let described = ledger.names().iter().zip(ledger.descriptors()).zip(ledger.dtypes());
    let entries: Vec<Entry> = described
        .map(|((name, descriptor), &dtype)| Entry {
            name: name.clone(),
            descriptor: Descriptor { dtype: kept(dtype, rounded_to), shape: descriptor.shape.clone() },
        })
        .collect();
    let order = header::order(&entries);
    let draft = Draft::new(target)?;
    let mut file = BufWriter::with_capacity(1 << 20, early(draft.file()));
    let document = document::write(ledger, horizon, rounded_to, set);
    header::write(&mut file, order.iter().map(|&index| &entries[index]), &document)?;
    for index in order {
        let (average, entry) = (export(index)?, &entries[index]);
        if !average.fits(entry.descriptor.dtype) {
            let dtype = entry.descriptor.dtype;
            return content(format_args!(
                "has no room for the average of \"{}\": it is too large for {dtype}",
                entry.name
            ));
        }
        average.bytes(entry.descriptor.dtype, PIECE, |bytes| -> Result<()> {
            look(watch, "save")?;
            if entry.descriptor.dtype == DType::Bool {
                // An array may have any byte for true; a file that other programs read has only one.
                let flags: Vec<u8> = bytes.iter().map(|&byte| u8::from(byte != 0)).collect();
                return Ok(file.write_all(&flags)?);
            }
            Ok(file.write_all(bytes)?)
        })?;
    }
    file.flush()?;
    drop(file);
    draft.file().sync_all()?;
    Ok(draft)
}
