//! The Beijing day that a bill is of.

use std::ops::Range;

use crate::clock::{self, DAY_MS};

/// A Beijing day.
pub(crate) struct BillDay {
    /// `2026-08-01`.
    pub(crate) name: String,
    pub(crate) start_ms: i64,
}

impl BillDay {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let start_ms = clock::parse_day_ms(name)?;
        let name = name.to_owned();
        Some(Self { name, start_ms })
    }

    pub(crate) fn end_ms(&self) -> i64 {
        self.start_ms.saturating_add(DAY_MS)
    }

    pub(crate) fn range(&self) -> Range<i64> {
        self.start_ms..self.end_ms()
    }
}
