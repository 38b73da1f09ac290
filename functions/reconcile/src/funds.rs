//! The fund side of a run: the movements of the account against the trades, once the trade side is
//! done.
//!
//! All bills that it needs are fetched once for all its parts: those of the run's day and of as
//! many days before it as settlement takes by the contract. Then each part compares the movements
//! of those days with the expected ones. Expected and actual movements come from the bills alone,
//! so that each run of a day has the same result. Our books and WeChat Pay are only queried about
//! movements that no row explains.
//!
//! The fund side has its own result. A failure here is recorded as the fund side's trouble, is
//! retried if that may help, and does not change the trade side's result.

mod days;
mod explained;
mod movements;

use std::collections::{BTreeMap, btree_map::Entry};

use flows::trace::Trace;
use payments::{
    model::bill_date::{BillDate, BillName},
    reconcile::{
        difference::{Difference, DifferenceKind, RunSide},
        run::{BillFacts, FundSide, FundState, FundsDone, Run},
    },
};
use stores::queues::ReconcileWork;
use tracing::info;

use crate::{
    app::App,
    bills::BillReader,
    day_part::DayPart,
    differences::{self, DifferenceStore},
    error::DayError,
    finding::Findings,
    metrics,
    record::RunRecord,
};
use days::BillDays;
use movements::{FundPass, MovementMatcher};

type Fetched = BTreeMap<BillDate, BTreeMap<BillName, BillFacts>>;

/// The days of trades that one run has room for, of as many lines as it holds of our books.
const DAYS_HELD: u64 = 2;

/// The fund side of a run: the whole day, or a part of it.
pub(crate) struct Funds<'a> {
    app: &'a App,
    /// As it was read or written last.
    run: Run,
    part: DayPart,
}

impl<'a> Funds<'a> {
    /// Matches the movements of a run's day, or begins to where they have to be split.
    ///
    /// # Errors
    /// [`DayError`]. The day's record says so too.
    pub(crate) async fn reconcile(
        app: &'a App,
        date: BillDate,
        run_id: &str,
        trace: &Trace,
    ) -> Result<(), DayError> {
        let run = RunRecord::new(app, date, run_id).current().await?;
        let Some(state) = run.funds.as_ref().map(|funds| funds.state) else {
            return Ok(());
        };
        if !run.is_whole() {
            return Ok(());
        }
        let part = DayPart::WHOLE;
        let mut funds = Self { app, run, part };
        match state {
            FundState::Done => {
                info!(%date, run_id, "the fund side is done: the message came twice");
                // The worker that closed it may have crashed before it reported that.
                return funds.close_if_whole().await;
            }
            FundState::Failed => {
                info!(%date, run_id, "the fund side has failed: the message came twice");
                return Ok(());
            }
            FundState::Pending | FundState::Waiting | FundState::Running => {}
        }
        let done = funds.whole(trace).await;
        funds.record().note_trouble(funds.side(), done).await
    }

    /// Matches one part of the movements.
    ///
    /// # Errors
    /// [`DayError`].
    pub(crate) async fn reconcile_part(
        app: &'a App,
        date: BillDate,
        run_id: &str,
        number: u8,
    ) -> Result<(), DayError> {
        let run = RunRecord::new(app, date, run_id).current().await?;
        let Some(funds) = &run.funds else {
            return Ok(());
        };
        let is_done = funds.parts_done.contains_key(&number);
        let part = DayPart {
            number,
            of: funds.parts,
        };
        let mut funds = Self { app, run, part };
        if is_done {
            return funds.close_if_whole().await;
        }
        let done = Box::pin(funds.one_part()).await;
        funds.record().note_trouble(funds.side(), done).await
    }

    fn record(&self) -> RunRecord<'_> {
        RunRecord::of(self.app, &self.run)
    }

    fn differences(&self) -> DifferenceStore<'_> {
        DifferenceStore::new(self.app, &self.run)
    }

    const fn side(&self) -> (RunSide, DayPart) {
        (RunSide::Funds, self.part)
    }

    /// Everything in one go, or its split.
    async fn whole(&mut self, trace: &Trace) -> Result<(), DayError> {
        self.gather().await?;
        let Some(funds) = &self.run.funds else {
            return Ok(());
        };
        if funds.parts <= 1 {
            return Box::pin(self.one_part()).await;
        }
        let run = &self.run;
        for part in (0..funds.parts).filter(|part| !funds.parts_done.contains_key(part)) {
            let message = ReconcileWork::FundsPartV1 {
                date: run.date,
                run_id: run.id.clone(),
                part,
            };
            self.app
                .work
                .send_reconcile(&message, 0, trace.headers())
                .await?;
        }
        info!(date = %run.date, parts = funds.parts, "the day's movements are split");
        Ok(())
    }

    /// Fetches every bill that is needed for the movements and not stored yet, and records what is
    /// known of each. Bills that were fetched before a failure are not fetched again.
    async fn gather(&mut self) -> Result<(), DayError> {
        let Some(funds) = &self.run.funds else {
            return Ok(());
        };
        let mut fetched = self.run.fetched.clone();
        let gathered = self.gather_into(funds, &mut fetched).await;
        let parts = self.parts_of(funds, &fetched);
        let saved = self
            .record()
            .save(|run| {
                run.fetched.clone_from(&fetched);
                if let Some(own) = fetched.get(&run.date) {
                    run.bills.extend(own.clone());
                }
                if let (Ok(()), Some(funds)) = (&gathered, &mut run.funds) {
                    funds.state = FundState::Running;
                    funds.parts = parts.max(funds.parts);
                }
            })
            .await;
        gathered?;
        self.run = saved?;
        Ok(())
    }

    async fn gather_into(&self, funds: &FundSide, fetched: &mut Fetched) -> Result<(), DayError> {
        let bills = BillReader::new(self.app, &self.run);
        for (date, _) in BillDays::of(&self.run, funds).all() {
            // For days long ago WeChat Pay no longer provides bills.
            if !bills.can_be_read(date).await? {
                continue;
            }
            let of_day = fetched.entry(date).or_default();
            if let Entry::Vacant(place) = of_day.entry(BillName::Trade) {
                place.insert(bills.fetch_trade(date).await?);
            }
            for bill in &funds.accounts {
                if let Entry::Vacant(place) = of_day.entry(*bill) {
                    place.insert(bills.fetch_fund(date, *bill).await?);
                }
            }
        }
        Ok(())
    }

    /// Number of parts that the movements are split into: at least as many as for the trades, and
    /// enough that each part is not larger than for a day that is settled the next day.
    fn parts_of(&self, funds: &FundSide, fetched: &Fetched) -> u8 {
        let trades = fetched
            .values()
            .filter_map(|of_day| of_day.get(&BillName::Trade));
        let rows = trades.fold(0_u64, |sum, facts| sum.saturating_add(facts.rows));
        let of_a_day = rows.div_ceil(DAYS_HELD);
        if of_a_day <= self.app.lines_max || funds.settlement_days <= 1 {
            self.run.parts
        } else {
            self.run.parts.max(DayPart::count_for(of_a_day))
        }
    }

    /// The movements of the part against what the trades have to move; what differs is written
    /// down; then the part is done.
    async fn one_part(&mut self) -> Result<(), DayError> {
        let (app, run, part) = (self.app, &self.run, self.part);
        let Some(funds) = &run.funds else {
            return Ok(());
        };
        let mut finding = Findings::new(run, part, app.clock.now());
        let matcher = MovementMatcher {
            app,
            run,
            funds,
            part,
            finding: &mut finding,
        };
        let moves = matcher.match_all().await?;
        let found = self.differences().save_all(&finding.differences()).await?;
        metrics::found(run, &found);
        let due = BillDays::of(run, funds).due();
        let why = |known: &Difference| {
            let is_over = finding.proves_resolved(known);
            is_over.then(|| why_gone(known, &moves, due, funds.settlement_days))?
        };
        self.differences()
            .agree_again(self.side(), &found, why)
            .await?;
        metrics::left_open(run, &found);
        let done = FundsDone {
            differences: differences::count(&found),
            carried: moves.carried,
        };
        self.run = self
            .record()
            .save(|run| {
                if let Some(funds) = &mut run.funds {
                    funds.parts_done.insert(part.number, done.clone());
                }
            })
            .await?;
        self.close_if_whole().await
    }

    /// The last part closes the fund side and reports the day's state in metrics.
    async fn close_if_whole(&mut self) -> Result<(), DayError> {
        if !self.run.funds.as_ref().is_some_and(FundSide::is_whole) {
            return Ok(());
        }
        self.run = self
            .record()
            .save(|run| {
                if let Some(funds) = &mut run.funds {
                    funds.state = FundState::Done;
                    funds.trouble = None;
                }
            })
            .await?;
        let open = self.differences().open().await?;
        metrics::funds_done(&self.run, open);
        Ok(())
    }
}

/// Reason written into a fund-side difference that a later run no longer finds.
fn why_gone(
    difference: &Difference,
    moves: &FundPass,
    due: BillDate,
    settlement_days: u8,
) -> Option<String> {
    // Without all bills of the days before, nothing can be said of movements.
    if difference.kind.is_of_movements() && !moves.all_read {
        return None;
    }
    let traded_at = difference.there.as_ref().and_then(|there| there.at);
    let traded_on = traded_at.map(BillDate::of);
    let is_later = traded_on.filter(|date| *date > due);
    if let (DifferenceKind::TradeWithoutFundFlow, Some(date)) = (difference.kind, is_later) {
        let settled_on = date.plus_days(i64::from(settlement_days));
        return Some(format!(
            "the trade is settled by {settled_on}: the run of that day checks it"
        ));
    }
    Some(differences::AGREE.to_owned())
}
