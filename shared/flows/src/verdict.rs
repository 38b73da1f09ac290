//! The one place that decides by an error whether a queue message is deleted or retried.

use std::error::Error;

use stores::{keys_table::KeysError, notices::NoticesError, order_table::TableError};
use tracing::{error, warn};

use crate::{
    issue_prepay::IssueError, open_callback::OpenCallbackError, order_store::OrderStoreError,
    problem::ErrorChain, process_refund::RefundError, query_order::QueryError,
};

/// What happens to a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is done: SQS deletes it. A payment that could not be applied is recorded by then.
    Done,
    /// It is delivered again; after the queue's limit it goes to the dead-letter queue, which has
    /// an alarm.
    Retry,
}

impl Verdict {
    /// A temporary failure: the message is delivered again.
    fn retry(cause: &(dyn Error + 'static)) -> Self {
        warn!(error = %ErrorChain(cause), "message comes again");
        Self::Retry
    }

    /// A permanent failure: it is delivered again, and after the last attempt it is in the
    /// dead-letter queue, unchanged. No message about money is dropped because it is unreadable.
    pub fn needs_operator(cause: &(dyn Error + 'static)) -> Self {
        error!(error = %ErrorChain(cause), "message needs a person");
        Self::Retry
    }
}

impl From<TableError> for Verdict {
    fn from(error: TableError) -> Self {
        match &error {
            TableError::Unavailable(_)
            | TableError::Unbuilt(_)
            | TableError::Conflict
            | TableError::Ledger(NoticesError::Unavailable(_)) => Self::retry(&error),
            TableError::Damaged { .. } | TableError::Ledger(NoticesError::Damaged { .. }) => {
                Self::needs_operator(&error)
            }
        }
    }
}

impl From<KeysError> for Verdict {
    fn from(error: KeysError) -> Self {
        Self::retry(&error)
    }
}

impl From<NoticesError> for Verdict {
    fn from(error: NoticesError) -> Self {
        match &error {
            NoticesError::Unavailable(_) => Self::retry(&error),
            NoticesError::Damaged { .. } => Self::needs_operator(&error),
        }
    }
}

impl From<OpenCallbackError> for Verdict {
    fn from(error: OpenCallbackError) -> Self {
        match error {
            OpenCallbackError::Keys(error) => error.into(),
            // It is not from WeChat Pay, whatever wrote it to the queue: nothing is applied.
            OpenCallbackError::Callback(_) => Self::needs_operator(&error),
        }
    }
}

impl From<OrderStoreError> for Verdict {
    fn from(error: OrderStoreError) -> Self {
        match error {
            OrderStoreError::Table(error) => error.into(),
            OrderStoreError::Contended => Self::retry(&error),
        }
    }
}

impl From<RefundError> for Verdict {
    fn from(error: RefundError) -> Self {
        match &error {
            RefundError::Books(_)
            | RefundError::Guards(_)
            | RefundError::NotSent(_)
            | RefundError::PaymentNotBooked => Self::retry(&error),
            RefundError::Field(_) => Self::needs_operator(&error),
        }
    }
}

impl From<IssueError> for Verdict {
    fn from(error: IssueError) -> Self {
        match &error {
            IssueError::Body(body) if body.is_transient() => Self::retry(&error),
            IssueError::NotSent(_)
            | IssueError::Sign(_)
            | IssueError::Table(_)
            | IssueError::Query(_) => Self::retry(&error),
            IssueError::Body(_) | IssueError::WrongValue(_) => Self::needs_operator(&error),
        }
    }
}

impl From<QueryError> for Verdict {
    fn from(error: QueryError) -> Self {
        match &error {
            QueryError::NotSent(_) | QueryError::Settle(_) => Self::retry(&error),
            QueryError::Unreadable(_) => Self::needs_operator(&error),
        }
    }
}
