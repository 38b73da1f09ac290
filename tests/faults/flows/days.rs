//! Days: WeChat Pay's bills against the books, and what two persons decide about money that is not
//! ours.

use std::time::Duration;

use payments::{
    model::{
        bill_date::BillDate,
        decision::{OperatorDecision, RefundDecision},
        ids::ClientId,
    },
    reconcile::difference::{
        Decision, DecisionContext, Difference, DifferenceKind, DifferenceSubject, SideView,
    },
};
use stores::{queues::ReconcileWork, reconciliation::SaveOutcome};
use testbed::environment::WORK;
use wechatpay::UnixSeconds;
use wechatpay_simulator::{
    ConsoleRefund, Fault, PayOptions, PlantedDifference as Planted, RefundOutcome, Rule,
    WantedDifference,
};

use super::{Flow, NOTHING, Step, create, refund};
use crate::{
    cases::scenario::{Scenario, Until},
    engine::{
        books::{Records, text},
        deployment::{BEGIN_S, Deployment},
    },
};

/// How often the queue of days may have to be waited for.
const ROUNDS_MAX: u32 = 100;
/// Maximum number of times that a person presses a button in the console until it answers.
const PRESSES_MAX: u32 = 5;
/// Flows with too many cases for every day, and the step between the cases that are run then.
pub(super) const LONG: [(&str, usize); 11] = [
    ("day", 11),
    ("day-previewed", 29),
    ("day-in-parts", 23),
    ("day-approved", 5),
    ("day-given-back-by-hand", 5),
    ("day-refund-closed", 23),
    ("day-unattributed-money", 7),
    ("day-refund-abnormal", 7),
    ("day-payer-paid", 17),
    ("day-payer-paid-again", 41),
    ("day-taken-on-again", 7),
];

pub(super) const FLOWS: &[Flow] = &[
    Flow {
        // Both sides have a payment and a refund; one payment's news was lost; one payment is not
        // ours to keep.
        name: "day",
        before: DAY,
        acts: RUN_THE_DAY,
        after: NOTHING,
        ends: DAY_ENDS,
    },
    Flow {
        // The same day is too big for one run.
        name: "day-in-parts",
        before: |scenario| {
            Box::pin(async move {
                scenario.deployment.deploy_with("RECONCILE_LINES_MAX", "1");
                DAY(scenario).await;
            })
        },
        acts: RUN_THE_DAY,
        after: NOTHING,
        ends: IN_PARTS,
    },
    Flow {
        // A person asks for a preview, then for a run; either may be held up and come back after
        // the other.
        name: "day-previewed",
        before: DAY,
        acts: |scenario| {
            Box::pin(async move {
                let date = yesterday(scenario.deployment.clock.now());
                for (dry_run, run_id) in [(true, "a-preview"), (false, "a-run")] {
                    let work = ReconcileWork::DayV1 {
                        date,
                        dry_run,
                        run_id: run_id.to_owned(),
                        requested_at_ms: Some(scenario.deployment.clock.now_ms()),
                    };
                    scenario.deployment.send_work(&work);
                    scenario.pass(Duration::from_millis(10)).await;
                }
                scenario.work_off_days().await;
            })
        },
        after: NOTHING,
        ends: DAY_ENDS,
    },
    Flow {
        name: "day-approved",
        before: SECOND_PAYMENT_IS_APPROVED,
        acts: WORK_OFF,
        after: NOTHING,
        ends: APPROVED_ENDS,
    },
    Flow {
        // While two persons approve, the payment is refunded in WeChat Pay's console.
        name: "day-given-back-by-hand",
        before: |scenario| {
            Box::pin(async move {
                scenario.second_payment_is_proposed().await;
                let refunded = scenario.deployment.wechat().console_refund(&ConsoleRefund {
                    order: "ORDER-1".to_owned(),
                    transaction_id: Some(scenario.parked_payment("ORDER-1")),
                    refund_fen: 100,
                    notify_url: Some(scenario.deployment.notify_url.clone()),
                    ..ConsoleRefund::default()
                });
                refunded.expect("a second payment");
                scenario.pass(Duration::from_secs(6)).await;
                scenario.poll().await;
                scenario.approved().await;
            })
        },
        acts: WORK_OFF,
        after: NOTHING,
        ends: APPROVED_ENDS,
    },
    Flow {
        // The refund that two persons approved fails for good: the day finds its payment again, and
        // they approve another.
        name: "day-refund-closed",
        before: |scenario| {
            Box::pin(async move {
                scenario.second_payment_is_proposed().await;
                let wechat = scenario.deployment.wechat();
                wechat.set_refund_outcome(RefundOutcome::Closed);
                scenario.approved().await;
                scenario.work_off_days().await;
                scenario.poll().await;
                scenario.pass(Duration::from_secs(6)).await;
                scenario.poll().await;
                wechat.set_refund_outcome(RefundOutcome::Success);
            })
        },
        acts: RUN_THE_DAY,
        after: |scenario| {
            Box::pin(async move {
                scenario.approved().await;
                scenario.work_off_days().await;
                scenario.run_until_quiet(Until::Soon).await;
            })
        },
        ends: APPROVED_ENDS,
    },
    Flow {
        // Another system of the merchant's took money for a number that no order here has.
        name: "day-unattributed-money",
        before: |scenario| {
            Box::pin(async move {
                let date = BillDate::of(scenario.deployment.clock.now()).to_string();
                let foreign = Planted::UnknownOrder { fen: Some(500) };
                let wanted = WantedDifference::picked(&date, foreign).of_order("FOREIGN-1");
                let planted = scenario.deployment.wechat().plant_difference(&wanted);
                planted.expect("a difference that fits");
                scenario.until_the_bill().await;
                scenario
                    .deployment
                    .send_work(&ReconcileWork::DailyV1 { scheduled_at: None });
                scenario.work_off_days().await;
                scenario.approved().await;
            })
        },
        acts: WORK_OFF,
        after: NOTHING,
        ends: &[
            ("FOREIGN-1", "refunded"),
            ("day differences", "1"),
            ("day unknown_order_there FOREIGN-1", "repaired"),
        ],
    },
    Flow {
        // The approved refund cannot be paid out: the difference is open again until a person has
        // redirected the money, and then tracks that result too.
        name: "day-refund-abnormal",
        before: |scenario| {
            Box::pin(async move {
                scenario.abnormal_refund_is_to_go_to_the_merchant().await;
            })
        },
        acts: WORK_OFF,
        after: NOTHING,
        // Its money is on the merchant's account: a person pays the payer.
        ends: &[
            ("ORDER-1", "paid"),
            ("day differences", "1"),
            ("day duplicate_payment ORDER-1", "open"),
        ],
    },
    Flow {
        // The money of an approved refund went to the merchant's own account, and a person records
        // in the console how the payer was paid.
        name: "day-payer-paid",
        before: PAYER_IS_OWED,
        acts: |scenario| {
            Box::pin(async move {
                scenario.presses("li", "payer_paid").await;
                scenario.work_off_days().await;
            })
        },
        after: |scenario| Box::pin(async move { scenario.payer_is_said_to_be_paid_by(&["li"]) }),
        ends: PAYER_PAID_ENDS,
    },
    Flow {
        // It is reopened, and another person records again how the payer was paid.
        name: "day-payer-paid-again",
        before: |scenario| {
            Box::pin(async move {
                PAYER_IS_OWED(scenario).await;
                scenario.presses("li", "payer_paid").await;
                scenario.work_off_days().await;
            })
        },
        acts: |scenario| {
            Box::pin(async move {
                scenario.presses("zhao", "reopen").await;
                scenario.presses("wang", "payer_paid").await;
                scenario.work_off_days().await;
            })
        },
        after: |scenario| {
            Box::pin(async move { scenario.payer_is_said_to_be_paid_by(&["li", "wang"]) })
        },
        ends: PAYER_PAID_ENDS,
    },
    Flow {
        // A restore of the tables lost an order that was paid. Two persons say whose it was.
        name: "day-taken-on-again",
        before: |scenario| {
            Box::pin(async move {
                let date = BillDate::of(scenario.deployment.clock.now()).to_string();
                let lost = Planted::UnknownOrder { fen: Some(500) };
                let wanted = WantedDifference::picked(&date, lost).of_order("GONE-1");
                let planted = scenario.deployment.wechat().plant_difference(&wanted);
                planted.expect("a difference that fits");
                scenario.until_the_bill().await;
                scenario
                    .deployment
                    .send_work(&ReconcileWork::DailyV1 { scheduled_at: None });
                scenario.work_off_days().await;
                scenario.decided(Decision::Reject).await;
                scenario.decided(Decision::ProposePaid).await;
                scenario.decided(Decision::Approve).await;
            })
        },
        acts: WORK_OFF,
        after: NOTHING,
        ends: &[
            ("GONE-1", "paid"),
            ("day differences", "1"),
            ("day unknown_order_there GONE-1", "repaired"),
        ],
    },
];

/// A day that is over and whose bill is there. The sweep has not run since.
pub(super) const DAY: Step = |scenario| {
    Box::pin(async move {
        scenario.paid("ORDER-1").await;
        scenario.request(refund("ORDER-1", "R1", 40)).await;
        scenario.poll().await;
        scenario.pass(Duration::from_secs(6)).await;
        scenario.poll().await;
        scenario
            .in_silence(Scenario::money_comes_again, "ORDER-1")
            .await;
        scenario.request(create("LOST-1")).await;
        scenario.in_silence(Scenario::payer_pays, "LOST-1").await;
        scenario.until_the_bill().await;
    })
};

/// An order was paid twice, and two persons approved that the second payment goes back.
pub(super) const SECOND_PAYMENT_IS_APPROVED: Step = |scenario| {
    Box::pin(async move {
        scenario.second_payment_is_proposed().await;
        scenario.approved().await;
    })
};

/// The money of a refund that two persons approved has arrived on the merchant's own account.
const PAYER_IS_OWED: Step = |scenario| {
    Box::pin(async move {
        scenario.abnormal_refund_is_to_go_to_the_merchant().await;
        scenario.work_off_days().await;
        scenario.run_until_quiet(Until::Soon).await;
    })
};

/// What becomes of a payer who is owed and was paid by other means.
const PAYER_PAID_ENDS: &[(&str, &str)] = &[
    ("ORDER-1", "paid"),
    ("day differences", "1"),
    ("day duplicate_payment ORDER-1", "explained"),
];

/// What becomes of a second payment that two persons approved.
pub(super) const APPROVED_ENDS: &[(&str, &str)] = &[
    ("ORDER-1", "paid"),
    ("day differences", "1"),
    ("day duplicate_payment ORDER-1", "repaired"),
];

/// What becomes of [`DAY`].
pub(super) const DAY_ENDS: &[(&str, &str)] = &[
    ("ORDER-1", "partially_refunded"),
    ("LOST-1", "paid"),
    ("day", "done"),
    ("day funds", "done"),
    ("day differences", "2"),
    ("day paid_there_unpaid_here LOST-1", "repaired"),
    ("day duplicate_payment ORDER-1", "proposed"),
];

/// The same, of a day in two parts.
const IN_PARTS: &[(&str, &str)] = &[
    ("ORDER-1", "partially_refunded"),
    ("LOST-1", "paid"),
    ("day", "done"),
    ("day funds", "done"),
    // An index that lags shows fewer lines than there are, so that the day fits.
    ("day parts", "2|1"),
    ("day differences", "2"),
    ("day paid_there_unpaid_here LOST-1", "repaired"),
    ("day duplicate_payment ORDER-1", "proposed"),
];

/// The daily schedule comes, and what it brings is done.
const RUN_THE_DAY: Step = |scenario| {
    Box::pin(async move {
        scenario
            .deployment
            .send_work(&ReconcileWork::DailyV1 { scheduled_at: None });
        scenario.work_off_days().await;
    })
};

/// What is in the queue of days is done.
const WORK_OFF: Step = |scenario| Box::pin(scenario.work_off_days());

impl Deployment {
    /// A message comes into the queue of days.
    pub(crate) fn send_work(&self, work: &ReconcileWork) {
        let body = serde_json::to_string(work).expect("JSON");
        let now_ms = self.clock.now_ms();
        self.cloud.queues().send(WORK, body, now_ms);
    }

    /// The day's one difference, as a person sees it.
    async fn one_difference(&self) -> Difference {
        let date = yesterday(self.clock.now());
        let page = self.days.differences(date, None, 2).await.expect("a table");
        let [one] = page.items.try_into().expect("one difference");
        one
    }

    /// A person presses a button of that page, once. The status; `None` when no answer came.
    async fn press(&self, person: &str, decision: &str, stands: &Difference) -> Option<u16> {
        let Difference {
            date, id, version, ..
        } = stands;
        let path = format!("/console/{date}/differences/{id}");
        let form = format!("decision={decision}&why=says+{person}&version={version}");
        self.send_form(person, &path, form).await
    }
}

impl Scenario {
    async fn paid(&mut self, order_no: &str) {
        self.request(create(order_no)).await;
        self.pay(order_no).await;
        self.poll().await;
    }

    fn payer_pays(&self, order_no: &str) {
        let paid = self
            .deployment
            .wechat()
            .pay(order_no, &PayOptions::default());
        paid.expect("an order that can be paid");
    }

    /// Something happens to an order at WeChat Pay, and its callback is lost for good.
    async fn in_silence(&self, happens: fn(&Self, &str), order_no: &str) {
        let wechat = self.deployment.wechat();
        let lost = wechat.add_fault(Rule::always(Fault::LostCallback));
        happens(self, order_no);
        self.deliver().await;
        wechat.clear_faults(Some(lost.expect("a rule")));
    }

    /// The approved refund of a second payment cannot be paid out, and two persons send its money
    /// to the merchant's own account.
    async fn abnormal_refund_is_to_go_to_the_merchant(&mut self) {
        self.second_payment_is_proposed().await;
        let fails = RefundOutcome::Abnormal;
        self.deployment.wechat().set_refund_outcome(fails);
        self.approved().await;
        self.work_off_days().await;
        self.run_until_quiet(Until::Soon).await;
        let succeeds = RefundOutcome::Success;
        self.deployment.wechat().set_refund_outcome(succeeds);
        self.decided(Decision::Redirect).await;
        self.decided(Decision::Approve).await;
    }

    /// Time passes until 10:30 of the next day in Beijing: WeChat Pay has made the bill.
    async fn until_the_bill(&self) {
        let clock = &self.deployment.clock;
        let at_s = BillDate::of(clock.now()).ends_at().0 + 10 * 3600 + 1800;
        let wait_ms = u64::try_from(at_s * 1000 - clock.now_ms()).expect("a time to come");
        self.step_by_step(Duration::from_millis(wait_ms)).await;
    }

    /// Processes the queue of days until it is empty. Nothing else happens meanwhile, so that the
    /// sweep does not find what the bill must find.
    async fn work_off_days(&self) {
        for _ in 0..ROUNDS_MAX {
            while self.poll_work().await > 0 {}
            let next_ms = {
                let queues = self.deployment.cloud.queues();
                let messages = queues.waiting();
                let work = messages.iter().filter(|(url, _)| *url == WORK);
                work.map(|(_, message)| message.visible_ms).min()
            };
            let Some(next_ms) = next_ms else {
                return;
            };
            let wait_ms = next_ms - self.deployment.clock.now_ms();
            let wait = Duration::from_millis(u64::try_from(wait_ms).unwrap_or_default());
            self.step_by_step(wait).await;
        }
    }

    /// All days since the deployment began are reconciled, one after the other, the present one
    /// last.
    pub(crate) async fn reconcile_all_days(&self) {
        let last = BillDate::of(self.deployment.clock.now());
        let mut date = BillDate::of(UnixSeconds(BEGIN_S));
        self.until_the_bill().await;
        while date <= last {
            self.deployment.send_work(&ReconcileWork::DayV1 {
                date,
                dry_run: false,
                run_id: format!("run-{date}"),
                requested_at_ms: None,
            });
            self.work_off_days().await;
            date = date.plus_days(1);
        }
    }

    async fn poll_work(&self) -> usize {
        let poll = self.deployment.poll(WORK);
        self.deployment
            .act("Lambda polls reconcile-work", poll)
            .await
    }

    /// An order was paid twice, and a run proposes to give the second payment back.
    async fn second_payment_is_proposed(&mut self) {
        self.paid("ORDER-1").await;
        self.money_comes_again("ORDER-1");
        self.deliver().await;
        self.poll().await;
        self.until_the_bill().await;
        self.proposed(DifferenceKind::DuplicatePayment, "ORDER-1", 100)
            .await;
    }

    /// A run has found money that is parked, and proposes to give it back.
    async fn proposed(&self, kind: DifferenceKind, order_no: &str, fen: i64) {
        let (days, now) = (&self.deployment.days, self.deployment.clock.now());
        let about = DifferenceSubject {
            order_no: Some(order_no.to_owned()),
            transaction_id: Some(self.parked_payment(order_no)),
            ..DifferenceSubject::default()
        };
        let there = SideView {
            amount_fen: Some(fen),
            ..SideView::default()
        };
        let found = Difference::found(yesterday(now), kind, about, Some(there), None, "run-1", now);
        days.find(&found).await.expect("a table");
        let proposed = found.proposed("run-1", "to be given back", now);
        let saved = days.save_difference(&proposed).await;
        assert_eq!(saved.expect("a table"), SaveOutcome::Saved);
    }

    /// A person opens the page of the day's one difference and presses a button there until the
    /// console has answered.
    async fn presses(&mut self, person: &str, decision: &str) {
        let stands = self.deployment.one_difference().await;
        let mut status = None;
        for _ in 0..PRESSES_MAX {
            let what = format!("{person} presses {decision} in the console");
            let press = self.deployment.press(person, decision, &stands);
            status = self.deployment.act(what, press).await;
            if status == Some(303) {
                return;
            }
        }
        self.require("the console answers", false, || {
            format!("{person}, {decision}: {status:?}")
        });
    }

    /// These persons recorded one after the other how the payer was paid, each once; the last
    /// record counts.
    fn payer_is_said_to_be_paid_by(&mut self, persons: &[&str]) {
        let books = Records::read(&self.deployment);
        let book = &books.orders["ORDER-1"];
        let said: Vec<String> = book
            .events
            .iter()
            // The payment that it gives back has an event of its own.
            .filter(|event| text(event, "subject").starts_with("refund"))
            .filter_map(|event| OperatorDecision::of_text(text(event, "decision")))
            .filter(|decision| decision.what == RefundDecision::PayerPaid)
            .map(|decision| decision.who)
            .collect();
        let stands = text(&book.refunds[0], "payer_paid_by");
        let expected = persons.iter().map(|name| format!("{name}@example.com"));
        let fits =
            said.iter().cloned().eq(expected) && said.last().is_some_and(|last| last == stands);
        let found = format!("{said:?} said so, and {stands} is on record");
        self.require("how a payer was paid is on record once", fits, || found);
    }

    /// A person decides about each difference of the day, another one each time, and the console
    /// sends it on.
    async fn decided(&self, decision: Decision) {
        let (days, now) = (&self.deployment.days, self.deployment.clock.now());
        let date = yesterday(now);
        let shop = ClientId::new("shop");
        let client = (decision == Decision::ProposePaid).then_some(&shop);
        let page = days.differences(date, None, 100).await.expect("a table");
        for stands in page.items {
            let person = format!("person-{}", stands.version);
            let deciding = DecisionContext {
                client,
                ..DecisionContext::default()
            };
            let decided =
                stands.decided_by_rules(decision, &deciding, &person, "looked at it", now);
            let decided = decided.expect("a decision that holds");
            let saved = days.save_difference(&decided).await;
            assert_eq!(saved.expect("a table"), SaveOutcome::Saved);
            let id = decided.id;
            self.deployment
                .send_work(&ReconcileWork::ApplyV1 { date, id });
        }
    }

    /// Two persons approve each proposal, and the console sends it.
    async fn approved(&self) {
        let (days, now) = (&self.deployment.days, self.deployment.clock.now());
        let date = yesterday(now);
        let page = days.differences(date, None, 100).await.expect("a table");
        for mut stands in page.items {
            for person in ["li", "wang"] {
                let decided = stands.decided(Decision::Approve, person, "looked at it", now);
                stands = decided.expect("a decision that holds");
                let saved = days.save_difference(&stands).await;
                assert_eq!(saved.expect("a table"), SaveOutcome::Saved);
            }
            let id = stands.id;
            self.deployment
                .send_work(&ReconcileWork::ApplyV1 { date, id });
        }
    }
}

fn yesterday(now: UnixSeconds) -> BillDate {
    BillDate::of(now).plus_days(-1)
}
