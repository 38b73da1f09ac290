//! Why a day could not be reconciled, grouped by the action needed.

use std::error::Error;

use flows::{order_store::OrderStoreError, process_refund::RefundError, query_order::QueryError};
use payments::model::bill_date::BillDate;
use stores::{
    evidence::EvidenceError, notices::NoticesError, order_table::TableError, queues::QueueError,
    reconciliation::ReconciliationError,
};
use wechat_client::{
    api::NotSent,
    bill_file::{BillFileError, UnzipError},
};
use wechatpay::{UnreadableAnswer, bill::BillError};

#[derive(Debug, thiserror::Error)]
pub(crate) enum DayError {
    /// WeChat Pay still makes the bill.
    #[error(
        "WeChat Pay still makes the bill of this day: it is ready from 10:00 of the next day on"
    )]
    NotReady {
        date: BillDate,
        /// The day whose run waits for it.
        run_date: BillDate,
    },
    /// The bill cannot be used, so the day has no result.
    #[error("a bill of the day is of no use")]
    Bill(#[source] Box<BrokenBill>),
    /// The same, and it is fetched again.
    #[error("a bill of the day is of no use, and is fetched again in half an hour")]
    BillAgain(#[source] Box<BrokenBill>),
    /// Another run of the same day started meanwhile and continues.
    #[error("another run has taken the day over")]
    Superseded,
    /// A stored item cannot be parsed.
    #[error("something of ours cannot be read")]
    Damaged(#[source] Box<dyn Error + Send + Sync>),
    /// A temporary failure.
    #[error("not now")]
    Passing(#[source] Box<dyn Error + Send + Sync>),
}

/// What is wrong with a bill.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokenBill {
    /// The link or the download.
    #[error("bill {bill} could not be fetched whole")]
    File {
        bill: &'static str,
        #[source]
        source: BillFileError,
    },
    /// Its compression: it was cut or altered in transit.
    #[error("bill {bill} cannot be unpacked")]
    Gzip {
        bill: &'static str,
        #[source]
        source: UnzipError,
    },
    #[error("bill {bill} cannot be read")]
    Text {
        bill: &'static str,
        /// What is wrong, and where.
        #[source]
        source: BillError,
    },
    #[error(
        "bill {bill} has the SHA-1 {found}, WeChat Pay said {expected}: it was altered or cut on its way"
    )]
    Hash {
        bill: &'static str,
        found: String,
        expected: String,
    },
    /// WeChat Pay's link to it.
    #[error("WeChat Pay's answer about where bill {bill} is cannot be read")]
    Link {
        bill: &'static str,
        /// What is wrong, and where.
        #[source]
        source: UnreadableAnswer,
    },
    /// WeChat Pay refuses to give it.
    #[error("WeChat Pay refuses bill {bill} with {code}: {next}")]
    Refused {
        bill: &'static str,
        /// WeChat Pay's code.
        code: String,
        /// What to do about it.
        next: &'static str,
    },
}

impl DayError {
    /// Whether the same would fail in a minute, too, until a person puts something right: an item
    /// that cannot be parsed, or a call to a table that is refused.
    pub(crate) fn needs_operator(&self) -> bool {
        match self {
            Self::Damaged(_) => true,
            Self::Passing(source) => {
                let books = source.downcast_ref::<TableError>();
                let days = source.downcast_ref::<ReconciliationError>();
                books.is_some_and(|error| !error.is_transient())
                    || days.is_some_and(|error| !error.is_transient())
            }
            Self::NotReady { .. } | Self::Bill(_) | Self::BillAgain(_) | Self::Superseded => false,
        }
    }
}

impl From<BrokenBill> for DayError {
    fn from(error: BrokenBill) -> Self {
        Self::Bill(Box::new(error))
    }
}

impl From<TableError> for DayError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Damaged { .. } | TableError::Ledger(NoticesError::Damaged { .. }) => {
                Self::Damaged(error.into())
            }
            TableError::Unavailable(_)
            | TableError::Unbuilt(_)
            | TableError::Conflict
            | TableError::Ledger(NoticesError::Unavailable(_)) => Self::Passing(error.into()),
        }
    }
}

impl From<ReconciliationError> for DayError {
    fn from(error: ReconciliationError) -> Self {
        match error {
            ReconciliationError::Damaged { .. }
            | ReconciliationError::Notice(NoticesError::Damaged { .. }) => {
                Self::Damaged(error.into())
            }
            ReconciliationError::Unavailable(_)
            | ReconciliationError::Unbuilt(_)
            | ReconciliationError::Conflict
            | ReconciliationError::Notice(NoticesError::Unavailable(_))
            | ReconciliationError::Busy { .. } => Self::Passing(error.into()),
        }
    }
}

impl From<OrderStoreError> for DayError {
    fn from(error: OrderStoreError) -> Self {
        match error {
            OrderStoreError::Table(error) => error.into(),
            OrderStoreError::Contended => Self::Passing(error.into()),
        }
    }
}

impl From<QueueError> for DayError {
    fn from(error: QueueError) -> Self {
        Self::Passing(error.into())
    }
}

impl From<NotSent> for DayError {
    fn from(error: NotSent) -> Self {
        Self::Passing(error.into())
    }
}

impl From<EvidenceError> for DayError {
    fn from(error: EvidenceError) -> Self {
        Self::Passing(error.into())
    }
}

impl From<QueryError> for DayError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Settle(error) => error.into(),
            QueryError::NotSent(error) => error.into(),
            QueryError::Unreadable(_) => Self::Damaged(error.into()),
        }
    }
}

impl From<RefundError> for DayError {
    fn from(error: RefundError) -> Self {
        match error {
            RefundError::Books(error) => error.into(),
            RefundError::NotSent(error) => error.into(),
            RefundError::Field(_) => Self::Damaged(error.into()),
            RefundError::Guards(_) | RefundError::PaymentNotBooked => Self::Passing(error.into()),
        }
    }
}
