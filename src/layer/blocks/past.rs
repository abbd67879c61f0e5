//! Stage 6: the layer that a layer comes after. Its name and form in; what its blocks give to the next one out, and the next one's blocks in.
//! Uses the memory of the store, and the blob that it speaks of.

use super::{Mark, Reuse, Table, keys};
use crate::ctx::Ctx;
use crate::error::Result;
use crate::layer::key::{self, Form};
use crate::layer::known::Known;
use crate::layer::pack::PackError;
use crate::layer::twins::Twinned;
use crate::oci::Digest;
use crate::store::Memory;

/// The kind under which the blocks are remembered of the last layer that had a name, in a form.
const KIND: &str = "blocks-1";

/// The last layer of a name.
pub struct Past {
    form: Form,
    /// What stands for name and form; `None` where nothing is remembered.
    place: Option<Digest>,
    table: Option<Table>,
    /// The keys of the layer that is made now, once they are known.
    keys: Option<Vec<Digest>>,
}

impl Past {
    /// What is remembered of the last layer with this label, in this form.
    pub fn recall(ctx: &Ctx, known: &Known, label: &str, form: Form) -> Past {
        let project = known.place().filter(|_| ctx.store.memory() != Memory::Off);
        let place = project.map(|project| key::blocks(&project, label, form));
        let table = place.and_then(|place| Table::read(&ctx.store.recall(KIND, &place)?));
        Past { form, place, table, keys: None }
    }

    /// Whether there was one.
    pub fn is_known(&self) -> bool {
        self.table.is_some()
    }

    /// What it gives to this tree, whose contents should be known.
    pub fn reuse(&mut self, ctx: &Ctx, tree: &Twinned, known: &Known) -> Result<Option<Reuse<'_>>, PackError> {
        let Some(table) = &self.table else { return Ok(None) };
        self.keys = keys(tree, known, &ctx.cancel)?;
        let Some(keys) = &self.keys else { return Ok(None) };
        let old = ctx.store.parts(&table.blob)?;
        Ok(old.and_then(|old| Reuse::find(table, keys, self.form.compression.kind, old)))
    }

    /// Remembers the layer that was made of this tree, for the next one.
    pub fn remember(
        self,
        ctx: &Ctx,
        tree: &Twinned,
        known: &Known,
        (blob, marks): (Digest, Vec<Mark>),
    ) -> Result<(), PackError> {
        let Some(place) = self.place else { return Ok(()) };
        let keys = if self.keys.is_some() { self.keys } else { keys(tree, known, &ctx.cancel)? };
        let table = keys.and_then(|keys| Table::new(blob, &keys, marks));
        table.iter().for_each(|table| ctx.store.remember_if_possible(KIND, &place, &table.write()));
        Ok(())
    }
}
