//! Refunds: whole and in parts, found by the sweep, failing in each way, made in the console.

use std::time::Duration;

use serde_json::json;
use wechatpay_simulator::{ConsoleRefund, Fault, RefundOutcome, Rule};

use super::{Flow, NOTHING, PAID, decide, refund};
use crate::cases::scenario::Until;

pub(super) const FLOWS: &[Flow] = &[
    Flow {
        name: "refund",
        before: PAID,
        acts: |scenario| {
            Box::pin(async move {
                scenario.request(refund("ORDER-1", "R1", 100)).await;
                scenario.poll().await;
                scenario.pass(Duration::from_secs(6)).await;
                scenario.poll().await;
            })
        },
        after: NOTHING,
        ends: &[("ORDER-1", "refunded"), ("ORDER-1 R1", "succeeded")],
    },
    Flow {
        name: "partial-refunds",
        before: PAID,
        acts: |scenario| {
            Box::pin(async move {
                // The last is too much, unless one of the others failed at first: then it is that
                // one.
                for (refund_no, amount_fen) in [("R1", 40), ("R2", 60), ("R3", 40)] {
                    let pending = refund("ORDER-1", refund_no, amount_fen);
                    scenario.request(pending.or("refund_exceeds_payment")).await;
                }
                scenario.poll().await;
                scenario.pass(Duration::from_secs(60)).await;
                scenario.poll().await;
            })
        },
        after: NOTHING,
        ends: &[("ORDER-1", "refunded|partially_refunded")],
    },
    Flow {
        // The first is put off by WeChat Pay until the second's minute: both are due in the same
        // moment.
        name: "refunds-at-once",
        before: |scenario| {
            Box::pin(async move {
                PAID(scenario).await;
                scenario.wechat_fault(Rule::times(Fault::TooManyRequests, 1));
                scenario.request(refund("ORDER-1", "R1", 40)).await;
                scenario.request(refund("ORDER-1", "R2", 60)).await;
                scenario.poll_requests().await;
                scenario.pass(Duration::from_secs(60)).await;
            })
        },
        acts: |scenario| {
            Box::pin(async move {
                scenario.sweep().await;
                scenario.poll().await;
            })
        },
        after: NOTHING,
        ends: &[
            ("ORDER-1", "refunded"),
            ("ORDER-1 R1", "succeeded"),
            ("ORDER-1 R2", "succeeded"),
        ],
    },
    Flow {
        // Neither queue nor callback does anything: the sweep does all of it.
        name: "refund-by-sweep",
        before: |scenario| {
            Box::pin(async move {
                PAID(scenario).await;
                scenario.wechat_fault(Rule::always(Fault::LostCallback));
                scenario.request(refund("ORDER-1", "R1", 100)).await;
            })
        },
        acts: |scenario| {
            Box::pin(async move {
                scenario.sweep().await;
                scenario.pass(Duration::from_secs(60)).await;
                scenario.sweep().await;
            })
        },
        after: NOTHING,
        ends: &[("ORDER-1", "refunded"), ("ORDER-1 R1", "succeeded")],
    },
    Flow {
        name: "refund-closed",
        before: |scenario| {
            Box::pin(async move {
                PAID(scenario).await;
                scenario
                    .deployment
                    .wechat()
                    .set_refund_outcome(RefundOutcome::Closed);
                scenario.request(refund("ORDER-1", "R1", 100)).await;
                scenario.poll().await;
                scenario.pass(Duration::from_secs(4)).await;
            })
        },
        acts: |scenario| {
            Box::pin(async move {
                scenario.pass(Duration::from_secs(2)).await;
                scenario.poll().await;
            })
        },
        after: |scenario| {
            Box::pin(async move {
                scenario
                    .deployment
                    .wechat()
                    .set_refund_outcome(RefundOutcome::Success);
                scenario.request(refund("ORDER-1", "R2", 100)).await;
                scenario.run_until_quiet(Until::Soon).await;
            })
        },
        ends: &[
            ("ORDER-1", "refunded"),
            ("ORDER-1 R1", "closed"),
            ("ORDER-1 R2", "succeeded"),
        ],
    },
    Flow {
        name: "refund-abnormal",
        before: |scenario| {
            Box::pin(async move {
                PAID(scenario).await;
                scenario
                    .deployment
                    .wechat()
                    .set_refund_outcome(RefundOutcome::Abnormal);
                scenario.request(refund("ORDER-1", "R1", 100)).await;
                scenario.poll().await;
                scenario.pass(Duration::from_secs(6)).await;
                scenario.poll().await;
            })
        },
        acts: |scenario| {
            Box::pin(async move {
                let to = json!({"to": "merchant", "who": "Li", "why": "card gone"});
                scenario
                    .request(decide("ORDER-1", "R1", "abnormal", to))
                    .await;
                scenario.pass(Duration::from_secs(6)).await;
                scenario.poll().await;
            })
        },
        after: NOTHING,
        // Its money is with the merchant: the payer is owed.
        ends: &[("ORDER-1", "refunded"), ("ORDER-1 R1", "succeeded")],
    },
    Flow {
        // The payer of a refund that went to the merchant's own account was paid by other means.
        name: "refund-payer-paid",
        before: |scenario| {
            Box::pin(async move {
                PAID(scenario).await;
                let fails = RefundOutcome::Abnormal;
                scenario.deployment.wechat().set_refund_outcome(fails);
                scenario.request(refund("ORDER-1", "R1", 100)).await;
                scenario.poll().await;
                scenario.pass(Duration::from_secs(6)).await;
                scenario.poll().await;
                let to = json!({"to": "merchant", "who": "Li", "why": "card gone"});
                scenario
                    .request(decide("ORDER-1", "R1", "abnormal", to))
                    .await;
                scenario.pass(Duration::from_secs(6)).await;
                scenario.poll().await;
            })
        },
        acts: |scenario| {
            Box::pin(async move {
                let how = json!({"who": "Li", "why": "by bank"});
                scenario
                    .request(decide("ORDER-1", "R1", "payer-paid", how))
                    .await;
            })
        },
        after: NOTHING,
        ends: &[("ORDER-1", "refunded"), ("ORDER-1 R1", "succeeded")],
    },
    Flow {
        name: "refund-refused",
        before: |scenario| {
            Box::pin(async move {
                PAID(scenario).await;
                scenario
                    .deployment
                    .wechat()
                    .set_refund_outcome(RefundOutcome::Refused);
                scenario.request(refund("ORDER-1", "R1", 100)).await;
            })
        },
        acts: |scenario| Box::pin(scenario.poll_requests()),
        after: |scenario| {
            Box::pin(async move {
                scenario
                    .deployment
                    .wechat()
                    .set_refund_outcome(RefundOutcome::Success);
                scenario
                    .request(decide("ORDER-1", "R1", "retry", json!({})))
                    .await;
                scenario.run_until_quiet(Until::Soon).await;
            })
        },
        ends: &[("ORDER-1", "refunded"), ("ORDER-1 R1", "succeeded")],
    },
    Flow {
        name: "refund-retry",
        before: |scenario| {
            Box::pin(async move {
                PAID(scenario).await;
                scenario
                    .deployment
                    .wechat()
                    .set_refund_outcome(RefundOutcome::Refused);
                scenario.request(refund("ORDER-1", "R1", 100)).await;
                scenario.poll_requests().await;
                scenario
                    .deployment
                    .wechat()
                    .set_refund_outcome(RefundOutcome::Success);
            })
        },
        acts: |scenario| {
            Box::pin(async move {
                scenario
                    .request(decide("ORDER-1", "R1", "retry", json!({})))
                    .await;
                scenario.pass(Duration::from_secs(60)).await;
                scenario.poll().await;
                scenario.pass(Duration::from_secs(6)).await;
                scenario.poll().await;
            })
        },
        after: NOTHING,
        ends: &[("ORDER-1", "refunded"), ("ORDER-1 R1", "succeeded")],
    },
    Flow {
        name: "refund-release",
        before: |scenario| {
            Box::pin(async move {
                PAID(scenario).await;
                scenario
                    .deployment
                    .wechat()
                    .set_refund_outcome(RefundOutcome::Refused);
                scenario.request(refund("ORDER-1", "R1", 100)).await;
                scenario.poll_requests().await;
            })
        },
        acts: |scenario| {
            Box::pin(async move {
                let body = json!({"who": "Li", "why": "paid back in cash"});
                scenario
                    .request(decide("ORDER-1", "R1", "release", body))
                    .await;
            })
        },
        after: NOTHING,
        ends: &[("ORDER-1", "paid"), ("ORDER-1 R1", "closed")],
    },
    Flow {
        name: "refund-without-balance",
        before: |scenario| {
            Box::pin(async move {
                PAID(scenario).await;
                scenario.deployment.wechat().set_balance(0);
                scenario.request(refund("ORDER-1", "R1", 100)).await;
            })
        },
        acts: |scenario| Box::pin(scenario.poll_requests()),
        after: |scenario| {
            Box::pin(async move {
                scenario.deployment.wechat().set_balance(1_000);
                scenario.run_until_quiet(Until::Soon).await;
            })
        },
        ends: &[("ORDER-1", "refunded"), ("ORDER-1 R1", "succeeded")],
    },
    Flow {
        name: "console-refund",
        before: |scenario| {
            Box::pin(async move {
                PAID(scenario).await;
                let refunded = scenario.deployment.wechat().console_refund(&ConsoleRefund {
                    order: "ORDER-1".to_owned(),
                    refund_fen: 30,
                    notify_url: Some(scenario.deployment.notify_url.clone()),
                    ..ConsoleRefund::default()
                });
                refunded.expect("a paid order");
            })
        },
        acts: |scenario| {
            Box::pin(async move {
                scenario.pass(Duration::from_secs(6)).await;
                scenario.poll().await;
            })
        },
        after: |scenario| {
            Box::pin(async move {
                scenario
                    .request(refund("ORDER-1", "R1", 71).or("refund_exceeds_payment"))
                    .await;
                scenario.request(refund("ORDER-1", "R2", 70)).await;
                scenario.run_until_quiet(Until::Soon).await;
            })
        },
        ends: &[
            ("ORDER-1", "refunded"),
            ("ORDER-1 R1", "none"),
            ("ORDER-1 R2", "succeeded"),
        ],
    },
    Flow {
        // A second payment is parked here, and it is refunded in WeChat Pay's console.
        name: "console-refund-of-second",
        before: |scenario| {
            Box::pin(async move {
                PAID(scenario).await;
                scenario.money_comes_again("ORDER-1");
                scenario.deliver().await;
                scenario.poll().await;
                let refunded = scenario.deployment.wechat().console_refund(&ConsoleRefund {
                    order: "ORDER-1".to_owned(),
                    transaction_id: Some(scenario.parked_payment("ORDER-1")),
                    refund_fen: 100,
                    notify_url: Some(scenario.deployment.notify_url.clone()),
                    ..ConsoleRefund::default()
                });
                refunded.expect("a second payment");
            })
        },
        acts: |scenario| {
            Box::pin(async move {
                scenario.pass(Duration::from_secs(6)).await;
                scenario.poll().await;
            })
        },
        after: |scenario| {
            Box::pin(async move {
                let parked = scenario.parked_payment("ORDER-1");
                let mut pending = refund("ORDER-1", "R1", 100).or("refund_exceeds_payment");
                if let Some(body) = &mut pending.body {
                    body["transaction_id"] = parked.into();
                }
                scenario.request(pending).await;
                scenario.run_until_quiet(Until::Soon).await;
            })
        },
        ends: &[("ORDER-1", "paid"), ("ORDER-1 R1", "none")],
    },
];
