//! What functions and flows use.

use serde_json::{Value, json};
use testbed::template::{resource, template};

/// A function, by its name in the template.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Function {
    CreateOrder,
    ManageOrder,
    ReceiveCallback,
    ProcessPayment,
    Reconcile,
    SendWebhook,
}

pub(super) const FUNCTIONS: [Function; 6] = [
    Function::CreateOrder,
    Function::ManageOrder,
    Function::ReceiveCallback,
    Function::ProcessPayment,
    Function::Reconcile,
    Function::SendWebhook,
];

impl Function {
    pub(super) fn logical(self) -> &'static str {
        match self {
            Self::CreateOrder => "CreateOrder",
            Self::ManageOrder => "ManageOrder",
            Self::ReceiveCallback => "ReceiveCallback",
            Self::ProcessPayment => "ProcessPayment",
            Self::Reconcile => "Reconcile",
            Self::SendWebhook => "SendWebhook",
        }
    }

    /// The estimated time of one run in milliseconds, and its parts.
    pub(super) fn ms(self) -> (u128, &'static str) {
        match self {
            Self::CreateOrder => (
                250,
                "200 for WeChat Pay, the rest for three writes and itself",
            ),
            Self::ManageOrder => (40, "calls to AWS one after the other, 5 to 10 each"),
            Self::ReceiveCallback => (15, "one call to SQS, and itself"),
            Self::ProcessPayment => (
                25,
                "two or three calls to DynamoDB; 200 more with WeChat Pay",
            ),
            Self::Reconcile => (20, "for each check more in a sweep, at 50 checks a second"),
            Self::SendWebhook => (100, "the receiver's answer"),
        }
    }

    pub(super) fn memory_mb(self) -> u128 {
        let own = resource(self.logical()).get("MemorySize");
        let memory = own.or_else(|| template().pointer("/Globals/Function/MemorySize"));
        u128::from(memory.and_then(Value::as_u64).expect("a size"))
    }

    /// What Lambda itself writes of one run: START, END and REPORT, unless it is set not to.
    pub(super) fn logged_by_lambda(self) -> u128 {
        // Of `!If` the second value is that of a stack which logs at `info`.
        let level = template().pointer("/Globals/Function/LoggingConfig/SystemLogLevel/2");
        if level == Some(&json!("WARN")) {
            0
        } else {
            330
        }
    }
}
/// Lambda's requests to a queue for a message that comes alone: to receive it and to delete it.
const QUEUE_REQUESTS: u128 = 2;

/// What a flow takes once.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage {
    pub(super) calls: Vec<String>,
    pub(super) api_requests: u128,
    pub(super) runs: u128,
    /// Memory times duration.
    pub(super) mb_ms: u128,
    pub(super) half_writes: u128,
    pub(super) half_reads: u128,
    pub(super) sqs_requests: u128,
    pub(super) kms_requests: u128,
    pub(super) log_bytes: u128,
    pub(super) events: u128,
}

impl Usage {
    pub(super) fn in_a_run(self, of: Function) -> Self {
        self.in_a_run_with(of, 0)
    }

    /// A run that takes so much longer.
    pub(super) fn in_a_run_with(mut self, of: Function, more_ms: u128) -> Self {
        self.runs += 1;
        self.log_bytes += of.logged_by_lambda();
        self.for_ms(of, of.ms().0 + more_ms)
    }

    pub(super) fn for_ms(mut self, of: Function, ms: u128) -> Self {
        self.mb_ms += of.memory_mb() * ms;
        self
    }

    pub(super) fn by_a_request(mut self) -> Self {
        self.api_requests += 1;
        self.log_bytes += logged_by_the_api();
        self
    }

    pub(super) fn by_a_queue(mut self) -> Self {
        self.sqs_requests += QUEUE_REQUESTS;
        self
    }

    pub(super) fn with_events(mut self, events: usize) -> Self {
        self.events += u128::try_from(events).expect("few");
        self
    }

    pub(super) fn and(mut self, other: Self) -> Self {
        self.calls.extend(other.calls);
        self.api_requests += other.api_requests;
        self.runs += other.runs;
        self.mb_ms += other.mb_ms;
        self.half_writes += other.half_writes;
        self.half_reads += other.half_reads;
        self.sqs_requests += other.sqs_requests;
        self.kms_requests += other.kms_requests;
        self.log_bytes += other.log_bytes;
        self.events += other.events;
        self
    }

    /// The rest without an idle sweep, which runs anyway.
    pub(super) fn beyond(mut self, idle: &Self) -> Self {
        let mut idle_calls = idle.calls.clone();
        self.calls.retain(|call| {
            let is_idle = idle_calls.iter().position(|idle| idle == call);
            is_idle.inspect(|at| drop(idle_calls.remove(*at))).is_none()
        });
        self.half_writes = self.half_writes.saturating_sub(idle.half_writes);
        self.half_reads = self.half_reads.saturating_sub(idle.half_reads);
        self.log_bytes = self.log_bytes.saturating_sub(idle.log_bytes);
        self
    }
}

/// What the API logs of one request: the template's format with values as they come.
fn logged_by_the_api() -> u128 {
    let format = resource("ApiStage").pointer("/AccessLogSettings/Format");
    let format = format.and_then(|text| text.as_str()).expect("a format");
    let values = [
        ("$context.requestId", "JKJaXmPLvHcESHA="),
        ("$context.routeKey", "POST /v1/callbacks/wechatpay"),
        ("$context.status", "201"),
        ("$context.responseLatency", "250"),
        ("$context.integrationLatency", "245"),
        ("$context.identity.sourceIp", "101.226.103.112"),
        ("$context.error.message", "-"),
        ("$context.integrationErrorMessage", "-"),
    ];
    let line = values
        .iter()
        .fold(format.to_owned(), |line, (name, value)| {
            line.replace(&format!("\"{name}\""), &format!("\"{value}\""))
        });
    assert!(!line.contains("$context"), "a value is missing: {line}");
    u128::try_from(line.len()).expect("few")
}
