//! Orders: made, paid, renewed, closed, paid late and paid twice.

use std::time::Duration;

use wechatpay_simulator::{Fault, PayOptions, Rule};

use super::{CLOSED, CREATE, CREATE_LATER, Flow, NOTHING, PAID, close, create, order, refund};
use crate::{
    cases::scenario::{Scenario, Until},
    engine::client::PendingRequest,
};

/// A day, which is longer than a QR code lives.
const DAY_S: i64 = 86_400;

pub(super) const FLOWS: &[Flow] = &[
    Flow {
        name: "create",
        before: NOTHING,
        acts: CREATE,
        after: |scenario| Box::pin(scenario.pay_as_shown("ORDER-1")),
        ends: &[("ORDER-1", "paid")],
    },
    Flow {
        name: "create-jsapi",
        before: NOTHING,
        acts: |scenario| {
            Box::pin(async move {
                let mut body = order("ORDER-1");
                body["product"] = "jsapi".into();
                body["openid"] = crate::checks::secrets::OPENID.into();
                body["payer_id"] = "payer-1".into();
                scenario
                    .request(PendingRequest::post("/v1/orders", body))
                    .await;
            })
        },
        after: |scenario| Box::pin(scenario.pay_as_shown("ORDER-1")),
        ends: &[("ORDER-1", "paid")],
    },
    Flow {
        name: "create-async",
        before: NOTHING,
        acts: |scenario| {
            Box::pin(async move {
                CREATE_LATER(scenario).await;
                scenario.poll().await;
            })
        },
        after: |scenario| Box::pin(scenario.pay_as_shown("ORDER-1")),
        ends: &[("ORDER-1", "paid")],
    },
    Flow {
        // The client requests the order once and never again, and it is not paid.
        name: "create-abandoned",
        before: NOTHING,
        acts: |scenario| {
            Box::pin(async move {
                scenario.request(create("ORDER-1").once()).await;
            })
        },
        after: NOTHING,
        ends: &[("ORDER-1", "none|closed")],
    },
    Flow {
        name: "callback",
        before: CREATE,
        acts: |scenario| {
            Box::pin(async move {
                scenario.pay("ORDER-1").await;
                scenario.poll().await;
            })
        },
        after: NOTHING,
        ends: &[("ORDER-1", "paid")],
    },
    Flow {
        // The payment is there before the prepay value is stored.
        name: "callback-first",
        before: CREATE_LATER,
        acts: |scenario| {
            Box::pin(async move {
                scenario.poll_requests().await;
                if scenario
                    .deployment
                    .wechat()
                    .pay("ORDER-1", &PayOptions::default())
                    .is_ok()
                {
                    scenario.deliver().await;
                }
                scenario.poll().await;
            })
        },
        after: |scenario| Box::pin(scenario.pay_unless_paid("ORDER-1")),
        ends: &[("ORDER-1", "paid")],
    },
    Flow {
        name: "lost-callback",
        before: |scenario| {
            Box::pin(async move {
                CREATE(scenario).await;
                scenario.wechat_fault(Rule::always(Fault::LostCallback));
                scenario.pay("ORDER-1").await;
                scenario.pass(Duration::from_secs(60)).await;
            })
        },
        acts: |scenario| Box::pin(scenario.sweep()),
        after: NOTHING,
        ends: &[("ORDER-1", "paid")],
    },
    Flow {
        name: "read",
        before: |scenario| {
            Box::pin(async move {
                CREATE(scenario).await;
                scenario.wechat_fault(Rule::always(Fault::LostCallback));
                scenario.pay("ORDER-1").await;
                scenario.pass(Duration::from_secs(10)).await;
            })
        },
        acts: |scenario| {
            Box::pin(async move {
                scenario
                    .request(PendingRequest::get("/v1/orders/ORDER-1"))
                    .await;
            })
        },
        after: NOTHING,
        ends: &[("ORDER-1", "paid")],
    },
    Flow {
        name: "renewal",
        before: |scenario| {
            Box::pin(async move {
                scenario.request(create_for("ORDER-1", DAY_S)).await;
                scenario.pass(Duration::from_secs(7_200)).await;
            })
        },
        acts: |scenario| {
            Box::pin(async move {
                scenario.request(create_for("ORDER-1", DAY_S)).await;
            })
        },
        after: |scenario| Box::pin(scenario.pay_as_shown("ORDER-1")),
        ends: &[("ORDER-1", "paid")],
    },
    Flow {
        name: "close",
        before: CREATE,
        acts: CLOSE,
        after: NOTHING,
        ends: &[("ORDER-1", "closed")],
    },
    Flow {
        // The order is closed before it was sent to WeChat Pay.
        name: "close-reserved",
        before: CREATE_LATER,
        acts: CLOSE,
        after: NOTHING,
        ends: &[("ORDER-1", "closed")],
    },
    Flow {
        name: "close-paid",
        before: |scenario| {
            Box::pin(async move {
                CREATE(scenario).await;
                scenario.wechat_fault(Rule::times(Fault::PayBeforeClose, 1));
            })
        },
        acts: CLOSE,
        after: NOTHING,
        ends: &[("ORDER-1", "paid")],
    },
    Flow {
        name: "close-then-money",
        before: |scenario| {
            Box::pin(async move {
                CREATE(scenario).await;
                scenario.wechat_fault(Rule::times(Fault::PayAfterClose, 1));
            })
        },
        acts: CLOSE,
        after: NOTHING,
        // Where the close is struck, the money may be found before the order is closed here.
        ends: &[("ORDER-1", "refunded|paid|closed")],
    },
    Flow {
        name: "expiry",
        before: |scenario| {
            Box::pin(async move {
                CREATE(scenario).await;
                scenario.pass(Duration::from_secs(7_210)).await;
            })
        },
        acts: |scenario| Box::pin(scenario.sweep()),
        after: NOTHING,
        ends: &[("ORDER-1", "closed")],
    },
    Flow {
        name: "expiry-reserved",
        before: |scenario| {
            Box::pin(async move {
                CREATE_LATER(scenario).await;
                scenario.pass(Duration::from_secs(7_210)).await;
            })
        },
        acts: |scenario| {
            Box::pin(async move {
                scenario.sweep().await;
                scenario.poll().await;
            })
        },
        after: NOTHING,
        ends: &[("ORDER-1", "closed")],
    },
    Flow {
        name: "late-money",
        before: |scenario| {
            Box::pin(async move {
                CLOSED(scenario).await;
                scenario.money_comes_late("ORDER-1");
            })
        },
        acts: LATE_MONEY,
        after: NOTHING,
        ends: &[("ORDER-1", "refunded")],
    },
    Flow {
        // The payer pays an order that is paid.
        name: "double-money",
        before: |scenario| {
            Box::pin(async move {
                PAID(scenario).await;
                scenario.money_comes_again("ORDER-1");
            })
        },
        acts: |scenario| {
            Box::pin(async move {
                scenario.deliver().await;
                scenario.poll().await;
            })
        },
        after: |scenario| {
            Box::pin(async move {
                let parked = scenario.parked_payment("ORDER-1");
                // The client alone does not give it back.
                let mut pending = refund("ORDER-1", "R1", 100).or("refund_needs_two_persons");
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

/// The client closes the order.
const CLOSE: super::Step = |scenario| {
    Box::pin(async move {
        scenario.request(close("ORDER-1")).await;
    })
};

/// The payment's callback arrives, it is booked and refunded automatically, and the refund's
/// callback arrives.
const LATE_MONEY: super::Step = |scenario| {
    Box::pin(async move {
        scenario.deliver().await;
        scenario.poll().await;
        scenario.poll().await;
        scenario.pass(Duration::from_secs(6)).await;
        scenario.poll().await;
    })
};

/// The request for an order that can be paid for so long.
fn create_for(order_no: &str, expires_in_s: i64) -> PendingRequest {
    let mut body = order(order_no);
    body["expires_in_s"] = expires_in_s.into();
    PendingRequest::post("/v1/orders", body)
}

impl Scenario {
    /// Something goes wrong at WeChat Pay from now on.
    pub(crate) fn wechat_fault(&self, rule: Rule) {
        self.deployment.wechat().add_fault(rule).expect("a rule");
    }

    /// A payment arrives for an order that can no longer be paid.
    pub(crate) fn money_comes_late(&self, order_no: &str) {
        self.deployment.director.print(format!(
            "{} money comes late for {order_no}",
            self.deployment.time()
        ));
        self.deployment
            .wechat()
            .pay_late(order_no, &PayOptions::default())
            .expect("an order that is not paid");
    }

    /// A second payment comes for an order that is paid.
    pub(crate) fn money_comes_again(&self, order_no: &str) {
        self.deployment.director.print(format!(
            "{} a second payment comes for {order_no}",
            self.deployment.time()
        ));
        self.deployment
            .wechat()
            .pay_again(order_no, &PayOptions::default())
            .expect("an order that is paid");
    }
}
