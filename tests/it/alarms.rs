//! Who is called, and when: the functions' own lines under an incident, and the alarms of
//! `template.yaml` over them by CloudWatch's rules. Minutes pass by the clock.

mod certificates;
mod channels;
mod days;
mod decisions;
mod differences;
mod functions;
mod objectives;
mod pages;
mod proofs;
mod receivers;
mod sweeps;
mod template_alarms;
mod wechat_pay;

use std::{collections::BTreeSet, time::Duration};

use payments::model::bill_date::BillDate;
use runtime::clock::Clock;
use serde_json::{Value, json};
use stores::queues::ReconcileWork;
use testbed::{Fault as AwsFault, Match, Service};
use wechatpay_simulator::{Damage, Fault, PayOptions, Rule};

use crate::support::{Lines, Testbed, native};
use template_alarms::CloudWatch;

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
            cloud: CloudWatch::of_template(),
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

    /// This alarm, which may be a composite one, has gone on by now.
    fn goes_on(&self, alarm: &str) {
        self.cloud.goes_on(alarm, self.clock.now_ms());
    }

    /// This alarm is off by now.
    fn goes_off(&self, alarm: &str) {
        self.cloud.goes_off(alarm, self.clock.now_ms());
    }

    /// CloudWatch evaluates all alarms, as each minute, and notifies.
    fn evaluate(&mut self) {
        self.cloud.evaluate(self.clock.now_ms());
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

/// A testbed in which all has been well for some minutes.
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

/// A run of a day that is requested now, as a run that waited comes back.
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
    watch.goes_on(BRAKE);
    // The release is mended. Its lines of before are older than what is evaluated.
    testbed.advance(MINUTE * 10).await;
    watch.goes_off(BRAKE);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_with_an_alarm_of_its_own_does_not_set_off_the_one_for_error_lines() {
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
    for alarm in ["new-error-lines", "new-errors"] {
        watch.goes_on(alarm);
    }
    // And again the next time, since the first call is over as soon as other lines come.
    for number in 0..2 {
        minute(&testbed, &mut watch, 2000 + number).await;
        testbed.advance(MINUTE * 4).await;
    }
    for alarm in ["new-error-lines", "new-errors"] {
        watch.goes_off(alarm);
    }
    for alarm in ["error-lines", "waits-for-a-person"] {
        watch.goes_on(alarm);
    }
    testbed.advance(MINUTE * 60 * 24 * 8).await;
    for alarm in ["error-lines", "waits-for-a-person"] {
        watch.goes_off(alarm);
    }
}

/// The check of certificates each five minutes.
async fn five_minutes(testbed: &Testbed, watch: &mut Watch) {
    watch.of(testbed.certificates()).await;
    testbed.advance(MINUTE * 5).await;
}
