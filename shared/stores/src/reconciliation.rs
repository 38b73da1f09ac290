//! The `reconciliation` table: the record of each reconciled day, its differences, and the trades
//! near midnight that wait for the next day's bill.
//!
//! `reconcile` and the operators' console write it. Every write is one conditional put of a whole
//! item, based on the version that was read, so of two concurrent decisions only one succeeds: the
//! later one gets [`SaveOutcome::VersionMoved`] and reads again. A put may be repeated: if the item
//! is already as it should be written, it counts as written.
//!
//! This table only records findings and decisions. It changes no order and moves no money.

mod batch;
mod carried;
mod differences;
mod error;
mod gaps;
mod item;
mod list;
mod tracked;
pub mod tracking;

use aws_sdk_dynamodb::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::put_item::PutItemError,
    types::ReturnValuesOnConditionCheckFailure,
};
use payments::{
    model::bill_date::BillDate,
    reconcile::{day_runs::DayRuns, difference::Difference, run::Run},
};
use runtime::{aws::AwsError, random::Random};

use crate::{
    attributes::{Item, number, text},
    notices::Notices,
};

pub use error::ReconciliationError;
pub use tracked::TrackedDifference;

/// The `reconciliation` table of one merchant.
#[derive(Clone, Debug)]
pub struct ReconciliationTable {
    client: Client,
    table: String,
    mchid: String,
    random: Random,
    ledger: Option<Notices>,
}

/// Result of a write that was decided on one version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SaveOutcome {
    /// It is written.
    Saved,
    /// Another writer was first. Read again and decide again.
    VersionMoved,
}

/// Result of storing a difference that a run found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FindOutcome {
    /// No run had found it before.
    New,
    /// It is known, with this state; nothing was written.
    Known(Box<Difference>),
}

/// A piece of a day's differences.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DifferencePage {
    /// The differences, in the order of their ids.
    pub items: Vec<Difference>,
    /// Behind which id the next piece begins, if there may be one.
    pub next: Option<String>,
}

/// A piece of a day's differences, as far as they can be read.
#[derive(Debug)]
pub struct ReadableDifferences {
    /// The differences, in the order of their ids.
    pub items: Vec<Difference>,
    /// Those that cannot be read. They say nothing of the others.
    pub unreadable: Vec<ReconciliationError>,
    /// Behind which id the next piece begins, if there may be one.
    pub next: Option<String>,
}

/// How many there are, as far as was counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DifferenceCount {
    /// How many were found.
    pub count: u64,
    /// Whether all were read.
    pub is_all: bool,
}

impl ReconciliationTable {
    /// Longer than any id that a difference or a carried trade has. Ids come from addresses of the
    /// API, and DynamoDB refuses long keys with an error.
    const ID_LENGTH_MAX: usize = 128;

    /// The table by its name, for one merchant number.
    pub fn new(client: Client, table: impl Into<String>, mchid: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
            mchid: mchid.into(),
            random: Random::system(),
            ledger: None,
        }
    }

    /// The same table, whose decisions close the notice in this ledger that their money has, and
    /// open it again.
    #[must_use]
    pub fn with_ledger(self, ledger: Notices) -> Self {
        Self {
            ledger: Some(ledger),
            ..self
        }
    }

    /// The runs of a day by consistent read: the latest real run and the latest preview.
    ///
    /// # Errors
    /// [`ReconciliationError`].
    pub async fn day_runs(&self, date: BillDate) -> Result<DayRuns, ReconciliationError> {
        // Both sort keys have the same prefix, and one page holds both: an item is far below the 1
        // MB of a page.
        const BOTH: i32 = 2;
        let (found, _) = self
            .list("read the runs of a day", date, item::RUN_SK, None, BOTH)
            .await?;
        item::read_day_runs(&found)
    }

    /// Writes a run, under the sort key of previews or of real runs: its first version if nothing
    /// is there, a later one over the previous version.
    ///
    /// # Errors
    /// [`ReconciliationError`].
    pub async fn save_run(&self, run: &Run) -> Result<SaveOutcome, ReconciliationError> {
        let item = item::run(self.pk(run.date), run);
        Ok(match self.put("save a run", item, run.version).await? {
            PutOutcome::Done => SaveOutcome::Saved,
            PutOutcome::ConditionFailed(found) => saved_if(item::read_run(&found)? == *run),
            PutOutcome::Missing => SaveOutcome::VersionMoved,
        })
    }

    async fn get(
        &self,
        operation: &'static str,
        date: BillDate,
        sk: String,
    ) -> Result<Option<Item>, ReconciliationError> {
        let got = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(self.key(date, sk)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| unavailable(operation, error))?;
        Ok(got.item)
    }

    /// Puts version `version` of an item: over the version before, or where nothing is.
    async fn put(
        &self,
        operation: &'static str,
        item: Item,
        version: u64,
    ) -> Result<PutOutcome, ReconciliationError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let put = match version.checked_sub(1) {
            None | Some(0) => put.condition_expression("attribute_not_exists(pk)"),
            Some(before) => put
                .condition_expression("version = :before")
                .expression_attribute_values(":before", number(before)),
        };
        let Err(error) = put.send().await else {
            return Ok(PutOutcome::Done);
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(found)) => Ok(found
                .item()
                .cloned()
                .map_or(PutOutcome::Missing, PutOutcome::ConditionFailed)),
            Some(_) | None => Err(unavailable(operation, error)),
        }
    }

    fn key(&self, date: BillDate, sk: String) -> Item {
        Item::from([
            ("pk".to_owned(), text(self.pk(date))),
            ("sk".to_owned(), text(sk)),
        ])
    }

    fn pk(&self, date: BillDate) -> String {
        format!("day#{}#{date}", self.mchid)
    }
}

/// Result of a conditional put.
enum PutOutcome {
    Done,
    /// The condition did not hold: this was found.
    ConditionFailed(Item),
    /// The condition did not hold, and nothing was shown: there is nothing to put it over.
    Missing,
}

/// The first answer to a put may be lost and the SDK asks again: then what is found is what was
/// written.
fn saved_if(as_written: bool) -> SaveOutcome {
    if as_written {
        SaveOutcome::Saved
    } else {
        SaveOutcome::VersionMoved
    }
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= ReconciliationTable::ID_LENGTH_MAX
}

fn unavailable<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> ReconciliationError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    ReconciliationError::Unavailable(AwsError::new(operation, error))
}
