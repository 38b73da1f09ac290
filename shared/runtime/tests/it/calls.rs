//! What a broken connection means for the SDK's caller, and that the test wire breaks what it says.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use runtime::aws::{Aws, AwsError, AwsSettings, CallLimits, FailureKind};
use runtime::clock::Clock;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use testbed::{Call, DynamoEngine, Fault, FaultyTransport, Match, Service, Tables};
use testbed::{NOW, chain};

struct Bench {
    clock: Clock,
    wire: FaultyTransport,
    tables: Tables,
    client: aws_sdk_dynamodb::Client,
    direct: aws_sdk_dynamodb::Client,
    _engine: DynamoEngine,
}

impl Bench {
    async fn new() -> Self {
        let engine = DynamoEngine::start();
        let tables = engine.create_tables("test-").await;
        let clock = Clock::manual(NOW);
        let wire = FaultyTransport::new(clock.clone());
        let client = engine.client_over(&wire, &clock);
        let direct = engine.client(&Clock::system());
        Self {
            clock,
            wire,
            tables,
            client,
            direct,
            _engine: engine,
        }
    }

    /// A conditional Put of `pk` by `holder`.
    async fn put(&self, pk: &str, holder: &str) -> Result<(), AwsError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.guards)
            .set_item(Some(item(pk, holder)))
            .condition_expression("attribute_not_exists(pk)")
            .send();
        put.await
            .map(|_| ())
            .map_err(|error| AwsError::new("PutItem", error))
    }

    async fn is_there(&self, pk: &str) -> bool {
        let get = self
            .direct
            .get_item()
            .table_name(&self.tables.guards)
            .key("pk", AttributeValue::S(pk.to_owned()));
        get.send().await.expect("an answer").item.is_some()
    }
}

fn item(pk: &str, holder: &str) -> HashMap<String, AttributeValue> {
    [("pk", pk), ("holder", holder)]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())))
        .collect()
}

#[tokio::test]
async fn each_fault_has_the_effect_and_the_kind_that_it_names() {
    let bench = Bench::new().await;
    for (fault, kind, done) in [
        (Fault::Unreachable, FailureKind::Unreachable, false),
        (Fault::ServiceFault, FailureKind::ServiceFault, false),
        (Fault::Throttled, FailureKind::Throttled, false),
        (Fault::Denied, FailureKind::Refused, false),
        (Fault::Conflict, FailureKind::Refused, false),
    ] {
        bench.wire.break_all(Match::any(), fault);
        let failure = bench.put("pk", "me").await.expect_err("broken");
        assert_eq!(failure.kind(), kind, "{fault:?}: {failure}");
        assert_eq!(bench.is_there("pk").await, done, "{fault:?}");
        bench.wire.mend();
    }
}

#[tokio::test]
async fn a_late_answer_is_a_time_out_and_the_write_has_happened() {
    let bench = Bench::new().await;
    let get = || {
        bench
            .client
            .get_item()
            .table_name(&bench.tables.guards)
            .key("pk", AttributeValue::S("late".to_owned()))
    };
    bench.wire.break_all(
        Match::operation(Service::DynamoDb, "GetItem"),
        Fault::TimedOut,
    );
    let failure = AwsError::new("GetItem", get().send().await.expect_err("late"));
    assert_eq!(failure.kind(), FailureKind::TimedOut, "{failure:?}");

    bench.wire.break_next(
        Match::operation(Service::DynamoDb, "PutItem"),
        Fault::TimedOut,
    );
    // The SDK's own retry meets the item that its first attempt wrote.
    let refused = bench
        .put("late", "me")
        .await
        .expect_err("refused by itself");
    assert_eq!(
        (refused.kind(), refused.code()),
        (
            FailureKind::Refused,
            Some("ConditionalCheckFailedException")
        )
    );
    assert!(bench.is_there("late").await);
}

#[tokio::test]
async fn after_a_lost_answer_the_retry_finds_its_own_item() {
    let bench = Bench::new().await;
    bench.wire.break_next(
        Match::operation(Service::DynamoDb, "PutItem").on(&bench.tables.guards),
        Fault::LostAnswer,
    );
    let put = bench
        .client
        .put_item()
        .table_name(&bench.tables.guards)
        .set_item(Some(item("mine", "attempt-1")))
        .condition_expression("attribute_not_exists(pk)")
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    let error = put
        .send()
        .await
        .expect_err("the retry is refused")
        .into_service_error();
    let PutItemError::ConditionalCheckFailedException(refused) = error else {
        panic!("{error:?}")
    };
    assert_eq!(refused.item(), Some(&item("mine", "attempt-1")));
    assert_eq!(bench.wire.count(&Match::any()), 2);
}

#[tokio::test]
async fn a_refused_write_s_error_shows_nothing_of_the_item_that_it_met() {
    let bench = Bench::new().await;
    bench.put("pk", "do-not-show-me").await.expect("written");
    let put = bench
        .client
        .put_item()
        .table_name(&bench.tables.guards)
        .set_item(Some(item("pk", "nor-me")))
        .condition_expression("attribute_not_exists(pk)")
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    let failure = AwsError::new("PutItem", put.send().await.expect_err("refused"));
    let shown = format!("{failure} {failure:?} {}", chain(&failure));
    assert!(
        !shown.contains("show-me") && !shown.contains("nor-me"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_conflict_in_a_transaction_names_a_reason_for_each_item() {
    let bench = Bench::new().await;
    let write = |pk: &str| {
        let put = Put::builder()
            .table_name(&bench.tables.guards)
            .set_item(Some(item(pk, "me")))
            .build()
            .expect("a put");
        TransactWriteItem::builder().put(put).build()
    };
    let transaction = || {
        bench
            .client
            .transact_write_items()
            .transact_items(write("a"))
            .transact_items(write("b"))
            .send()
    };
    bench.wire.break_next(
        Match::operation(Service::DynamoDb, "TransactWriteItems"),
        Fault::Conflict,
    );
    let error = transaction()
        .await
        .expect_err("conflict")
        .into_service_error();
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else {
        panic!("{error:?}")
    };
    let reasons = cancelled.cancellation_reasons().iter();
    let codes: Vec<_> = reasons.map(CancellationReason::code).collect();
    assert_eq!(codes, [Some("TransactionConflict"); 2]);
    assert!(!bench.is_there("a").await);

    bench.wire.forget();
    transaction().await.expect("written");
    let call = Call {
        service: Service::DynamoDb,
        operation: "TransactWriteItems".to_owned(),
        resource: bench.tables.guards.clone(),
        consistent: false,
    };
    assert_eq!(bench.wire.calls(), [call]);
}

#[tokio::test]
async fn a_crash_before_a_call_did_nothing_and_a_crash_after_it_did() {
    for (fault, done) in [(Fault::DieBefore, false), (Fault::DieAfter, true)] {
        let bench = Bench::new().await;
        bench.wire.break_next(Match::any(), fault);
        assert!(
            bench
                .wire
                .run_until_crash(bench.put("pk", "me"))
                .await
                .is_none(),
            "{fault:?}"
        );
        assert_eq!(bench.is_there("pk").await, done, "{fault:?}");
        bench.wire.mend();
        assert!(
            bench
                .wire
                .run_until_crash(bench.put("another", "me"))
                .await
                .is_some(),
            "{fault:?}: mended"
        );
    }
}

#[tokio::test]
async fn a_delay_and_the_sdk_s_own_waits_pass_on_the_manual_clock() {
    let bench = Bench::new().await;
    let started = std::time::Instant::now();
    bench
        .wire
        .break_next(Match::any(), Fault::Delay(Duration::from_secs(3600)));
    bench.put("pk", "me").await.expect("written");
    assert_eq!(bench.clock.now().0 - NOW.0, 3600);
    bench
        .wire
        .break_after(Match::any(), 0, 2, Fault::ServiceFault);
    bench.put("again", "me").await.expect("the third attempt");
    assert!(started.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn a_rule_may_let_calls_pass_and_a_plan_decides_on_the_rest() {
    let bench = Bench::new().await;
    bench.wire.break_after(
        Match::operation(Service::DynamoDb, "PutItem"),
        1,
        1,
        Fault::Denied,
    );
    bench
        .wire
        .plan(|call| (call.operation == "GetItem").then_some(Fault::Denied));
    bench.put("first", "me").await.expect("passes");
    bench.put("second", "me").await.expect_err("struck");
    bench.put("third", "me").await.expect("the rule is spent");
    let get = bench
        .client
        .get_item()
        .table_name(&bench.tables.guards)
        .key("pk", AttributeValue::S("first".to_owned()));
    assert!(get.send().await.is_err());
    assert_eq!(
        bench
            .wire
            .count(&Match::operation(Service::DynamoDb, "PutItem").on(&bench.tables.guards)),
        3
    );
    assert_eq!(bench.wire.count(&Match::service(Service::Sqs)), 0);
}

#[tokio::test]
async fn queues_are_distinguished_by_their_url() {
    let clock = Clock::manual(NOW);
    let wire = FaultyTransport::new(clock.clone());
    let aws = Aws::with_http_client(
        &AwsSettings::local("http://127.0.0.1:9"),
        &clock,
        wire.http_client(),
    );
    wire.break_all(Match::any(), Fault::Throttled);
    let url = "http://127.0.0.1:9/000000000000/payment-results";
    let sent = aws
        .sqs()
        .send_message()
        .queue_url(url)
        .message_body("m")
        .send()
        .await;
    assert_eq!(
        AwsError::new("SendMessage", sent.expect_err("throttled")).kind(),
        FailureKind::Throttled
    );
    assert_eq!(
        wire.count(&Match::operation(Service::Sqs, "SendMessage").on(url)),
        3
    );
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_unreachable_within_the_limits() {
    let clock = Clock::system();
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("its address");
    let client = Aws::new(&AwsSettings::local(format!("http://{free}")), &clock).dynamodb();
    let failure = client.list_tables().send().await.expect_err("nobody there");
    assert_eq!(
        AwsError::new("ListTables", failure).kind(),
        FailureKind::Unreachable
    );
}

#[tokio::test]
async fn a_silent_service_is_given_up_after_the_limit_of_the_call() {
    // Takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", silent.local_addr().expect("its address"));
    let client = Aws::new(&AwsSettings::local(endpoint), &Clock::system()).dynamodb();
    let started = std::time::Instant::now();
    let failure = client.list_tables().send().await.expect_err("silence");
    assert_eq!(
        AwsError::new("ListTables", failure).kind(),
        FailureKind::TimedOut
    );
    assert!(
        (3..=9).contains(&started.elapsed().as_secs()),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn where_a_caller_waits_a_silent_service_is_given_up_sooner() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", silent.local_addr().expect("its address"));
    let aws = Aws::new(&AwsSettings::local(endpoint), &Clock::system());
    let given_up = async |limits: CallLimits| {
        let started = std::time::Instant::now();
        let client = aws.within(limits).sqs();
        client.list_queues().send().await.expect_err("silence");
        started.elapsed()
    };
    let limits = [CallLimits::PROMPT, CallLimits::CALLBACK];
    let took = futures_util::future::join_all(limits.map(given_up)).await;
    for (limits, took) in limits.into_iter().zip(took) {
        assert!(took < limits.call() * 3 / 2, "{limits:?}: {took:?}");
    }
}

#[tokio::test]
async fn a_service_whose_certificate_has_an_unknown_issuer_gets_no_request() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("https://{}", listener.local_addr().expect("its address"));
    // It serves one handshake and returns what it read.
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a connection");
        let mut tls = rustls::ServerConnection::new(self_signed()).expect("a server");
        let handshake = tls.complete_io(&mut socket);
        (
            handshake.is_ok(),
            tls.process_new_packets()
                .map(|state| state.plaintext_bytes_to_read()),
        )
    });
    let client = Aws::new(&AwsSettings::local(endpoint), &Clock::manual(NOW)).dynamodb();
    let call = client.list_tables().customize().config_override(
        aws_sdk_dynamodb::config::Config::builder().retry_config(RetryConfig::disabled()),
    );
    let failure = AwsError::new("ListTables", call.send().await.expect_err("not trusted"));
    assert_eq!(failure.kind(), FailureKind::Unreachable);
    assert!(
        chain(&failure).contains("invalid peer certificate"),
        "{}",
        chain(&failure)
    );
    let (handshake, read) = server.join().expect("the server");
    assert!(!handshake && !matches!(read, Ok(1..)), "{read:?}");
}

/// A TLS server with a certificate of its own making.
fn self_signed() -> std::sync::Arc<rustls::ServerConfig> {
    let certificate = include_bytes!("../../../wechatpay/vectors/keys/platform-certificate.pem");
    let key = include_bytes!("../../../wechatpay/vectors/keys/platform.pem");
    let certificate = CertificateDer::from_pem_slice(certificate).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(key).expect("a key");
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a certificate with its key");
    std::sync::Arc::new(config)
}
