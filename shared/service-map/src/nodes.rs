//! The parts of the system, as the map shows them.

use serde::Serialize;

use crate::metric::{Metric, Statistic};

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Node {
    Clients,
    /// WeChat Pay, as the one who sends callbacks.
    Notifier,
    Staff,
    Scheduler,
    Api,
    CreateOrder,
    ManageOrder,
    ReceiveCallback,
    Console,
    ProcessPayment,
    Reconcile,
    SendWebhook,
    PaymentRequests,
    PaymentResults,
    ReconcileWork,
    Webhooks,
    Orders,
    Kms,
    Pipe,
    Bus,
    Prepay,
    Queries,
    Refunds,
    Bills,
    MainHost,
    BackupHost,
    Receivers,
}

/// What a part is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeKind {
    /// Somebody outside.
    Outside,
    Function,
    Queue,
    /// A service of AWS's between them.
    Service,
    /// Calls to WeChat Pay of one kind.
    Interface,
}

/// A figure of a part itself.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Requests that were refused for what they asked (4xx).
    Refused,
    Runs,
    /// Runs that crashed or took too long.
    Crashed,
    Throttled,
    /// The most messages at once in its dead-letter queue.
    DeadLetters,
    /// How often a sandbox began to avoid it.
    Avoided,
}

impl Figure {
    /// Whether more than none of it wants a person's look.
    pub const fn is_bad(self) -> bool {
        match self {
            Self::Crashed | Self::Throttled | Self::DeadLetters | Self::Avoided => true,
            Self::Refused | Self::Runs => false,
        }
    }

    /// In words, behind the number.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Refused => "refused (4xx)",
            Self::Runs => "runs",
            Self::Crashed => "crashed",
            Self::Throttled => "throttled",
            Self::DeadLetters => "dead letters",
            Self::Avoided => "times avoided",
        }
    }
}

impl Node {
    pub const ALL: [Self; 27] = [
        Self::Clients,
        Self::Notifier,
        Self::Staff,
        Self::Scheduler,
        Self::Api,
        Self::CreateOrder,
        Self::ManageOrder,
        Self::ReceiveCallback,
        Self::Console,
        Self::ProcessPayment,
        Self::Reconcile,
        Self::SendWebhook,
        Self::PaymentRequests,
        Self::PaymentResults,
        Self::ReconcileWork,
        Self::Webhooks,
        Self::Orders,
        Self::Kms,
        Self::Pipe,
        Self::Bus,
        Self::Prepay,
        Self::Queries,
        Self::Refunds,
        Self::Bills,
        Self::MainHost,
        Self::BackupHost,
        Self::Receivers,
    ];

    /// Its name, for people. Functions and queues have that of the template, without the stack's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Notifier => "WeChat Pay",
            Self::Staff => "finance staff",
            Self::Scheduler => "schedules",
            Self::Api => "API",
            Self::CreateOrder => "create-order",
            Self::ManageOrder => "manage-order",
            Self::ReceiveCallback => "receive-callback",
            Self::Console => "console",
            Self::ProcessPayment => "process-payment",
            Self::Reconcile => "reconcile",
            Self::SendWebhook => "send-webhook",
            Self::PaymentRequests => "payment-requests",
            Self::PaymentResults => "payment-results",
            Self::ReconcileWork => "reconcile-work",
            Self::Webhooks => "webhooks",
            Self::Orders => "orders table",
            Self::Kms => "KMS",
            Self::Pipe => "Pipe",
            Self::Bus => "event bus",
            Self::Prepay => "prepay",
            Self::Queries => "query and close",
            Self::Refunds => "refunds",
            Self::Bills => "bills, certificates",
            Self::MainHost => "main host",
            Self::BackupHost => "backup host",
            Self::Receivers => "webhook receivers",
        }
    }

    pub const fn kind(self) -> NodeKind {
        match self {
            Self::Clients
            | Self::Notifier
            | Self::Staff
            | Self::MainHost
            | Self::BackupHost
            | Self::Receivers => NodeKind::Outside,
            Self::CreateOrder
            | Self::ManageOrder
            | Self::ReceiveCallback
            | Self::Console
            | Self::ProcessPayment
            | Self::Reconcile
            | Self::SendWebhook => NodeKind::Function,
            Self::PaymentRequests | Self::PaymentResults | Self::ReconcileWork | Self::Webhooks => {
                NodeKind::Queue
            }
            Self::Scheduler | Self::Api | Self::Orders | Self::Kms | Self::Pipe | Self::Bus => {
                NodeKind::Service
            }
            Self::Prepay | Self::Queries | Self::Refunds | Self::Bills => NodeKind::Interface,
        }
    }

    /// What is known of it beside its arrows.
    pub fn figures(self) -> Vec<(Figure, Metric)> {
        let dead_letters = |queue| {
            let name = "ApproximateNumberOfMessagesVisible";
            let metric = Metric::queue(name, queue, Statistic::Maximum);
            vec![(Figure::DeadLetters, metric)]
        };
        let avoided = |host| {
            let by = [("host", host), ("state", "avoided")];
            let metric = Metric::ours_by("HostStateChanges", &by, Statistic::Sum);
            vec![(Figure::Avoided, metric)]
        };
        match self {
            Self::Api => vec![(Figure::Refused, Metric::api("4xx", Statistic::Sum))],
            Self::CreateOrder
            | Self::ManageOrder
            | Self::ReceiveCallback
            | Self::Console
            | Self::ProcessPayment
            | Self::Reconcile
            | Self::SendWebhook => [
                (Figure::Runs, "Invocations"),
                (Figure::Crashed, "Errors"),
                (Figure::Throttled, "Throttles"),
            ]
            .map(|(figure, name)| (figure, Metric::lambda(name, self.name(), Statistic::Sum)))
            .to_vec(),
            Self::PaymentRequests => dead_letters("payment-requests-dlq"),
            Self::PaymentResults => dead_letters("payment-results-dlq"),
            Self::ReconcileWork => dead_letters("reconcile-work-dlq"),
            Self::Webhooks => dead_letters("webhooks-dlq"),
            Self::Pipe => dead_letters("order-events-dlq"),
            Self::MainHost => avoided("main"),
            Self::BackupHost => avoided("backup"),
            Self::Clients
            | Self::Notifier
            | Self::Staff
            | Self::Scheduler
            | Self::Orders
            | Self::Kms
            | Self::Bus
            | Self::Prepay
            | Self::Queries
            | Self::Refunds
            | Self::Bills
            | Self::Receivers => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_part_is_listed_once_under_a_name_of_its_own() {
        let names: BTreeSet<&str> = Node::ALL.iter().map(|node| node.name()).collect();
        let nodes: BTreeSet<Node> = Node::ALL.into_iter().collect();
        assert_eq!(
            (names.len(), nodes.len()),
            (Node::ALL.len(), Node::ALL.len())
        );
    }
}
