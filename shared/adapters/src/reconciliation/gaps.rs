//! What each difference made of the sums of one run, when those were counted: beside the differences, which go on, and the run,
//! which has room for sums only.

use std::collections::BTreeMap;

use payments::reconcile::{run::BillDate, totals::Gaps};

use super::{
    ReconciliationError, ReconciliationTable,
    item::{self, Item},
    unavailable,
};

/// So many stand in one item: some 200 KB, of the 400 that an item may have.
const OF_AN_ITEM: usize = 1_000;

impl ReconciliationTable {
    /// Writes down what the differences that one part of a run found make of the sums, by their ids. Nothing is written where
    /// they make nothing of them. May be repeated.
    ///
    /// # Errors
    /// [`ReconciliationError`].
    pub async fn save_gaps(
        &self,
        date: BillDate,
        run_id: &str,
        part: u8,
        gaps: &BTreeMap<String, Gaps>,
    ) -> Result<(), ReconciliationError> {
        let all: Vec<(&String, &Gaps)> = gaps.iter().collect();
        for (number, some) in all.chunks(OF_AN_ITEM).enumerate() {
            let some: BTreeMap<&String, &Gaps> = some.iter().copied().collect();
            let sk = item::gaps_sk(run_id, part, number);
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

    /// What the differences that a run found made of its sums, by their ids, read consistently; `None` when those are more than
    /// `at_most`.
    ///
    /// # Errors
    /// [`ReconciliationError`].
    pub async fn gaps(
        &self,
        date: BillDate,
        run_id: &str,
        at_most: usize,
    ) -> Result<Option<BTreeMap<String, Gaps>>, ReconciliationError> {
        const PAGE: i32 = 2;
        let prefix = item::gaps_prefix(run_id);
        let (mut all, mut from): (BTreeMap<String, Gaps>, Option<Item>) = (BTreeMap::new(), None);
        loop {
            let (found, next) = self
                .list(
                    "read what differences make of the sums",
                    date,
                    &prefix,
                    from,
                    PAGE,
                )
                .await?;
            for found in &found {
                for (id, gaps) in item::read_gaps(found)? {
                    // What many parts tell as one has an id for each part; any other is one part's alone.
                    all.entry(id).or_default().add_all(&gaps);
                }
            }
            if all.len() > at_most {
                return Ok(None);
            }
            if next.is_none() {
                return Ok(Some(all));
            }
            from = next;
        }
    }
}
