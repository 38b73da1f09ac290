//! A day's reconciliation: load our books of the day into memory -> stream the trade bill past
//! them, in one pass from WeChat Pay into the evidence bucket -> confirm each candidate -> store
//! differences -> repair what can be repaired -> the trade side is done. Then a separate message
//! starts the fund side ([`crate::funds`]), which never changes the trade side.
//!
//! Every run of a day writes the same data, so a day may be run twice, by two workers at once, or
//! be killed anywhere and run again. A day whose books do not fit into one run's memory is split by
//! order number into parts that go through the queue; the last part to end closes the trade side.

use flows::trace::Trace;
use matching::{books::DayBooks, matcher::Matched, totals::Gaps};
use payments::{
    model::bill_date::{BillDate, BillName},
    reconcile::{
        day_runs::RunRequest,
        difference::{Difference, RunSide},
        run::{BillFacts, PartDone, Run, RunState},
    },
};
use stores::queues::ReconcileWork;
use tracing::info;

use crate::{
    app::App,
    bills::{BillReader, TradePass},
    confirm::Confirmer,
    day_before::DayBefore,
    day_index::{DayIndex, Loaded},
    day_money::DayMoney,
    day_part::DayPart,
    differences::{self, DifferenceStore},
    error::DayError,
    finding::Findings,
    last_minutes::LastMinutes,
    metrics,
    record::{self, RunRecord},
    repair::Repairer,
};

/// The trade side of a run: the whole day, or a part of it.
pub(crate) struct Day<'a> {
    app: &'a App,
    /// As it was read or written last.
    run: Run,
    part: DayPart,
    trace: &'a Trace,
}

impl<'a> Day<'a> {
    /// Reconciles a day, or starts its parts if it must be split.
    ///
    /// # Errors
    /// [`DayError`]. The day's record says so too.
    pub(crate) async fn reconcile(
        app: &'a App,
        request: &RunRequest,
        trace: &'a Trace,
    ) -> Result<(), DayError> {
        let run = record::begin(app, request).await?;
        let part = DayPart::WHOLE;
        let mut day = Self {
            app,
            run,
            part,
            trace,
        };
        let run = &day.run;
        if run.state == RunState::Done {
            info!(date = %run.date, run_id = run.id, "the day is done: the message came twice");
            // The worker that closed it may have crashed before it reported that or started the
            // fund side.
            return day.close_if_whole().await;
        }
        info!(date = %run.date, run_id = run.id, dry_run = run.dry_run, "reconciling the day");
        let done = day.whole().await;
        day.record().note_trouble(day.side(), done).await
    }

    /// Reconciles one part of a day that was split.
    ///
    /// # Errors
    /// [`DayError`].
    pub(crate) async fn reconcile_part(
        app: &'a App,
        date: BillDate,
        run_id: &str,
        number: u8,
        trace: &'a Trace,
    ) -> Result<(), DayError> {
        let run = RunRecord::new(app, date, run_id).current().await?;
        let part = DayPart {
            number,
            of: run.parts,
        };
        let mut day = Self {
            app,
            run,
            part,
            trace,
        };
        if day.run.parts_done.contains_key(&number) {
            return day.close_if_whole().await;
        }
        let done = day.load_one_part().await;
        day.record().note_trouble(day.side(), done).await
    }

    fn record(&self) -> RunRecord<'_> {
        RunRecord::of(self.app, &self.run)
    }

    fn bills(&self) -> BillReader<'_> {
        BillReader::new(self.app, &self.run)
    }

    fn day_before(&self) -> DayBefore<'_> {
        DayBefore::of(self.app, &self.run)
    }

    fn differences(&self) -> DifferenceStore<'_> {
        DifferenceStore::new(self.app, &self.run)
    }

    const fn side(&self) -> (RunSide, DayPart) {
        (RunSide::Trades, self.part)
    }

    async fn send(&self, message: &ReconcileWork) -> Result<(), DayError> {
        let trace = self.trace.headers();
        self.app.work.send_reconcile(message, 0, trace).await?;
        Ok(())
    }

    /// The whole day in one go, or, where the books are too many, its split.
    async fn whole(&mut self) -> Result<(), DayError> {
        let index = DayIndex::new(self.app, self.run.date);
        match index.load_if_they_fit().await? {
            Loaded::Books(books) => Box::pin(self.one_part(*books)).await,
            Loaded::TooMany => self.split().await,
        }
    }

    /// Starts the parts of the day.
    async fn split(&mut self) -> Result<(), DayError> {
        // Bills are fetched once, for all parts.
        let facts = self.bills().fetch_trade(self.run.date).await?;
        let before = self.day_before().fetch().await?;
        let parts = DayPart::count_for(facts.rows);
        self.run = self
            .record()
            .save(|run| {
                run.parts = parts;
                note_trade_bill(run, &facts);
                if let Some(before) = &before {
                    let of_day = run.fetched.entry(run.date.plus_days(-1)).or_default();
                    of_day.insert(BillName::Trade, before.clone());
                }
            })
            .await?;
        for part in 0..parts {
            self.send(&ReconcileWork::PartV1 {
                date: self.run.date,
                run_id: self.run.id.clone(),
                part,
            })
            .await?;
        }
        info!(date = %self.run.date, parts, rows = facts.rows, "the day is split");
        Ok(())
    }

    async fn load_one_part(&mut self) -> Result<(), DayError> {
        let index = DayIndex::new(self.app, self.run.date);
        let books = index.load(self.part).await?;
        Box::pin(self.one_part(books)).await
    }

    /// The bill past our books; what that finds is confirmed, written down and repaired; then the
    /// part is done.
    async fn one_part(&mut self, books: DayBooks) -> Result<(), DayError> {
        let last = self.day_before().last_minutes(self.part).await?;
        let trades = self.bills().trades(self.part, books).await?;
        self.run = self
            .record()
            .save(|run| note_trade_bill(run, &trades.facts))
            .await?;
        let finding = self.confirm(&trades, &last).await?;
        let found = self.differences().save_all(&finding.differences()).await?;
        metrics::found(&self.run, &found);
        self.carry(&finding).await?;
        let why = |known: &_| {
            let is_over = finding.proves_resolved(known);
            is_over.then(|| differences::AGREE.to_owned())
        };
        self.differences()
            .agree_again(self.side(), &found, why)
            .await?;
        let found = if self.run.dry_run {
            found
        } else {
            let repairer = Repairer::new(self.app, &self.run, self.trace);
            repairer.all(found).await?
        };
        metrics::left_open(&self.run, &found);
        self.note_part(&trades.matched, &finding, &found).await?;
        self.close_if_whole().await
    }

    /// The real differences: each candidate is read again, and so is what the bill lacks.
    async fn confirm(&self, trades: &TradePass, last: &LastMinutes) -> Result<Findings, DayError> {
        let mut finding = Findings::new(&self.run, self.part, self.app.clock.now());
        if let (true, Some(what)) = (self.part.is_first(), &trades.summary_differs) {
            finding.summary(BillName::Trade, what);
        }
        let mut confirmer = Confirmer::new(self.app, self.part, &trades.matched, finding);
        confirmer.rows().await?;
        let carried = self.app.reconciliations.carried(self.run.date).await?;
        confirmer.absent(last).await?;
        confirmer.carried(&carried).await?;
        Ok(confirmer.finish())
    }

    /// Leaves what the next day's bill may have to that day.
    async fn carry(&self, finding: &Findings) -> Result<(), DayError> {
        let mut waits = false;
        for carried in &finding.carried {
            waits |= self.app.reconciliations.carry(carried).await?;
        }
        // A preview starts nothing: the trade still waits for the real run of the day.
        if waits && !self.run.dry_run {
            self.run_the_next_day_again().await?;
        }
        Ok(())
    }

    /// The next day's run, if there is one, may have read its carried trades before this one was
    /// added: it is run again in the same way. Each part that carries a trade uses another id,
    /// since a finished run does nothing when its message is delivered again.
    async fn run_the_next_day_again(&self) -> Result<(), DayError> {
        let Self { app, run, .. } = self;
        let runs = app.reconciliations.day_runs(run.date.plus_days(1)).await?;
        let Some(next) = runs.shown() else {
            return Ok(());
        };
        // Its request time is after the run that it follows, whatever two machines' clocks say.
        let after_it = next.requested_at_ms().saturating_add(1);
        let message = ReconcileWork::DayV1 {
            date: next.date,
            dry_run: next.dry_run,
            run_id: run.id_of_the_day_after(self.part.number),
            requested_at_ms: Some(app.clock.now_ms().max(after_it)),
        };
        info!(date = %next.date, "the day after decides on trades that were carried to it: it is run again");
        self.send(&message).await
    }

    /// Stores the effect of the part's differences on the sums, and notes that the part is done.
    async fn note_part(
        &mut self,
        matched: &Matched,
        finding: &Findings,
        found: &[Difference],
    ) -> Result<(), DayError> {
        let (gaps, left) = (finding.gaps(), &finding.left);
        let (run, number, attempt) = (&self.run, self.part.number, self.app.random.id());
        let table = &self.app.reconciliations;
        table
            .save_gaps(run.date, &run.id, number, &attempt, &gaps)
            .await?;
        table
            .save_left(run.date, &run.id, number, &attempt, left)
            .await?;
        let mut accounted_for = Gaps::default();
        gaps.values().for_each(|gaps| accounted_for.add_all(gaps));
        let done = PartDone {
            accounted_for: Some(accounted_for),
            gaps_of: (!gaps.is_empty()).then(|| attempt.clone()),
            left_of: (!left.is_empty()).then_some(attempt),
            there: matched.totals.clone(),
            here: matched.books.totals(),
            differences: differences::count(found),
            carried: u64::try_from(finding.carried.len()).unwrap_or(u64::MAX),
        };
        self.run = self
            .record()
            .save(|run| {
                run.parts_done.insert(number, done.clone());
            })
            .await?;
        Ok(())
    }

    /// The last part closes the trade side, starts the fund side, and reports the day's state in
    /// metrics.
    async fn close_if_whole(&mut self) -> Result<(), DayError> {
        if !self.run.is_whole() {
            return Ok(());
        }
        self.run = self
            .record()
            .save(|run| {
                run.state = RunState::Done;
                run.trouble = None;
            })
            .await?;
        if self.run.owes_its_fund_side() {
            self.send(&ReconcileWork::FundsV1 {
                date: self.run.date,
                run_id: self.run.id.clone(),
            })
            .await?;
        }
        let open = self.differences().open().await?;
        let money = DayMoney::of(self.app, &self.run, self.differences()).await?;
        metrics::trades_done(self.app, &self.run, open, money);
        Ok(())
    }
}

fn note_trade_bill(run: &mut Run, facts: &BillFacts) {
    run.bills.insert(BillName::Trade, facts.clone());
    let of_day = run.fetched.entry(run.date).or_default();
    of_day.insert(BillName::Trade, facts.clone());
}
