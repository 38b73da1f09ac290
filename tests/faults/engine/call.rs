//! Outgoing calls to AWS, to WeChat Pay and to the receiver of webhooks, and the faults that they
//! can have.

use std::fmt;

/// A function of the bundle.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Function {
    CreateOrder,
    ManageOrder,
    ReceiveCallback,
    ProcessPayment,
    Reconcile,
    Console,
    SendWebhook,
}

impl Function {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::CreateOrder => "create-order",
            Self::ManageOrder => "manage-order",
            Self::ReceiveCallback => "receive-callback",
            Self::ProcessPayment => "process-payment",
            Self::Reconcile => "reconcile",
            Self::Console => "console",
            Self::SendWebhook => "send-webhook",
        }
    }
}

/// Who is called.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Service {
    DynamoDb,
    Sqs,
    Kms,
    S3,
    WechatPay,
    /// The merchant's system that webhooks go to.
    Receiver,
}

/// One attempt of a call. A repeat by the AWS SDK is an attempt of its own.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Call {
    pub(crate) function: Function,
    pub(crate) service: Service,
    /// `PutItem`, `SendMessage`, `Decrypt`, `PutObject`, or an endpoint of WeChat Pay's such as
    /// `close`.
    pub(crate) operation: String,
    /// What it is about: a table and key, a queue, a file, a number at WeChat Pay.
    pub(crate) about: String,
    /// Whether it changes something.
    pub(crate) writes: bool,
    /// Whether it reads an index, which lags behind its table.
    pub(crate) reads_index: bool,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (function, operation) = (self.function.name(), &self.operation);
        let service = match self.service {
            Service::DynamoDb => "",
            Service::Sqs => "SQS ",
            Service::Kms => "KMS ",
            Service::S3 => "S3 ",
            Service::WechatPay => "WeChat Pay ",
            Service::Receiver => "the receiver ",
        };
        write!(f, "{function}: {service}{operation} {}", self.about)
    }
}

/// What happens to one attempt.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum CallFault {
    /// The sandbox dies before the call leaves it.
    DieBefore,
    /// The call takes effect, and the sandbox dies before the answer.
    DieAfter,
    /// The connection breaks; nothing was done.
    Unreachable,
    /// The call takes effect, and the connection breaks before the answer.
    LostAnswer,
    /// The call takes effect, and the caller has waited for the answer as long as it would.
    TimedOut,
    /// A 5xx; nothing was done.
    ServerError,
    /// A 5xx although it was done.
    ServerErrorAfter,
    /// Too many calls; nothing was done.
    Throttled,
    /// Another transaction holds the item; nothing was done.
    Conflict,
    /// WeChat Pay's probe: it was done, and the answer carries a signature that is deliberately
    /// wrong.
    Probe,
    /// The index is read as it was when the same was last asked; as empty, if it never was.
    Stale,
}

impl CallFault {
    /// Whether the call takes effect in spite of the fault.
    pub(crate) const fn takes_effect(self) -> bool {
        match self {
            Self::DieAfter
            | Self::LostAnswer
            | Self::TimedOut
            | Self::ServerErrorAfter
            | Self::Probe
            | Self::Stale => true,
            Self::DieBefore
            | Self::Unreachable
            | Self::ServerError
            | Self::Throttled
            | Self::Conflict => false,
        }
    }
}

/// A fault that strikes a call, and perhaps its repeats.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Strike {
    pub(crate) fault: CallFault,
    /// How many attempts meet it: 1, or as many as a sandbox makes before it gives up, so that its
    /// own repeats do not help.
    pub(crate) attempts: u32,
}

/// How the relay calls the download of a bill.
pub(crate) const BILL_FILE: &str = "bill-file";

/// As many attempts as the AWS SDK makes, and at least as many as there are hosts of WeChat Pay's.
const ALL_ATTEMPTS: u32 = 3;

/// Every strike there is, by the name under which it is replayed.
const STRIKES: [(&str, Strike); 13] = [
    ("die-before", Strike::once(CallFault::DieBefore)),
    ("die-after", Strike::once(CallFault::DieAfter)),
    ("unreachable", Strike::once(CallFault::Unreachable)),
    ("lost-answer", Strike::once(CallFault::LostAnswer)),
    ("timed-out", Strike::once(CallFault::TimedOut)),
    ("server-error", Strike::once(CallFault::ServerError)),
    (
        "server-error-after",
        Strike::once(CallFault::ServerErrorAfter),
    ),
    ("throttled", Strike::once(CallFault::Throttled)),
    ("conflict", Strike::once(CallFault::Conflict)),
    ("probe", Strike::once(CallFault::Probe)),
    ("stale", Strike::once(CallFault::Stale)),
    ("down", Strike::always(CallFault::ServerError)),
    ("lost-answers", Strike::always(CallFault::TimedOut)),
];

impl Strike {
    const fn once(fault: CallFault) -> Self {
        Self { fault, attempts: 1 }
    }

    const fn always(fault: CallFault) -> Self {
        Self {
            fault,
            attempts: ALL_ATTEMPTS,
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        STRIKES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, strike)| *strike)
    }

    /// Every strike, by name.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        STRIKES.iter().map(|(name, _)| *name)
    }

    /// All that can happen to `call`.
    pub(crate) fn at(call: &Call) -> impl Iterator<Item = Self> {
        STRIKES
            .iter()
            .map(|(_, strike)| *strike)
            .filter(|strike| strike.fits(call))
    }

    /// Whether it can happen to `call` and is not the same as another strike there: a read whose
    /// answer is lost is a read that never arrived.
    fn fits(self, call: &Call) -> bool {
        match self.fault {
            CallFault::DieBefore
            | CallFault::Unreachable
            | CallFault::ServerError
            | CallFault::Throttled => true,
            CallFault::TimedOut => call.writes || self.attempts == 1,
            CallFault::DieAfter | CallFault::LostAnswer | CallFault::ServerErrorAfter => {
                call.writes
            }
            CallFault::Conflict => {
                let is_transaction = call.operation.starts_with("Transact");
                call.service == Service::DynamoDb && (call.writes || is_transaction)
            }
            // The files of bills carry no signature that could be a wrong one.
            CallFault::Probe => call.service == Service::WechatPay && call.operation != BILL_FILE,
            CallFault::Stale => call.reads_index,
        }
    }
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = STRIKES
            .iter()
            .find(|(_, strike)| strike == self)
            .map(|(name, _)| *name);
        f.write_str(name.unwrap_or("unnamed"))
    }
}
