//! What each difference made of the sums of one run, when those were counted, and each trade that
//! was left to the next day's bill: beside the differences, which go on, and the run, which has
//! room for sums only.

use std::collections::BTreeMap;

use matching::totals::Gaps;
use payments::{model::bill_date::BillDate, reconcile::run::Run};

use super::{ReconciliationError, ReconciliationTable, item, unavailable};
use crate::attributes::Item;

/// Maximum number in one item: about 200 KB, of the 400 KB that an item may have.
const OF_AN_ITEM: usize = 1_000;

impl ReconciliationTable {
    /// Stores the effect on the sums of the differences that one part of a run found, by their ids.
    /// Writes nothing if they do not change the sums. A part may be tried again, and find less by
    /// then, since the try before it repaired some: so each `attempt` has items of its own, and
    /// counts once the run's record names it
    /// ([`gaps_of`](payments::reconcile::run::PartDone::gaps_of)).
    ///
    /// # Errors
    /// [`ReconciliationError`].
    pub async fn save_gaps(
        &self,
        date: BillDate,
        run_id: &str,
        part: u8,
        attempt: &str,
        gaps: &BTreeMap<String, Gaps>,
    ) -> Result<(), ReconciliationError> {
        self.save_all(date, &item::gaps_prefix(run_id, part, attempt), gaps)
            .await
    }

    /// Stores the effect on the sums of the trades that one part of a run left to the next day's
    /// bill, by the ids that they are carried under. Like [`save_gaps`](Self::save_gaps): it counts
    /// once the run's record names the attempt
    /// ([`left_of`](payments::reconcile::run::PartDone::left_of)).
    ///
    /// # Errors
    /// [`ReconciliationError`].
    pub async fn save_left(
        &self,
        date: BillDate,
        run_id: &str,
        part: u8,
        attempt: &str,
        left: &BTreeMap<String, Gaps>,
    ) -> Result<(), ReconciliationError> {
        self.save_all(date, &item::left_prefix(run_id, part, attempt), left)
            .await
    }

    async fn save_all(
        &self,
        date: BillDate,
        prefix: &str,
        gaps: &BTreeMap<String, Gaps>,
    ) -> Result<(), ReconciliationError> {
        let all: Vec<(&String, &Gaps)> = gaps.iter().collect();
        for (number, some) in all.chunks(OF_AN_ITEM).enumerate() {
            let some: BTreeMap<&String, &Gaps> = some.iter().copied().collect();
            let sk = item::gaps_sk(prefix, number);
            self.client
                .put_item()
                .table_name(&self.table)
                .set_item(Some(item::gaps(self.pk(date), sk, &some)))
                .send()
                .await
                .map_err(|error| unavailable("save what differences make of the sums", error))?;
        }
        Ok(())
    }

    /// The effect on the sums of the differences that a run found, by their ids, read consistently:
    /// for each part that is done, as its last attempt stored it. `None` when those are more than
    /// `at_most`.
    ///
    /// # Errors
    /// [`ReconciliationError`].
    pub async fn gaps(
        &self,
        run: &Run,
        at_most: usize,
    ) -> Result<Option<BTreeMap<String, Gaps>>, ReconciliationError> {
        let prefixes = run.parts_done.iter().filter_map(|(part, done)| {
            let attempt = done.gaps_of.as_ref()?;
            Some(item::gaps_prefix(&run.id, *part, attempt))
        });
        self.gaps_under(run.date, prefixes, at_most).await
    }

    /// The same of the trades that were left to the next day's bill, by the names that they are
    /// carried under.
    ///
    /// # Errors
    /// [`ReconciliationError`].
    pub async fn left(
        &self,
        run: &Run,
        at_most: usize,
    ) -> Result<Option<BTreeMap<String, Gaps>>, ReconciliationError> {
        let prefixes = run.parts_done.iter().filter_map(|(part, done)| {
            let attempt = done.left_of.as_ref()?;
            Some(item::left_prefix(&run.id, *part, attempt))
        });
        self.gaps_under(run.date, prefixes, at_most).await
    }

    /// All under these prefixes; `None` when they are more than `at_most`.
    async fn gaps_under(
        &self,
        date: BillDate,
        prefixes: impl Iterator<Item = String>,
        at_most: usize,
    ) -> Result<Option<BTreeMap<String, Gaps>>, ReconciliationError> {
        let mut all = BTreeMap::new();
        for prefix in prefixes {
            if !self.add_gaps(date, &prefix, &mut all, at_most).await? {
                return Ok(None);
            }
        }
        Ok(Some(all))
    }

    /// Adds those under one prefix; `false` once there are more than `at_most`.
    async fn add_gaps(
        &self,
        date: BillDate,
        prefix: &str,
        all: &mut BTreeMap<String, Gaps>,
        at_most: usize,
    ) -> Result<bool, ReconciliationError> {
        const PAGE: i32 = 2;
        let mut from: Option<Item> = None;
        loop {
            let (found, next) = self
                .list(
                    "read what differences make of the sums",
                    date,
                    prefix,
                    from,
                    PAGE,
                )
                .await?;
            for found in &found {
                for (id, gaps) in item::read_gaps(found)? {
                    // An aggregated difference has an id for each part; any other belongs to one
                    // part.
                    all.entry(id).or_default().add_all(&gaps);
                }
            }
            if all.len() > at_most {
                return Ok(false);
            }
            if next.is_none() {
                return Ok(true);
            }
            from = next;
        }
    }
}
