//! Days: orders paid at a time of one, its bills, and the work of reconciling it.

use std::time::Duration;

use payments::{
    model::bill_date::BillDate,
    reconcile::{day_runs::DayRuns, difference::Difference, run::Run},
};
use serde_json::json;
use stores::queues::{Queue, ReconcileWork};
use testbed::environment::{EVIDENCE_BUCKET, WORK};
use wechatpay_simulator::{Fault, InjectedDifference, PayOptions, Rule, WantedDifference};

use super::{Testbed, native};

impl Testbed {
    /// Time passes until this time of this Beijing day.
    pub(crate) async fn until(&self, date: BillDate, hour: i64, minute: i64) {
        let at_ms = (date.starts_at().0 + hour * 3600 + minute * 60) * 1000;
        let wait_ms = at_ms - self.clock.now_ms();
        let wait_ms = u64::try_from(wait_ms).expect("a time to come");
        self.advance(Duration::from_millis(wait_ms)).await;
    }

    /// A day on which nothing has happened so far; it is noon.
    pub(crate) async fn fresh_day(&self) -> BillDate {
        let date = BillDate::of(self.clock.now()).plus_days(1);
        self.until(date, 12, 0).await;
        date
    }

    /// An order that is paid and booked.
    pub(crate) async fn paid(&self, order_no: &str) {
        self.post_order(&native(order_no)).await;
        self.pay(order_no).await;
        assert_eq!(self.work_off().await, 0);
        assert_eq!(
            self.order(order_no).await.state.name(),
            "paid",
            "{order_no}"
        );
    }

    /// An order that is paid, without a callback.
    pub(crate) async fn paid_in_silence(&self, order_no: &str) {
        self.post_order(&native(order_no)).await;
        self.in_silence(self.pay(order_no)).await;
    }

    /// Callbacks are lost during this.
    pub(crate) async fn in_silence<T>(&self, work: impl Future<Output = T>) -> T {
        let admin = self.wechat.admin();
        let lost = admin.add_fault(Rule::always(Fault::LostCallback));
        let done = work.await;
        self.deliver().await;
        admin.clear_faults(Some(lost.expect("a fault")));
        done
    }

    /// A reconciled day and its one difference: an order was paid twice, without a second callback.
    /// By a preview or by a run in earnest.
    pub(crate) async fn paid_twice(&self, order_no: &str, dry_run: bool) -> (BillDate, Difference) {
        let day = self.fresh_day().await;
        self.paid(order_no).await;
        let admin = self.wechat.admin();
        self.in_silence(async {
            let again = admin.pay_again(order_no, &PayOptions::default());
            again.expect("a paid order");
        })
        .await;
        self.until(day.plus_days(1), 10, 30).await;
        self.reconcile(day, dry_run).await;
        let [found] = self
            .differences_of(day)
            .await
            .try_into()
            .expect("one difference");
        (day, found)
    }

    /// A part of an order's money goes back, and that is booked.
    pub(crate) async fn refunded(&self, order_no: &str, refund_no: &str, fen: i64) -> String {
        let asked = self.refund(order_no, refund_no, fen).await;
        assert_eq!(asked.status, 202, "{}", asked.body);
        assert_eq!(self.work_off().await, 0);
        self.advance(Duration::from_secs(60)).await;
        assert_eq!(self.work_off().await, 0);
        let refund = self.get_refund(order_no, refund_no).await;
        assert_eq!(refund.body["state"], "succeeded", "{}", refund.body);
        refund.body["out_refund_no"]
            .as_str()
            .expect("a number")
            .to_owned()
    }

    /// Puts a difference into a day's bill.
    pub(crate) fn plant(&self, wanted: WantedDifference) -> InjectedDifference {
        self.wechat
            .admin()
            .plant_difference(&wanted)
            .expect("a difference that fits")
    }

    /// WeChat Pay goes another of its ways.
    pub(crate) fn at_wechat(&self, changes: &serde_json::Value) {
        let admin = self.wechat.admin();
        let mut settings = serde_json::to_value(admin.settings()).expect("settings");
        for (name, value) in changes.as_object().expect("settings by name") {
            settings[name] = value.clone();
        }
        let settings = serde_json::from_value(settings).expect("settings");
        admin
            .set_settings(settings)
            .expect("settings that go together");
    }

    /// Reconciles a day, with all its parts. The day's record then.
    pub(crate) async fn reconcile(&self, date: BillDate, dry_run: bool) -> Run {
        self.begin_day(date, dry_run).await;
        self.work_off_days().await;
        let runs = self.runs_of(date).await;
        let run = if dry_run { runs.preview() } else { runs.run() };
        run.expect("a run").clone()
    }

    /// Sends the message that begins a day.
    pub(crate) async fn begin_day(&self, date: BillDate, dry_run: bool) {
        let work = ReconcileWork::DayV1 {
            date,
            dry_run,
            run_id: self.random.id(),
            requested_at_ms: Some(self.clock.now_ms()),
        };
        self.send_work(&work).await;
    }

    pub(crate) async fn send_work(&self, work: &ReconcileWork) {
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        Queue::new(self.queues.client(), WORK)
            .send_reconcile(work, 0, traceparent)
            .await
            .expect("a message");
    }

    /// Works off what is in the queue of days. Says how many messages have to come again; they stay
    /// hidden.
    pub(crate) async fn work_off_days(&self) -> usize {
        self.queues
            .work_off_days(&self.reconcile, &self.clock)
            .await
    }

    /// The run that a day is shown by.
    pub(crate) async fn run_of(&self, date: BillDate) -> Run {
        let runs = self.runs_of(date).await;
        runs.shown().expect("a run").clone()
    }

    /// A day's runs.
    pub(crate) async fn runs_of(&self, date: BillDate) -> DayRuns {
        let runs = self.reconciliation.day_runs(date).await;
        runs.expect("a table")
    }

    /// A day's differences.
    pub(crate) async fn differences_of(&self, date: BillDate) -> Vec<Difference> {
        let page = self.reconciliation.differences(date, None, 100).await;
        let page = page.expect("a table");
        assert!(page.next.is_none(), "one page is enough");
        page.items
    }

    /// A day's differences as `kind about state`, sorted.
    pub(crate) async fn difference_lines(&self, date: BillDate) -> Vec<String> {
        let mut lines: Vec<String> = self
            .differences_of(date)
            .await
            .iter()
            .map(|one| {
                let about = one.about.order_no.clone().unwrap_or_default();
                format!("{} {about} {}", one.kind.name(), one.state.name())
            })
            .collect();
        lines.sort();
        lines
    }

    /// The stored bills.
    pub(crate) fn evidence(&self) -> Vec<String> {
        self.engines.files().keys(EVIDENCE_BUCKET)
    }

    /// Two persons approve a proposal, and it is executed.
    pub(crate) async fn two_approve(&self, proposed: &Difference) {
        use payments::reconcile::difference::Decision;
        let mut stands = proposed.clone();
        for person in ["li", "wang"] {
            stands = stands
                .decided(Decision::Approve, person, "looked at it", self.clock.now())
                .expect("a decision that holds");
            let saved = self.reconciliation.save_difference(&stands).await;
            assert_eq!(
                saved.expect("a table"),
                stores::reconciliation::SaveOutcome::Saved
            );
        }
        let (date, id) = (proposed.date, proposed.id.clone());
        self.send_work(&ReconcileWork::ApplyV1 { date, id }).await;
        assert_eq!(self.work_off_days().await, 0);
    }
}

/// An order of another amount than the usual.
pub(crate) fn native_for(order_no: &str, fen: i64) -> serde_json::Value {
    let mut order = native(order_no);
    order["amount_fen"] = json!(fen);
    order
}
