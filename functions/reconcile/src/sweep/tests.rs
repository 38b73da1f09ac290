//! The schedule under a simulated time: minutes of checks take no time at all.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use payments::model::next_check::shard_of;
use stores::order_table::check_index::DueCheck;
use wechat_client::api::Bucket;

use super::{
    schedule::{lanes, run},
    *,
};

const CALLS_PER_S: u32 = 50;
const MINUTE_MS: i64 = 60_000;
const RUN_MS: i64 = 58_000;
/// Reading and claiming an item.
const CLAIM_MS: i64 = 20;
const BEGAN_S: i64 = 1_785_556_800;

/// How long the answer about a number takes.
type AnswerMs = fn(&str) -> i64;

/// What is due, and a WeChat Pay that is asked about it.
struct World {
    now_ms: Cell<i64>,
    timers: RefCell<Vec<(i64, Waker)>>,
    /// By part, since when, and the number.
    due: RefCell<BTreeSet<(u8, i64, String)>>,
    /// Part and since when, by the number.
    places: RefCell<BTreeMap<String, (u8, i64)>>,
    calls: RefCell<Bucket>,
    page_ms: i64,
    answer_ms: AnswerMs,
    is_answered: fn(&str) -> bool,
    refund_turn_ms: i64,
    /// Whether a host is down at that moment, with this many checks running.
    is_down: fn(i64, usize) -> bool,
    running: Cell<usize>,
    most_running: Cell<usize>,
    /// When the longest overdue time was reported, and that time, in seconds.
    reported: RefCell<Vec<(i64, Option<i64>)>>,
    /// Numbers in the order in which their checks began, and when the last check ended.
    began: RefCell<Vec<String>>,
    ended_ms: Cell<i64>,
}

impl World {
    fn new() -> Self {
        Self {
            now_ms: Cell::new(BEGAN_S * 1000),
            timers: RefCell::default(),
            due: RefCell::default(),
            places: RefCell::default(),
            calls: RefCell::new(Bucket::new(CALLS_PER_S)),
            page_ms: 10,
            answer_ms: |_| 200,
            is_answered: |_| true,
            refund_turn_ms: 0,
            is_down: |_, _| false,
            running: Cell::default(),
            most_running: Cell::default(),
            reported: RefCell::default(),
            began: RefCell::default(),
            ended_ms: Cell::default(),
        }
    }

    /// This many items are due for this reason, a second apart, starting this many seconds ago.
    fn owes(self, many: i64, reason: CheckKind, from_s_ago: i64) -> Self {
        for n in 0..many {
            let number = format!("{}-{n:05}", reason.name());
            let shard = usize::from(shard_of(&OrderNo::parse(&number).unwrap()));
            let parts: Vec<u8> = reason.parts().collect();
            let part = parts[shard % parts.len()];
            let at = BEGAN_S - from_s_ago + n.min(from_s_ago - 1);
            self.place(part, at, number);
        }
        self
    }

    fn place(&self, part: u8, at: i64, number: String) {
        let place = (part, at);
        self.places.borrow_mut().insert(number.clone(), place);
        self.due.borrow_mut().insert((part, at, number));
    }

    fn left(&self) -> usize {
        self.due.borrow().len()
    }

    fn passed_ms(&self) -> i64 {
        self.now_ms.get() - BEGAN_S * 1000
    }

    /// One run that ends in this many milliseconds.
    fn sweep(&self, within_ms: i64) -> SweepReport {
        let now_ms = self.now_ms.get();
        let bounds = Bounds {
            began_at: UnixSeconds(now_ms / 1000),
            deadline_ms: now_ms + within_ms,
            lanes: lanes(CALLS_PER_S),
        };
        let mut report = SweepReport::default();
        assert!(self.drive(run(self, bounds, &mut report)).is_none());
        report
    }

    /// The next minute begins.
    fn next_minute(&self) {
        let next_ms = (self.now_ms.get() / MINUTE_MS + 1) * MINUTE_MS;
        self.now_ms.set(next_ms);
    }

    async fn pass(&self, ms: i64) {
        let until_ms = self.now_ms.get() + ms;
        poll_fn(|context| {
            if self.now_ms.get() >= until_ms {
                return Poll::Ready(());
            }
            let timer = (until_ms, context.waker().clone());
            self.timers.borrow_mut().push(timer);
            Poll::Pending
        })
        .await;
    }

    /// Runs work to its end. When nothing can go on, time moves to the next moment at which
    /// something can.
    fn drive<T>(&self, work: impl Future<Output = T>) -> T {
        struct Flag(AtomicBool);
        impl Wake for Flag {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&flag));
        let mut work = pin!(work);
        loop {
            if let Poll::Ready(value) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
                return value;
            }
            if flag.0.swap(false, Ordering::SeqCst) {
                continue;
            }
            let mut timers = self.timers.borrow_mut();
            let next_ms = timers.iter().map(|(at_ms, _)| *at_ms).min();
            self.now_ms.set(next_ms.expect("something to wait for"));
            for (_, waker) in timers.extract_if(.., |(at_ms, _)| *at_ms <= next_ms.unwrap()) {
                waker.wake();
            }
        }
    }
}

impl Work for World {
    type Cursor = (i64, String);
    type ReadError = Infallible;

    fn now_ms(&self) -> i64 {
        self.now_ms.get()
    }

    async fn sleep_ms(&self, ms: i64) {
        self.pass(ms).await;
    }

    async fn page(
        &self,
        part: u8,
        from: Option<Self::Cursor>,
    ) -> Result<IndexPage<Self::Cursor>, Infallible> {
        self.pass(self.page_ms).await;
        let (at, number) = from.unwrap_or((0, String::new()));
        let due = self.due.borrow();
        let now_s = self.now_ms.get() / 1000;
        let of_part = due
            .range((part, at, number.clone())..(part, now_s + 1, String::new()))
            .filter(|(_, _, found)| *found != number);
        let page: Vec<_> = of_part.take(100).cloned().collect();
        let next = (page.len() == 100).then(|| {
            let (_, at, number) = page.last().unwrap().clone();
            (at, number)
        });
        let since = |(_, at, number): (u8, i64, String)| DueCheck {
            item: if number.starts_with("refund") {
                CheckItem::Refund(
                    OrderNo::parse(&number).unwrap(),
                    RefundNo::parse("R1").unwrap(),
                )
            } else {
                CheckItem::Order(OrderNo::parse(&number).unwrap())
            },
            at: UnixSeconds(at),
        };
        Ok((page.into_iter().map(since).collect(), next))
    }

    fn turn_in_ms(&self, reason: CheckKind) -> i64 {
        let call_ms = self.calls.borrow_mut().wait_ms(self.now_ms.get());
        match reason {
            CheckKind::Refund => call_ms.max(self.refund_turn_ms),
            CheckKind::Recovery | CheckKind::Closing | CheckKind::StatusQuery => call_ms,
        }
    }

    fn is_down(&self) -> bool {
        (self.is_down)(self.passed_ms(), self.running.get())
    }

    fn report_overdue(&self, report: &SweepReport) {
        let oldest_s = report.overdue_s.values().max().copied();
        self.reported
            .borrow_mut()
            .push((self.passed_ms(), oldest_s));
    }

    async fn check(&self, item: CheckItem) -> CheckOutcome {
        let number = item.order_no().as_str().to_owned();
        self.began.borrow_mut().push(number.clone());
        self.running.set(self.running.get() + 1);
        self.most_running
            .set(self.most_running.get().max(self.running.get()));
        self.pass(CLAIM_MS).await;
        let place = self.places.borrow_mut().remove(&number);
        let (part, at) = place.expect("looked at once");
        self.due.borrow_mut().remove(&(part, at, number.clone()));
        let wait_ms = self.calls.borrow_mut().take(self.now_ms.get(), 3_000);
        self.pass(wait_ms.expect("a turn within a call's time"))
            .await;
        self.pass((self.answer_ms)(&number)).await;
        self.running.set(self.running.get() - 1);
        self.ended_ms.set(self.passed_ms());
        if (self.is_answered)(&number) {
            return CheckOutcome::Open;
        }
        self.place(part, self.now_ms.get() / 1000 + 30, number);
        CheckOutcome::Unanswered
    }
}

#[test]
fn ten_thousand_that_are_due_are_through_at_the_allowed_rate_though_each_answer_takes_200_ms() {
    let world = World::new().owes(10_000, CheckKind::StatusQuery, 600);
    let report = world.sweep(3_600_000);
    assert_eq!((report.claimed, world.left()), (10_000, 0));
    // A full bucket holds two seconds' worth.
    let at_the_rate_ms = (10_000 / i64::from(CALLS_PER_S) - 2) * 1000;
    let over_ms = world.passed_ms() - at_the_rate_ms;
    assert!(
        (0..1_000).contains(&over_ms),
        "{over_ms} ms longer than that"
    );
}

#[test]
fn a_sweep_checks_its_share_and_what_is_left_is_reported_and_goes_first_in_the_next() {
    let world = World::new().owes(10_000, CheckKind::StatusQuery, 20_000);
    let mut claimed = 0;
    for minute in 1..=4 {
        world.began.borrow_mut().clear();
        let oldest = world.due.borrow().iter().map(|(_, at, _)| *at).min();
        let began_s = world.now_ms.get() / 1000;
        let report = world.sweep(RUN_MS);
        claimed += report.claimed;
        assert!(
            minute == 4 || report.claimed >= 2_500,
            "minute {minute}: {report:?}"
        );
        assert_eq!(
            report.overdue_s,
            BTreeMap::from([("look", began_s - oldest.unwrap())])
        );
        let left = u32::try_from(world.left()).unwrap();
        assert_eq!(claimed + left, 10_000);
        assert_eq!(left > 0, report.left > 0 && report.parts_with_more > 0);
        let first = world.began.borrow().iter().min().cloned();
        let expected = format!("look-{:05}", claimed - report.claimed);
        assert_eq!(first, Some(expected), "minute {minute}");
        assert!(
            world.passed_ms() < minute * MINUTE_MS,
            "no two runs at once"
        );
        world.next_minute();
    }
    assert_eq!(world.left(), 0);
}

#[test]
fn what_is_due_longest_is_reported_once_and_as_soon_as_each_part_has_been_read() {
    let world = World::new()
        .owes(10_000, CheckKind::StatusQuery, 20_000)
        .owes(300, CheckKind::Refund, 90);
    assert!(world.sweep(RUN_MS).left > 0, "it takes all of its minute");
    let reported = world.reported.take();
    // A part is opened after one of the next more urgent reason.
    let opened_ms = i64::try_from(CheckKind::ALL.len()).unwrap() * world.page_ms;
    assert_eq!(reported, [(opened_ms, Some(20_000))]);
    // A run without time to read them all reports what it found.
    let world = World {
        page_ms: 30_000,
        ..World::new()
    }
    .owes(1, CheckKind::Refund, 90);
    world.sweep(RUN_MS);
    let reported = world.reported.take();
    assert_eq!(reported.len(), 1);
    assert_eq!(reported[0].1, Some(90));
}

#[test]
fn a_slow_check_stalls_nothing_but_its_own_lane() {
    let slow = |number: &str| {
        if number.ends_with("00") { 6_000 } else { 200 }
    };
    let world = World {
        answer_ms: slow,
        ..World::new()
    }
    .owes(600, CheckKind::StatusQuery, 600);
    assert_eq!(world.sweep(RUN_MS).claimed, 600);
    // The last slow one began with the last hundred.
    let passed_ms = world.passed_ms();
    assert!(passed_ms < 10_000 + 6_000, "{passed_ms}");
}

#[test]
fn answers_that_take_as_long_as_is_normal_do_not_slow_a_run_down() {
    let world = World {
        answer_ms: |_| 2_900,
        ..World::new()
    }
    .owes(3_000, CheckKind::StatusQuery, 600);
    let report = world.sweep(RUN_MS);
    assert!(report.claimed > 2_250, "{report:?}");
    assert!(world.most_running.get() <= 150);
}

#[test]
fn no_check_waits_for_a_page() {
    let world = World {
        page_ms: 800,
        ..World::new()
    }
    .owes(2_000, CheckKind::StatusQuery, 600);
    assert_eq!(world.sweep(RUN_MS).claimed, 2_000);
    let first_pages_ms = 4 * 800;
    let at_the_rate_ms = 38_000;
    let over_ms = world.passed_ms() - first_pages_ms - at_the_rate_ms;
    assert!(over_ms < 1_000, "{over_ms} ms longer than that");
}

#[test]
fn refunds_and_reserved_orders_go_before_closings_and_these_before_status_queries_however_long_those_wait()
 {
    let world = World::new()
        .owes(300, CheckKind::StatusQuery, 9_000)
        .owes(300, CheckKind::Closing, 6_000)
        .owes(300, CheckKind::Recovery, 3_000)
        .owes(300, CheckKind::Refund, 3_000);
    let report = world.sweep(RUN_MS);
    assert_eq!(report.claimed, 1_200);
    let began = world.began.borrow();
    let rank = |number: &String| match number.split('-').next() {
        Some("refund" | "recovery") => 0,
        Some("closing") => 1,
        _ => 2,
    };
    assert!(began.iter().map(rank).is_sorted());
    let of_each = |kind: &str| began[..100].iter().filter(|n| n.starts_with(kind)).count();
    assert!(of_each("refund") > 40 && of_each("recovery") > 40);
    let overdue = [
        ("closing", 6_000),
        ("look", 9_000),
        ("recovery", 3_000),
        ("refund", 3_000),
    ];
    assert_eq!(report.overdue_s, BTreeMap::from(overdue));
}

#[test]
fn nothing_begins_that_cannot_end_in_time() {
    let cases: [(CheckKind, AnswerMs); 2] = [
        (CheckKind::StatusQuery, |_| 6_000),
        (CheckKind::Refund, |_| 9_000),
    ];
    for (reason, answer_ms) in cases {
        let world = World {
            answer_ms,
            ..World::new()
        }
        .owes(5_000, reason, 600);
        let report = world.sweep(RUN_MS);
        assert!(world.ended_ms.get() <= RUN_MS, "{reason:?}");
        assert!(report.claimed > 100 && report.left > 0, "{report:?}");
        assert_eq!(
            world.began.borrow().len(),
            usize::try_from(report.claimed).unwrap(),
            "what was not begun keeps its place"
        );
    }
}

#[test]
fn a_wechat_pay_that_only_fails_is_asked_a_few_questions_a_run() {
    let world = World {
        is_answered: |_| false,
        ..World::new()
    }
    .owes(1_000, CheckKind::StatusQuery, 600);
    let report = world.sweep(RUN_MS);
    assert!((20..=28).contains(&report.claimed), "{report:?}");
    assert_eq!(report.unanswered, report.claimed);
    world.next_minute();
    let before = world.began.take();
    world.sweep(RUN_MS);
    let again = before.iter().any(|n| world.began.borrow().contains(n));
    assert!(!again, "what waits longer goes first");
}

#[test]
fn while_refunds_get_no_answer_everything_else_goes_on() {
    let world = World {
        is_answered: |number| !number.starts_with("refund"),
        ..World::new()
    }
    .owes(200, CheckKind::Refund, 600)
    .owes(200, CheckKind::StatusQuery, 600);
    let report = world.sweep(RUN_MS);
    assert_eq!(report.open, 200);
    assert!((20..=28).contains(&report.unanswered), "{report:?}");
}

#[test]
fn refunds_that_wait_for_their_own_limit_hold_nothing_else_up() {
    let world = World {
        refund_turn_ms: 60_000,
        ..World::new()
    }
    .owes(150, CheckKind::Refund, 600)
    .owes(200, CheckKind::StatusQuery, 600);
    let report = world.sweep(20_000);
    assert_eq!((report.open, report.left), (200, 150), "{report:?}");
}

#[test]
fn while_neither_host_answers_nothing_is_claimed_and_what_is_due_is_still_reported() {
    let world = World {
        is_down: |_, _| true,
        ..World::new()
    }
    .owes(200, CheckKind::StatusQuery, 600);
    let report = world.sweep(RUN_MS);
    assert!(report.wechat_down);
    assert_eq!((report.claimed, report.left), (0, 200));
    assert_eq!(report.overdue_s, BTreeMap::from([("look", 600)]));
    assert_eq!(report.pages, u32::from(PARTS));
}

#[test]
fn a_host_that_is_being_tried_is_waited_for() {
    let world = World {
        // Down for others as long as the first is under way.
        is_down: |passed_ms, running| passed_ms < 1_000 && running > 0,
        answer_ms: |_| 900,
        ..World::new()
    }
    .owes(200, CheckKind::StatusQuery, 600);
    let report = world.sweep(RUN_MS);
    assert!(!report.wechat_down);
    assert_eq!(report.claimed, 200);
}

#[test]
fn no_more_due_items_are_read_than_a_run_needs() {
    let world = World::new().owes(60_000, CheckKind::StatusQuery, 90_000);
    let report = world.sweep(RUN_MS);
    assert!(report.left <= 16 * 150, "{report:?}");
    assert_eq!(report.parts_with_more, 16);
}

#[test]
fn there_are_lanes_for_the_allowed_rate_at_slow_answers_and_files_for_the_lanes() {
    let lanes_of = [1, 50, 100, 10_000].map(lanes);
    assert_eq!(lanes_of, [8, 150, 300, 400]);
}
