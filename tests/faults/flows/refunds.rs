//! Refunds: whole and in parts, found by the sweep, failing in each way, made in the console.

use std::time::Duration;

use serde_json::json;
use wechatpay_simulator::{ConsoleRefund, Fault, RefundOutcome, Rule};

use super::{Flow, NOTHING, PAID, decide, refund};
use crate::play::Until;

pub(super) const FLOWS: &[Flow] = &[
    Flow {
        name: "refund",
        before: PAID,
        acts: |play| {
            Box::pin(async move {
                play.wish(refund("ORDER-1", "R1", 100)).await;
                play.poll().await;
                play.pass(Duration::from_secs(6)).await;
                play.poll().await;
            })
        },
        after: NOTHING,
        ends: &[("ORDER-1", "refunded"), ("ORDER-1 R1", "succeeded")],
    },
    Flow {
        name: "partial-refunds",
        before: PAID,
        acts: |play| {
            Box::pin(async move {
                // The last is too much, unless one of the others did not get through at first: then it is that one.
                for (refund_no, amount_fen) in [("R1", 40), ("R2", 60), ("R3", 40)] {
                    let wish = refund("ORDER-1", refund_no, amount_fen);
                    play.wish(wish.or("refund_exceeds_payment")).await;
                }
                play.poll().await;
                play.pass(Duration::from_secs(60)).await;
                play.poll().await;
            })
        },
        after: NOTHING,
        ends: &[("ORDER-1", "refunded|partially_refunded")],
    },
    Flow {
        // The first is put off by WeChat Pay until the second's minute: both are due in the same moment.
        name: "refunds-at-once",
        before: |play| {
            Box::pin(async move {
                PAID(play).await;
                play.wechat_fault(Rule::times(Fault::TooManyRequests, 1));
                play.wish(refund("ORDER-1", "R1", 40)).await;
                play.wish(refund("ORDER-1", "R2", 60)).await;
                play.poll_requests().await;
                play.pass(Duration::from_secs(60)).await;
            })
        },
        acts: |play| {
            Box::pin(async move {
                play.sweep().await;
                play.poll().await;
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
        before: |play| {
            Box::pin(async move {
                PAID(play).await;
                play.wechat_fault(Rule::always(Fault::LostCallback));
                play.wish(refund("ORDER-1", "R1", 100)).await;
            })
        },
        acts: |play| {
            Box::pin(async move {
                play.sweep().await;
                play.pass(Duration::from_secs(60)).await;
                play.sweep().await;
            })
        },
        after: NOTHING,
        ends: &[("ORDER-1", "refunded"), ("ORDER-1 R1", "succeeded")],
    },
    Flow {
        name: "refund-closed",
        before: |play| {
            Box::pin(async move {
                PAID(play).await;
                play.scene
                    .wechat()
                    .set_refund_outcome(RefundOutcome::Closed);
                play.wish(refund("ORDER-1", "R1", 100)).await;
                play.poll().await;
                play.pass(Duration::from_secs(4)).await;
            })
        },
        acts: |play| {
            Box::pin(async move {
                play.pass(Duration::from_secs(2)).await;
                play.poll().await;
            })
        },
        after: |play| {
            Box::pin(async move {
                play.scene
                    .wechat()
                    .set_refund_outcome(RefundOutcome::Success);
                play.wish(refund("ORDER-1", "R2", 100)).await;
                play.run_until_quiet(Until::Soon).await;
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
        before: |play| {
            Box::pin(async move {
                PAID(play).await;
                play.scene
                    .wechat()
                    .set_refund_outcome(RefundOutcome::Abnormal);
                play.wish(refund("ORDER-1", "R1", 100)).await;
                play.poll().await;
                play.pass(Duration::from_secs(6)).await;
                play.poll().await;
            })
        },
        acts: |play| {
            Box::pin(async move {
                let to = json!({"to": "merchant", "who": "Li", "why": "card gone"});
                play.wish(decide("ORDER-1", "R1", "abnormal", to)).await;
                play.pass(Duration::from_secs(6)).await;
                play.poll().await;
            })
        },
        after: NOTHING,
        // Its money is with the merchant: the payer is owed.
        ends: &[("ORDER-1", "refunded"), ("ORDER-1 R1", "succeeded")],
    },
    Flow {
        // The payer of a refund that went to the merchant's own account was paid by other means.
        name: "refund-payer-paid",
        before: |play| {
            Box::pin(async move {
                PAID(play).await;
                let fails = RefundOutcome::Abnormal;
                play.scene.wechat().set_refund_outcome(fails);
                play.wish(refund("ORDER-1", "R1", 100)).await;
                play.poll().await;
                play.pass(Duration::from_secs(6)).await;
                play.poll().await;
                let to = json!({"to": "merchant", "who": "Li", "why": "card gone"});
                play.wish(decide("ORDER-1", "R1", "abnormal", to)).await;
                play.pass(Duration::from_secs(6)).await;
                play.poll().await;
            })
        },
        acts: |play| {
            Box::pin(async move {
                let how = json!({"who": "Li", "why": "by bank"});
                play.wish(decide("ORDER-1", "R1", "payer-paid", how)).await;
            })
        },
        after: NOTHING,
        ends: &[("ORDER-1", "refunded"), ("ORDER-1 R1", "succeeded")],
    },
    Flow {
        name: "refund-refused",
        before: |play| {
            Box::pin(async move {
                PAID(play).await;
                play.scene
                    .wechat()
                    .set_refund_outcome(RefundOutcome::Refused);
                play.wish(refund("ORDER-1", "R1", 100)).await;
            })
        },
        acts: |play| Box::pin(play.poll_requests()),
        after: |play| {
            Box::pin(async move {
                play.scene
                    .wechat()
                    .set_refund_outcome(RefundOutcome::Success);
                play.wish(decide("ORDER-1", "R1", "retry", json!({}))).await;
                play.run_until_quiet(Until::Soon).await;
            })
        },
        ends: &[("ORDER-1", "refunded"), ("ORDER-1 R1", "succeeded")],
    },
    Flow {
        name: "refund-retry",
        before: |play| {
            Box::pin(async move {
                PAID(play).await;
                play.scene
                    .wechat()
                    .set_refund_outcome(RefundOutcome::Refused);
                play.wish(refund("ORDER-1", "R1", 100)).await;
                play.poll_requests().await;
                play.scene
                    .wechat()
                    .set_refund_outcome(RefundOutcome::Success);
            })
        },
        acts: |play| {
            Box::pin(async move {
                play.wish(decide("ORDER-1", "R1", "retry", json!({}))).await;
                play.pass(Duration::from_secs(60)).await;
                play.poll().await;
                play.pass(Duration::from_secs(6)).await;
                play.poll().await;
            })
        },
        after: NOTHING,
        ends: &[("ORDER-1", "refunded"), ("ORDER-1 R1", "succeeded")],
    },
    Flow {
        name: "refund-release",
        before: |play| {
            Box::pin(async move {
                PAID(play).await;
                play.scene
                    .wechat()
                    .set_refund_outcome(RefundOutcome::Refused);
                play.wish(refund("ORDER-1", "R1", 100)).await;
                play.poll_requests().await;
            })
        },
        acts: |play| {
            Box::pin(async move {
                let body = json!({"who": "Li", "why": "paid back in cash"});
                play.wish(decide("ORDER-1", "R1", "release", body)).await;
            })
        },
        after: NOTHING,
        ends: &[("ORDER-1", "paid"), ("ORDER-1 R1", "closed")],
    },
    Flow {
        name: "refund-without-balance",
        before: |play| {
            Box::pin(async move {
                PAID(play).await;
                play.scene.wechat().set_balance(0);
                play.wish(refund("ORDER-1", "R1", 100)).await;
            })
        },
        acts: |play| Box::pin(play.poll_requests()),
        after: |play| {
            Box::pin(async move {
                play.scene.wechat().set_balance(1_000);
                play.run_until_quiet(Until::Soon).await;
            })
        },
        ends: &[("ORDER-1", "refunded"), ("ORDER-1 R1", "succeeded")],
    },
    Flow {
        name: "console-refund",
        before: |play| {
            Box::pin(async move {
                PAID(play).await;
                let refunded = play.scene.wechat().console_refund(&ConsoleRefund {
                    order: "ORDER-1".to_owned(),
                    refund_fen: 30,
                    notify_url: Some(play.scene.notify_url.clone()),
                    ..ConsoleRefund::default()
                });
                refunded.expect("a paid order");
            })
        },
        acts: |play| {
            Box::pin(async move {
                play.pass(Duration::from_secs(6)).await;
                play.poll().await;
            })
        },
        after: |play| {
            Box::pin(async move {
                play.wish(refund("ORDER-1", "R1", 71).or("refund_exceeds_payment"))
                    .await;
                play.wish(refund("ORDER-1", "R2", 70)).await;
                play.run_until_quiet(Until::Soon).await;
            })
        },
        ends: &[
            ("ORDER-1", "refunded"),
            ("ORDER-1 R1", "none"),
            ("ORDER-1 R2", "succeeded"),
        ],
    },
    Flow {
        // A second payment is parked here, and somebody gives it back in the console.
        name: "console-refund-of-second",
        before: |play| {
            Box::pin(async move {
                PAID(play).await;
                play.money_comes_again("ORDER-1");
                play.deliver().await;
                play.poll().await;
                let refunded = play.scene.wechat().console_refund(&ConsoleRefund {
                    order: "ORDER-1".to_owned(),
                    transaction_id: Some(play.parked_payment("ORDER-1")),
                    refund_fen: 100,
                    notify_url: Some(play.scene.notify_url.clone()),
                    ..ConsoleRefund::default()
                });
                refunded.expect("a second payment");
            })
        },
        acts: |play| {
            Box::pin(async move {
                play.pass(Duration::from_secs(6)).await;
                play.poll().await;
            })
        },
        after: |play| {
            Box::pin(async move {
                let parked = play.parked_payment("ORDER-1");
                let mut wish = refund("ORDER-1", "R1", 100).or("refund_exceeds_payment");
                if let Some(body) = &mut wish.body {
                    body["transaction_id"] = parked.into();
                }
                play.wish(wish).await;
                play.run_until_quiet(Until::Soon).await;
            })
        },
        ends: &[("ORDER-1", "paid"), ("ORDER-1 R1", "none")],
    },
];
