//! An entry of the table of fingerprints, and what a row of a bill finds there.

use super::refund_state::BookedRefund;
use crate::fingerprint::PartialSum;
use crate::table::Slot;

/// A line of the books: its key, then 48 bits that must agree, and its marks in the lower 16 bits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BookEntry {
    pub(super) id: u64,
    pub(super) rest: u64,
}

pub(super) const TAKEN: u64 = 1;

pub(super) const SEEN: u64 = 1 << 1;

pub(super) const TWICE: u64 = 1 << 2;

pub(super) const HAS_REFUND_ID: u64 = 1 << 3;

pub(super) const STATE_AT: u32 = 4;

pub(super) const STATE: u64 = 7 << STATE_AT;

pub(super) const SHARD_AT: u32 = 8;

pub(super) const MARKS: u64 = 0xffff;

impl Slot for BookEntry {
    #[inline]
    fn is_free(&self) -> bool {
        self.rest & TAKEN == 0
    }

    #[inline]
    fn id(&self) -> u64 {
        self.id
    }
}

impl BookEntry {
    pub(super) fn shard(self) -> usize {
        usize::try_from((self.rest & MARKS) >> SHARD_AT).unwrap_or_default()
    }
}

/// What the books have under a row's number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BookMatch {
    /// Nothing.
    Unknown,
    /// A line that agrees with the row's fingerprint and that no earlier row has named. For a
    /// refund with its state.
    Same(Option<BookedRefund>),
    /// The same line again.
    Again,
    /// A line that differs.
    Different,
}

/// The keys of a bill row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    pub(crate) id: u64,
    pub(crate) agree: PartialSum,
    /// WeChat Pay's number of a refund; it is not compared if the books do not know it.
    pub(crate) refund_id: PartialSum,
}

impl Probe {
    pub(super) const fn new(id: u64, agree: PartialSum, refund_id: PartialSum) -> Self {
        Self {
            id,
            agree,
            refund_id,
        }
    }
}
