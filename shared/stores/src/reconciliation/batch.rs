//! The runs of many days at once.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::{config::AsyncSleep, types::KeysAndAttributes};
use payments::{model::bill_date::BillDate, reconcile::day_runs::DayRuns};
use runtime::backoff::Backoff;

use super::{ReconciliationError, ReconciliationTable, item, unavailable};
use crate::attributes::Item;

impl ReconciliationTable {
    /// How many items DynamoDB takes in one batch of reads.
    const BATCH_MAX: usize = 100;
    /// How often what a batch left unread is asked for again.
    const BATCH_REPEATS: u32 = 4;
    const BATCH_PAUSE: Backoff = Backoff {
        first_ms: 50,
        max_ms: 800,
    };

    /// The runs of several days, the earliest first; days that were never run are left out.
    ///
    /// # Errors
    /// [`ReconciliationError`]. One record that cannot be read is one too.
    pub async fn runs(
        &self,
        dates: &[BillDate],
    ) -> Result<Vec<(BillDate, DayRuns)>, ReconciliationError> {
        let of_each = self.runs_of_each(dates).await?;
        let read = of_each.into_iter();
        read.map(|(date, runs)| Ok((date, runs?))).collect()
    }

    /// The same, with a result for each day: one record that cannot be read does not affect the
    /// other days.
    ///
    /// # Errors
    /// [`ReconciliationError`] if nothing could be read.
    pub async fn runs_of_each(
        &self,
        dates: &[BillDate],
    ) -> Result<Vec<(BillDate, Result<DayRuns, ReconciliationError>)>, ReconciliationError> {
        let dates = BTreeSet::from_iter(dates.iter().copied());
        let places =
            |date| [item::RUN_SK, item::PREVIEW_SK].map(|sk| self.key(date, sk.to_owned()));
        let keys: Vec<Item> = dates.iter().copied().flat_map(places).collect();
        let mut of_days: BTreeMap<String, Vec<Item>> = BTreeMap::new();
        for batch in keys.chunks(Self::BATCH_MAX) {
            for found in self.batch(batch.to_vec()).await? {
                let day = item::pk(&found)?.to_owned();
                of_days.entry(day).or_default().push(found);
            }
        }
        let of_day = |date| {
            let found = of_days.get(&self.pk(date))?;
            Some((date, item::read_day_runs(found)))
        };
        Ok(dates.into_iter().filter_map(of_day).collect())
    }

    /// Reads items by their keys, at most [`Self::BATCH_MAX`]. DynamoDB may leave some unread when
    /// it is busy, or when they are large; these are asked for again after a pause.
    async fn batch(&self, keys: Vec<Item>) -> Result<Vec<Item>, ReconciliationError> {
        let (mut items, mut left, mut repeats) = (Vec::with_capacity(keys.len()), keys, 0);
        while !left.is_empty() {
            if repeats > Self::BATCH_REPEATS {
                return Err(ReconciliationError::Busy { left: left.len() });
            }
            if repeats > 0
                // The clock that the client was made with.
                && let Some(sleep) = self.client.config().sleep_impl()
            {
                let pause = Self::BATCH_PAUSE.pause(repeats, &self.random);
                sleep.sleep(pause).await;
            }
            let keys = KeysAndAttributes::builder()
                .set_keys(Some(left))
                .consistent_read(true)
                .build()?;
            let got = self
                .client
                .batch_get_item()
                .request_items(&self.table, keys)
                .send()
                .await
                .map_err(|error| unavailable("read runs", error))?;
            let before = items.len();
            items.extend(got.responses.unwrap_or_default().into_values().flatten());
            left = got
                .unprocessed_keys
                .unwrap_or_default()
                .into_values()
                .flat_map(|unread| unread.keys)
                .collect();
            // Large items arrive over several calls. Only calls that return nothing count as failed
            // repeats.
            repeats = if items.len() > before { 1 } else { repeats + 1 };
        }
        Ok(items)
    }
}
