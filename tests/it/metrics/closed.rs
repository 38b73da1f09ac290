//! Every dimension has a closed list of values, and the list is that of our own names. Each value
//! is a billed metric, so a text from outside must never be one.

use std::{collections::BTreeSet, path::Path};

use payments::model::{
    ids::TransactionId, journal::Cause, order::Product, parked::ParkReason, refund::RefundState,
};
use runtime::telemetry::metrics::METRICS;
use stores::notices::NoticeStatus;
use wechat_client::api::{CallResult, Host, Limit};
use wechatpay::{UnixSeconds, VerifyError, api::Interface};

type Names = BTreeSet<&'static str>;

/// The values of a metric's dimension.
fn values(metric: &str, field: &str) -> Names {
    let metric = METRICS.iter().find(|known| known.name == metric);
    let metric = metric.unwrap_or_else(|| panic!("{metric:?}"));
    let dimensions = metric.by.iter().copied().flatten();
    let found = dimensions.filter(|dimension| dimension.field == field);
    let values: Names = found
        .flat_map(|dimension| dimension.values)
        .copied()
        .collect();
    assert!(!values.is_empty(), "{} by {field}", metric.name);
    values
}

fn names<T>(all: impl IntoIterator<Item = T>, name: impl Fn(T) -> &'static str) -> Names {
    all.into_iter().map(name).collect()
}

#[test]
fn products_interfaces_hosts_outcomes_and_limits_are_all_that_there_are() {
    // A variant more does not compile, and then belongs into the list and into the dimension.
    let product = |product: Product| match product {
        Product::Jsapi | Product::MiniProgram | Product::App | Product::H5 | Product::Native => {
            product.name()
        }
    };
    let products = [
        Product::Jsapi,
        Product::MiniProgram,
        Product::App,
        Product::H5,
        Product::Native,
    ];
    assert_eq!(values("OrderAnswerMs", "product"), names(products, product));
    let by_call = |field| values("WechatCallMs", field);
    assert_eq!(by_call("interface"), names(Interface::ALL, Interface::name));
    assert_eq!(by_call("host"), names(Host::ALL, Host::name));
    assert_eq!(by_call("outcome"), names(CallResult::ALL, CallResult::name));
    let limits = names(Limit::ALL, Limit::name);
    assert_eq!(values("LimitWaitMs", "limit"), limits);
    assert_eq!(values("CallsNotSent", "limit"), limits);
}

#[test]
fn news_refunds_parked_money_and_notices_have_the_names_of_the_rules() {
    let cause = |cause: Cause| match cause {
        Cause::Request(_)
        | Cause::Message(_)
        | Cause::Notice(_)
        | Cause::Sweep(_)
        | Cause::Reconciliation(_) => cause.kind(),
    };
    let id = String::new;
    let causes = [
        Cause::Request(id()),
        Cause::Message(id()),
        Cause::Notice(id()),
        Cause::Sweep(id()),
        Cause::Reconciliation(id()),
    ];
    let kinds = names(causes, cause);
    assert_eq!(values("SettlementDelay", "brought_by"), kinds);
    assert_eq!(values("PaidFen", "brought_by"), kinds);
    let state = |state: RefundState| match state {
        RefundState::Reserved
        | RefundState::Processing
        | RefundState::Succeeded(_)
        | RefundState::Closed
        | RefundState::Refused(_)
        | RefundState::Abnormal => state.name(),
    };
    let states = [
        RefundState::Reserved,
        RefundState::Processing,
        RefundState::Succeeded(UnixSeconds(0)),
        RefundState::Closed,
        RefundState::Refused(String::new()),
        RefundState::Abnormal,
    ];
    assert_eq!(values("RefundAge", "state"), names(states, state));
    let reason = |reason: ParkReason| match reason {
        ParkReason::UnknownOrder
        | ParkReason::SecondPayment { .. }
        | ParkReason::RefundedElsewhere
        | ParkReason::NumberUsedElsewhere
        | ParkReason::OlderThanOrder => reason.name(),
        ParkReason::Differs { field } => field,
    };
    let paid_by = TransactionId::parse("4200000000000000000000000001").expect("a number");
    // `tests/it/callbacks.rs` brings about each field that may differ.
    let fields = ["mchid", "appid", "amount", "currency"];
    let reasons = fields
        .map(|field| ParkReason::Differs { field })
        .into_iter()
        .chain([
            ParkReason::UnknownOrder,
            ParkReason::SecondPayment { paid_by },
            ParkReason::RefundedElsewhere,
            ParkReason::NumberUsedElsewhere,
            ParkReason::OlderThanOrder,
        ]);
    assert_eq!(values("MoneyParkedFen", "reason"), names(reasons, reason));
    let recorded = [
        NoticeStatus::Pending,
        NoticeStatus::Parked,
        NoticeStatus::Settled,
    ];
    assert_eq!(
        values("NoticesRecorded", "status"),
        names(recorded, NoticeStatus::name)
    );
}

#[test]
fn causes_of_callbacks_and_answers_are_the_names_of_their_errors() {
    let of_signatures: Names = VerifyError::NAMES.iter().copied().collect();
    let mut refused = of_signatures.clone();
    assert!(refused.remove("probe"), "a probe is counted apart");
    let disbelieved = refused.clone();
    refused.extend([
        "no_apiv3_key",
        "does_not_open",
        "too_large",
        "not_base64",
        "not_text",
        "keys_unavailable",
        "queue_unavailable",
    ]);
    assert_eq!(values("CallbacksRefused", "cause"), refused);
    assert_eq!(values("AnswersUnverified", "cause"), disbelieved);
    let mut failed = of_signatures;
    failed.extend([
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
    ]);
    assert_eq!(values("WechatCallsFailed", "cause"), failed);
}

#[test]
fn cold_starts_are_counted_for_each_function_by_its_own_name() {
    let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions");
    let mut started = BTreeSet::new();
    for folder in std::fs::read_dir(functions).expect("functions") {
        let folder = folder.expect("a folder").path();
        let Ok(main) = std::fs::read_to_string(folder.join("src/main.rs")) else {
            continue;
        };
        let Some((_, rest)) = main.split_once("sandbox::start(\"") else {
            continue;
        };
        let (name, _) = rest.split_once('"').expect("a name");
        assert_eq!(
            folder.file_name().and_then(|name| name.to_str()),
            Some(name)
        );
        started.insert(name.to_owned());
    }
    let listed = values("ColdStarts", "function");
    assert_eq!(
        listed
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<BTreeSet<_>>(),
        started
    );
}
