//! The differences of a day, piece by piece, and how many there are.

use aws_sdk_dynamodb::types::Select;
use payments::{model::bill_date::BillDate, reconcile::difference::DifferenceState};

use super::{
    DifferenceCount, DifferencePage, ReadableDifferences, ReconciliationError, ReconciliationTable,
    is_id, item, unavailable,
};
use crate::attributes::{Item, text};

impl ReconciliationTable {
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

    /// One page of a day's items whose sort key begins with `prefix`, and where the next one
    /// begins.
    pub(super) async fn list(
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
}
