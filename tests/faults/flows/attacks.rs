//! Forged messages of an attacker, and messages of WeChat Pay itself that must not be booked.

use serde_json::json;
use testbed::environment::RESULTS;
use wechatpay_simulator::{Damage, ManualNotice, PayOptions};

use super::{CREATE, Flow, PAID, Step};
use crate::cases::scenario::{Scenario, Until};

/// A payment at WeChat Pay whose callback is not sent by itself.
const PAID_UNSEEN: Step = |scenario| {
    Box::pin(async move {
        CREATE(scenario).await;
        scenario
            .deployment
            .wechat()
            .pay("ORDER-1", &PayOptions::default())
            .expect("an order that can be paid");
    })
};

pub(super) const FLOWS: &[Flow] = &[
    Flow {
        name: "forged-callback",
        before: PAID_UNSEEN,
        acts: |scenario| {
            Box::pin(async move {
                // Each must be refused by receive-callback.
                for damage in [
                    Damage::WrongSignature,
                    Damage::UnknownSerial,
                    Damage::Probe,
                    Damage::ForeignApiv3Key,
                    Damage::CutCiphertext,
                    Damage::ForgedTag(json!({"amount": {"total": 900}})),
                    Damage::Stale(3_600),
                    Damage::Stale(-3_600),
                ] {
                    scenario.must_be_refused(&damage).await;
                }
            })
        },
        after: CALLBACK_COMES,
        ends: &[("ORDER-1", "paid")],
    },
    Flow {
        name: "altered-callback",
        before: PAID_UNSEEN,
        acts: |scenario| {
            Box::pin(async move {
                // Correctly signed and encrypted, but not what we requested: parked, never booked.
                for patch in [
                    json!({"amount": {"total": 1}}),
                    json!({"amount": {"currency": "USD"}}),
                    json!({"mchid": "1900000002"}),
                    json!({"appid": "wx00000000000000bb"}),
                ] {
                    scenario.must_not_be_booked(&Damage::Altered(patch)).await;
                }
            })
        },
        after: CALLBACK_COMES,
        ends: &[("ORDER-1", "paid")],
    },
    Flow {
        name: "other-notices",
        before: CREATE,
        acts: |scenario| {
            Box::pin(async move {
                // `TRANSACTION.SUCCESS` in name, and no payment of this order.
                for notice in [ManualNotice::ProfitSharing, ManualNotice::Combined] {
                    let callback = scenario.deployment.wechat().signed_notice(
                        &notice,
                        "ORDER-1",
                        &Damage::None,
                    );
                    let callback = callback.expect("a notice about an order");
                    scenario
                        .deployment
                        .act(
                            "a notice of another kind",
                            scenario.deployment.receive_signed(&callback),
                        )
                        .await;
                    scenario.poll().await;
                    scenario.must_be_unpaid("a notice of another kind");
                }
            })
        },
        after: |scenario| Box::pin(scenario.pay_as_shown("ORDER-1")),
        ends: &[("ORDER-1", "paid")],
    },
    Flow {
        name: "forged-message",
        before: PAID_UNSEEN,
        acts: |scenario| {
            Box::pin(async move {
                // Write access to the queue is not enough to make an order paid.
                scenario.forge_message().await;
                scenario.poll().await;
                scenario.must_be_unpaid("a forged message");
                scenario.deployment.cloud.queues().purge(RESULTS);
            })
        },
        after: CALLBACK_COMES,
        ends: &[("ORDER-1", "paid")],
    },
    Flow {
        // Old news about an order that has moved on.
        name: "old-news",
        before: |scenario| {
            Box::pin(async move {
                PAID(scenario).await;
                scenario.request(super::refund("ORDER-1", "R1", 100)).await;
                scenario.run_until_quiet(Until::Soon).await;
            })
        },
        acts: |scenario| {
            Box::pin(async move {
                let old = scenario
                    .deployment
                    .wechat()
                    .signed_callback("ORDER-1", &Damage::None)
                    .expect("a callback");
                scenario
                    .deployment
                    .act(
                        "the callback of the payment comes again",
                        scenario.deployment.receive_signed(&old),
                    )
                    .await;
                scenario.poll().await;
            })
        },
        after: super::NOTHING,
        ends: &[("ORDER-1", "refunded"), ("ORDER-1 R1", "succeeded")],
    },
];

/// The true callback comes after all.
const CALLBACK_COMES: Step = |scenario| {
    Box::pin(async move {
        scenario.deliver().await;
        scenario.poll().await;
    })
};

impl Scenario {
    /// A callback with this damage must not be acknowledged.
    async fn must_be_refused(&mut self, damage: &Damage) {
        let callback = self
            .deployment
            .wechat()
            .signed_callback("ORDER-1", damage)
            .expect("a callback");
        let what = format!("a callback with {damage:?}");
        let status = self
            .deployment
            .act(what.clone(), self.deployment.receive_signed(&callback))
            .await;
        self.require("what is not WeChat Pay's is refused", status >= 400, || {
            format!("{what} was acknowledged with {status}")
        });
    }

    /// A callback with this damage must not make the order paid.
    async fn must_not_be_booked(&mut self, damage: &Damage) {
        let callback = self
            .deployment
            .wechat()
            .signed_callback("ORDER-1", damage)
            .expect("a callback");
        let what = format!("a callback with {damage:?}");
        self.deployment
            .act(what.clone(), self.deployment.receive_signed(&callback))
            .await;
        self.poll().await;
        self.must_be_unpaid(&what);
    }

    /// A message in the queue has the form of a callback but no valid signature.
    async fn forge_message(&mut self) {
        let callback = self
            .deployment
            .wechat()
            .signed_callback("ORDER-1", &Damage::None)
            .expect("a callback");
        self.deployment
            .act(
                "a callback arrives",
                self.deployment.receive_signed(&callback),
            )
            .await;
        let signature = callback
            .headers
            .iter()
            .find(|(name, _)| name == "Wechatpay-Signature");
        let good = signature
            .map(|(_, value)| value.as_str())
            .expect("a signature");
        let bad = format!("{}{}", &good[1..], &good[..1]);
        self.deployment
            .cloud
            .queues()
            .rewrite(RESULTS, |body| body.replace(good, &bad));
        self.deployment
            .director
            .print("    somebody changes the signature in the queue");
    }

    fn must_be_unpaid(&mut self, after: &str) {
        let state = self.state("ORDER-1");
        self.require(
            "what differs is never booked",
            state == "awaiting_payment",
            || format!("ORDER-1 is {state} after {after}"),
        );
    }
}
