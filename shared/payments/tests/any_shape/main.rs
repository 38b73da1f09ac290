//! Members that no decision uses may have any form: every such member of every message of WeChat
//! Pay is made wrong in each way, and the decision stays the same. The members are those of the
//! samples, which have every documented one.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "in a test, a panic is the report"
)]

mod messages;
mod shapes;

use std::fs;
use std::path::Path;

use payments::news::{refund::RefundNews, trade::TradeNotice};
use serde_json::{Value, json};
use wechatpay::api::{CreateRefund, PrepayCall, QueryByOutTradeNo, QueryRefund};
use wechatpay::{Call, CallbackError, FundFlowBill, Plaintext, Refusal};

use messages::{open, opened, sealed};
use shapes::{SHAPES, Shape, members, without_deciding};

/// A full message of each kind.
fn sample(name: &str) -> Value {
    let path = folder("samples").join(format!("{name}.json"));
    serde_json::from_slice(&fs::read(&path).expect("a sample")).expect("JSON")
}

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/any_shape")
        .join(name)
}

/// Makes each member of a sample wrong that is not among those that decide, in each way, and
/// compares what is decided.
fn no_shape_matters(
    sample: &Value,
    deciding: &[&str],
    deciding_as_text: &[&str],
    decide: impl Fn(&[u8]) -> String,
) {
    let usual = decide(sample.to_string().as_bytes());
    let members = without_deciding(sample, deciding);
    assert!(!members.is_empty(), "nothing to make wrong");
    for member in &members {
        for shape in SHAPES {
            if shape.is_text && deciding_as_text.contains(&member.as_str()) {
                continue;
            }
            let body = shape.put(sample, member);
            assert_eq!(decide(body.as_bytes()), usual, "{member} is {}", shape.name);
        }
    }
}

/// What is decided on a verified message, as far as money goes: when a refund was accepted only
/// says under which day it is found.
fn decision(plaintext: &Plaintext) -> String {
    match plaintext {
        Plaintext::Transaction(it) => format!("{:?}", TradeNotice::try_from(it.clone())),
        Plaintext::Refund(it) => refund_decision(RefundNews::try_from(it.clone())),
        Plaintext::CombinedTransaction(it) => format!(
            "combined {} {:?}",
            it.combine_out_trade_no,
            it.sub_orders
                .iter()
                .map(|order| (&order.out_trade_no, order.amount.total_amount))
                .collect::<Vec<_>>()
        ),
        Plaintext::ProfitSharing(_) => "profit sharing".to_owned(),
        Plaintext::SecurityEcho(_) => "echo".to_owned(),
        Plaintext::Unknown(_) => "unknown".to_owned(),
    }
}

fn refund_decision<E: std::fmt::Debug>(news: Result<RefundNews, E>) -> String {
    let undated = news.map(|news| RefundNews {
        accepted_at: None,
        received_by: None,
        ..news
    });
    format!("{undated:?}")
}

const PAYMENT_DECIDES: &[&str] = &[
    "/appid",
    "/mchid",
    "/out_trade_no",
    "/transaction_id",
    "/trade_state",
    "/success_time",
    "/amount/total",
    "/amount/currency",
];

const REFUND_DECIDES: &[&str] = &[
    "/refund_id",
    "/out_refund_no",
    "/transaction_id",
    "/out_trade_no",
    "/status",
    "/amount/total",
    "/amount/refund",
];

fn query(body: &[u8]) -> String {
    let answer = QueryByOutTradeNo::answer(200, body).expect("it reads");
    format!("{:?}", TradeNotice::try_from(answer))
}

fn refund(body: &[u8]) -> String {
    let created = CreateRefund::answer(200, body).expect("it reads");
    assert_eq!(Ok(&created), QueryRefund::answer(200, body).as_ref());
    refund_decision(RefundNews::try_from(created))
}

#[test]
fn a_payments_query_is_decided_whatever_the_shape_of_the_rest() {
    let paid = query(sample("payment").to_string().as_bytes());
    assert!(paid.starts_with("Ok(") && paid.contains("Paid("), "{paid}");
    no_shape_matters(&sample("payment"), PAYMENT_DECIDES, &[], query);
    let of_an_unpaid_one = &["/appid", "/mchid", "/out_trade_no", "/trade_state"];
    no_shape_matters(&sample("unpaid"), of_an_unpaid_one, &[], query);
}

#[test]
fn a_refunds_answer_is_decided_whatever_the_shape_of_the_rest() {
    let decided = refund(sample("refund").to_string().as_bytes());
    assert!(decided.contains("Succeeded("), "{decided}");
    let succeeded = [REFUND_DECIDES, &["/success_time"]].concat();
    no_shape_matters(&sample("refund"), &succeeded, &[], refund);
    no_shape_matters(&sample("refund-processing"), REFUND_DECIDES, &[], refund);
}

#[test]
fn a_notice_is_decided_whatever_the_shape_of_the_rest_of_its_plaintext() {
    let refund_notice = [
        "/mchid",
        "/transaction_id",
        "/out_trade_no",
        "/refund_id",
        "/out_refund_no",
        "/refund_status",
        "/success_time",
        "/amount/total",
        "/amount/refund",
    ];
    let combined = [
        "/combine_appid",
        "/combine_mchid",
        "/combine_out_trade_no",
        "/sub_orders/0/mchid",
        "/sub_orders/0/out_trade_no",
        "/sub_orders/0/trade_state",
        "/sub_orders/0/amount/total_amount",
    ];
    for (kind, name, deciding) in [
        ("transaction", "payment", PAYMENT_DECIDES),
        ("refund", "refund-notice", &refund_notice[..]),
        ("transaction", "combined", &combined[..]),
        ("profitsharing", "profit-sharing", &[]),
        ("security", "echo-notice", &[]),
    ] {
        no_shape_matters(&sample(name), deciding, &[], |plaintext| {
            decision(&opened(&sealed(kind, plaintext)).plaintext)
        });
    }
}

/// `original_type` and `algorithm` decide where they are texts: they may name something that is not
/// for us.
#[test]
fn a_notice_is_decided_whatever_the_shape_of_the_rest_of_its_envelope() {
    for (kind, name) in [
        ("transaction", "payment"),
        ("refund", "refund-notice"),
        ("transaction", "combined"),
        ("profitsharing", "profit-sharing"),
        ("security", "echo-notice"),
    ] {
        let envelope = sealed(kind, sample(name).to_string().as_bytes());
        let deciding = [
            "/resource/ciphertext",
            "/resource/nonce",
            "/resource/associated_data",
        ];
        let as_text = ["/resource/original_type", "/resource/algorithm"];
        no_shape_matters(&envelope, &deciding, &as_text, |body| {
            let callback = messages::opened_body(body);
            assert!((1..=128).contains(&callback.id.len()), "a key of a table");
            assert_eq!(callback.id, messages::opened_body(body).id);
            decision(&callback.plaintext)
        });
    }
}

#[test]
fn what_the_fields_alone_do_not_show_is_of_unknown_kind() {
    let mut envelope = sealed("x", br#"{"complaint_id":"200201820200101080076610000"}"#);
    envelope["resource"]["original_type"] = Value::Null;
    assert_eq!(decision(&opened(&envelope).plaintext), "unknown");
    let named = sealed("complaint", sample("payment").to_string().as_bytes());
    assert_eq!(
        decision(&opened(&named).plaintext),
        "unknown",
        "what WeChat Pay calls something else is not booked"
    );
}

#[test]
fn other_answers_are_decided_whatever_the_shape_of_their_rest() {
    no_shape_matters(
        &sample("prepay"),
        &["/prepay_id"],
        &["/h5_url", "/code_url"],
        |body| format!("{:?}", PrepayCall::answer(200, body)),
    );
    let link = ["/hash_value", "/download_url"];
    no_shape_matters(&sample("bill-link"), &link, &["/hash_type"], |body| {
        format!("{:?}", FundFlowBill::answer(200, body))
    });
    no_shape_matters(&sample("error"), &["/code"], &[], |body| {
        let refusal = Refusal::read(403, body);
        format!("{:?} {:?}", refusal.code, refusal.repeat())
    });
}

/// What decides must be there, and an array is no object.
#[test]
fn what_decides_is_read_strictly() {
    let refuses = |sample: &Value, deciding: &[&str], decide: &dyn Fn(&[u8]) -> bool| {
        assert!(decide(sample.to_string().as_bytes()), "the sample itself");
        for member in deciding {
            for shape in SHAPES.iter().filter(|shape| !shape.is_text) {
                let body = shape.put(sample, member);
                assert!(!decide(body.as_bytes()), "{member} is {}", shape.name);
            }
        }
        let values: Vec<&Value> = sample.as_object().unwrap().values().collect();
        assert!(!decide(json!(values).to_string().as_bytes()), "an array");
        let mut inside = sample.clone();
        let amounts: Vec<Value> = sample["amount"]
            .as_object()
            .unwrap()
            .values()
            .cloned()
            .collect();
        inside["amount"] = json!(amounts);
        assert!(
            !decide(inside.to_string().as_bytes()),
            "an array for the amount"
        );
    };
    let number_of_a_number =
        |member: &&&str| !matches!(**member, "/amount/total" | "/amount/refund");
    let texts: Vec<&str> = PAYMENT_DECIDES
        .iter()
        .filter(number_of_a_number)
        .copied()
        .collect();
    refuses(&sample("payment"), &texts, &|body| {
        QueryByOutTradeNo::answer(200, body)
            .is_ok_and(|answer| TradeNotice::try_from(answer).is_ok())
    });
    let texts: Vec<&str> = REFUND_DECIDES
        .iter()
        .filter(number_of_a_number)
        .copied()
        .collect();
    refuses(&sample("refund"), &texts, &|body| {
        CreateRefund::answer(200, body).is_ok_and(|answer| RefundNews::try_from(answer).is_ok())
    });
    for wrong in [
        r#""300""#, "300.0", "3e2", "null", "[300]", "{}", "true", "-300", "0",
    ] {
        let total = Shape {
            name: wrong,
            json: Some(wrong),
            is_text: false,
        };
        let payment = total.put(&sample("payment"), "/amount/total");
        assert!(!query_is_read(payment.as_bytes()), "a total of {wrong}");
        let refund = total.put(&sample("refund"), "/amount/total");
        assert!(!refund_is_read(refund.as_bytes()), "a total of {wrong}");
    }
}

fn query_is_read(body: &[u8]) -> bool {
    QueryByOutTradeNo::answer(200, body).is_ok_and(|answer| TradeNotice::try_from(answer).is_ok())
}

fn refund_is_read(body: &[u8]) -> bool {
    CreateRefund::answer(200, body).is_ok_and(|answer| RefundNews::try_from(answer).is_ok())
}

#[test]
fn a_verified_callback_that_is_no_object_is_distinguished_from_one_that_a_key_would_open() {
    for body in [
        &b"[]"[..],
        b"null",
        b"<xml/>",
        br#"{"id":"1"}"#,
        br#"{"resource":[]}"#,
    ] {
        let refused = open(body, messages::APIV3_KEY).expect_err("no envelope");
        assert!(
            matches!(refused, CallbackError::Envelope { .. }),
            "{refused}"
        );
        assert!(refused.is_unreadable());
    }
    let values: Vec<Value> = sample("payment")
        .as_object()
        .unwrap()
        .values()
        .cloned()
        .collect();
    let array = sealed("transaction", json!(values).to_string().as_bytes());
    let refused = open(array.to_string().as_bytes(), messages::APIV3_KEY).expect_err("an array");
    assert!(
        matches!(refused, CallbackError::Plaintext { .. }),
        "{refused}"
    );
    assert!(refused.is_unreadable());
    let good = sealed("transaction", b"{}").to_string();
    let refused = open(good.as_bytes(), &[b'k'; 32]).expect_err("another key");
    assert!(
        !refused.is_unreadable(),
        "that is mended by loading the key"
    );
}

/// Shapes that were met: answers of other years and products, from the issue trackers of other
/// systems.
#[test]
fn shapes_that_were_met_are_paid_and_accepted() {
    let mut seen = 0;
    for entry in fs::read_dir(folder("seen")).expect("beside this file") {
        let path = entry.expect("readable").path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let body = fs::read(&path).expect("readable");
        if name.starts_with("payment-") {
            let usual = query(sample("payment").to_string().as_bytes());
            assert_eq!(query(&body), usual, "{name}");
            let notice = opened(&sealed("transaction", &body));
            assert_eq!(decision(&notice.plaintext), usual, "{name}");
        } else {
            let usual = refund(sample("refund-processing").to_string().as_bytes());
            assert_eq!(refund(&body), usual, "{name}");
        }
        seen += 1;
    }
    assert!(seen >= 18, "{seen} files");
}

#[test]
fn every_member_of_a_sample_is_listed() {
    let found = members(&json!({"a": {"b": [{"c": 1}]}, "d": null}));
    assert_eq!(found, ["/a", "/a/b", "/a/b/0", "/a/b/0/c", "/d"]);
    let left = without_deciding(&json!({"a": {"b": 1, "c": 2}, "d": 3}), &["/a/b"]);
    assert_eq!(
        left,
        ["/a/c", "/d"],
        "an object that decides by a member decides"
    );
}
