//! Webhooks: from the journal by the stream, the pipe and the queue to the receiver, and what
//! becomes of events that it does not take.

use std::time::Duration;

use serde_json::json;
use testbed::environment::WEBHOOKS;
use wechatpay::{UnixSeconds, time::format_rfc3339_beijing};

use super::{CREATE, Flow, NOTHING, Step, create};
use crate::{
    cases::scenario::{Scenario, Until},
    engine::{client::PendingRequest, deployment::Poll, receiver::Manner},
};

/// Since when everything in a deployment happened.
const LONG_AGO: &str = "2026-08-01T00:00:00+08:00";

/// After this many attempts within hours, a receiver that always answers 410 is called once more
/// and then never again.
const ATTEMPTS_BEFORE_THE_END: usize = 5;
/// The last attempt is the eighth.
const ATTEMPTS_BEFORE_THE_LAST: usize = 7;

pub(super) const FLOWS: &[Flow] = &[
    Flow {
        // The queue hands the newest over first, and some of it twice.
        name: "webhook",
        before: |scenario| {
            Box::pin(async move {
                CREATE(scenario).await;
                scenario.pay("ORDER-1").await;
                scenario.poll().await;
                scenario.deployment.set_up_webhook().await;
                scenario.deployment.pipe();
            })
        },
        acts: |scenario| {
            Box::pin(async move {
                let newest_first = Poll {
                    most: 2,
                    again: true,
                    backwards: true,
                };
                scenario.poll_webhooks_as(&newest_first).await;
                scenario.poll_webhooks().await;
            })
        },
        after: NOTHING,
        ends: PAID_AND_TOLD,
    },
    Flow {
        // The receiver fails at first.
        name: "webhook-refused",
        before: |scenario| {
            Box::pin(async move {
                PAYMENT_TO_BE_TOLD(scenario).await;
                scenario
                    .deployment
                    .receiver
                    .behaves_next([Manner::Answers(500)]);
            })
        },
        acts: |scenario| {
            Box::pin(async move {
                scenario.poll_webhooks().await;
                scenario.pass(Duration::from_secs(5)).await;
                scenario.poll_webhooks().await;
            })
        },
        after: NOTHING,
        ends: PAID_AND_TOLD,
    },
    Flow {
        // The receiver does not answer in time at first, and is left alone.
        name: "webhook-hangs",
        before: |scenario| {
            Box::pin(async move {
                PAYMENT_TO_BE_TOLD(scenario).await;
                scenario.deployment.receiver.behaves_next([Manner::Hangs]);
            })
        },
        acts: |scenario| {
            Box::pin(async move {
                scenario.poll_webhooks().await;
                scenario.pass(Duration::from_secs(45)).await;
                scenario.poll_webhooks().await;
            })
        },
        after: NOTHING,
        ends: PAID_AND_TOLD,
    },
    Flow {
        // The receiver fails at the last attempt, too: the event is stored, and its message is a
        // dead letter.
        name: "webhook-given-up",
        before: |scenario| {
            Box::pin(async move {
                PAYMENT_TO_BE_TOLD(scenario).await;
                scenario.deployment.receiver.behaves(Manner::Answers(500));
                scenario.attempts(ATTEMPTS_BEFORE_THE_LAST).await;
            })
        },
        acts: |scenario| {
            Box::pin(async move {
                scenario.poll_webhooks().await;
                scenario.poll_webhooks().await;
            })
        },
        after: |scenario| {
            Box::pin(async move {
                scenario.deployment.receiver.behaves(Manner::Answers(204));
                scenario.sent_again_until_nothing_is_kept().await;
                let now_ms = scenario.deployment.clock.now_ms();
                scenario
                    .deployment
                    .cloud
                    .queues()
                    .move_back(WEBHOOKS, now_ms);
            })
        },
        ends: PAID_AND_TOLD,
    },
    Flow {
        // After hours of 410 the webhook is disabled; later events are stored.
        name: "webhook-disabled",
        before: |scenario| {
            Box::pin(async move {
                GONE_FOR_HOURS(scenario).await;
                ANOTHER_PAID(scenario).await;
            })
        },
        acts: |scenario| {
            Box::pin(async move {
                scenario.poll_webhooks().await;
                scenario.deployment.pipe();
                let is_disabled = scenario.deployment.webhook_is_disabled().await;
                scenario.poll_webhooks().await;
                let has_webhook = scenario.has_webhook_of("ORDER-2");
                scenario.require(
                    "a disabled webhook gets nothing",
                    !is_disabled || !has_webhook,
                    || "it heard of ORDER-2".to_owned(),
                );
            })
        },
        after: SET_UP_AGAIN,
        ends: PAID_AND_TOLD,
    },
    Flow {
        // The webhook is set up again, and its client has the stored events sent again: first a
        // part, then the rest.
        name: "webhook-resend",
        before: |scenario| {
            Box::pin(async move {
                GONE_FOR_HOURS(scenario).await;
                scenario.poll_webhooks().await;
                ANOTHER_PAID(scenario).await;
                scenario.deployment.pipe();
                scenario.poll_webhooks().await;
                scenario.deployment.receiver.behaves(Manner::Answers(204));
                scenario.deployment.set_up_webhook().await;
                scenario.pass(Duration::from_secs(60)).await;
            })
        },
        acts: |scenario| {
            Box::pin(async move {
                let hours_ago = UnixSeconds(scenario.deployment.clock.now().0 - 3_600);
                let to = format_rfc3339_beijing(hours_ago);
                scenario
                    .request(resend(json!({"from": LONG_AGO, "to": to})))
                    .await;
                scenario.poll_webhooks().await;
                let has_webhook = scenario.has_webhook_of("ORDER-2");
                scenario.require(
                    "only what happened in the time asked for is sent again",
                    !has_webhook,
                    || format!("ORDER-2 happened after {to}"),
                );
                scenario.pass(Duration::from_secs(5)).await;
                scenario.request(resend(json!({"from": to}))).await;
                scenario.poll_webhooks().await;
            })
        },
        after: |scenario| Box::pin(scenario.sent_again_until_nothing_is_kept()),
        ends: PAID_AND_TOLD,
    },
    Flow {
        // Single events are sent again: those inside the order's item, and one that is its own
        // item.
        name: "webhook-replay",
        before: |scenario| {
            Box::pin(async move {
                PAYMENT_TO_BE_TOLD(scenario).await;
                scenario.poll_webhooks().await;
            })
        },
        acts: |scenario| {
            Box::pin(async move {
                for version in 1..=3 {
                    scenario
                        .request(PendingRequest::bare_post(format!(
                            "/v1/orders/ORDER-1/events/{version}/replay"
                        )))
                        .await;
                }
                scenario.poll_webhooks().await;
            })
        },
        after: NOTHING,
        ends: PAID_AND_TOLD,
    },
];

/// Flows with too many cases for every day, and the step between the cases that are run then.
pub(super) const LONG: [(&str, usize); 7] = [
    ("webhook", 3),
    ("webhook-refused", 3),
    ("webhook-hangs", 5),
    ("webhook-given-up", 3),
    ("webhook-disabled", 5),
    ("webhook-resend", 11),
    ("webhook-replay", 11),
];

/// And the receiver has all of it, which is checked wherever there is one.
pub(super) const PAID_AND_TOLD: &[(&str, &str)] = &[("ORDER-1", "paid"), ("kept", "0")];

/// The client has a webhook and got its order's first event; the event that it is paid is in the
/// queue.
const PAYMENT_TO_BE_TOLD: Step = |scenario| {
    Box::pin(async move {
        scenario.deployment.set_up_webhook().await;
        CREATE(scenario).await;
        scenario.poll().await;
        scenario.pay("ORDER-1").await;
        scenario.poll_results().await;
        scenario.deployment.pipe();
    })
};

/// The same, and the receiver has answered 410 for so long that one more ends it.
pub(super) const GONE_FOR_HOURS: Step = |scenario| {
    Box::pin(async move {
        PAYMENT_TO_BE_TOLD(scenario).await;
        scenario.deployment.receiver.behaves(Manner::Answers(410));
        scenario.attempts(ATTEMPTS_BEFORE_THE_END).await;
    })
};

/// Another order is created and paid.
const ANOTHER_PAID: Step = |scenario| {
    Box::pin(async move {
        scenario.request(create("ORDER-2")).await;
        scenario.pay("ORDER-2").await;
        scenario.poll_results().await;
    })
};

/// The receiver is fixed, an operator sets the webhook up again, and its client has the stored
/// events sent again.
pub(super) const SET_UP_AGAIN: Step = |scenario| {
    Box::pin(async move {
        scenario.deployment.receiver.behaves(Manner::Answers(204));
        scenario.deployment.set_up_webhook().await;
        scenario.pass(Duration::from_secs(60)).await;
        scenario.sent_again_until_nothing_is_kept().await;
    })
};

/// The request to send stored events again.
fn resend(range: serde_json::Value) -> PendingRequest {
    PendingRequest::post("/v1/webhook/resend", range)
}

impl Scenario {
    /// Lambda polls the queue of webhooks once.
    pub(crate) async fn poll_webhooks(&self) {
        self.poll_webhooks_as(&Poll::default()).await;
    }

    async fn poll_webhooks_as(&self, how: &Poll) {
        self.deployment
            .act(
                "Lambda polls webhooks",
                self.deployment.poll_as(WEBHOOKS, how),
            )
            .await;
    }

    /// Makes this many attempts for the events in the queue of webhooks, until the next one is due.
    async fn attempts(&self, count: usize) {
        for _ in 0..count {
            self.poll_webhooks().await;
            let queued: Vec<i64> = self
                .deployment
                .cloud
                .queues()
                .waiting()
                .iter()
                .filter(|(url, _)| *url == WEBHOOKS)
                .map(|(_, message)| message.visible_ms)
                .collect();
            let next_ms = queued.into_iter().min().expect("a message");
            let wait_ms =
                u64::try_from(next_ms - self.deployment.clock.now_ms()).unwrap_or_default();
            self.pass(Duration::from_millis(wait_ms)).await;
        }
    }

    /// Whether the receiver got anything about an order, taken or not.
    fn has_webhook_of(&self, order_no: &str) -> bool {
        let got = self.deployment.receiver.got();
        got.iter()
            .any(|got| got.json()["data"]["order_no"] == order_no)
    }

    /// The client has stored events sent again until none is left.
    async fn sent_again_until_nothing_is_kept(&mut self) {
        for _ in 0..3 {
            self.request(resend(json!({"from": LONG_AGO}))).await;
            self.run_until_quiet(Until::Soon).await;
            if self.deployment.kept().is_empty() {
                return;
            }
        }
    }
}
