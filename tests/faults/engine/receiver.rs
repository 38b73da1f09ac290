//! The merchant's system that receives webhooks. It stores what it got, gives configured answers,
//! and is reached by a separate address for each sandbox, where a call waits for its turn and gets
//! its fault.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use runtime::{
    clock::Clock,
    net::{Reach, WebhookUrl},
};
use serde_json::Value;
use standard_webhooks::{Received, Secret, verify};

use crate::engine::{
    call::{Call, CallFault, Function, Service},
    director::{CallScheduler, Liveness},
    relay::{Carry, Message},
    release::SandboxClock,
};

/// The address that is set up. A sandbox finds its own door's in its place.
const URL: &str = "http://127.0.0.1:9/webhooks";
/// The part of it that a door takes the place of.
pub(crate) const ADDRESS: &str = "http://127.0.0.1:9/";
/// How long a receiver is waited for (`ATTEMPT_MAX` of `webhook_client`), in milliseconds.
const WAITED_MS: i64 = 15_000;

/// How the receiver behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// It answers with this status.
    Answers(u16),
    /// It does not answer in time, and has nothing.
    Hangs,
}

/// One webhook as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    /// Its `webhook-id`.
    pub(crate) id: String,
    /// Its body as it came.
    pub(crate) body: String,
    /// Whether its signature is good.
    pub(crate) is_signed: bool,
    /// Whether the receiver took it.
    pub(crate) is_taken: bool,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// The receiver of one deployment.
pub(crate) struct Receiver(Mutex<State>);

struct State {
    /// To the next webhooks.
    next: VecDeque<Manner>,
    /// To all others.
    manner: Manner,
    got: Vec<Got>,
}

impl Receiver {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State {
            next: VecDeque::new(),
            manner: Manner::Answers(204),
            got: Vec::new(),
        }))
    }

    /// What is set up for the client.
    pub(crate) fn url() -> WebhookUrl {
        WebhookUrl::parse(URL, Reach::PublicAndLoopback).expect("a URL")
    }

    /// By which webhooks are signed.
    pub(crate) fn secret() -> Secret {
        Secret::new(&[9; 32]).expect("a secret")
    }

    /// It behaves so from now on.
    pub(crate) fn behaves(&self, manner: Manner) {
        self.state().manner = manner;
    }

    /// It behaves so towards the next webhooks, one after the other, and then as before.
    pub(crate) fn behaves_next(&self, manners: impl IntoIterator<Item = Manner>) {
        self.state().next.extend(manners);
    }

    /// All that arrived.
    pub(crate) fn got(&self) -> Vec<Got> {
        self.state().got.clone()
    }

    /// The ids of all that it took.
    pub(crate) fn has(&self) -> BTreeSet<String> {
        let state = self.state();
        let taken = state.got.iter().filter(|got| got.is_taken);
        taken.map(|got| got.id.clone()).collect()
    }

    /// A webhook arrives; the status of the answer, `None` if there is none in time.
    fn take(&self, request: &Message, now_s: i64) -> Option<u16> {
        let mut state = self.state();
        let next = state.next.pop_front();
        let status = match next.unwrap_or(state.manner) {
            Manner::Answers(status) => Some(status),
            Manner::Hangs => None,
        };
        let signed = Received::read(|name| request.header(name))
            .and_then(|received| verify(&received, request.body(), &[Self::secret()], now_s));
        state.got.push(Got {
            id: request.header("webhook-id").unwrap_or_default().to_owned(),
            body: String::from_utf8_lossy(request.body()).into_owned(),
            is_signed: signed.is_ok(),
            is_taken: status.is_some_and(|status| (200..300).contains(&status)),
        });
        status
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way of one sandbox to the receiver.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) line: Liveness,
    pub(crate) director: CallScheduler,
    /// The sandbox's clock: a time-out passes on it.
    pub(crate) clock: SandboxClock,
    pub(crate) deployment_clock: Clock,
    pub(crate) receiver: Arc<Receiver>,
}

impl Carry for Door {
    async fn carry(&self, request: &Message) -> Option<Vec<u8>> {
        let asked_ms = self.deployment_clock.now_ms();
        let call = Call {
            function: Function::SendWebhook,
            service: Service::Receiver,
            operation: "webhook".to_owned(),
            about: request.header("webhook-id").unwrap_or_default().to_owned(),
            writes: true,
            reads_index: false,
        };
        let (fate, turn) = self.director.pass(&self.line, call).await;
        // Others had so much time before this call that its caller has given it up.
        let waited_ms = self.deployment_clock.now_ms() - asked_ms;
        if fate.is_none() && waited_ms > WAITED_MS {
            self.clock.advance_ms(waited_ms);
            return None;
        }
        let arrives = fate.is_none_or(CallFault::takes_effect);
        let now_s = self.clock.now_ms().div_euclid(1000);
        let status = arrives
            .then(|| self.receiver.take(request, now_s))
            .flatten();
        match fate {
            None if status.is_none() => self.hang(),
            None => status.map(answer),
            Some(CallFault::DieBefore | CallFault::DieAfter) => {
                self.line.cut();
                drop(turn);
                None
            }
            Some(CallFault::ServerError | CallFault::ServerErrorAfter) => Some(answer(500)),
            Some(CallFault::Throttled) => Some(answer(429)),
            Some(CallFault::TimedOut) => self.hang(),
            Some(
                CallFault::Unreachable
                | CallFault::LostAnswer
                | CallFault::Conflict
                | CallFault::Stale
                | CallFault::Probe,
            ) => None,
        }
    }
}

impl Door {
    /// The caller has waited as long as it would.
    fn hang(&self) -> Option<Vec<u8>> {
        self.clock.advance_ms(WAITED_MS);
        None
    }
}

fn answer(status: u16) -> Vec<u8> {
    format!("HTTP/1.1 {status} by the harness\r\nContent-Length: 0\r\n\r\n").into_bytes()
}
