//! What few connections have: urgent pointers, and a search for the path's segment size. It is in
//! a block of its own, which the extension names; [`Flags::RARE`] says that it is needed.

use super::extension;
use super::path_search::Search;
use super::send_queue::Segment;
use super::urgent::Urgent;
use crate::stack::Stack;
use crate::tcb::Tcb;
use core::mem::size_of;
use crore_mem::{BlockId, Pool};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

#[cfg(doc)]
use crate::tcb::Flags;

/// The content of the block.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Rare {
    pub(super) urgent: Urgent,
    pub(super) search: Search,
}

impl Stack {
    /// Sees to it that the connection has the block, and the extension that names it; `None` when
    /// none is free.
    pub(super) fn open_rare(&mut self, index: u32) -> Option<&mut Rare> {
        if !self.open_extension(index) {
            return None;
        }
        let id = self.tcbs[index].extension;
        if extension::of(&self.pool, id).rare == BlockId::NONE {
            let rare = self.pool.alloc(size_of::<Rare>())?;
            *in_block(&mut self.pool, rare) = Rare::new_zeroed();
            extension::of_mut(&mut self.pool, id).rare = rare;
        }
        of_mut(&mut self.pool, &self.tcbs[index])
    }

    /// The block, to be accounted for.
    pub(crate) fn rare_block(&self, tcb: &Tcb) -> BlockId {
        match tcb.extension {
            BlockId::NONE => BlockId::NONE,
            id => extension::of(&self.pool, id).rare,
        }
    }
}

/// The rare things of a connection that has any.
pub(super) fn of<'a>(pool: &'a Pool<Segment>, tcb: &Tcb) -> Option<&'a Rare> {
    if tcb.extension == BlockId::NONE {
        return None;
    }
    let rare = extension::of(pool, tcb.extension).rare;
    if rare == BlockId::NONE {
        return None;
    }
    let bytes = &pool.payload(rare)[..size_of::<Rare>()];
    Some(Rare::ref_from_bytes(bytes).expect("payloads are aligned and long enough"))
}

/// The same, to be changed.
pub(super) fn of_mut<'a>(pool: &'a mut Pool<Segment>, tcb: &Tcb) -> Option<&'a mut Rare> {
    if tcb.extension == BlockId::NONE {
        return None;
    }
    let rare = extension::of(pool, tcb.extension).rare;
    (rare != BlockId::NONE).then(|| in_block(pool, rare))
}

fn in_block(pool: &mut Pool<Segment>, id: BlockId) -> &mut Rare {
    let bytes = &mut pool.payload_mut(id)[..size_of::<Rare>()];
    Rare::mut_from_bytes(bytes).expect("payloads are aligned and long enough")
}
