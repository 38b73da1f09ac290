//! Why the orders table did not do what it was asked.

use aws_sdk_dynamodb::error::BuildError;
use runtime::aws::AwsError;

use crate::notices::NoticesError;

/// Why the table did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// DynamoDB did not answer, or refused for a reason that passes (throttling, a 5xx). What was
    /// asked may have happened.
    #[error("the orders table did not answer")]
    Unavailable(#[source] AwsError),
    /// A request to DynamoDB could not be put together.
    #[error("a request to the orders table could not be built")]
    Unbuilt(#[from] BuildError),
    /// The ledger of notices did not do its part.
    #[error("money that waits for a person could not be written into the ledger of notices")]
    Ledger(#[from] NoticesError),
    /// Another transaction holds the item at this moment. Read again and decide again; it never
    /// means "already done".
    #[error("another transaction holds the order")]
    Conflict,
    /// An item is not in the form that this version writes.
    #[error(
        "the item of order {order_no} has no usable `{attribute}`: compare it with the table's description in order_table/item.rs"
    )]
    Damaged {
        /// The order, if known.
        order_no: String,
        attribute: &'static str,
    },
}

impl TableError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(error) => error.is_transient(),
            Self::Ledger(error) => error.is_transient(),
            Self::Conflict => true,
            Self::Unbuilt(_) | Self::Damaged { .. } => false,
        }
    }
}
