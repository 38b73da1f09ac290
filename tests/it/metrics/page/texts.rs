//! Who emits each metric, when, and what for.

/// A metric: its name, who emits it when, what for.
pub(super) const TEXTS: &[(&str, &str, &str)] = &[
    (
        "OrdersAnswered",
        "`create-order`, for each valid request; the API's log, for one that no function answered",
        "the objective of orders: its average is the share that was answered right and in time",
    ),
    (
        "OrderAnswerMs",
        "`create-order`, for each request that could be read",
        "orders by product and answer; how long callers wait, from the gateway's receipt",
    ),
    (
        "PrepaysIssued",
        "`create-order` and `process-payment`, for each prepay value that is stored",
        "orders that a payer can pay",
    ),
    (
        "PrepaysRejected",
        "the same, for each order that WeChat Pay refuses for good",
        "requests that WeChat Pay does not take",
    ),
    (
        "PrepaysPutOff",
        "the same, 1 for each attempt that found nothing out, else 0",
        "an alarm on its average: orders get no value",
    ),
    (
        "WechatCallMs",
        "whoever calls WeChat Pay, for each call that was sent",
        "latency and outcome of each interface and host",
    ),
    (
        "WechatCallsDone",
        "the same, for each call that changed something there",
        "calls that succeeded",
    ),
    (
        "WechatCallsFailed",
        "the same, for each call that failed, but for refusals of one request",
        "the cause of a failure, in one list",
    ),
    (
        "MerchantRefusals",
        "the same, when WeChat Pay refuses the merchant as a whole",
        "an alarm: nothing works until a person acts",
    ),
    (
        "AnswersUnverified",
        "the same, for an answer that is not proved to be WeChat Pay's and is no probe",
        "an alarm: a key, the clock or somebody in between",
    ),
    (
        "HostsAvoided",
        "the same when no answer came, and each sweep: how many hosts this sandbox avoids",
        "an alarm: 2 means that WeChat Pay does not answer",
    ),
    (
        "HostStateChanges",
        "the same, when a sandbox begins to avoid a host or uses it again",
        "when a host went away, and when it came back",
    ),
    (
        "LimitWaitMs",
        "the same, for each call that waited for our own limit",
        "whether the limits are too low for the load",
    ),
    (
        "CallsNotSent",
        "the same, for each call whose wait would have taken its time",
        "work that was put off by our own limits",
    ),
    (
        "CallbacksGood",
        "`receive-callback`, for each callback that may be WeChat Pay's and is no probe; the API's log, for one that no function answered",
        "the objective of callbacks: its average is the share that was acknowledged within 5 s",
    ),
    (
        "CallbacksAccepted",
        "`receive-callback`, for each callback that is in the queue",
        "callbacks that came",
    ),
    (
        "CallbacksRefused",
        "`receive-callback`, for each that it refused, without probes",
        "why callbacks are not taken",
    ),
    (
        "CallbacksUnverified",
        "`receive-callback`, for each that our APIv3 key opens and no key verifies",
        "an alarm: a key of WeChat Pay's is missing here",
    ),
    (
        "CallbackProbes",
        "`receive-callback`, for each test by WeChat Pay with a wrong signature",
        "that WeChat Pay tests us, and how often",
    ),
    (
        "CallbackAckMs",
        "`receive-callback`, for each that it accepted",
        "how long WeChat Pay waits, from the gateway's receipt, with cold starts",
    ),
    (
        "SettlementDelay",
        "whoever books a payment: from WeChat Pay's time of the payment",
        "how late payments are known here, and by which way",
    ),
    (
        "PaidFen",
        "the same: the amount",
        "the share of money, and of payments, that the callback path missed",
    ),
    (
        "MoneyParked",
        "whoever settles news, each time that WeChat Pay reports a payment or a refund that waits for a person, or what nobody can read",
        "an alarm: money came that fits no order",
    ),
    (
        "MoneyParkedFen",
        "whoever settles news, each time that WeChat Pay reports a payment that waits for a person",
        "money that is applied to no order, and why",
    ),
    (
        "RefundsParked",
        "the same for a refund that waits for a person",
        "refunds that do not fit",
    ),
    (
        "RefundAge",
        "whoever changes a refund: its age then",
        "refunds by state; how long they take to each",
    ),
    (
        "ClientsLimited",
        "`create-order`, `manage-order`, once for each window in which a key has used up its limit",
        "clients that ask too much",
    ),
    (
        "SweepsFinished",
        "`reconcile`, each sweep",
        "an alarm when it is missing",
    ),
    (
        "OldestOverdue",
        "`reconcile`, early in each sweep",
        "an alarm: the sweep does not keep up",
    ),
    (
        "OverdueRefund",
        "`reconcile`, each sweep: the oldest refund that is due",
        "which kind is behind",
    ),
    (
        "OverdueRecovery",
        "the same for reserved orders without a value",
        "which kind is behind",
    ),
    (
        "OverdueClosing",
        "the same for orders that are to be closed",
        "which kind is behind",
    ),
    (
        "OverdueLook",
        "the same for unpaid orders that are asked about",
        "which kind is behind",
    ),
    (
        "ChecksDone",
        "`reconcile`, each sweep: what it claimed",
        "how much work a sweep does",
    ),
    (
        "ChecksLeft",
        "the same: what it read of and did not come to",
        "whether sweeps are full",
    ),
    (
        "ChecksFailed",
        "the same: what could not be checked",
        "whether checks come to something",
    ),
    (
        "YesterdaysReconciled",
        "`reconcile`, when yesterday's trades are compared",
        "that the daily run came",
    ),
    (
        "DaysMissing",
        "`reconcile`, each sweep, 1 or 0",
        "an alarm: yesterday is not reconciled by 13:00",
    ),
    (
        "EarlierDaysMissing",
        "`reconcile`, each sweep: days of the week before",
        "an alarm: an earlier day is not reconciled",
    ),
    (
        "DaysReconciled",
        "`reconcile`, for each day whose trades are compared",
        "runs in earnest",
    ),
    ("DaysPreviewed", "`reconcile`, for each preview", "previews"),
    (
        "DaysFailed",
        "`reconcile`, when the trades of a day could not be compared",
        "an alarm",
    ),
    (
        "FundSidesReconciled",
        "`reconcile`, for each day whose movements are compared",
        "runs in earnest",
    ),
    (
        "FundSidesFailed",
        "`reconcile`, when the movements of a day could not be compared",
        "an alarm",
    ),
    (
        "BillsAwaited",
        "`reconcile`, each time that a bill is not there yet",
        "how long WeChat Pay takes",
    ),
    ("BillsLate", "the same, 1 from 13:00 on", "an alarm"),
    (
        "BillRows",
        "`reconcile`, for each day: rows of its trade bill",
        "how big days are",
    ),
    (
        "CarriedTrades",
        "`reconcile`, for each side of a day: trades left to the next",
        "trades near midnight",
    ),
    (
        "Differences",
        "`reconcile`, for each side of a day: differences that it found",
        "how well both sides agree",
    ),
    (
        "DifferencesOpened",
        "`reconcile` and `console`: differences that need a person now and did not before",
        "an alarm: something new",
    ),
    (
        "OpenDifferences",
        "`reconcile`, for each side of a day: differences of the last days that need a person",
        "an alarm on what stays open",
    ),
    (
        "DayFen",
        "`reconcile`, when the trades of yesterday are compared: the larger side's payments and refunds",
        "the objective of money, with the next one",
    ),
    (
        "DayFenOpen",
        "the same: what needs a person, and all of it where it is later than 11:00",
        "the objective of money: an alarm on its share",
    ),
    (
        "NoticesParked",
        "`reconcile`, every five minutes: how many wait for a person",
        "an alarm",
    ),
    (
        "NoticesRecorded",
        "`process-payment`, when the ledger gets or changes a record",
        "callbacks that did not settle at once, that settled later, and that wait for a person",
    ),
    (
        "MerchantCertificateDaysLeft",
        "`reconcile`, every five minutes",
        "an alarm on 30 days",
    ),
    (
        "PlatformCertificateDaysLeft",
        "`reconcile`, every five minutes, where WeChat Pay signs by certificates",
        "an alarm",
    ),
    (
        "WebhooksDelivered",
        "`send-webhook`, for each event that a receiver took",
        "events that arrived",
    ),
    (
        "WebhooksNotTaken",
        "`send-webhook`, for each attempt that failed",
        "attempts in vain",
    ),
    (
        "WebhooksNotTakenAgain",
        "the same, from the second attempt on",
        "an alarm: a receiver is down",
    ),
    (
        "WebhooksGivenUp",
        "`send-webhook`, for each event that no attempt delivered",
        "events that their client must ask for",
    ),
    (
        "WebhookReceiversGone",
        "`send-webhook`, for an answer 410, and for each event that is kept since",
        "an alarm",
    ),
    (
        "WebhooksDisabled",
        "`send-webhook`, when it disables a webhook",
        "receivers that get nothing any more",
    ),
    (
        "WebhookDelay",
        "`send-webhook`, at the first attempt: from the change in the table",
        "how long stream, Pipe, bus and queue take",
    ),
    (
        "WebhookAttempts",
        "`send-webhook`, when an event is delivered or given up: the number of its last attempt",
        "how many attempts events take",
    ),
    (
        "OperatorsNotTold",
        "`notify-operators`, each time that no channel took an alarm at a second or later attempt",
        "an alarm: people on call are not told",
    ),
    (
        "KmsCalls",
        "whoever calls KMS, for each attempt",
        "use of KMS's quota",
    ),
    (
        "KmsThrottles",
        "the same, for each attempt that KMS throttled",
        "whether the quota is enough",
    ),
    (
        "DynamodbThrottles",
        "whoever calls DynamoDB, for each attempt that it throttled",
        "hot partitions, or a table at its limit",
    ),
    (
        "DynamodbConflicts",
        "whoever writes an order, for each write that met another transaction or an order that had moved on",
        "how often functions meet at one order",
    ),
    (
        "ColdStarts",
        "each function, on the first line of its sandbox",
        "how often a sandbox starts",
    ),
];
