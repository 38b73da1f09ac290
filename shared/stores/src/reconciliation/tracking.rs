//! Differences whose refund is in progress or makes no progress: a separate list, so that the run
//! of each minute finds them without reading any day.
//!
//! An entry in the list is written with the step that starts the waiting, in one transaction. It is
//! removed later, by any process that finds that nothing is waited for; the step's version protects
//! an entry that was added again meanwhile.
//!
//! `followed#<mchid>` has the list. `followed-from#<mchid>`, `-` has the position (`from` S) where
//! the next check continues, if one did not reach the end.

use aws_sdk_dynamodb::{operation::delete_item::DeleteItemError, types::Put};
use payments::reconcile::difference::Difference;

use super::{ReconciliationError, ReconciliationTable, TrackedDifference, item, unavailable};
use crate::attributes::{Item, number, text};

/// A piece of the list.
#[derive(Debug)]
pub struct TrackedPage {
    /// The differences, the earliest day first.
    pub items: Vec<TrackedDifference>,
    /// Entries that cannot be read. They say nothing of the others.
    pub unreadable: Vec<ReconciliationError>,
    /// Where the next piece begins, if there may be one.
    pub next: Option<TrackedCursor>,
}

/// A place in the list: after the difference of this sort key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrackedCursor(String);

impl ReconciliationTable {
    /// How many are read at a time.
    const TRACKED_PAGE: i32 = 200;

    /// A piece of the list, read consistently.
    ///
    /// # Errors
    /// [`ReconciliationError`].
    pub async fn tracked_page(
        &self,
        from: Option<TrackedCursor>,
    ) -> Result<TrackedPage, ReconciliationError> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(self.tracked_pk()))
            .consistent_read(true)
            .set_exclusive_start_key(from.map(|from| self.tracked_key(from.0)))
            .limit(Self::TRACKED_PAGE)
            .send()
            .await
            .map_err(|error| unavailable("list differences that are waited for", error))?;
        let (mut items, mut unreadable) = (Vec::new(), Vec::new());
        for entry in page.items() {
            match item::read_tracked(entry) {
                Ok(tracked) => items.push(tracked),
                Err(error) => unreadable.push(error),
            }
        }
        let next = match page.last_evaluated_key() {
            Some(last) => Some(TrackedCursor(item::sk(last)?.to_owned())),
            None => None,
        };
        Ok(TrackedPage {
            items,
            unreadable,
            next,
        })
    }

    /// Where the next check of the list continues; `None` is its start.
    ///
    /// # Errors
    /// [`ReconciliationError`].
    pub async fn tracked_position(&self) -> Result<Option<TrackedCursor>, ReconciliationError> {
        let got = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(self.position_key()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| unavailable("read where to go on", error))?;
        let from = got.item().and_then(|item| item.get("from"));
        let from = from.and_then(|value| value.as_s().ok());
        Ok(from.cloned().map(TrackedCursor))
    }

    /// Stores where the next check of the list continues.
    ///
    /// # Errors
    /// [`ReconciliationError`].
    pub async fn save_tracked_position(
        &self,
        from: Option<&TrackedCursor>,
    ) -> Result<(), ReconciliationError> {
        let mut place = self.position_key();
        place.extend(from.map(|from| ("from".to_owned(), text(from.0.clone()))));
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(place))
            .send()
            .await
            .map_err(|error| unavailable("write down where to go on", error))?;
        Ok(())
    }

    /// Removes a difference from the list, unless it was added again since it was read.
    ///
    /// # Errors
    /// [`ReconciliationError`].
    pub async fn untrack(&self, tracked: &TrackedDifference) -> Result<(), ReconciliationError> {
        let deleted = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("pk", text(self.tracked_pk()))
            .key("sk", text(item::tracked_sk(tracked.date, &tracked.id)))
            .condition_expression("version = :seen")
            .expression_attribute_values(":seen", number(tracked.version))
            .send()
            .await;
        match deleted {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DeleteItemError::is_conditional_check_failed_exception) =>
            {
                Ok(())
            }
            Err(error) => Err(unavailable("take a difference out of the list", error)),
        }
    }

    /// The place in the list of a difference after a step.
    pub(super) fn track(&self, to: &Difference) -> Result<Put, ReconciliationError> {
        Ok(Put::builder()
            .table_name(&self.table)
            .set_item(Some(item::tracked(self.tracked_pk(), to)))
            .build()?)
    }

    fn tracked_key(&self, sk: String) -> Item {
        Item::from([
            ("pk".to_owned(), text(self.tracked_pk())),
            ("sk".to_owned(), text(sk)),
        ])
    }

    fn position_key(&self) -> Item {
        Item::from([
            (
                "pk".to_owned(),
                text(format!("followed-from#{}", self.mchid)),
            ),
            ("sk".to_owned(), text("-")),
        ])
    }

    fn tracked_pk(&self) -> String {
        format!("followed#{}", self.mchid)
    }
}
