//! Days: WeChat Pay's bills against the books, and what two persons decide about money that is not
//! ours.

mod steps;

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
use steps::yesterday;

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
