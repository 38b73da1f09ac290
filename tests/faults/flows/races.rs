//! Two who act at the same time, interleaved at each of their calls.

use std::time::Duration;

use futures_util::future::{FutureExt, LocalBoxFuture};
use stores::queues::ReconcileWork;
use testbed::environment::{REQUESTS, RESULTS, WEBHOOKS, WORK};
use wechatpay_simulator::{ConsoleRefund, Damage, Endpoint, Fault, RefundOutcome, Rule};

use super::{
    CLOSED, CREATE, CREATE_LATER, NOTHING, PAID, Step, close, create, days, decide, refund,
    webhooks,
};
use crate::{
    cases::scenario::{ConcurrentAnswers, Until},
    engine::{
        books::Records,
        client::PendingRequest,
        deployment::{Deployment, Poll},
    },
};

/// A race: one side is stopped at a call, the other runs to its end, then the first continues. Run
/// for every call of each side.
pub(crate) struct Race {
    pub(crate) name: &'static str,
    pub(crate) before: Step,
    pub(crate) sides: [Side; 2],
    pub(crate) after: Step,
    pub(crate) ends: &'static [(&'static str, &'static str)],
}

impl Race {
    /// For a race of long sides: one is stopped at every so many of its calls only, and then the
    /// other runs to its end.
    pub(crate) fn strides(&self) -> Option<usize> {
        match self.name {
            DAYS => Some(7),
            // One side is through between any two calls of the other: that is what these are about.
            CONSOLE_REFUND => Some(1),
            REDIRECTS => Some(5),
            name if name.ends_with(LATEST_FIRST) => Some(1),
            _ => None,
        }
    }

    /// Whether of the calls that a side makes at once the last is let through first: what is read
    /// side by side may be read in either order.
    pub(crate) fn latest_first(&self) -> bool {
        self.name == CONSOLE_REFUND || self.name.ends_with(LATEST_FIRST)
    }
}

/// The race of two runs of one day.
const DAYS: &str = "day-and-day";
/// The race of the news of a refund from the console with itself.
const CONSOLE_REFUND: &str = "console-refund-reported-twice";
/// The race of one decision about an abnormal refund with its repeat, of which WeChat Pay takes
/// one.
const REDIRECTS: &str = "redirect-and-redirect";
/// How the name of a race ends in which reads side by side are done the other way round.
const LATEST_FIRST: &str = "-latest-read-first";

/// One side of a race.
pub(crate) type Side = for<'a> fn(&'a Deployment, &'a ConcurrentAnswers) -> LocalBoxFuture<'a, ()>;

const ASK_CREATE: Side = |deployment, asked| asked.ask(deployment, create("ORDER-1")).boxed_local();
const ASK_CLOSE: Side = |deployment, asked| asked.ask(deployment, close("ORDER-1")).boxed_local();
const READ: Side = |deployment, asked| {
    asked
        .ask(deployment, PendingRequest::get("/v1/orders/ORDER-1"))
        .boxed_local()
};
const SWEEP: Side = |deployment, _| deployment.sweep().boxed_local();
const POLL_WORK: Side = |deployment, _| deployment.poll(WORK).map(drop).boxed_local();
const POLL_WORK_TWICE_DELIVERED: Side = |deployment, _| poll(deployment, WORK).boxed_local();
const ASK_REFUND: Side = |deployment, asked| {
    asked
        .ask(deployment, refund("ORDER-1", "R1", 60))
        .boxed_local()
};
const POLL_REQUESTS: Side = |deployment, _| poll(deployment, REQUESTS).boxed_local();
const POLL_WEBHOOKS: Side = |deployment, _| poll(deployment, WEBHOOKS).boxed_local();
const POLL_RESULTS: Side = |deployment, _| poll(deployment, RESULTS).boxed_local();

const ASK_REDIRECT: Side = |deployment, asked| {
    let to = serde_json::json!({"to": "merchant", "who": "Li", "why": "card gone"});
    let pending = decide("ORDER-1", "R1", "abnormal", to).or("wechatpay_refused");
    asked.ask(deployment, pending).boxed_local()
};

/// Takes messages that another may receive at the same time.
async fn poll(deployment: &Deployment, url: &str) {
    let how = Poll {
        again: true,
        ..Poll::default()
    };
    deployment.poll_as(url, &how).await;
}

/// The order is created and paid, and the callback waits in the queue.
const PAID_AND_QUEUED: Step = |scenario| {
    Box::pin(async move {
        scenario.request(create("ORDER-1")).await;
        scenario.pay("ORDER-1").await;
    })
};

/// Ten hours of QR code: the first value has run out.
const RUN_OUT: Step = |scenario| {
    Box::pin(async move {
        let mut pending = create("ORDER-1");
        if let Some(body) = &mut pending.body {
            body["expires_in_s"] = 86_400.into();
        }
        scenario.request(pending).await;
        scenario.pass(Duration::from_secs(7_200)).await;
    })
};

const RENEW: Side = |deployment, asked| {
    let mut pending = create("ORDER-1");
    if let Some(body) = &mut pending.body {
        body["expires_in_s"] = 86_400.into();
    }
    asked.ask(deployment, pending).boxed_local()
};

pub(crate) const RACES: &[Race] = &[
    Race {
        // One message is with two at once, and either may be the one that ends the webhook.
        name: "webhook-and-webhook",
        before: webhooks::GONE_FOR_HOURS,
        sides: [POLL_WEBHOOKS, POLL_WEBHOOKS],
        after: webhooks::SET_UP_AGAIN,
        ends: webhooks::PAID_AND_TOLD,
    },
    Race {
        name: "create-and-create",
        before: NOTHING,
        sides: [ASK_CREATE, ASK_CREATE],
        after: |scenario| Box::pin(scenario.pay_as_shown("ORDER-1")),
        ends: &[("ORDER-1", "paid")],
    },
    Race {
        name: "create-and-queue",
        before: CREATE_LATER,
        sides: [ASK_CREATE, POLL_REQUESTS],
        after: |scenario| Box::pin(scenario.pay_as_shown("ORDER-1")),
        ends: &[("ORDER-1", "paid")],
    },
    Race {
        name: "renewal-and-renewal",
        before: RUN_OUT,
        sides: [RENEW, RENEW],
        after: |scenario| Box::pin(scenario.pay_as_shown("ORDER-1")),
        ends: &[("ORDER-1", "paid")],
    },
    Race {
        name: "close-and-create",
        before: CREATE_LATER,
        sides: [ASK_CLOSE, ASK_CREATE],
        after: NOTHING,
        ends: &[("ORDER-1", "closed")],
    },
    Race {
        name: "close-and-queue",
        before: CREATE_LATER,
        sides: [ASK_CLOSE, POLL_REQUESTS],
        after: NOTHING,
        ends: &[("ORDER-1", "closed")],
    },
    Race {
        name: "close-and-close",
        before: CREATE,
        sides: [ASK_CLOSE, ASK_CLOSE],
        after: NOTHING,
        ends: &[("ORDER-1", "closed")],
    },
    Race {
        name: "close-and-callback",
        before: PAID_AND_QUEUED,
        sides: [ASK_CLOSE, POLL_RESULTS],
        after: NOTHING,
        ends: &[("ORDER-1", "paid")],
    },
    Race {
        name: "read-and-callback",
        before: |scenario| {
            Box::pin(async move {
                PAID_AND_QUEUED(scenario).await;
                scenario.pass(Duration::from_secs(10)).await;
            })
        },
        sides: [READ, POLL_RESULTS],
        after: NOTHING,
        ends: &[("ORDER-1", "paid")],
    },
    Race {
        name: "callback-twice",
        before: PAID_AND_QUEUED,
        sides: [POLL_RESULTS, POLL_RESULTS],
        after: NOTHING,
        ends: &[("ORDER-1", "paid")],
    },
    Race {
        name: "sweep-and-callback",
        before: |scenario| {
            Box::pin(async move {
                PAID_AND_QUEUED(scenario).await;
                scenario.pass(Duration::from_secs(60)).await;
            })
        },
        sides: [SWEEP, POLL_RESULTS],
        after: NOTHING,
        ends: &[("ORDER-1", "paid")],
    },
    Race {
        name: "sweep-and-sweep",
        before: |scenario| {
            Box::pin(async move {
                scenario.wechat_fault(Rule::always(Fault::LostCallback));
                PAID_AND_QUEUED(scenario).await;
                scenario.pass(Duration::from_secs(60)).await;
            })
        },
        sides: [SWEEP, SWEEP],
        after: NOTHING,
        ends: &[("ORDER-1", "paid")],
    },
    Race {
        name: "expiry-and-late-callback",
        before: |scenario| {
            Box::pin(async move {
                CREATE(scenario).await;
                scenario.pass(Duration::from_secs(7_198)).await;
                scenario.wechat_fault(Rule::times(Fault::SlowCallback { delay_ms: 11_000 }, 1));
                scenario.money_comes_late("ORDER-1");
                scenario.pass(Duration::from_secs(12)).await;
            })
        },
        sides: [SWEEP, POLL_RESULTS],
        after: NOTHING,
        ends: &[("ORDER-1", "paid")],
    },
    Race {
        name: "late-money-twice",
        before: |scenario| {
            Box::pin(async move {
                CLOSED(scenario).await;
                scenario.money_comes_late("ORDER-1");
                scenario.deliver().await;
            })
        },
        sides: [POLL_RESULTS, POLL_RESULTS],
        after: NOTHING,
        ends: &[("ORDER-1", "refunded")],
    },
    Race {
        name: "refund-and-refund",
        before: PAID,
        sides: [
            |deployment, asked| {
                asked
                    .ask(
                        deployment,
                        refund("ORDER-1", "R1", 60).or("refund_exceeds_payment"),
                    )
                    .boxed_local()
            },
            |deployment, asked| {
                asked
                    .ask(
                        deployment,
                        refund("ORDER-1", "R2", 60).or("refund_exceeds_payment"),
                    )
                    .boxed_local()
            },
        ],
        after: NOTHING,
        ends: &[("ORDER-1", "partially_refunded")],
    },
    Race {
        name: "refund-twice",
        before: PAID,
        sides: [ASK_REFUND, ASK_REFUND],
        after: NOTHING,
        ends: &[
            ("ORDER-1", "partially_refunded"),
            ("ORDER-1 R1", "succeeded"),
        ],
    },
    Race {
        name: "refund-twice-latest-read-first",
        before: PAID,
        sides: [ASK_REFUND, ASK_REFUND],
        after: NOTHING,
        ends: &[
            ("ORDER-1", "partially_refunded"),
            ("ORDER-1 R1", "succeeded"),
        ],
    },
    Race {
        // The news of a refund that was made in WeChat Pay's console arrives twice.
        name: CONSOLE_REFUND,
        before: |scenario| {
            Box::pin(async move {
                PAID(scenario).await;
                let refunded = scenario.deployment.wechat().console_refund(&ConsoleRefund {
                    order: "ORDER-1".to_owned(),
                    refund_fen: 60,
                    notify_url: Some(scenario.deployment.notify_url.clone()),
                    ..ConsoleRefund::default()
                });
                refunded.expect("a paid order");
                scenario.pass(Duration::from_secs(6)).await;
            })
        },
        sides: [POLL_RESULTS, POLL_RESULTS],
        after: |scenario| {
            Box::pin(async move {
                let books = Records::read(&scenario.deployment);
                let waiting = books.orders["ORDER-1"].parked_refunds.len();
                scenario.require("what is booked waits for nobody", waiting == 0, || {
                    format!("{waiting} refunds are parked")
                });
            })
        },
        ends: &[("ORDER-1", "partially_refunded")],
    },
    Race {
        // SQS delivers an approval twice.
        name: "approval-delivered-twice",
        before: days::SECOND_PAYMENT_IS_APPROVED,
        sides: [POLL_WORK_TWICE_DELIVERED, POLL_WORK_TWICE_DELIVERED],
        after: NOTHING,
        ends: days::APPROVED_ENDS,
    },
    Race {
        name: "refund-by-queue-and-sweep",
        before: |scenario| {
            Box::pin(async move {
                PAID(scenario).await;
                scenario.request(refund("ORDER-1", "R1", 100)).await;
            })
        },
        sides: [POLL_REQUESTS, SWEEP],
        after: NOTHING,
        ends: &[("ORDER-1", "refunded"), ("ORDER-1 R1", "succeeded")],
    },
    Race {
        name: "refund-notice-and-sweep",
        before: |scenario| {
            Box::pin(async move {
                PAID(scenario).await;
                scenario.request(refund("ORDER-1", "R1", 100)).await;
                scenario.poll().await;
                scenario.pass(Duration::from_secs(60)).await;
            })
        },
        sides: [POLL_RESULTS, SWEEP],
        after: NOTHING,
        ends: &[("ORDER-1", "refunded"), ("ORDER-1 R1", "succeeded")],
    },
    Race {
        name: "retry-and-release",
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
        sides: [
            |deployment, asked| {
                asked
                    .ask(
                        deployment,
                        decide("ORDER-1", "R1", "retry", serde_json::json!({})),
                    )
                    .boxed_local()
            },
            |deployment, asked| {
                let body = serde_json::json!({"who": "Li", "why": "paid back in cash"});
                asked
                    .ask(deployment, decide("ORDER-1", "R1", "release", body))
                    .boxed_local()
            },
        ],
        after: NOTHING,
        ends: &[
            ("ORDER-1", "refunded|paid"),
            ("ORDER-1 R1", "succeeded|closed"),
        ],
    },
    Race {
        // The first call is refused for a temporary reason: the decision is kept.
        name: REDIRECTS,
        before: |scenario| {
            Box::pin(async move {
                PAID(scenario).await;
                let fails = RefundOutcome::Abnormal;
                scenario.deployment.wechat().set_refund_outcome(fails);
                scenario.request(refund("ORDER-1", "R1", 100)).await;
                scenario.poll().await;
                scenario.pass(Duration::from_secs(6)).await;
                scenario.poll().await;
                let refuses = Fault::Refuse {
                    status: 400,
                    code: "PARAM_ERROR".to_owned(),
                };
                scenario.wechat_fault(Rule::times(refuses, 1).at(Endpoint::AbnormalRefund));
            })
        },
        sides: [ASK_REDIRECT, ASK_REDIRECT],
        after: NOTHING,
        ends: &[("ORDER-1", "refunded"), ("ORDER-1 R1", "succeeded")],
    },
    Race {
        name: DAYS,
        before: |scenario| {
            Box::pin(async move {
                days::DAY(scenario).await;
                scenario
                    .deployment
                    .send_work(&ReconcileWork::DailyV1 { scheduled_at: None });
                scenario
                    .deployment
                    .send_work(&ReconcileWork::DailyV1 { scheduled_at: None });
            })
        },
        sides: [POLL_WORK, POLL_WORK],
        after: NOTHING,
        ends: days::DAY_ENDS,
    },
    Race {
        name: "callback-and-copy",
        before: |scenario| {
            Box::pin(async move {
                PAID_AND_QUEUED(scenario).await;
                scenario.run_until_quiet(Until::Soon).await;
            })
        },
        sides: [
            |deployment, _| copy(deployment).boxed_local(),
            |deployment, _| copy(deployment).boxed_local(),
        ],
        after: NOTHING,
        ends: &[("ORDER-1", "paid")],
    },
];

/// The callback of the payment once more.
async fn copy(deployment: &Deployment) {
    let copy = deployment
        .wechat()
        .signed_callback("ORDER-1", &Damage::None)
        .expect("a callback");
    deployment.receive_signed(&copy).await;
}
