//! The order in which a run of the sweep checks due items, and how many at once. It is independent
//! of what a check does.
//!
//! Pages of the index are read ahead while checks run, so that no check waits for a page. Each
//! check ends independently, so that a slow one only blocks its own lane. Urgent items go first,
//! and of those the longest overdue. Only the limits on calls to WeChat Pay decide how many checks
//! start a second: there are enough lanes for that even if each answer takes [`SLOW_ANSWER_S`].

use std::{collections::VecDeque, error::Error};

use futures_util::{StreamExt, future::OptionFuture, stream::FuturesUnordered};
use payments::model::next_check::CheckKind;
use stores::order_table::check_index::{CheckItem, DueCheck};
use wechatpay::UnixSeconds;

use super::report::{CheckOutcome, SweepReport};

/// What a run works on.
pub(super) trait Work {
    /// A place in a part of the index.
    type Cursor: Clone;
    /// Why a page could not be read.
    type ReadError: Error;

    /// Unix milliseconds.
    fn now_ms(&self) -> i64;

    async fn sleep_ms(&self, ms: i64);

    /// What is due in a part of the index, oldest first, and where its next page begins.
    async fn page(
        &self,
        part: u8,
        from: Option<Self::Cursor>,
    ) -> Result<IndexPage<Self::Cursor>, Self::ReadError>;

    /// How long a call would now have to wait for the limits.
    fn turn_in_ms(&self, reason: CheckKind) -> i64;

    /// Whether neither host of WeChat Pay answers.
    fn is_down(&self) -> bool;

    /// The first page of each part has come, or the run is over: `report` says what is due longest.
    /// Once in a run.
    fn report_overdue(&self, report: &SweepReport);

    /// Checks one item.
    async fn check(&self, item: CheckItem) -> CheckOutcome;
}

/// What is due in a part of the index, oldest first, and where its next page begins if it holds
/// more.
pub(super) type IndexPage<Cursor> = (Vec<DueCheck>, Option<Cursor>);

/// What bounds a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// When it began: what becomes due later is the next run's.
    pub(super) began_at: UnixSeconds,
    /// When it has to end (Unix milliseconds).
    pub(super) deadline_ms: i64,
    /// How many checks may run at once, at most.
    pub(super) lanes: usize,
}

/// WeChat Pay counts an answer within 3 s as normal (shared/wechatpay/PROTOCOL.md, 1.2): there are
/// lanes for the calls of this many seconds.
const SLOW_ANSWER_S: u32 = 3;
/// The fewest lanes that a run has.
const LANES_MIN: u32 = 8;
/// The most: a lane may hold a connection to WeChat Pay and one to DynamoDB, and Lambda gives a
/// sandbox 1,024 files. At 200 ms an answer they carry 2,000 checks a second.
const LANES_MAX: u32 = 400;
/// A run starts with this many: if WeChat Pay is down, only these few queries are made at once.
const LANES_AT_FIRST: usize = 8;
/// Each answer adds this many.
const LANES_BY_ANSWER: usize = 4;
/// After this many checks of one kind in a row without a result, the run leaves that kind to the
/// next run.
const NOTHING_IN_A_ROW_MAX: u32 = 20;
/// Minimum number of items read ahead from a part of the index, while it has more.
const READ_AHEAD_MIN: usize = 50;
/// A check starts when its first call may be made within this time, in milliseconds. So one check
/// is always ready, and none spends its own time waiting.
const TURN_WITHIN_MS: i64 = 200;

/// How many lanes are needed for this many calls a second.
pub(super) fn lanes(calls_per_s: u32) -> usize {
    let lanes = calls_per_s
        .saturating_mul(SLOW_ANSWER_S)
        .clamp(LANES_MIN, LANES_MAX);
    usize::try_from(lanes).unwrap_or(LANES_AT_FIRST)
}

/// How long before its end a run starts no more checks, in milliseconds: the longest time of a
/// check with all its calls. A refund may need a query, a request and another query.
const fn begins_before_deadline_ms(reason: CheckKind) -> i64 {
    match reason {
        CheckKind::Refund => 12_000,
        CheckKind::Recovery | CheckKind::Closing | CheckKind::StatusQuery => 8_000,
    }
}

/// The priority. Refunds and recovery are equal: many of one must not delay the other.
const RANKS: [&[CheckKind]; 3] = [
    &[CheckKind::Refund, CheckKind::Recovery],
    &[CheckKind::Closing],
    &[CheckKind::StatusQuery],
];

/// What is known of one part of the index.
struct IndexPart<Cursor> {
    number: u8,
    reason: CheckKind,
    ahead: VecDeque<DueCheck>,
    next: PartNext<Cursor>,
    pages: u32,
}

/// How a part continues.
enum PartNext<Cursor> {
    /// From here; from its beginning for `None`.
    Page(Option<Cursor>),
    /// A page is being read.
    Reading,
    /// It holds no more.
    End,
    /// It could not be read.
    Unreadable,
}

/// When something may begin.
#[derive(Clone, Copy)]
enum StartTime {
    Now,
    /// In this many milliseconds.
    In(i64),
    /// Not in this run.
    Over,
}

/// What the run can start.
enum Pick {
    /// An item to check now.
    Item(CheckKind, CheckItem),
    /// An item, in this many milliseconds.
    In(i64),
    /// No item that was read.
    Nothing,
}

/// A run as far as it got.
struct SweepRun<'a, W: Work> {
    work: &'a W,
    bounds: Bounds,
    parts: Vec<IndexPart<W::Cursor>>,
    /// How many checks of a kind in a row had no result.
    nothing: Vec<(CheckKind, u32)>,
    lanes: usize,
}

/// Processes due items until none is left or the time is over. Counts into `report`; returns the
/// last error of the index.
pub(super) async fn run<W: Work>(
    work: &W,
    bounds: Bounds,
    report: &mut SweepReport,
) -> Option<W::ReadError> {
    let mut run = SweepRun::new(work, bounds);
    let mut reads = FuturesUnordered::new();
    let mut checks = FuturesUnordered::new();
    let mut unreadable = None;
    let mut is_overdue_reported = false;
    loop {
        // A host that is being tried counts as down until it has answered.
        let down = work.is_down();
        report.wechat_down |= down && checks.is_empty();
        for (at, number, from) in run.begin_reads(report.wechat_down) {
            reads.push(async move { (at, work.page(number, from).await) });
        }
        let mut wait_ms = None;
        while !down && !report.wechat_down && checks.len() < run.lanes {
            match run.pick() {
                Pick::Item(reason, item) => {
                    checks.push(async move { (reason, work.check(item).await) });
                }
                Pick::In(ms) => {
                    wait_ms = Some(ms);
                    break;
                }
                Pick::Nothing => break,
            }
        }
        let nothing_to_wait_for = reads.is_empty() && wait_ms.is_none();
        if checks.is_empty() && (nothing_to_wait_for || run.is_all_over()) {
            break;
        }
        let turn = OptionFuture::from(wait_ms.map(|ms| work.sleep_ms(ms)));
        tokio::select! {
            biased; // so that a run can be repeated
            Some((reason, outcome)) = checks.next() => {
                run.note(reason, &outcome);
                report.count(&outcome);
            }
            Some((at, page)) = reads.next() => {
                if let Err(error) = run.take(at, page, report) {
                    unreadable = Some(error);
                }
                if !is_overdue_reported && run.parts.iter().all(IndexPart::was_opened) {
                    is_overdue_reported = true;
                    work.report_overdue(report);
                }
            }
            Some(()) = turn => {}
        }
    }
    if !is_overdue_reported {
        work.report_overdue(report);
    }
    run.log_left(report);
    unreadable
}

impl<'a, W: Work> SweepRun<'a, W> {
    fn new(work: &'a W, bounds: Bounds) -> Self {
        let part = |reason: CheckKind| {
            reason.parts().map(move |number| IndexPart {
                number,
                reason,
                ahead: VecDeque::new(),
                next: PartNext::Page(None),
                pages: 0,
            })
        };
        Self {
            work,
            bounds,
            parts: CheckKind::ALL.into_iter().flat_map(part).collect(),
            nothing: CheckKind::ALL.map(|reason| (reason, 0)).to_vec(),
            lanes: LANES_AT_FIRST.min(bounds.lanes),
        }
    }

    /// The pages that are to be read now: their parts' places in the list, the parts, and where in
    /// them. While WeChat Pay is down it is one page of each, to know what waits.
    fn begin_reads(&mut self, down: bool) -> Vec<(usize, u8, Option<W::Cursor>)> {
        let late: Vec<CheckKind> = CheckKind::ALL
            .into_iter()
            .filter(|reason| self.is_over(*reason))
            .collect();
        let mut wanted = Vec::new();
        for at in 0..self.parts.len() {
            let comes_first = self.before(at).is_none_or(IndexPart::was_opened);
            let Some(part) = self.parts.get_mut(at) else {
                break;
            };
            let enough = part.ahead.len() >= READ_AHEAD_MIN;
            let is_first = part.pages == 0;
            if enough || !comes_first || late.contains(&part.reason) || (down && !is_first) {
                continue;
            }
            if let PartNext::Page(from) = &mut part.next {
                wanted.push((at, part.number, from.take()));
                part.next = PartNext::Reading;
            }
        }
        wanted
    }

    /// The part that is read before this one at first: one of the next more urgent reason. So
    /// urgent things are found first, and a part that answers slowly holds up few others.
    fn before(&self, at: usize) -> Option<&IndexPart<W::Cursor>> {
        let part = self.parts.get(at)?;
        let reason = CheckKind::ALL
            .into_iter()
            .rev()
            .find(|r| *r < part.reason)?;
        let first = self.parts.iter().position(|p| p.reason == reason)?;
        let many = self.parts.iter().filter(|p| p.reason == reason).count();
        let own = self.parts.iter().position(|p| p.reason == part.reason)?;
        let place = at.saturating_sub(own).checked_rem(many)?;
        self.parts.get(first.saturating_add(place))
    }

    /// Takes a page that was read.
    fn take(
        &mut self,
        at: usize,
        page: Result<IndexPage<W::Cursor>, W::ReadError>,
        report: &mut SweepReport,
    ) -> Result<(), W::ReadError> {
        let Some(part) = self.parts.get_mut(at) else {
            return Ok(());
        };
        match page {
            Ok((items, next)) => {
                part.pages = part.pages.saturating_add(1);
                report.pages = report.pages.saturating_add(1);
                for since in &items {
                    let age_s = self.bounds.began_at.since(since.at);
                    report.saw(part.reason_of(&since.item), age_s);
                }
                part.ahead.extend(items);
                part.next = next.map_or(PartNext::End, |next| PartNext::Page(Some(next)));
                Ok(())
            }
            Err(error) => {
                part.next = PartNext::Unreadable;
                report.parts_unreadable = report.parts_unreadable.saturating_add(1);
                Err(error)
            }
        }
    }

    /// What starts next: the most urgent, and of that the longest overdue, unless its kind of call
    /// must wait.
    fn pick(&mut self) -> Pick {
        let turns = CheckKind::ALL.map(|reason| (reason, self.turn(reason)));
        let turn_of = |reason| {
            let turn = turns.iter().find(|(of, _)| *of == reason);
            turn.map_or(StartTime::Over, |(_, turn)| *turn)
        };
        let mut wait_ms: Option<i64> = None;
        for rank in RANKS {
            let mut first: Option<(UnixSeconds, usize, usize)> = None;
            let of_rank = |(_, part): &(usize, &IndexPart<W::Cursor>)| rank.contains(&part.reason);
            for (at, part) in self.parts.iter().enumerate().filter(of_rank) {
                for (place, since) in part.ahead.iter().enumerate() {
                    match turn_of(part.reason_of(&since.item)) {
                        StartTime::Now => {
                            if first.is_none_or(|(oldest, _, _)| since.at < oldest) {
                                first = Some((since.at, at, place));
                            }
                            break;
                        }
                        StartTime::In(ms) => {
                            wait_ms = Some(wait_ms.map_or(ms, |least| least.min(ms)));
                        }
                        StartTime::Over => {}
                    }
                }
            }
            let part = first.and_then(|(_, at, place)| Some((self.parts.get_mut(at)?, place)));
            if let Some((part, place)) = part
                && let Some(since) = part.ahead.remove(place)
            {
                return Pick::Item(part.reason_of(&since.item), since.item);
            }
        }
        wait_ms.map_or(Pick::Nothing, Pick::In)
    }

    /// When something for this reason may begin.
    fn turn(&self, reason: CheckKind) -> StartTime {
        if self.is_over(reason) {
            return StartTime::Over;
        }
        let turn_ms = self.work.turn_in_ms(reason);
        match turn_ms.saturating_sub(TURN_WITHIN_MS) {
            ..=0 => StartTime::Now,
            ms => StartTime::In(ms),
        }
    }

    /// Whether nothing more begins for this reason in this run.
    fn is_over(&self, reason: CheckKind) -> bool {
        let left_ms = self.bounds.deadline_ms.saturating_sub(self.work.now_ms());
        let in_a_row = self.nothing.iter().find(|(of, _)| *of == reason);
        left_ms < begins_before_deadline_ms(reason)
            || in_a_row.is_some_and(|(_, times)| *times >= NOTHING_IN_A_ROW_MAX)
    }

    fn is_all_over(&self) -> bool {
        CheckKind::ALL
            .into_iter()
            .all(|reason| self.is_over(reason))
    }

    /// Learns from a check whether WeChat Pay answers.
    fn note(&mut self, reason: CheckKind, outcome: &CheckOutcome) {
        let row = self.nothing.iter_mut().find(|(of, _)| *of == reason);
        let Some((_, in_a_row)) = row else { return };
        match outcome {
            CheckOutcome::NotOurs => {}
            CheckOutcome::Unanswered => *in_a_row = in_a_row.saturating_add(1),
            CheckOutcome::Settled
            | CheckOutcome::Open
            | CheckOutcome::Resumed
            | CheckOutcome::Closed
            | CheckOutcome::Closing
            | CheckOutcome::RefundMoved
            | CheckOutcome::RefundOpen
            | CheckOutcome::Parked
            | CheckOutcome::Failed => {
                *in_a_row = 0;
                let lanes = self.lanes.saturating_add(LANES_BY_ANSWER);
                self.lanes = lanes.min(self.bounds.lanes);
            }
        }
    }

    fn log_left(&self, report: &mut SweepReport) {
        for part in &self.parts {
            let left = u32::try_from(part.ahead.len()).unwrap_or(u32::MAX);
            report.left = report.left.saturating_add(left);
            let counter = match (&part.next, part.pages) {
                (PartNext::End | PartNext::Unreadable, _) => continue,
                (PartNext::Page(_) | PartNext::Reading, 0) => &mut report.parts_unread,
                (PartNext::Page(_) | PartNext::Reading, _) => &mut report.parts_with_more,
            };
            *counter = counter.saturating_add(1);
        }
    }
}

impl<Cursor> IndexPart<Cursor> {
    /// Why an item of this part is due. Earlier versions kept refunds among the checks of unpaid
    /// orders.
    fn reason_of(&self, item: &CheckItem) -> CheckKind {
        match item {
            CheckItem::Refund(..) => CheckKind::Refund,
            CheckItem::Order(_) => self.reason,
        }
    }

    /// Whether its first page has come, or cannot.
    fn was_opened(&self) -> bool {
        self.pages > 0 || matches!(self.next, PartNext::Unreadable)
    }
}
