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
mod error;
pub mod followed;
mod gaps;
mod item;
mod tracked;

use aws_sdk_dynamodb::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::{put_item::PutItemError, transact_write_items::TransactWriteItemsError},
    types::{
        Put as PutWrite, ReturnValuesOnConditionCheckFailure, Select, TransactWriteItem, Update,
    },
};
use payments::{
    model::bill_date::BillDate,
    reconcile::{
        day_runs::DayRuns,
        difference::{Difference, DifferenceState},
        run::Run,
    },
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
    /// Somebody wrote first. Read again and decide again.
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

/// How many there are, as far as was looked.
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

    /// Writes down a difference that a run found, unless it is known already.
    ///
    /// # Errors
    /// [`ReconciliationError`].
    pub async fn find(&self, difference: &Difference) -> Result<FindOutcome, ReconciliationError> {
        let item = item::difference(self.pk(difference.date), difference);
        let found = match self.put("write down a difference", item, 1).await? {
            PutOutcome::Done => return Ok(FindOutcome::New),
            PutOutcome::ConditionFailed(found) => item::read_difference(&found)?,
            // Something is there, and DynamoDB did not show it with its refusal.
            PutOutcome::Missing => self
                .difference(difference.date, &difference.id)
                .await?
                .ok_or_else(|| ReconciliationError::Damaged {
                    item: format!("{} {}", self.pk(difference.date), difference.id),
                    attribute: "pk",
                })?,
        };
        // The first answer was lost and the SDK asked again: what is found is what we wrote.
        Ok(if found == *difference {
            FindOutcome::New
        } else {
            FindOutcome::Known(Box::new(found))
        })
    }

    /// Reads one difference consistently.
    ///
    /// # Errors
    /// [`ReconciliationError`].
    pub async fn difference(
        &self,
        date: BillDate,
        id: &str,
    ) -> Result<Option<Difference>, ReconciliationError> {
        if !is_id(id) {
            return Ok(None);
        }
        let found = self.get(
            "read a difference",
            date,
            format!("{}{id}", item::DIFFERENCE),
        );
        found.await?.as_ref().map(item::read_difference).transpose()
    }

    /// Writes a difference after a step, over the version that the step was decided on. The same
    /// transaction adds it to the list of tracked refunds and updates the notice of its payment, if
    /// necessary.
    ///
    /// # Errors
    /// [`ReconciliationError`].
    pub async fn save_difference(
        &self,
        to: &Difference,
    ) -> Result<SaveOutcome, ReconciliationError> {
        const OPERATION: &str = "save a difference";
        let item = item::difference(self.pk(to.date), to);
        let follow = to.is_followed().then(|| self.follow(to)).transpose()?;
        for _ in 0..SAVE_TRIES {
            let notice = self.notice_step(to).await?;
            if follow.is_none() && notice.is_none() {
                return Ok(match self.put(OPERATION, item, to.version).await? {
                    PutOutcome::Done => SaveOutcome::Saved,
                    PutOutcome::ConditionFailed(found) => {
                        saved_if(item::read_difference(&found)? == *to)
                    }
                    PutOutcome::Missing => SaveOutcome::VersionMoved,
                });
            }
            let saved = self.save_with(OPERATION, &item, to, follow.clone(), notice);
            if let Some(saved) = saved.await? {
                return Ok(saved);
            }
        }
        Err(ReconciliationError::Conflict)
    }

    /// Writes a difference with values that were missing, over itself as it was read: not a step,
    /// so its version stays. After a concurrent step nothing is written
    /// ([`SaveOutcome::VersionMoved`]).
    ///
    /// # Errors
    /// [`ReconciliationError`].
    pub async fn complete_difference(
        &self,
        to: &Difference,
    ) -> Result<SaveOutcome, ReconciliationError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item::difference(self.pk(to.date), to)))
            .condition_expression("version = :version")
            .expression_attribute_values(":version", number(to.version))
            .send()
            .await;
        match put {
            Ok(_) => Ok(SaveOutcome::Saved),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) =>
            {
                Ok(SaveOutcome::VersionMoved)
            }
            Err(error) => Err(unavailable("complete a difference", error)),
        }
    }

    /// What the last step does to the notice of the difference's money, if that has one which is to
    /// move.
    async fn notice_step(&self, to: &Difference) -> Result<Option<Update>, ReconciliationError> {
        let (Some(ledger), Some(step), Some(notice_id), Some(last)) = (
            &self.ledger,
            to.notice_step(),
            to.notice_id(),
            to.history.last(),
        ) else {
            return Ok(None);
        };
        let Some(found) = ledger.get(&notice_id).await? else {
            return Ok(None);
        };
        Ok(ledger.stepping(&found, &step, last.at)?)
    }

    /// `None` if the notice has changed since it was read, or another transaction holds one of the
    /// items at this moment.
    async fn save_with(
        &self,
        operation: &'static str,
        item: &Item,
        to: &Difference,
        follow: Option<PutWrite>,
        notice: Option<Update>,
    ) -> Result<Option<SaveOutcome>, ReconciliationError> {
        let difference = PutWrite::builder()
            .table_name(&self.table)
            .set_item(Some(item.clone()))
            .condition_expression("version = :before")
            .expression_attribute_values(":before", number(to.version.saturating_sub(1)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()?;
        let mut writes = vec![TransactWriteItem::builder().put(difference).build()];
        writes.extend(notice.map(|notice| TransactWriteItem::builder().update(notice).build()));
        writes.extend(follow.map(|follow| TransactWriteItem::builder().put(follow).build()));
        let sent = self
            .client
            .transact_write_items()
            .set_transact_items(Some(writes))
            .send()
            .await;
        let Err(error) = sent else {
            return Ok(Some(SaveOutcome::Saved));
        };
        let reasons = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                cancelled.cancellation_reasons()
            }
            Some(TransactWriteItemsError::TransactionInProgressException(_)) => return Ok(None),
            Some(_) | None => &[],
        };
        let refused = |code: &str| {
            reasons
                .iter()
                .position(|reason| reason.code() == Some(code))
        };
        match refused("ConditionalCheckFailed") {
            Some(0) => {
                let found = reasons.first().and_then(|reason| reason.item.as_ref());
                let is_ours = match found {
                    Some(found) => item::read_difference(found)? == *to,
                    None => false,
                };
                Ok(Some(saved_if(is_ours)))
            }
            Some(_) => Ok(None),
            None if refused("TransactionConflict").is_some() => Ok(None),
            None => Err(unavailable(operation, error)),
        }
    }

    /// A piece of a day's differences, at most `limit` at a time, from the beginning or behind the
    /// one whose id is `after`. Read consistently.
    ///
    /// # Errors
    /// [`ReconciliationError`]. One difference that cannot be read is one too.
    pub async fn differences(
        &self,
        date: BillDate,
        after: Option<&str>,
        limit: i32,
    ) -> Result<DifferencePage, ReconciliationError> {
        let page = self.readable_differences(date, after, limit).await?;
        match page.unreadable.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(DifferencePage {
                items: page.items,
                next: page.next,
            }),
        }
    }

    /// The same, with those apart that cannot be read.
    ///
    /// # Errors
    /// [`ReconciliationError`] if nothing could be read.
    pub async fn readable_differences(
        &self,
        date: BillDate,
        after: Option<&str>,
        limit: i32,
    ) -> Result<ReadableDifferences, ReconciliationError> {
        let (mut items, mut unreadable) = (Vec::new(), Vec::new());
        if after.is_some_and(|after| !is_id(after)) {
            return Ok(ReadableDifferences {
                items,
                unreadable,
                next: None,
            });
        }
        let from = after.map(|id| self.key(date, format!("{}{id}", item::DIFFERENCE)));
        let (found, next) = self
            .list("list differences", date, item::DIFFERENCE, from, limit)
            .await?;
        for difference in &found {
            match item::read_difference(difference) {
                Ok(difference) => items.push(difference),
                Err(error) => unreadable.push(error),
            }
        }
        let next = match &next {
            Some(key) => item::sk(key)?
                .strip_prefix(item::DIFFERENCE)
                .map(str::to_owned),
            None => None,
        };
        Ok(ReadableDifferences {
            items,
            unreadable,
            next,
        })
    }

    /// How many of a day's differences are in one of these states. DynamoDB counts: no difference
    /// is read into memory. It reads at most `pages_max` pages of a megabyte; the answer says
    /// whether that was all. The read is consistent.
    ///
    /// # Errors
    /// [`ReconciliationError`].
    pub async fn count_in(
        &self,
        date: BillDate,
        states: &[DifferenceState],
        pages_max: usize,
    ) -> Result<DifferenceCount, ReconciliationError> {
        let names: Vec<String> = (0..states.len()).map(|at| format!(":state{at}")).collect();
        let (mut count, mut from) = (0_u64, None);
        for _ in 0..pages_max {
            let mut query = self
                .client
                .query()
                .table_name(&self.table)
                .select(Select::Count)
                .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                .filter_expression(format!("#state IN ({})", names.join(", ")))
                .expression_attribute_names("#state", "state")
                .expression_attribute_values(":pk", text(self.pk(date)))
                .expression_attribute_values(":prefix", text(item::DIFFERENCE))
                .consistent_read(true)
                .set_exclusive_start_key(from);
            for (name, state) in names.iter().zip(states) {
                query = query.expression_attribute_values(name, text(state.name()));
            }
            let page = query
                .send()
                .await
                .map_err(|error| unavailable("count differences", error))?;
            count = count.saturating_add(u64::try_from(page.count).unwrap_or_default());
            from = page.last_evaluated_key;
            if from.is_none() {
                return Ok(DifferenceCount {
                    count,
                    is_all: true,
                });
            }
        }
        Ok(DifferenceCount {
            count,
            is_all: false,
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

    /// One page of a day's items whose sort key begins with `prefix`, and where the next one
    /// begins.
    async fn list(
        &self,
        operation: &'static str,
        date: BillDate,
        prefix: &str,
        from: Option<Item>,
        limit: i32,
    ) -> Result<(Vec<Item>, Option<Item>), ReconciliationError> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", text(self.pk(date)))
            .expression_attribute_values(":prefix", text(prefix))
            .consistent_read(true)
            .set_exclusive_start_key(from)
            .limit(limit)
            .send()
            .await
            .map_err(|error| unavailable(operation, error))?;
        Ok((page.items.unwrap_or_default(), page.last_evaluated_key))
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

/// How often a difference is written again because an item in the same transaction was being
/// written by another process.
const SAVE_TRIES: u32 = 3;

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
