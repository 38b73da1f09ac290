//! Every metric there is, with its unit and the sets of dimensions that it is stored under.
//!
//! CloudWatch bills each combination of a name and dimension values as a metric of its own. So a
//! dimension has a closed list of values here, which are names from our code and never a text from
//! outside. A value that is not in the list makes no dimension.
//!
//! Some metrics also have the dimension `Mchid`, as alarms watch them. The others do without: a
//! stack serves one merchant number, and its name is the namespace, so the dimension would only
//! make lines longer.
//! `OrdersAnswered` and `CallbacksGood` could not have it: the template's metric filters add a 0
//! for a request that no function answered, and the line which they read names no merchant.

/// What CloudWatch calls the values of a metric.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    Count,
    Seconds,
    Milliseconds,
    /// 1 or 0, so that the average is a share. CloudWatch has no unit for it.
    Share,
    /// Nor for an amount of money.
    Fen,
}

impl Unit {
    /// CloudWatch's name; `None` leaves the unit out.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Count => Some("Count"),
            Self::Seconds => Some("Seconds"),
            Self::Milliseconds => Some("Milliseconds"),
            Self::Share | Self::Fen => None,
        }
    }
}

/// A dimension: the field of a line that has its value, and all values that it can have.
#[derive(Debug)]
pub struct Dimension {
    pub field: &'static str,
    pub values: &'static [&'static str],
}

/// Whose metric it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Owner {
    /// The dimension `Mchid` comes first in each set.
    Merchant,
    /// No such dimension: the stack's, as all that its namespace holds.
    Stack,
}

/// A metric, and by what it is divided beside its sum over everything.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    pub unit: Unit,
    pub owner: Owner,
    /// Further sets of dimensions under which the same value is stored.
    pub by: &'static [&'static [&'static Dimension]],
}

type Sets = &'static [&'static [&'static Dimension]];

const fn of_merchant(name: &'static str, unit: Unit, by: Sets) -> Metric {
    Metric {
        name,
        unit,
        owner: Owner::Merchant,
        by,
    }
}

const fn of_stack(name: &'static str, unit: Unit, by: Sets) -> Metric {
    Metric {
        name,
        unit,
        owner: Owner::Stack,
        by,
    }
}

/// A count with the dimension `Mchid` alone.
const fn count(name: &'static str) -> Metric {
    of_merchant(name, Unit::Count, &[])
}

/// Seconds with the dimension `Mchid` alone.
const fn seconds(name: &'static str) -> Metric {
    of_merchant(name, Unit::Seconds, &[])
}

/// A dimension in a field.
const fn in_field(field: &'static str, values: &'static [&'static str]) -> Dimension {
    Dimension { field, values }
}

/// `payments::model::order::Product`.
const PRODUCT: Dimension = in_field("product", &["jsapi", "mini_program", "app", "h5", "native"]);

/// How a request for an order was answered (`create_order::answered`).
const ANSWER: Dimension = in_field(
    "answer",
    &[
        "created", "repeated", "queued", "rejected", "refused", "failed",
    ],
);

/// Why a callback was refused (`wechatpay::callback`, `receive_callback::handler`).
const CALLBACK_CAUSE: Dimension = in_field(
    "cause",
    &[
        "missing_header",
        "bad_timestamp",
        "stale",
        "from_the_future",
        "unsupported_signature_type",
        "unknown_serial",
        "signature_not_base64",
        "wrong_signature",
        "no_apiv3_key",
        "does_not_open",
        "too_large",
        "not_base64",
        "not_text",
        "keys_unavailable",
        "queue_unavailable",
    ],
);

/// A callback that our APIv3 key opens, and that no key here verifies.
const UNVERIFIED_CAUSE: Dimension = in_field(
    "cause",
    &["unknown_serial", "signature_not_base64", "wrong_signature"],
);

/// Why a call to WeChat Pay failed (`wechat_client::api::causes`, `wechatpay::verify`).
const CALL_CAUSE: Dimension = in_field(
    "cause",
    &[
        "unreachable",
        "timeout",
        "connection_broken",
        "too_long",
        "server_error",
        "rate_limited",
        "sign_refused",
        "merchant_refused",
        "unknown_code",
        "unreadable",
        "missing_header",
        "bad_timestamp",
        "stale",
        "from_the_future",
        "unsupported_signature_type",
        "unknown_serial",
        "probe",
        "signature_not_base64",
        "wrong_signature",
    ],
);

/// WeChat Pay refuses the merchant as a whole.
const REFUSAL_CAUSE: Dimension = in_field("cause", &["sign_refused", "merchant_refused"]);

/// Why an answer of WeChat Pay was not believed.
const DISBELIEF_CAUSE: Dimension = in_field(
    "cause",
    &[
        "missing_header",
        "bad_timestamp",
        "stale",
        "from_the_future",
        "unsupported_signature_type",
        "unknown_serial",
        "signature_not_base64",
        "wrong_signature",
    ],
);

/// `wechatpay::api::Interface`.
const INTERFACE: Dimension = in_field(
    "interface",
    &[
        "prepay_jsapi",
        "prepay_app",
        "prepay_h5",
        "prepay_native",
        "query_by_out_trade_no",
        "query_by_transaction_id",
        "close",
        "create_refund",
        "query_refund",
        "abnormal_refund",
        "trade_bill",
        "fund_flow_bill",
        "bill_file",
        "certificates",
        "security_echo",
    ],
);

/// `wechat_client::api::Host`.
const HOST: Dimension = in_field("host", &["main", "backup"]);

/// `wechat_client::api::CallResult`.
const CALL_RESULT: Dimension = in_field(
    "outcome",
    &[
        "done",
        "refused_request",
        "refused_merchant",
        "refused_passing",
        "refused_unknown",
        "unverified",
        "unreadable",
        "no_answer",
    ],
);

/// What became of a host of WeChat Pay in a sandbox (`wechat_client::api::host_health`).
const HOST_STATE: Dimension = in_field("state", &["avoided", "used"]);

/// `wechat_client::api::Limit`.
const LIMIT: Dimension = in_field("limit", &["calls", "refunds", "signatures"]);

/// The kind of `payments::model::journal::Cause`: who brought the news.
const BROUGHT_BY: Dimension = in_field(
    "brought_by",
    &["request", "message", "notice", "sweep", "reconciliation"],
);

/// `payments::model::refund::RefundState`.
const REFUND_STATE: Dimension = in_field(
    "state",
    &[
        "reserved",
        "processing",
        "succeeded",
        "closed",
        "refused",
        "abnormal",
    ],
);

/// `payments::model::parked::ParkReason`, with the fields of a payment that may differ.
const PARK_REASON: Dimension = in_field(
    "reason",
    &[
        "unknown_order",
        "second_payment",
        "refunded_elsewhere",
        "number_used_elsewhere",
        "older_than_order",
        "mchid",
        "appid",
        "amount",
        "currency",
    ],
);

/// `stores::notices::NoticeStatus`, as far as functions write it into the ledger.
const NOTICE_STATUS: Dimension = in_field("status", &["pending", "parked", "ok"]);

/// Calls to KMS that functions make.
const KMS_OPERATION: Dimension = in_field(
    "operation",
    &["Sign", "Decrypt", "Encrypt", "GenerateDataKey"],
);

/// What a write met: another transaction, or an order that had moved on.
const CONFLICT: Dimension = in_field("conflict", &["transaction", "version"]);

/// The functions, by their names without the stack's.
const FUNCTION: Dimension = in_field(
    "function",
    &[
        "create-order",
        "manage-order",
        "receive-callback",
        "process-payment",
        "reconcile",
        "send-webhook",
        "console",
        "notify-operators",
        "forward-errors",
    ],
);

/// All metrics.
pub const METRICS: &[Metric] = &[
    // The objective of orders: 1 or 0 for each valid request for one.
    of_stack("OrdersAnswered", Unit::Share, &[]),
    // From the gateway's receipt of a request for an order to our answer.
    of_stack(
        "OrderAnswerMs",
        Unit::Milliseconds,
        &[&[&ANSWER], &[&PRODUCT, &ANSWER]],
    ),
    // Result of getting a prepay value for an order. `PrepaysPutOff` is 1 or 0 for each, so that
    // its average is their share.
    of_stack("PrepaysIssued", Unit::Count, &[]),
    of_stack("PrepaysRejected", Unit::Count, &[]),
    count("PrepaysPutOff"),
    // Calls to WeChat Pay: how long each took, those that changed something there, and those that
    // failed.
    of_stack(
        "WechatCallMs",
        Unit::Milliseconds,
        &[&[&INTERFACE, &CALL_RESULT], &[&HOST, &CALL_RESULT]],
    ),
    of_stack("WechatCallsDone", Unit::Count, &[]),
    of_merchant("WechatCallsFailed", Unit::Count, &[&[&CALL_CAUSE]]),
    // WeChat Pay refuses the merchant, or what answers is not proved to be WeChat Pay.
    of_merchant("MerchantRefusals", Unit::Count, &[&[&REFUSAL_CAUSE]]),
    of_merchant("AnswersUnverified", Unit::Count, &[&[&DISBELIEF_CAUSE]]),
    // How many of WeChat Pay's two hosts this sandbox avoids since they do not answer.
    count("HostsAvoided"),
    // A sandbox begins to avoid a host, or uses it again.
    of_stack("HostStateChanges", Unit::Count, &[&[&HOST, &HOST_STATE]]),
    // Calls that waited for our own limits, and those that would have waited too long.
    of_stack("LimitWaitMs", Unit::Milliseconds, &[&[&LIMIT]]),
    of_stack("CallsNotSent", Unit::Count, &[&[&LIMIT]]),
    // The objective of callbacks: 1 or 0 for each that may be WeChat Pay's and is no probe.
    of_stack("CallbacksGood", Unit::Share, &[]),
    // Callbacks. Probes are apart from those that were refused.
    of_stack("CallbacksAccepted", Unit::Count, &[]),
    of_stack("CallbacksRefused", Unit::Count, &[&[&CALLBACK_CAUSE]]),
    of_merchant("CallbacksUnverified", Unit::Count, &[&[&UNVERIFIED_CAUSE]]),
    of_stack("CallbackProbes", Unit::Count, &[]),
    // From the gateway's receipt of a callback to our answer.
    of_stack("CallbackAckMs", Unit::Milliseconds, &[]),
    // From the payment at WeChat Pay to its booking here, and the amount, by who brought the news.
    of_stack("SettlementDelay", Unit::Seconds, &[&[&BROUGHT_BY]]),
    of_stack("PaidFen", Unit::Fen, &[&[&BROUGHT_BY]]),
    // Money that waits for a person, each time that WeChat Pay reports it.
    count("MoneyParked"),
    of_stack("MoneyParkedFen", Unit::Fen, &[&[&PARK_REASON]]),
    of_stack("RefundsParked", Unit::Count, &[]),
    // The age of a refund when it comes into a state.
    of_stack("RefundAge", Unit::Seconds, &[&[&REFUND_STATE]]),
    // How often a client has used up its limit: once for each window, however many requests follow.
    count("ClientsLimited"),
    // The sweep.
    count("SweepsFinished"),
    seconds("OldestOverdue"),
    seconds("OverdueRefund"),
    seconds("OverdueRecovery"),
    seconds("OverdueClosing"),
    seconds("OverdueLook"),
    of_stack("ChecksDone", Unit::Count, &[]),
    of_stack("ChecksLeft", Unit::Count, &[]),
    of_stack("ChecksFailed", Unit::Count, &[]),
    // A day's reconciliation.
    count("YesterdaysReconciled"),
    // 1 or 0 from each sweep: whether the last day that had to be reconciled by 13:00 was not.
    count("DaysMissing"),
    // How many of the days of the week before it were not.
    count("EarlierDaysMissing"),
    count("DaysReconciled"),
    count("DaysPreviewed"),
    count("DaysFailed"),
    count("FundSidesReconciled"),
    count("FundSidesFailed"),
    count("BillsAwaited"),
    count("BillsLate"),
    count("BillRows"),
    count("CarriedTrades"),
    count("Differences"),
    count("DifferencesOpened"),
    count("OpenDifferences"),
    // The objective of money: of the last day's payments and refunds all fen, and those that were
    // not explained by 11:00.
    of_stack("DayFen", Unit::Fen, &[]),
    of_stack("DayFenOpen", Unit::Fen, &[]),
    // How many notices wait for an operator, and what was written into their ledger.
    count("NoticesParked"),
    of_stack("NoticesRecorded", Unit::Count, &[&[&NOTICE_STATUS]]),
    // Days until the merchant's certificate ends, and the last of WeChat Pay's.
    count("MerchantCertificateDaysLeft"),
    count("PlatformCertificateDaysLeft"),
    // Webhooks.
    count("WebhooksDelivered"),
    count("WebhooksNotTaken"),
    count("WebhooksNotTakenAgain"),
    count("WebhooksGivenUp"),
    // A receiver answered 410, or an event was stored for one that is disabled.
    count("WebhookReceiversGone"),
    // A webhook was disabled.
    of_stack("WebhooksDisabled", Unit::Count, &[]),
    // From the change to the first attempt, and the number of the attempt that ended it.
    of_stack("WebhookDelay", Unit::Seconds, &[]),
    of_stack("WebhookAttempts", Unit::Count, &[]),
    // An alarm that no channel took, each time that it was tried again.
    count("OperatorsNotTold"),
    // AWS: attempts at KMS, with the SDK's repeats, and what asked for fewer.
    of_stack("KmsCalls", Unit::Count, &[&[&KMS_OPERATION]]),
    of_stack("KmsThrottles", Unit::Count, &[]),
    of_stack("DynamodbThrottles", Unit::Count, &[]),
    of_stack("DynamodbConflicts", Unit::Count, &[&[&CONFLICT]]),
    of_stack("ColdStarts", Unit::Count, &[&[&FUNCTION]]),
];

/// The metric of this name.
pub(super) fn named(name: &str) -> Option<&'static Metric> {
    // All other fields have lower-case names.
    if !name.starts_with(|first: char| first.is_ascii_uppercase()) {
        return None;
    }
    METRICS.iter().find(|metric| metric.name == name)
}

/// Whether a field of this name is a dimension of any metric.
pub(super) fn is_dimension(field: &str) -> bool {
    let mut dimensions = METRICS
        .iter()
        .flat_map(|metric| metric.by)
        .copied()
        .flatten();
    dimensions.any(|dimension| dimension.field == field)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_line_takes_as_many_metrics_as_there_are_and_no_name_is_there_twice() {
        let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        assert!(names.len() <= 100, "CloudWatch takes 100 in a line");
        for name in names {
            assert!(named(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_dimension_has_each_value_once_and_a_set_has_each_field_once() {
        for metric in METRICS {
            for set in metric.by {
                let fields: BTreeSet<&str> = set.iter().map(|one| one.field).collect();
                assert_eq!(fields.len(), set.len(), "{}", metric.name);
                assert!(!set.is_empty(), "{}", metric.name);
                for dimension in *set {
                    let values: BTreeSet<&&str> = dimension.values.iter().collect();
                    assert_eq!(values.len(), dimension.values.len(), "{}", metric.name);
                    assert!(!values.is_empty(), "{}", metric.name);
                }
            }
        }
    }
}
