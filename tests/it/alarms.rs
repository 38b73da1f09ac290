//! Who is called, and when: the functions' own lines under an incident, and the alarms of
//! `template.yaml` over them by CloudWatch's rules. Minutes pass by the clock.

mod cloudwatch;

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use axum::http::StatusCode;
use base64::{Engine, engine::general_purpose::STANDARD};
use payments::{
    model::bill_date::BillDate,
    reconcile::{
        difference::DifferenceState,
        run::{FundState, Run, RunState},
    },
};
use reconcile::handler::Output;
use runtime::clock::Clock;
use serde_json::{Value, json};
use stores::{
    keys_table::change::{MerchantChange, SignerCertificate, Validity},
    notices::{DecideOutcome, Notices},
    queues::ReconcileWork,
};
use testbed::{Fault as AwsFault, Match, Service};
use wechatpay::certificates::ends;
use wechatpay_simulator::{
    Damage, Endpoint, Fault, PayOptions, PlantedDifference as BillDifference, Rule, SignedCallback,
    SigningMode, WantedDifference,
};

use crate::{
    payer_owed::could_not_be_paid_out,
    runbooks,
    support::{Lines, MAX_RECEIVE_COUNT, MCHID, Testbed, native, native_for, start_wechat},
    webhooks::{self, WebhookTestbed},
};
use cloudwatch::CloudWatch;

const MINUTE: Duration = Duration::from_secs(60);

/// What functions log, and what CloudWatch makes of it.
struct Watch {
    lines: Lines,
    clock: Clock,
    cloud: CloudWatch,
    /// All messages at WARN and ERROR so far.
    said: BTreeSet<String>,
}

impl Watch {
    fn by(clock: &Clock) -> Self {
        Self {
            lines: Lines::by(clock.clone()),
            clock: clock.clone(),
            cloud: CloudWatch::of_template(MCHID),
            said: BTreeSet::new(),
        }
    }

    /// Does some work of functions, whose lines go to CloudWatch.
    async fn of<T>(&mut self, work: impl Future<Output = T>) -> T {
        let done = self.lines.of(work).await;
        self.take();
        done
    }

    /// Does some work of functions. Gives its lines.
    async fn lines_of<T>(&mut self, work: impl Future<Output = T>) -> Vec<Value> {
        self.lines.of(work).await;
        self.take()
    }

    fn take(&mut self) -> Vec<Value> {
        let mut lines = self.lines.take_all();
        for line in &mut lines {
            line["at_ms"] = json!(self.clock.now_ms());
            if let ("WARN" | "ERROR", Some(message)) =
                (line["level"].as_str().unwrap(), line["message"].as_str())
            {
                self.said.insert(message.to_owned());
            }
        }
        self.cloud.take(&lines);
        lines
    }

    /// This line reported the incident, and its runbook page quotes the line.
    fn says(&self, message: &str, page: &str) {
        assert!(self.said.contains(message), "{message}: {:?}", self.said);
        let path = format!("{}/../infra/runbooks/{page}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains(&format!("`{message}`")), "{page}: {message}");
    }

    /// Whether this alarm's condition is met by now.
    fn is_met(&self, alarm: &str) -> bool {
        self.cloud.is_met_now(alarm, self.clock.now_ms())
    }

    fn met(&self) -> BTreeSet<&str> {
        self.cloud.met(self.clock.now_ms())
    }

    fn not_quiet(&self) -> BTreeSet<&str> {
        self.cloud.not_quiet(self.clock.now_ms())
    }
}

/// A minute of normal traffic: an order, its payment, the callback of a recent one, and the
/// scheduled work. While WeChat Pay is down no order can be paid.
async fn minute(testbed: &Testbed, watch: &mut Watch, number: usize) {
    testbed.advance(MINUTE).await;
    let order = format!("ORDER-{number}");
    watch.of(testbed.post_order(&native(&order))).await;
    let admin = testbed.wechat.admin();
    if admin.pay(&order, &PayOptions::default()).is_ok()
        && let Some(callback) = admin.signed_callback(&order, &Damage::None)
    {
        watch.of(testbed.receive(&callback)).await;
    }
    watch.of(testbed.work_off()).await;
    watch.of(testbed.sweep()).await;
}

/// Goes through an incident minute by minute: the alarms are met five minutes after it began at the
/// latest, and stay so to its end.
async fn incident(testbed: &Testbed, watch: &mut Watch, minutes: usize, alarms: &[&str]) {
    for number in 0..5 {
        minute(testbed, watch, 1000 + number).await;
    }
    testbed.advance(MINUTE).await;
    assert_missed(watch, alarms, "after five minutes");
    for number in 5..minutes {
        minute(testbed, watch, 1000 + number).await;
        assert_missed(watch, alarms, &format!("in minute {number}"));
    }
    testbed.advance(MINUTE).await;
    assert_missed(watch, alarms, "at the end");
}

fn assert_missed(watch: &Watch, alarms: &[&str], when: &str) {
    let met = watch.met();
    let missed: Vec<_> = alarms
        .iter()
        .filter(|alarm| !met.contains(**alarm))
        .collect();
    assert!(missed.is_empty(), "{missed:?} are not met {when}: {met:?}");
}

/// A scene in which all has been well for some minutes.
async fn well(minutes: usize) -> (Testbed, Watch) {
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    for number in 0..minutes {
        minute(&testbed, &mut watch, number).await;
    }
    (testbed, watch)
}

/// The schedule's message for a day.
async fn daily(testbed: &Testbed, watch: &mut Watch, day: BillDate) {
    let scheduled_at = Some(format!("{}T02:30:00Z", day.plus_days(1)));
    testbed
        .send_work(&ReconcileWork::DailyV1 { scheduled_at })
        .await;
    watch.of(testbed.work_off_days()).await;
}

/// A run of a day that is asked for now, as the one that waits comes back.
async fn asked_for(testbed: &Testbed, watch: &mut Watch, day: BillDate) {
    testbed.begin_day(day, false).await;
    watch.of(testbed.work_off_days()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_day_with_payments_probes_and_its_reconciliation_meets_no_alarm() {
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let day = testbed.fresh_day().await;
    asked_for(&testbed, &mut watch, day.plus_days(-1)).await;
    testbed.paid("ORDER-A").await;
    testbed.until(day.plus_days(1), 10, 30).await;
    daily(&testbed, &mut watch, day).await;
    testbed.until(day.plus_days(1), 11, 0).await;
    minute(&testbed, &mut watch, 0).await;
    for number in 1..20 {
        minute(&testbed, &mut watch, number).await;
        // A probe by WeChat Pay, and a forged callback without its keys.
        for damage in [Damage::Probe, Damage::Stale(600)] {
            let callback = testbed.wechat.admin().signed_callback("ORDER-0", &damage);
            watch.of(testbed.receive(&callback.unwrap())).await;
        }
        assert_eq!(watch.not_quiet(), BTreeSet::new(), "minute {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wechat_pay_out_of_reach_for_an_hour_is_an_alarm_in_its_first_minutes_and_stays_one() {
    let (mut testbed, mut watch) = well(3).await;
    // Nothing listens at the address that the functions call.
    testbed.wechat = start_wechat(testbed.clock.now(), 0);
    incident(
        &testbed,
        &mut watch,
        60,
        &["prepays-put-off", "wechat-unreachable"],
    )
    .await;
    watch.says("no prepay value for now", "wechat-down.md");
    watch.says("WeChat Pay did not answer", "wechat-down.md");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_taken_back_for_what_fails_on_our_side_and_for_no_bad_day_of_wechat_pay() {
    const BRAKE: &str = "release-error-lines";
    let (testbed, mut watch) = well(3).await;
    let admin = testbed.wechat.admin();
    let refused = Fault::Refuse {
        status: 401,
        code: "SIGN_ERROR".to_owned(),
    };
    for fault in [Fault::ServerErrorBefore { status: 502 }, refused] {
        admin.add_fault(Rule::always(fault)).unwrap();
        for number in 0..4 {
            minute(&testbed, &mut watch, 1000 + number).await;
            assert!(!watch.not_quiet().contains(BRAKE));
        }
        admin.clear_faults(None);
    }
    assert!(watch.is_met("merchant-refused"));
    let orders = Match::operation(Service::DynamoDb, "PutItem").on(&testbed.tables.orders);
    for (order, is_taken_back) in [("ORDER-DENIED-1", false), ("ORDER-DENIED-2", true)] {
        let orders = orders.clone();
        testbed.wire.break_all(orders, AwsFault::Denied);
        watch.of(testbed.post_order(&native(order))).await;
        testbed.wire.mend();
        testbed.advance(MINUTE).await;
        assert_eq!(watch.is_met(BRAKE), is_taken_back, "{:?}", watch.said);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wechat_pay_that_breaks_connections_or_answers_5xx_is_an_alarm_in_its_first_minutes() {
    for fault in [Fault::ResetBefore, Fault::ServerErrorBefore { status: 502 }] {
        let (testbed, mut watch) = well(3).await;
        testbed
            .wechat
            .admin()
            .add_fault(Rule::always(fault))
            .unwrap();
        incident(&testbed, &mut watch, 6, &["prepays-put-off"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_is_an_alarm_at_once_whose_error_lines_stay_for_a_week() {
    let (testbed, mut watch) = well(3).await;
    let revoked = Fault::Refuse {
        status: 401,
        code: "SIGN_ERROR".to_owned(),
    };
    testbed
        .wechat
        .admin()
        .add_fault(Rule::always(revoked))
        .unwrap();
    let alarms = ["merchant-refused", "prepays-put-off"];
    incident(&testbed, &mut watch, 8, &alarms).await;
    let refused = "WeChat Pay refuses the merchant, and not this request alone";
    for page in ["wechat-down.md", "error-lines.md"] {
        watch.says(refused, page);
    }
    let day = MINUTE * 60 * 24;
    for _ in 0..6 {
        testbed.clock.advance(day);
        assert!(watch.is_met("error-lines"), "its cause may stand");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_wechat_pays_that_is_not_known_here_is_an_alarm_for_answers_and_callbacks() {
    let (testbed, mut watch) = well(3).await;
    let admin = testbed.wechat.admin();
    admin.rotate(SigningMode::PublicKey).unwrap();
    // Earlier orders are paid, with callbacks under the new key.
    testbed.advance(MINUTE).await;
    let callback = admin.signed_callback("ORDER-1", &Damage::None).unwrap();
    assert_eq!(watch.of(testbed.receive(&callback)).await.status, 401);
    testbed.advance(MINUTE).await;
    assert!(watch.is_met("callbacks-unverified"), "{:?}", watch.met());
    let alarms = ["answers-unverified", "prepays-put-off"];
    incident(&testbed, &mut watch, 6, &alarms).await;
    testbed.advance(MINUTE * 60).await;
    assert!(watch.is_met("error-lines"));
    let refused = "callback refused: none of WeChat Pay's keys here verifies it";
    watch.says(refused, "error-lines.md");
    watch.says("an answer was not believed", "error-lines.md");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_whose_signature_does_not_fit_a_known_key_is_an_alarm() {
    for damage in [Damage::WrongSignature, Damage::UnknownSerial] {
        let (testbed, mut watch) = well(1).await;
        let admin = testbed.wechat.admin();
        let callback = admin.signed_callback("ORDER-0", &damage).unwrap();
        assert_eq!(watch.of(testbed.receive(&callback)).await.status, 401);
        testbed.advance(MINUTE * 5).await;
        let alarms = ["callbacks-unverified"];
        assert_missed(&watch, &alarms, &format!("after {damage:?}"));
        testbed.advance(MINUTE * 60).await;
        assert!(watch.is_met("error-lines"));
    }
}

/// A forged message from an attacker who knows the form of a callback and none of our keys.
fn of_a_stranger(callback: &SignedCallback) -> SignedCallback {
    let mut body: Value = serde_json::from_str(&callback.body).unwrap();
    body["resource"]["ciphertext"] = json!(STANDARD.encode([7; 400]));
    SignedCallback {
        body: body.to_string(),
        ..callback.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_with_made_up_callbacks_calls_nobody_by_day_or_night_and_hides_no_key_that_is_gone()
 {
    let (testbed, mut watch) = well(3).await;
    let admin = testbed.wechat.admin();
    let knock = async |watch: &mut Watch| {
        for damage in [Damage::WrongSignature, Damage::UnknownSerial] {
            let real = admin.signed_callback("ORDER-0", &damage).unwrap();
            let mut forged = of_a_stranger(&real);
            assert_eq!(watch.of(testbed.receive(&forged)).await.status, 401);
            // Under the serial of a certificate, and under none that WeChat Pay has.
            for serial in ["5157F09EFDC096DE15EBE81A47057A72A4D0E1B3", "my-key"] {
                let mut headers = forged.headers.iter_mut();
                let named = |(name, _): &&mut (String, String)| {
                    name.eq_ignore_ascii_case("wechatpay-serial")
                };
                headers.find(named).unwrap().1 = serial.to_owned();
                assert_eq!(watch.of(testbed.receive(&forged)).await.status, 401);
            }
        }
    };
    let of_callbacks = ["callbacks-unverified", "new-error-lines", "error-lines"];
    let quiet = |watch: &Watch| {
        let called = watch.not_quiet();
        !of_callbacks.iter().any(|alarm| called.contains(alarm))
    };
    for number in 0..10 {
        // Others pay meanwhile; then there is no payment.
        if number < 5 {
            minute(&testbed, &mut watch, 1000 + number).await;
        } else {
            testbed.advance(MINUTE * 20).await;
        }
        knock(&mut watch).await;
        testbed.advance(MINUTE).await;
        assert!(
            quiet(&watch),
            "{number}: {:?} {:?}",
            watch.not_quiet(),
            watch.said
        );
    }
    watch.says("callback refused", "keys.md");
    // WeChat Pay begins to sign with a key that is not known here.
    admin.rotate(SigningMode::PublicKey).unwrap();
    let real = admin.signed_callback("ORDER-1", &Damage::None).unwrap();
    assert_eq!(watch.of(testbed.receive(&real)).await.status, 401);
    knock(&mut watch).await;
    testbed.advance(MINUTE).await;
    assert!(watch.is_met("callbacks-unverified"));
    assert!(!watch.not_quiet().contains("new-error-lines"), "one call");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_keeps_the_page_for_error_lines_busy_with_what_has_one_of_its_own() {
    let (testbed, mut watch) = well(1).await;
    let admin = testbed.wechat.admin();
    let revoked = Rule::always(Fault::Refuse {
        status: 401,
        code: "SIGN_ERROR".to_owned(),
    });
    admin.add_fault(revoked).unwrap();
    for number in 0..4 {
        let forged = admin.signed_callback("ORDER-0", &Damage::WrongSignature);
        let answer = watch.of(testbed.receive(&forged.unwrap())).await;
        assert_eq!(answer.status, 401);
        minute(&testbed, &mut watch, 1000 + number).await;
        testbed.advance(MINUTE * 4).await;
        assert!(!watch.not_quiet().contains("new-error-lines"), "{number}");
    }
    assert_missed(&watch, &["callbacks-unverified", "merchant-refused"], "now");
    // Now something arrives that an operator must see, and the alarm fires.
    let unreadable = admin.signed_callback("ORDER-0", &Damage::CutCiphertext);
    watch.of(testbed.receive(&unreadable.unwrap())).await;
    watch.says("callback not acknowledged", "error-lines.md");
    testbed.advance(MINUTE * 5).await;
    assert!(watch.is_met("new-error-lines"));
    // And again the next time, since the first call is over as soon as other lines come.
    for number in 0..2 {
        minute(&testbed, &mut watch, 2000 + number).await;
        testbed.advance(MINUTE * 4).await;
    }
    assert!(!watch.not_quiet().contains("new-error-lines"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_schedule_of_sweeps_is_an_alarm_after_five_minutes_whatever_the_queue_has_to_do() {
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let day = testbed.fresh_day().await;
    testbed.until(day.plus_days(1), 11, 0).await;
    for _ in 0..6 {
        testbed.advance(MINUTE).await;
        watch.of(testbed.sweep()).await;
    }
    for minutes in 1..=6 {
        testbed.advance(MINUTE).await;
        daily(&testbed, &mut watch, day).await;
        watch.of(testbed.certificates()).await;
        assert_eq!(watch.is_met("sweep-missing"), minutes == 6, "{minutes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_been_due_for_five_minutes_and_was_not_looked_at_is_an_alarm() {
    let (mut testbed, mut watch) = well(2).await;
    // While no host answers, each sweep tries a few orders and leaves the others due.
    for number in 0..60 {
        let order = format!("ORDER-{number}-LATE");
        watch.of(testbed.post_order(&native(&order))).await;
    }
    testbed.wechat = start_wechat(testbed.clock.now(), 0);
    let due_s = loop {
        testbed.advance(MINUTE).await;
        let report = watch.of(testbed.sweep()).await;
        let overdue_s = report.overdue_s.values().copied().max();
        let overdue_s = overdue_s.unwrap_or_default();
        if overdue_s <= 90 {
            assert!(!watch.not_quiet().contains("sweep-behind"), "{overdue_s}");
        }
        if overdue_s > 180 {
            break testbed.clock.now().0 - overdue_s;
        }
    };
    while testbed.clock.now().0 + 60 < due_s + 300 {
        testbed.advance(MINUTE).await;
        watch.of(testbed.sweep()).await;
    }
    let left_s = due_s + 300 - testbed.clock.now().0;
    testbed
        .advance(Duration::from_secs(left_s.unsigned_abs()))
        .await;
    assert!(watch.is_met("sweep-behind"), "{:?}", watch.met());
}

#[test]
fn what_is_due_and_not_looked_at_is_an_alarm_within_five_minutes_whatever_the_second_of_the_sweeps()
{
    let mut cloud = CloudWatch::of_template(MCHID);
    let begun_ms = 29_759_280 * 60_000;
    for (due_s, sweeps_at_s) in (0..60).flat_map(|due_s| (0..60).map(move |at_s| (due_s, at_s))) {
        // The lines of the sweeps that found it, each some seconds after its sweep began.
        let found_s = (0..=300).filter(|after_s| (due_s + after_s) % 60 == sweeps_at_s);
        let lines: Vec<_> = found_s
            .filter(|after_s| after_s + 5 <= 300)
            .map(|overdue_s| (begun_ms + (due_s + overdue_s + 5) * 1000, overdue_s))
            .collect();
        let five_minutes_later_ms = begun_ms + (due_s + 300) * 1000;
        cloud.forget();
        for (at_ms, overdue_s) in &lines {
            cloud.take_metric("OldestOverdue", *overdue_s, *at_ms);
        }
        assert!(
            cloud.met(five_minutes_later_ms).contains("sweep-behind"),
            "due at {due_s} s, sweeps at {sweeps_at_s} s: {lines:?}"
        );
        // One sweep that did not run is made up for by the next one.
        cloud.forget();
        for (minute, overdue_s) in [(0, 59), (2, 119), (3, 59), (4, 59)] {
            let at_s = minute * 60 + sweeps_at_s;
            cloud.take_metric("OldestOverdue", overdue_s, begun_ms + at_s * 1000);
        }
        let later_ms = begun_ms + (240 + sweeps_at_s) * 1000;
        assert!(!cloud.not_quiet(later_ms).contains("sweep-behind"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_nobody_reconciled_is_an_alarm_two_minutes_after_one_whatever_other_days_were_run()
 {
    const ALARM: &str = "reconciliation-missing";
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let sweeps = async |watch: &mut Watch| {
        for _ in 0..3 {
            testbed.advance(MINUTE).await;
            watch.of(testbed.sweep()).await;
        }
    };
    let day = testbed.fresh_day().await;
    testbed.until(day.plus_days(1), 10, 30).await;
    daily(&testbed, &mut watch, day).await;
    testbed.until(day.plus_days(1), 13, 0).await;
    sweeps(&mut watch).await;
    assert!(!watch.not_quiet().contains(ALARM));
    let next = day.plus_days(2);
    testbed.until(next, 12, 56).await;
    sweeps(&mut watch).await;
    assert!(!watch.not_quiet().contains(ALARM), "it is 12:59");
    // Somebody runs the day before again, which is not the one that is missing.
    testbed.begin_day(day, false).await;
    assert_eq!(watch.of(testbed.work_off_days()).await, 0);
    testbed.until(next, 13, 0).await;
    watch.of(testbed.sweep()).await;
    testbed.until(next, 13, 2).await;
    assert!(watch.is_met(ALARM), "{:?}", watch.met());
    // The next day has begun: nothing is better than it was.
    testbed.until(day.plus_days(3), 3, 0).await;
    sweeps(&mut watch).await;
    assert!(watch.is_met(ALARM));
    asked_for(&testbed, &mut watch, day.plus_days(1)).await;
    sweeps(&mut watch).await;
    assert!(!watch.not_quiet().contains(ALARM));
    // Whoever runs it once more, and waits for its bill, has not lost the run before.
    let admin = testbed.wechat.admin();
    admin
        .add_fault(Rule::always(Fault::StatementCreating))
        .unwrap();
    asked_for(&testbed, &mut watch, day.plus_days(1)).await;
    sweeps(&mut watch).await;
    assert!(!watch.not_quiet().contains(ALARM));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_nobody_reconciled_calls_for_a_week_whatever_day_takes_its_place_and_so_does_each_other()
 {
    const ALARM: &str = "reconciliation-missing";
    const EARLIER: &str = "earlier-day-missing";
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let of = |watch: &Watch| [ALARM, EARLIER].map(|alarm| watch.is_met(alarm));
    let first = testbed.fresh_day().await;
    for number in 0..9 {
        let day = first.plus_days(number);
        testbed.until(day.plus_days(1), 10, 30).await;
        if !matches!(number, 1 | 4) {
            daily(&testbed, &mut watch, day).await;
        }
        testbed.until(day.plus_days(1), 13, 0).await;
        for _ in 0..2 {
            watch.of(testbed.sweep()).await;
            testbed.advance(MINUTE).await;
        }
        let is_missing = matches!(number, 1 | 4);
        let has_earlier = matches!(number, 2..=7);
        assert_eq!(of(&watch), [is_missing, has_earlier], "day {number}");
        if number == 5 {
            // Of the two days that are missing, one is run; a preview of the other is not enough.
            asked_for(&testbed, &mut watch, first.plus_days(4)).await;
            testbed.begin_day(first.plus_days(1), true).await;
            watch.of(testbed.work_off_days()).await;
        }
    }
    assert!(
        !watch.not_quiet().contains(EARLIER),
        "it is older than that"
    );
    let page = runbooks::page("reconciliation.md");
    let (_, section) = page
        .split_once("## `reconciliation-missing`, `earlier-day-missing`")
        .expect("a section");
    for told in [
        "the alarm `earlier-day-missing`",
        "`days that were not reconciled in time`",
        "--name \"$STACK-daily\"",
    ] {
        assert!(section.contains(told), "{told}");
    }
}

/// The item of a day's run in the table.
type Record = HashMap<String, AttributeValue>;

fn record_key(day: BillDate) -> Record {
    let text = |value: String| AttributeValue::S(value);
    Record::from([
        ("pk".to_owned(), text(format!("day#{MCHID}#{day}"))),
        ("sk".to_owned(), text("run".to_owned())),
    ])
}

async fn record_of(testbed: &Testbed, day: BillDate) -> Record {
    let read = testbed.dynamo().get_item();
    let read = read.table_name(&testbed.tables.reconciliation);
    let read = read.set_key(Some(record_key(day))).send().await;
    read.unwrap().item.expect("the day's record")
}

fn damaged(record: &Record) -> Record {
    let mut damaged = record.clone();
    let body = AttributeValue::S("no JSON".to_owned());
    damaged.insert("body".to_owned(), body);
    damaged
}

async fn write(testbed: &Testbed, record: &Record) {
    let put = testbed.dynamo().put_item();
    let put = put.table_name(&testbed.tables.reconciliation);
    put.set_item(Some(record.clone())).send().await.unwrap();
}

async fn delete_record(testbed: &Testbed, day: BillDate) {
    let delete = testbed.dynamo().delete_item();
    let delete = delete.table_name(&testbed.tables.reconciliation);
    delete.set_key(Some(record_key(day))).send().await.unwrap();
}

/// A stack whose last three days were reconciled, at 13:00 after the last of them. Gives the first.
async fn three_days(testbed: &Testbed, watch: &mut Watch) -> BillDate {
    let first = testbed.fresh_day().await;
    for number in 0..3 {
        let day = first.plus_days(number);
        testbed.until(day.plus_days(1), 10, 30).await;
        daily(testbed, watch, day).await;
    }
    testbed.until(first.plus_days(3), 13, 0).await;
    first
}

/// A sweep, and the rest of its minute. Gives the days of which it does not know whether they were
/// reconciled.
async fn sweep_minute(testbed: &Testbed, watch: &mut Watch) -> Vec<String> {
    let mut unknown = Vec::new();
    for line in watch.lines_of(testbed.sweep()).await {
        if line["message"] == "it is not known whether the day was reconciled" {
            unknown.push(line["date"].as_str().expect("a date").to_owned());
        }
    }
    testbed.advance(MINUTE).await;
    unknown
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_of_an_earlier_day_says_nothing_of_other_days_and_is_that_days_alarm() {
    const ALARM: &str = "reconciliation-missing";
    const EARLIER: &str = "earlier-day-missing";
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let first = three_days(&testbed, &mut watch).await;
    let middle = first.plus_days(1);
    let record = record_of(&testbed, middle).await;
    write(&testbed, &damaged(&record)).await;
    for number in 0..4 {
        let unknown = sweep_minute(&testbed, &mut watch).await;
        assert_eq!(unknown, [middle.to_string()]);
        assert!(!watch.not_quiet().contains(ALARM), "{number}");
        assert_eq!(watch.is_met(EARLIER), number > 0, "{number}: it may pass");
    }
    write(&testbed, &record).await;
    for _ in 0..3 {
        assert_eq!(sweep_minute(&testbed, &mut watch).await, [""; 0]);
    }
    assert!(!watch.not_quiet().contains(EARLIER));
    // Beside a day that nobody reconciled it hides nothing.
    delete_record(&testbed, middle).await;
    let record = record_of(&testbed, first.plus_days(2)).await;
    write(&testbed, &damaged(&record)).await;
    sweep_minute(&testbed, &mut watch).await;
    assert!(watch.is_met(EARLIER));
    assert!(!watch.not_quiet().contains(ALARM), "it may pass");
    let page = runbooks::page("reconciliation.md");
    assert!(page.contains("A record that cannot be read counts as that day\n  only"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_alarm_of_an_earlier_day_stays_while_no_sweep_can_read_whether_its_cause_stands() {
    const ALARM: &str = "reconciliation-missing";
    const EARLIER: &str = "earlier-day-missing";
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let first = three_days(&testbed, &mut watch).await;
    delete_record(&testbed, first.plus_days(1)).await;
    for _ in 0..2 {
        sweep_minute(&testbed, &mut watch).await;
        assert!(watch.is_met(EARLIER));
    }
    let runs = Match::operation(Service::DynamoDb, "BatchGetItem");
    testbed.wire.break_all(runs, AwsFault::Denied);
    for number in 0..4 {
        sweep_minute(&testbed, &mut watch).await;
        assert_eq!(watch.is_met(ALARM), number > 0, "{number}");
        assert!(watch.is_met(EARLIER), "{number}: its day is still missing");
    }
    testbed.wire.mend();
    for _ in 0..3 {
        sweep_minute(&testbed, &mut watch).await;
        assert!(watch.is_met(EARLIER));
    }
    assert!(!watch.not_quiet().contains(ALARM));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_whose_record_no_sweep_can_read_is_an_alarm_and_one_read_that_fails_is_none() {
    const ALARM: &str = "reconciliation-missing";
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let day = testbed.fresh_day().await;
    testbed.until(day.plus_days(1), 10, 30).await;
    daily(&testbed, &mut watch, day).await;
    testbed.until(day.plus_days(1), 13, 0).await;
    let record = record_of(&testbed, day).await;
    let damaged = damaged(&record);
    let write = async |item: &Record| write(&testbed, item).await;
    let sweep = async |watch: &mut Watch| {
        watch.of(testbed.sweep()).await;
        testbed.advance(MINUTE).await;
    };
    sweep(&mut watch).await;
    for _ in 0..2 {
        write(&damaged).await;
        sweep(&mut watch).await;
        assert!(!watch.not_quiet().contains(ALARM), "it may pass");
        write(&record).await;
        sweep(&mut watch).await;
        assert!(!watch.not_quiet().contains(ALARM));
    }
    write(&damaged).await;
    for number in 0..4 {
        sweep(&mut watch).await;
        assert_eq!(watch.is_met(ALARM), number > 0, "{number}");
    }
    watch.says(
        "it is not known whether the day was reconciled",
        "reconciliation.md",
    );
    write(&record).await;
    for _ in 0..3 {
        sweep(&mut watch).await;
    }
    assert!(!watch.not_quiet().contains(ALARM));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_notice_is_an_alarm_until_somebody_has_decided_however_long_that_takes() {
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    five_minutes(&testbed, &mut watch).await;
    assert!(!watch.not_quiet().contains("notices-parked"));
    testbed.post_order(&native("ORDER-1")).await;
    watch
        .of(testbed.pay_altered("ORDER-1", json!({"amount": {"currency": "USD"}})))
        .await;
    assert_eq!(watch.of(testbed.work_off()).await, 0);
    watch.says("money parked for a person", "error-lines.md");
    testbed.advance(MINUTE * 5).await;
    assert!(watch.is_met("new-error-lines"), "it is told at once");
    for days in [0, 1, 9] {
        testbed.clock.advance(MINUTE * 60 * 24 * days);
        five_minutes(&testbed, &mut watch).await;
        assert!(watch.is_met("notices-parked"), "after {days} more days");
    }
    assert!(!watch.is_met("error-lines"), "it was logged once");
    let [parked] = &testbed.notices().await[..] else {
        panic!("one notice");
    };
    let client = testbed.dynamo();
    let decided = Notices::new(client, &testbed.tables.notices, MCHID)
        .decide(
            &parked["notice_id"],
            "Lin Wei",
            "Given back",
            testbed.clock.now(),
        )
        .await;
    assert_eq!(decided.unwrap(), DecideOutcome::Written);
    five_minutes(&testbed, &mut watch).await;
    assert!(!watch.is_met("notices-parked"));
}

/// The look at certificates of each five minutes.
async fn five_minutes(testbed: &Testbed, watch: &mut Watch) {
    watch.of(testbed.certificates()).await;
    testbed.advance(MINUTE * 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchants_certificate_that_ends_within_thirty_days_is_an_alarm_until_the_next_is_registered()
 {
    const ALARM: &str = "merchant-certificate-ends";
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    five_minutes(&testbed, &mut watch).await;
    assert!(!watch.not_quiet().contains(ALARM), "its end is not known");
    let register = async |serial_no: &str, ends_in_days: i64| {
        let from = testbed.clock.now();
        let until = from.plus_s(ends_in_days * 86_400);
        let certificate = SignerCertificate {
            serial_no,
            validity: Some(Validity { from, until }),
        };
        let change = MerchantChange {
            signer_certificate: Some(certificate),
            removes_sealed_signer: true,
            ..MerchantChange::default()
        };
        testbed.keys.change_merchant(&change).await.unwrap();
        testbed.advance(MINUTE * 2).await;
    };
    let old = testbed.wechat.details.merchant_serial.clone();
    let new = "B".repeat(40);
    register(&old, 31).await;
    five_minutes(&testbed, &mut watch).await;
    assert!(!watch.not_quiet().contains(ALARM));
    testbed.clock.advance(MINUTE * 60 * 24);
    for _ in 0..20 {
        five_minutes(&testbed, &mut watch).await;
        assert!(watch.is_met(ALARM));
    }
    // It has ended, and is still the one that requests name.
    testbed.clock.advance(MINUTE * 60 * 24 * 31);
    five_minutes(&testbed, &mut watch).await;
    assert!(watch.is_met(ALARM));
    register(&new, 5 * 365).await;
    for _ in 0..16 {
        five_minutes(&testbed, &mut watch).await;
    }
    assert!(!watch.not_quiet().contains(ALARM));
    let page = runbooks::page("keys.md");
    assert!(page.contains("`days until certificates end`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_platform_certificate_that_ends_within_thirty_days_is_an_alarm_until_another_came()
{
    const ALARM: &str = "platform-certificate-ends";
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    five_minutes(&testbed, &mut watch).await;
    let keys = testbed.keys.merchant().await.unwrap();
    let certificates = keys.entries.iter().filter_map(|it| ends(&it.pem).ok());
    let end = certificates.max().expect("a platform certificate");
    let until = async |days_before: u64| {
        let left_s = end.since(testbed.clock.now()).unsigned_abs();
        let by = Duration::from_secs(left_s - days_before * 86_400);
        testbed.advance(by).await;
    };
    until(31).await;
    five_minutes(&testbed, &mut watch).await;
    assert!(!watch.not_quiet().contains(ALARM));
    until(29).await;
    five_minutes(&testbed, &mut watch).await;
    assert!(watch.is_met(ALARM));
    let admin = testbed.wechat.admin();
    admin.rotate(SigningMode::Certificate).unwrap();
    testbed.advance(MINUTE * 60 * 12).await;
    for _ in 0..16 {
        five_minutes(&testbed, &mut watch).await;
    }
    assert!(!watch.not_quiet().contains(ALARM), "reconcile fetched it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_the_days_work_only_where_the_daily_run_only_looks() {
    for (repairs, dry_run, is_missing) in [
        ("true", true, true),
        ("false", true, false),
        // An operator starts a real run.
        ("false", false, false),
    ] {
        let mut testbed = Testbed::start().await;
        testbed.set_reconcile("RECONCILE_REPAIRS", repairs);
        let mut watch = Watch::by(&testbed.clock);
        let day = testbed.fresh_day().await;
        testbed.until(day.plus_days(1), 10, 30).await;
        testbed.begin_day(day, dry_run).await;
        watch.of(testbed.work_off_days()).await;
        testbed.until(day.plus_days(1), 13, 0).await;
        watch.of(testbed.sweep()).await;
        testbed.advance(MINUTE).await;
        assert_eq!(
            watch.is_met("reconciliation-missing"),
            is_missing,
            "{repairs} {dry_run}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bill_that_is_not_there_at_one_is_an_alarm_until_it_comes() {
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let day = testbed.fresh_day().await;
    let admin = testbed.wechat.admin();
    admin
        .add_fault(Rule::always(Fault::StatementCreating))
        .unwrap();
    for (hour, minute) in [(10, 30), (11, 0), (12, 45)] {
        testbed.until(day.plus_days(1), hour, minute).await;
        asked_for(&testbed, &mut watch, day).await;
        assert!(!watch.not_quiet().contains("bill-late"), "{hour}:{minute}");
    }
    let again_s = testbed.hidden.times_s().last().copied().unwrap();
    assert!(
        (890..=900).contains(&again_s),
        "at 13:00, not in {again_s} s"
    );
    testbed.until(day.plus_days(1), 13, 0).await;
    asked_for(&testbed, &mut watch, day).await;
    testbed.advance(MINUTE).await;
    assert!(watch.is_met("bill-late"));
    testbed.until(day.plus_days(1), 13, 30).await;
    assert!(watch.is_met("bill-late"), "until it is asked for again");
    admin.clear_faults(None);
    asked_for(&testbed, &mut watch, day).await;
    testbed.until(day.plus_days(1), 15, 0).await;
    assert!(!watch.not_quiet().contains("bill-late"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fund_bill_that_is_not_there_at_one_is_an_alarm_until_it_comes_though_the_day_is_done() {
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let day = testbed.fresh_day().await;
    let late = Rule::always(Fault::StatementCreating).at(Endpoint::FundFlowBill);
    testbed.wechat.admin().add_fault(late).unwrap();
    // Nobody has run the day before, whose movements are asked for first.
    testbed.until(day.plus_days(1), 10, 30).await;
    asked_for(&testbed, &mut watch, day).await;
    testbed.advance(MINUTE).await;
    assert!(!watch.not_quiet().contains("bill-late"), "it is 10:31");
    testbed.until(day.plus_days(1), 13, 0).await;
    asked_for(&testbed, &mut watch, day).await;
    testbed.advance(MINUTE).await;
    assert!(watch.is_met("bill-late"));
    let run = testbed.run_of(day).await;
    let again = ReconcileWork::FundsV1 {
        date: day,
        run_id: run.id,
    };
    let funds = run.funds.expect("a fund side").state;
    assert_eq!((run.state, funds), (RunState::Done, FundState::Waiting));
    let row = runbooks::row("reconciliation.md", "`done`, `funds` `waiting`");
    assert!(row.contains("the alarm `bill-late`"), "{row}");

    testbed.wechat.admin().clear_faults(None);
    testbed.send_work(&again).await;
    watch.of(testbed.work_off_days()).await;
    testbed.until(day.plus_days(1), 15, 0).await;
    assert!(!watch.not_quiet().contains("bill-late"));
}

/// A day whose bill has a wrong hash whenever it is fetched, four times half an hour apart: the
/// alarm is met after the last one. Gives the day's record then.
async fn fails_at(bill: Endpoint, alarm: &str) -> Run {
    let of_days = ["day-failed", "fund-side-failed"];
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    testbed.until(day.plus_days(1), 10, 30).await;
    let wrong = Rule::always(Fault::WrongHash).at(bill);
    testbed.wechat.admin().add_fault(wrong).unwrap();
    let run_id = "fails".to_owned();
    let mut work = ReconcileWork::DayV1 {
        date: day,
        dry_run: false,
        run_id: run_id.clone(),
        requested_at_ms: Some(testbed.clock.now_ms()),
    };
    for fetched in 1..=4 {
        testbed.send_work(&work).await;
        watch.of(testbed.work_off_days()).await;
        if bill == Endpoint::FundFlowBill {
            let run_id = run_id.clone();
            work = ReconcileWork::FundsV1 { date: day, run_id };
        }
        testbed.advance(MINUTE * 30).await;
        for one in of_days {
            let is_met = fetched == 4 && one == alarm;
            assert_eq!(watch.is_met(one), is_met, "{one}, fetched {fetched} times");
            assert!(is_met || !watch.not_quiet().contains(one), "{one}");
        }
    }
    testbed.clock.advance(MINUTE * 60 * 20);
    assert!(watch.is_met(alarm), "the next day's failure has not come");
    testbed.clock.advance(MINUTE * 60 * 2);
    assert!(!watch.not_quiet().contains(alarm), "it calls again");
    testbed.run_of(day).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_fails_and_a_fund_side_that_fails_are_each_their_own_alarm_and_not_the_others() {
    let run = fails_at(Endpoint::TradeBill, "day-failed").await;
    assert_eq!(run.state, RunState::Failed);
    let run = fails_at(Endpoint::FundFlowBill, "fund-side-failed").await;
    let funds = run.funds.expect("a fund side").state;
    assert_eq!((run.state, funds), (RunState::Done, FundState::Failed));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_run_that_finds_new_differences_is_an_alarm_and_one_that_finds_old_ones_is_none() {
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let mut day = testbed.fresh_day().await;
    let mut run = async |day: BillDate| {
        testbed.until(day.plus_days(1), 10, 30).await;
        for again in [false, true] {
            testbed.begin_day(day, false).await;
            assert_eq!(watch.of(testbed.work_off_days()).await, 0);
            testbed.advance(MINUTE * 5).await;
            assert_eq!(watch.is_met("differences-opened"), !again, "{day} {again}");
            assert!(watch.is_met("open-differences"));
            testbed.advance(MINUTE * 25).await;
            assert!(!watch.not_quiet().contains("differences-opened"), "{day}");
        }
    };
    for number in 0..2 {
        // A payment for an unknown order.
        let order = format!("GONE-{number}");
        testbed.post_order(&native_for(&order, 700)).await;
        testbed.in_silence(testbed.pay(&order)).await;
        testbed.forget(&order).await;
        run(day).await;
        day = testbed.fresh_day().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_that_died_had_found_is_an_alarm_of_the_run_that_takes_the_day_over() {
    const ALARM: &str = "differences-opened";
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let day = testbed.fresh_day().await;
    testbed.post_order(&native_for("GONE-1", 700)).await;
    testbed.in_silence(testbed.pay("GONE-1")).await;
    testbed.forget("GONE-1").await;
    testbed.until(day.plus_days(1), 10, 30).await;
    let run = testbed.reconcile(day, false).await;
    // It wrote its differences down, and neither counted them nor came to its end.
    testbed
        .write_run(&Run {
            state: RunState::Running,
            version: run.version + 1,
            ..run
        })
        .await;
    testbed.begin_day(day, false).await;
    assert_eq!(watch.of(testbed.work_off_days()).await, 0);
    testbed.advance(MINUTE * 5).await;
    assert!(watch.is_met(ALARM));
    // The day is done now.
    testbed.advance(MINUTE * 25).await;
    testbed.begin_day(day, false).await;
    assert_eq!(watch.of(testbed.work_off_days()).await, 0);
    testbed.advance(MINUTE * 5).await;
    assert!(!watch.is_met(ALARM));
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_that_no_run_repairs_are_an_alarm_while_the_repairs_of_others_fail() {
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    testbed.paid_in_silence("ORDER-2").await;
    let appid = "wx0000000000000000".to_owned();
    let altered = BillDifference::AlterAppid { appid };
    testbed.plant(WantedDifference::picked(&day.to_string(), altered).of_order("ORDER-1"));
    testbed.until(day.plus_days(1), 10, 30).await;
    let books = Match::operation(Service::DynamoDb, "TransactWriteItems");
    testbed.wire.break_all(books, AwsFault::ServiceFault);
    testbed.begin_day(day, false).await;
    assert_eq!(watch.of(testbed.work_off_days()).await, 1);
    testbed.advance(MINUTE * 5).await;
    assert!(watch.is_met("differences-opened"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_persons_approved_and_wechat_pay_does_not_take_is_an_alarm() {
    let testbed = Testbed::start().await;
    let mut watch = Watch::by(&testbed.clock);
    let difference = Box::pin(could_not_be_paid_out(&testbed)).await;
    let refuses = Fault::Refuse {
        status: 400,
        code: "PARAM_ERROR".to_owned(),
    };
    let rule = Rule::always(refuses).at(Endpoint::AbnormalRefund);
    testbed.wechat.admin().add_fault(rule).unwrap();
    Box::pin(difference.decides("li", "redirect", "the card is gone")).await;
    Box::pin(difference.decides("wang", "approve", "asked the payer")).await;
    assert_eq!(watch.of(testbed.work_off_days()).await, 0);
    assert_eq!(difference.stands().await.state, DifferenceState::Open);
    testbed.advance(MINUTE * 5).await;
    for alarm in ["differences-opened", "new-error-lines"] {
        assert!(watch.is_met(alarm), "{alarm}: {:?}", watch.met());
    }
}

#[test]
fn callbacks_that_the_api_throttles_and_5xx_of_any_route_are_alarms_in_their_first_minutes() {
    let minutes = |count: i64| (29_759_280 + count) * 60_000;
    let met_after = |route: &str, status| {
        let mut cloud = CloudWatch::of_template(MCHID);
        for minute in 0..3 {
            cloud.take_access(route, status, minutes(minute));
        }
        let met = cloud.met(minutes(3));
        let of_the_api = ["callbacks-throttled", "api-failures"];
        of_the_api.map(|alarm| met.contains(alarm))
    };
    let callback = "POST /v1/callbacks/wechatpay";
    assert_eq!(met_after(callback, 429), [true, false]);
    assert_eq!(met_after(callback, 503), [false, true]);
    assert_eq!(met_after("POST /v1/orders", 500), [false, true]);
    // A client that calls too often, and a stranger's callback.
    assert_eq!(met_after("POST /v1/orders", 429), [false, false]);
    assert_eq!(met_after(callback, 401), [false, false]);
}

#[test]
fn a_message_that_nobody_takes_out_for_long_is_an_alarm_of_its_queue_and_has_its_row() {
    let minutes = |count: i64| (29_759_280 + count) * 60_000;
    for (queue, alarm, wait_s, page, words) in [
        (
            "PaymentRequestsQueue",
            "payment-requests-age",
            300,
            "wechat-down.md",
            "| `payment-requests-age` | messages wait that nobody takes out",
        ),
        (
            "PaymentResultsQueue",
            "payment-results-age",
            300,
            "wechat-down.md",
            "The alarm `payment-results-age` alone is something else: callbacks come but are not booked",
        ),
        (
            "WebhooksQueue",
            "webhooks-age",
            900,
            "webhooks.md",
            "| the alarm `webhooks-age`, and nothing in the log | the queue is not emptied",
        ),
        (
            "ReconcileWorkQueue",
            "reconcile-work-age",
            3 * 3600,
            "reconciliation.md",
            "| any, and the alarm `reconcile-work-age` | a message for `reconcile` waits for 3 hours",
        ),
    ] {
        let met = |age_s: &dyn Fn(i64) -> i64| {
            let mut cloud = CloudWatch::of_template(MCHID);
            for minute in 0..10 {
                cloud.take_age(queue, age_s(minute), minutes(minute));
            }
            cloud.met(minutes(10)).contains(alarm)
        };
        assert!(met(&|minute| wait_s + 1 + minute * 60), "{alarm}");
        assert!(!met(&|_| wait_s), "{alarm}: not before");
        let taken_out = |minute| if minute < 8 { wait_s + 60 } else { 0 };
        assert!(!met(&taken_out), "{alarm}: it was taken out");
        assert!(runbooks::page(page).contains(words), "{page}: {words}");
    }
}

#[test]
fn a_function_that_crashes_or_is_throttled_is_an_alarm_of_its_own_and_has_its_row() {
    let functions = [
        ("create-order", "CreateOrder"),
        ("manage-order", "ManageOrder"),
        ("receive-callback", "ReceiveCallback"),
        ("process-payment", "ProcessPayment"),
        ("reconcile", "Reconcile"),
        ("send-webhook", "SendWebhook"),
        ("console", "Console"),
    ];
    let minutes = |count: i64| (29_759_280 + count) * 60_000;
    for (name, resource) in functions {
        for (metric, suffix) in [("Errors", "errors"), ("Throttles", "throttles")] {
            let mut cloud = CloudWatch::of_template(MCHID);
            let well: Vec<String> = cloud
                .met(minutes(5))
                .into_iter()
                .map(str::to_owned)
                .collect();
            cloud.take_invocation(resource, metric, minutes(1));
            let mut met: Vec<&str> = cloud.met(minutes(5)).into_iter().collect();
            met.retain(|alarm| !well.iter().any(|other| other == alarm));
            let alarm = format!("{name}-{suffix}");
            assert_eq!(met, [alarm.as_str()], "{resource} {metric}");
            assert!(!cloud.not_quiet(minutes(30)).contains(alarm.as_str()));
        }
        let page = runbooks::page("functions.md");
        let (_, throttles) = page.split_once("## `...-throttles`").unwrap();
        let (throttles, _) = throttles.split_once("\n## ").unwrap();
        assert!(throttles.contains(&format!("`{name}`")), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_can_read_nothing_says_why_and_fails_as_lambda_counts_it() {
    let testbed = Testbed::start().await;
    for (fault, says) in [
        (AwsFault::Throttled, "was throttled"),
        (AwsFault::Denied, "AccessDenied"),
    ] {
        let query = Match::operation(Service::DynamoDb, "Query");
        let query = query.on(&testbed.tables.orders);
        testbed.wire.break_all(query, fault);
        let lines = Lines::default();
        let swept = lines.of(testbed.try_sweep()).await;
        testbed.wire.mend();
        match swept {
            Err(_) => {}
            // Repeats of calls that are throttled take up its time.
            Ok(Output::Sweep(report)) if fault == AwsFault::Throttled => {
                assert!(report.parts_unreadable > 0, "{report:?}");
            }
            Ok(other) => panic!("{fault:?}: {other:?}"),
        }
        let told = lines.take("WARN");
        let unread = told
            .iter()
            .find(|line| line["message"] == "a part of the index could not be read");
        let error = unread.expect("a line")["error"].to_string();
        assert!(error.contains(says), "{error}");
    }
    let row = runbooks::row("functions.md", "`a part of the index could not be read`");
    for words in ["`was throttled`", "`AccessDeniedException`"] {
        assert!(row.contains(words), "{words}");
    }
    assert!(testbed.try_sweep().await.is_ok(), "the next minute's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_of_webhooks_that_is_down_is_an_alarm_in_its_first_minutes() {
    let scene = WebhookTestbed::start().await;
    let mut watch = Watch::by(&scene.clock);
    for number in 0..3 {
        scene.clock.advance(MINUTE);
        scene
            .publish(&webhooks::event(&format!("ORDER-{number}"), 1))
            .await;
        assert_eq!(watch.of(scene.work_off()).await, 0);
    }
    // One attempt in some fails, and the next one does not.
    scene.receiver.answer_next(StatusCode::BAD_GATEWAY);
    scene.publish(&webhooks::event("ORDER-9", 1)).await;
    assert_eq!(watch.of(scene.work_off()).await, 1);
    assert_eq!(watch.of(scene.again("ORDER-9", 2)).await, 0);
    scene.clock.advance(MINUTE);
    assert!(!watch.not_quiet().contains("webhook-receiver-down"));

    scene.set_up("shop", "http://127.0.0.1:9/gone", 1).await;
    scene.clock.advance(MINUTE);
    for number in 10..13 {
        scene.clock.advance(MINUTE);
        let order = format!("ORDER-{number}");
        assert_eq!(watch.of(scene.again(&order, 1)).await, 1);
        assert_eq!(watch.of(scene.again(&order, 2)).await, 1);
    }
    scene.clock.advance(MINUTE);
    assert!(watch.is_met("webhook-receiver-down"), "{:?}", watch.met());
    watch.says("webhook not delivered", "webhooks.md");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_time_out_of_a_receiver_is_no_alarm_and_one_that_hangs_is() {
    let scene = WebhookTestbed::start().await;
    let mut watch = Watch::by(&scene.clock);
    let second_of_a_minute = scene.clock.now().0.rem_euclid(60).unsigned_abs();
    let until_40 = Duration::from_secs(100 - second_of_a_minute);
    scene.clock.advance(until_40);
    // So much time is left that the receiver has six seconds of it.
    let left_ms = 14_000;
    scene.receiver.wait_for(usize::MAX);
    assert_eq!(watch.of(scene.again_within("ORDER-1", 1, left_ms)).await, 1);
    scene.receiver.wait_for(0);
    // In this minute and the next one, others come again while it is left alone.
    for order in ["ORDER-2", "ORDER-3", "ORDER-4"] {
        scene.clock.advance(Duration::from_secs(14));
        assert_eq!(watch.of(scene.again(order, 2)).await, 1, "{order}");
    }
    for order in ["ORDER-1", "ORDER-2", "ORDER-3", "ORDER-4"] {
        scene.clock.advance(MINUTE);
        assert_eq!(watch.of(scene.again(order, 3)).await, 0, "{order}");
    }
    assert!(!watch.not_quiet().contains("webhook-receiver-down"));

    scene.receiver.wait_for(usize::MAX);
    for order in ["ORDER-5", "ORDER-6"] {
        scene.clock.advance(MINUTE);
        assert_eq!(watch.of(scene.again_within(order, 2, left_ms)).await, 1);
    }
    scene.clock.advance(MINUTE);
    assert!(watch.is_met("webhook-receiver-down"), "{:?}", watch.met());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_given_up_is_counted_and_calls_once_by_its_dead_letter() {
    let scene = WebhookTestbed::start().await;
    let mut watch = Watch::by(&scene.clock);
    let lines = Lines::by(scene.clock.clone());
    let given_up = async |attempt| {
        scene.receiver.answer_next(StatusCode::BAD_GATEWAY);
        assert_eq!(lines.of(scene.again("ORDER-1", attempt)).await, 1);
        let counted = lines.take_all().into_iter().find_map(|line| {
            let directives = line["_aws"]["CloudWatchMetrics"].as_array()?;
            let mut metrics = directives
                .iter()
                .filter_map(|one| one["Metrics"].as_array());
            let is_counted = metrics.any(|metrics| {
                let mut names = metrics.iter().map(|metric| &metric["Name"]);
                names.any(|name| name == "WebhooksGivenUp")
            });
            is_counted.then(|| {
                (
                    line["WebhooksGivenUp"].clone(),
                    line["level"].clone(),
                    line["message"].clone(),
                )
            })
        });
        scene.clock.advance(MINUTE);
        counted
    };
    assert_eq!(given_up(MAX_RECEIVE_COUNT - 1).await, None);
    let message = "webhook given up: it goes to the dead-letter queue";
    assert_eq!(
        given_up(MAX_RECEIVE_COUNT).await,
        Some((json!(1), json!("ERROR"), json!(message)))
    );
    // The alarm of the dead-letter queue calls: that of new error lines would be a second call.
    scene.receiver.answer_next(StatusCode::BAD_GATEWAY);
    let last = scene.again("ORDER-2", MAX_RECEIVE_COUNT);
    assert_eq!(watch.of(last).await, 1);
    scene.clock.advance(MINUTE * 5);
    assert!(!watch.not_quiet().contains("new-error-lines"));
    scene.clock.advance(MINUTE * 55);
    assert!(watch.is_met("error-lines"), "{:?}", watch.met());
    watch.says(message, "webhooks.md");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_of_webhooks_that_answers_410_is_an_alarm() {
    let scene = WebhookTestbed::start().await;
    let mut watch = Watch::by(&scene.clock);
    scene.receiver.answer_next(StatusCode::GONE);
    watch.of(scene.again("ORDER-1", 1)).await;
    scene.clock.advance(MINUTE);
    assert!(watch.is_met("webhook-receiver-gone"), "{:?}", watch.met());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_clients_dead_receiver_calls_although_the_first_ones_has_been_dead_for_days() {
    const BAD_GATEWAY: StatusCode = StatusCode::BAD_GATEWAY;
    for status in [BAD_GATEWAY, StatusCode::GONE] {
        let scene = WebhookTestbed::start().await;
        let mut watch = Watch::by(&scene.clock);
        let (first, kiosk) = (webhooks::Receiver::start().await, "kiosk");
        scene.set_up("shop", &first.url(), 1).await;
        scene.set_up(kiosk, &scene.receiver.url(), 7).await;
        // Events of the first client fail within three minutes, and one is given up.
        let first_fails = async |watch: &mut Watch| {
            for attempt in [1, 2, MAX_RECEIVE_COUNT] {
                first.answer_next(if attempt == 1 { BAD_GATEWAY } else { status });
                assert_eq!(watch.of(scene.again("ORDER-1", attempt)).await, 1);
                scene.clock.advance(MINUTE);
            }
        };
        for half_hours in 0..96 {
            first_fails(&mut watch).await;
            assert_eq!(watch.of(scene.again_of(kiosk, "ORDER-2", 1)).await, 0);
            scene.clock.advance(MINUTE * 2);
            let is_told = watch.is_met("new-error-lines");
            assert_eq!(is_told, half_hours == 1, "{half_hours}");
            scene.clock.advance(MINUTE * 25);
        }
        let before: BTreeSet<String> = watch.met().into_iter().map(str::to_owned).collect();
        for alarm in ["webhook-receiver-down", "error-lines"] {
            assert!(before.contains(alarm), "{alarm}");
        }
        assert!(!watch.not_quiet().contains("new-error-lines"));
        // Now the second client's is down too. Its event comes again as it does.
        let mut called = BTreeSet::new();
        for (attempt, wait_s) in [(1, 5), (2, 300), (3, 1_800), (4, 300)] {
            scene.receiver.answer_next(status);
            assert_eq!(watch.of(scene.again_of(kiosk, "ORDER-3", attempt)).await, 1);
            scene.clock.advance(Duration::from_secs(wait_s));
            let met = watch
                .met()
                .into_iter()
                .filter(|alarm| !before.contains(*alarm));
            called.extend(met.map(str::to_owned));
        }
        assert_eq!(
            called,
            BTreeSet::from(["new-error-lines".to_owned()]),
            "{status}"
        );
        watch.says(webhooks::TAKES_NOTHING, "webhooks.md");
        // It is not told again while both are down.
        for _ in 0..4 {
            scene.clock.advance(MINUTE * 30);
            first_fails(&mut watch).await;
            scene.receiver.answer_next(status);
            assert_eq!(watch.of(scene.again_of(kiosk, "ORDER-3", 5)).await, 1);
            scene.clock.advance(MINUTE * 5);
            assert!(!watch.not_quiet().contains("new-error-lines"), "{status}");
        }
    }
}
