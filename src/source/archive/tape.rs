//! Stage 5: a tar from anywhere. A plain stream in; its entries into the roll, their bytes into the parcel. Pure.

use std::io::{self, Read};

use super::roll::{Roll, Slot, What, path, refuse, target};
use crate::source::parcel::Parcel;
use crate::source::tar::{Type, strict, wrong};

/// Reads a whole tar, to the end of its stream.
pub fn read(stream: impl Read, roll: &mut Roll, parcel: &mut Parcel) -> io::Result<()> {
    let mut entries = strict(stream);
    for number in 1.. {
        let next = entries.step().map_err(|cause| at(number, cause))?;
        let Some(entry) = next else { break };
        let name = &entry.path;
        let path = path(number, name)?;
        let what = match entry.kind {
            Type::File => {
                let start = parcel.size();
                let taken = parcel.put(&mut entries, |_| ())?;
                if taken != entry.size {
                    return Err(refuse(number, name, format!("ends after {taken} of {} bytes", entry.size)));
                }
                What::File(start, entry.size)
            }
            Type::Directory => What::Directory,
            Type::Link => What::Link(target(number, name, &entry.target)?),
            Type::HardLink => roll.linked(number, name, &entry.target)?,
            Type::Other => What::Device,
        };
        let slot = Slot { number, what, mode: entry.mode, owner: (entry.uid, entry.gid), implied: false };
        roll.add(name, path, slot)?;
    }
    entries.close()
}

/// Says at which entry it is that something is wrong.
fn at(number: u64, cause: io::Error) -> io::Error {
    if cause.get_ref().is_some_and(|inner| inner.is::<crate::error::Error>()) || cause.raw_os_error().is_some() {
        return cause;
    }
    wrong(format!("at entry {number}: {cause}"))
}
