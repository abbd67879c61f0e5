//! Stage 6: the blocks of a layer as bytes, about 280 for each. What each is known by and what was found out of it in; compact bytes out, and
//! back. Pure.

use super::{Mark, Summed};
use crate::oci::Digest;
use crate::source::memo::{In, Out};

/// The blocks of one layer that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The layer's blob.
    pub blob: Digest,
    /// Its blocks, in their order.
    pub rows: Vec<Row>,
}

/// One block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is known by.
    pub key: Digest,
    /// What was found out of it.
    pub mark: Mark,
}

impl Table {
    /// The table of a blob whose blocks are known by these keys; nothing where they are not its blocks.
    pub fn new(blob: Digest, keys: &[Digest], marks: Vec<Mark>) -> Option<Table> {
        let row = |(key, mark): (&Digest, Mark)| Row { key: *key, mark };
        (keys.len() == marks.len()).then(|| Table { blob, rows: keys.iter().zip(marks).map(row).collect() })
    }

    /// The table as bytes.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Out::default();
        out.bytes(self.blob.bytes());
        out.number(self.rows.len() as u64);
        for Row { key, mark } in &self.rows {
            out.bytes(key.bytes());
            [mark.size, mark.packed, mark.tar.crc].into_iter().for_each(|number| out.number(number.into()));
            out.bytes(&mark.tar.state);
            out.bytes(&mark.blob);
        }
        out.bytes
    }

    /// The table that these bytes are.
    pub fn read(bytes: &[u8]) -> Option<Table> {
        let mut input = In::new(bytes);
        let blob = Digest::from_bytes(input.bytes()?)?;
        let mut rows = Vec::new();
        for _ in 0..input.number()? {
            let key = Digest::from_bytes(input.bytes()?)?;
            let mut number = || u32::try_from(input.number()?).ok();
            let (size, packed, crc) = (number()?, number()?, number()?);
            let (state, blob) = (input.bytes()?.to_vec(), input.bytes()?.to_vec());
            // A state that no digest can go on from is that of another program.
            Digest::resumed(&blob)?;
            let resumes = state.is_empty() || Digest::resumed(&state).is_some();
            let mark = Mark { size, packed, tar: Summed { crc, state }, blob };
            rows.push(resumes.then_some(Row { key, mark })?);
        }
        input.rest.is_empty().then_some(Table { blob, rows })
    }
}
