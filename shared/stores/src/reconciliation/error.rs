//! Why the reconciliation table did not do what it was asked.

use aws_sdk_dynamodb::error::BuildError;
use runtime::aws::AwsError;

use crate::notices::NoticesError;

/// Why the table did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ReconciliationError {
    /// DynamoDB did not answer, or refused. What was asked may have happened.
    #[error("the reconciliation table did not answer")]
    Unavailable(#[source] AwsError),
    /// A request to DynamoDB could not be put together.
    #[error("a request to the reconciliation table could not be built")]
    Unbuilt(#[from] BuildError),
    /// The notice of the money that a difference is about could not be read.
    #[error("the notice of a difference's money could not be read")]
    Notice(#[from] NoticesError),
    /// Another transaction holds a difference or what goes along with it, time and again. It never
    /// means "already done".
    #[error("another transaction holds the difference, or the notice of its money")]
    Conflict,
    /// DynamoDB left items of a batch unread, time and again.
    #[error(
        "the reconciliation table is too busy to read {left} of the items asked for: ask again"
    )]
    Busy {
        /// How many items were not read.
        left: usize,
    },
    /// An item is not in the form that this version writes.
    #[error(
        "the item {item} has no usable `{attribute}`: compare it with the table's description in reconciliation/item.rs"
    )]
    Damaged {
        /// Partition and sort key, if known.
        item: String,
        attribute: &'static str,
    },
}

impl ReconciliationError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(error) => error.is_transient(),
            Self::Notice(error) => error.is_transient(),
            Self::Busy { .. } | Self::Conflict => true,
            Self::Unbuilt(_) | Self::Damaged { .. } => false,
        }
    }
}
