//! The ledger of notices as an operator sees it.

use std::process::Output;

use payments::model::ids::OrderNo;
use runtime::clock::Clock;
use serde_json::{Value, json};
use stores::notices::{
    FailedNotice, NoticeStatus, Notices, ParkedNotice, money::ParkedMoneyRecord,
};
use stores::order_table::ParkedStatus;
use wechatpay::UnixSeconds;

use crate::cloud::{Cloud, MCHID, printed};
use crate::policies::{are_those_of, run_all};

const QUEUE: &str = "http://127.0.0.1/payment-results";
const MESSAGE: &str = r#"{"v":"callback.v1","headers":{},"body":"still encrypted"}"#;

/// An account whose notices table has `FAILED`, which is retried, and `PARKED`, which waits for an
/// operator.
struct Ledger {
    cloud: Cloud,
    notices: Notices,
}

impl Ledger {
    async fn start(name: &str) -> Self {
        let cloud = Cloud::start(name).await;
        let notices = Notices::new(cloud.aws().dynamodb(), &cloud.tables.notices, MCHID);
        let order_no = OrderNo::parse("tea-0001").unwrap();
        let failed = FailedNotice {
            notice_id: "FAILED",
            order_no: Some(&order_no),
            event_type: "TRANSACTION.SUCCESS",
            message: MESSAGE,
            retries: 3,
            next_retry_at: UnixSeconds(1_785_556_860),
            last_error: "the orders table did not answer",
            now: UnixSeconds(1_785_556_800),
        };
        notices.failed(&failed).await.unwrap();
        let parked = ParkedNotice {
            notice_id: "PARKED",
            order_no: None,
            event_type: "TRANSACTION.SUCCESS",
            message: MESSAGE,
            what_to_do: "find out whose money it is",
            now: UnixSeconds(1_785_556_801),
        };
        assert_eq!(
            notices.parked(&parked).await.unwrap(),
            ParkedStatus::Waiting
        );
        Self { cloud, notices }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let ledger = [
            "--mchid",
            MCHID,
            "--notices-table",
            &self.cloud.tables.notices,
        ];
        self.cloud.run(&[&["notices"], arguments, &ledger].concat())
    }

    fn listed(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.run(&[&["list"], arguments].concat());
        assert!(output.status.success(), "{}", printed(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    async fn status(&self, notice_id: &str) -> NoticeStatus {
        let found = self.notices.get(notice_id).await.unwrap();
        found.unwrap().status
    }
}

#[tokio::test]
async fn waiting_notices_are_listed_with_what_to_do_and_without_messages() {
    let ledger = Ledger::start("list").await;
    let parked = json!({
        "notice_id": "PARKED",
        "status": "parked",
        "event_type": "TRANSACTION.SUCCESS",
        "what_to_do": "find out whose money it is",
        "retries": 0,
        "first_seen_at": "2026-08-01T12:00:01+08:00",
        "updated_at": "2026-08-01T12:00:01+08:00",
    });
    let failed = json!({
        "notice_id": "FAILED",
        "status": "pending",
        "order_no": "tea-0001",
        "event_type": "TRANSACTION.SUCCESS",
        "last_error": "the orders table did not answer",
        "retries": 3,
        "next_retry_at": "2026-08-01T12:01:00+08:00",
        "first_seen_at": "2026-08-01T12:00:00+08:00",
        "updated_at": "2026-08-01T12:00:00+08:00",
    });
    assert_eq!(ledger.listed(&[]), [parked.clone(), failed.clone()]);
    assert_eq!(ledger.listed(&["--status", "pending"]), [failed]);
    assert!(ledger.listed(&["--status", "decided"]).is_empty());

    let output = ledger.run(&["list", "--most", "1"]);
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown, json!([parked]));
    assert!(
        printed(&output).contains("more than these 1"),
        "{}",
        printed(&output)
    );
}

#[tokio::test]
async fn a_notice_is_shown_with_its_message() {
    let ledger = Ledger::start("show").await;
    let output = ledger.run(&["show", "PARKED"]);
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["what_to_do"], "find out whose money it is");
    assert_eq!(shown["message"], MESSAGE);
}

#[tokio::test]
async fn a_redriven_notice_goes_to_the_queue_as_it_came_and_stays_what_it_is() {
    let ledger = Ledger::start("redrive").await;
    let output = ledger.run(&["redrive", "FAILED", "--queue-url", QUEUE]);
    assert!(output.status.success(), "{}", printed(&output));
    let sent = ledger.cloud.sent();
    let [message] = sent.as_slice() else {
        panic!("one message, not {sent:?}");
    };
    assert_eq!(message["QueueUrl"], QUEUE);
    assert_eq!(message["MessageBody"], MESSAGE);
    let attributes = &message["MessageAttributes"];
    assert_eq!(attributes["redriven"]["StringValue"], "true");
    let traceparent = attributes["traceparent"]["StringValue"].as_str().unwrap();
    let parts: Vec<usize> = traceparent.split('-').map(str::len).collect();
    assert_eq!(parts, [2, 32, 16, 2]);
    assert!(
        printed(&output).contains(&traceparent[3..35]),
        "{}",
        printed(&output)
    );
    assert_eq!(ledger.status("FAILED").await, NoticeStatus::Pending);

    let output = ledger.run(&["redrive", "PARKED", "--queue-url", QUEUE]);
    assert!(
        printed(&output).contains("stays parked"),
        "{}",
        printed(&output)
    );
    assert_eq!(ledger.status("PARKED").await, NoticeStatus::Parked);
    assert_eq!(ledger.cloud.sent().len(), 2);
}

#[tokio::test]
async fn a_list_with_nothing_in_it_says_whose_and_which_it_is() {
    let ledger = Ledger::start("nothing").await;
    let decided = ledger.run(&["list", "--status", "decided"]);
    let none = printed(&decided);
    assert!(
        none.contains("no notices in the table") && none.contains("that are decided"),
        "{none}"
    );
    // Another merchant's number: the ledger has two that wait.
    let table = &ledger.cloud.tables.notices;
    let other = ["--mchid", "1900000001", "--notices-table", table];
    let output = ledger
        .cloud
        .run(&[&["notices", "list"][..], &other].concat());
    assert_eq!(output.stdout, b"[]\n");
    let none = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = format!(
        "merchant 1900000001 has no notices in the table {table} that are parked or pending"
    );
    assert!(none.contains(&said), "{none}");
    assert!(!printed(&ledger.run(&["list"])).contains("has no notices"));
}

#[tokio::test]
async fn a_refused_send_to_the_queue_names_the_role_that_may() {
    let ledger = Ledger::start("denied").await;
    ledger.cloud.deny_sending();
    let output = ledger.run(&["redrive", "PARKED", "--queue-url", QUEUE]);
    assert!(!output.status.success());
    let printed = printed(&output);
    for words in ["OperatorRoleArn", "AccessDenied"] {
        assert!(printed.contains(words), "{words}: {printed}");
    }
}

#[tokio::test]
async fn money_without_a_callback_is_listed_and_has_nothing_to_send_again() {
    let ledger = Ledger::start("asked").await;
    let order_no = OrderNo::parse("tea-0002").unwrap();
    let money = ParkedMoneyRecord {
        notice_id: "payment#4200001",
        order_no: &order_no,
        what_to_do: "refund this second payment",
        now: UnixSeconds(1_785_556_802),
    };
    assert_eq!(
        ledger.notices.keep(&money).await.unwrap(),
        ParkedStatus::Waiting
    );
    let listed = ledger.listed(&["--status", "parked"]);
    assert_eq!(listed[1]["notice_id"], "payment#4200001");
    let output = ledger.run(&["redrive", "payment#4200001", "--queue-url", QUEUE]);
    assert!(!output.status.success());
    assert!(
        printed(&output).contains("nothing to send again"),
        "{}",
        printed(&output)
    );
    assert!(ledger.cloud.sent().is_empty());
}

#[tokio::test]
async fn a_decision_ends_a_notice_for_good() {
    let ledger = Ledger::start("decide").await;
    let decide = |why: &str| ledger.run(&["decide", "PARKED", "--who", "li", "--why", why]);
    let output = decide("refunded by hand");
    assert!(output.status.success(), "{}", printed(&output));
    let notice = ledger.notices.get("PARKED").await.unwrap().unwrap();
    assert_eq!(notice.status, NoticeStatus::Decided);
    assert_eq!(notice.decided_why.as_deref(), Some("refunded by hand"));

    let again = decide("kept");
    assert!(!again.status.success(), "{}", printed(&again));
    assert!(
        printed(&again).contains("`decided` by li since"),
        "{}",
        printed(&again)
    );
    let redriven = ledger.run(&["redrive", "PARKED", "--queue-url", QUEUE]);
    assert!(!redriven.status.success());
    assert!(
        printed(&redriven).contains("was decided by li"),
        "{}",
        printed(&redriven)
    );
    assert!(ledger.cloud.sent().is_empty());
}

#[tokio::test]
async fn a_settled_notice_is_not_sent_again() {
    let ledger = Ledger::start("settled").await;
    let now = Clock::system().now();
    ledger.notices.settled("FAILED", None, now).await.unwrap();
    let output = ledger.run(&["redrive", "FAILED", "--queue-url", QUEUE]);
    assert!(
        printed(&output).contains("has settled"),
        "{}",
        printed(&output)
    );
    assert!(ledger.cloud.sent().is_empty());
}

#[tokio::test]
async fn the_commands_say_what_they_need() {
    let ledger = Ledger::start("usage").await;
    for (arguments, status, reason) in [
        (
            vec!["show", "UNKNOWN"],
            1,
            "`cargo client notices list` shows",
        ),
        (
            vec!["decide", "UNKNOWN", "--who", "li", "--why", "x"],
            1,
            "has no notice UNKNOWN",
        ),
        (
            vec!["decide", "PARKED", "--who", "li"],
            2,
            "--why is missing",
        ),
        (
            vec!["decide", "PARKED", "--who", " ", "--why", "x"],
            2,
            "whoever asks later",
        ),
        (
            vec!["redrive", "PARKED"],
            2,
            "the variable PAYMENT_RESULTS_QUEUE_URL",
        ),
        (
            vec!["list", "--status", "lost"],
            2,
            "is pending, parked, ok or decided",
        ),
        (vec!["drop", "PARKED"], 2, "no command `notices drop`"),
    ] {
        let output = ledger.run(&arguments);
        assert_eq!(
            output.status.code(),
            Some(status),
            "{arguments:?}: {}",
            printed(&output)
        );
        assert!(
            printed(&output).contains(reason),
            "{arguments:?}: {}",
            printed(&output)
        );
    }
    let output = ledger.cloud.run(&["notices"]);
    assert!(
        printed(&output).contains("list, show, redrive or decide is missing"),
        "{}",
        printed(&output)
    );
    let output = ledger.cloud.run(&["notices", "list"]);
    assert!(
        printed(&output).contains("the variable WECHATPAY_MCHID"),
        "{}",
        printed(&output)
    );
}

#[tokio::test]
async fn the_policy_for_it_has_the_calls_that_it_makes_and_no_other() {
    let ledger = Ledger::start("policy").await;
    ledger.cloud.take_calls();
    let commands: [&[&str]; 4] = [
        &["list"],
        &["show", "PARKED"],
        &["redrive", "FAILED", "--queue-url", QUEUE],
        &["decide", "PARKED", "--who", "li", "--why", "refunded"],
    ];
    let runs = commands.map(|arguments| (arguments, ledger.run(arguments)));
    run_all(&ledger.cloud, "notices", &[], runs);
    are_those_of("NoticesPolicy", ledger.cloud.take_calls());
}
