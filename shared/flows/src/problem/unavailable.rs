//! Failures on our side that have one meaning for every caller, whatever was being done.
//!
//! A queue that fails is none of them: who calls in the console must know what was kept.

use stores::{
    guards::GuardsError, keys_table::KeysError, order_table::TableError,
    reconciliation::ReconciliationError, undelivered::UndeliveredError,
};

use super::Problem;
use crate::stored_body::BodyError;

impl From<TableError> for Problem {
    fn from(error: TableError) -> Self {
        Self::unavailable(&error)
    }
}

impl From<GuardsError> for Problem {
    fn from(error: GuardsError) -> Self {
        Self::unavailable(&error)
    }
}

impl From<KeysError> for Problem {
    fn from(error: KeysError) -> Self {
        Self::unavailable(&error)
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        Self::unavailable(&error)
    }
}

impl From<UndeliveredError> for Problem {
    fn from(error: UndeliveredError) -> Self {
        Self::unavailable(&error)
    }
}

/// Only people and programs of the console read this table.
impl From<ReconciliationError> for Problem {
    fn from(error: ReconciliationError) -> Self {
        Self::try_again(&error)
    }
}
