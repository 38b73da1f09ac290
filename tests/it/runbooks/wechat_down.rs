//! `wechat-down.md`: what WeChat Pay's codes are, and that no order is lost by any of them.

use futures_util::future::join_all;
use serde_json::{Value, json};
use wechatpay_simulator::{Fault, Rule};

use super::row_says;
use crate::{
    blocked,
    support::{FOREIGN_APPID, Lines, Testbed, TestbedOptions, native},
};

const PAGE: &str = "wechat-down.md";

/// A code of the page: how WeChat Pay refuses, and what the log makes of it.
struct Code {
    fault: Fault,
    says: &'static str,
    /// By which a failed call is counted.
    cause: Option<&'static str>,
    /// Whether it counts for the alarm `merchant-refused`.
    is_of_merchant: bool,
    level: &'static str,
    begins: &'static str,
    words: &'static [&'static str],
}

fn refuse(status: u16, code: &str) -> Fault {
    Fault::Refuse {
        status,
        code: code.to_owned(),
    }
}

/// A refusal of the merchant as a whole.
fn of_merchant(status: u16, code: &'static str, begins: &'static str) -> Code {
    Code {
        fault: refuse(status, code),
        says: code,
        cause: Some("merchant_refused"),
        is_of_merchant: true,
        level: "ERROR",
        begins,
        words: &[],
    }
}

fn codes() -> Vec<Code> {
    let key = "`SIGN_ERROR`, or any 401";
    let settings = "`APPID_MCHID_NOT_MATCH`, `MCH_NOT_EXISTS`";
    let sign = |code| Code {
        cause: Some("sign_refused"),
        words: &["our key, serial or clock: [keys.md](keys.md)"],
        ..of_merchant(401, code, key)
    };
    let passing = |fault, says, cause, begins, words| Code {
        fault,
        says,
        cause,
        is_of_merchant: false,
        level: "WARN",
        begins,
        words,
    };
    vec![
        sign("SIGN_ERROR"),
        sign("A_NEW_ONE"),
        of_merchant(403, "NO_AUTH", "`NO_AUTH`, `REQUEST_BLOCKED`"),
        of_merchant(403, "REQUEST_BLOCKED", "`NO_AUTH`, `REQUEST_BLOCKED`"),
        of_merchant(400, "APPID_MCHID_NOT_MATCH", settings),
        of_merchant(400, "MCH_NOT_EXISTS", settings),
        passing(
            Fault::TooManyRequests,
            "FREQUENCY_LIMITED",
            Some("rate_limited"),
            "429, `FREQUENCY_LIMITED`",
            &["too many calls. They wait and are repeated"],
        ),
        passing(
            refuse(403, "RULE_LIMIT"),
            "RULE_LIMIT",
            None,
            "`RULE_LIMIT`",
            &["a rate limit, which passes"],
        ),
        Code {
            cause: Some("unknown_code"),
            is_of_merchant: false,
            words: &[
                "Its calls count under the cause `unknown_code`, and not for `merchant-refused`",
            ],
            ..of_merchant(
                400,
                "A_NEW_ONE",
                "a code that is not in WeChat Pay's manual",
            )
        },
    ]
}

/// The lines with what WeChat Pay said.
fn refusals(lines: &Lines) -> Vec<Value> {
    let mut logged = lines.take_all();
    logged.retain(|line| line["refusal"].is_string());
    logged
}

async fn each_of_them_shows_and_passes(code: Code) {
    let testbed = Testbed::start().await;
    let admin = testbed.wechat.admin();
    let says = code.says;
    admin.add_fault(Rule::always(code.fault)).unwrap();
    let lines = Lines::default();
    let ordered = lines.of(testbed.post_order(&native("ORDER-1"))).await;
    assert_eq!(
        (ordered.status, &ordered.body["state"]),
        (202, &json!("reserved")),
        "{says}"
    );
    let logged = refusals(&lines);
    let refused = |line: &&Value| line["refusal"].as_str().unwrap().contains(says);
    let line = logged.iter().find(refused);
    let line = line.unwrap_or_else(|| panic!("{says}: {logged:?}"));
    assert_eq!(line["level"], code.level, "{line}");
    assert_eq!(line["cause"].as_str(), code.cause, "{line}");
    assert_eq!(line["MerchantRefusals"] == 1, code.is_of_merchant, "{line}");
    let is_failed_call = line["WechatCallsFailed"] == 1;
    assert_eq!(is_failed_call, code.cause.is_some(), "{line}");
    assert_eq!(line["what_to_do"].is_string(), code.level == "ERROR");
    row_says(
        PAGE,
        code.begins,
        &[says]
            .into_iter()
            .filter(|says| *says != "A_NEW_ONE")
            .collect::<Vec<_>>(),
    );
    row_says(PAGE, code.begins, code.words);

    admin.clear_faults(None);
    blocked::minutes(&testbed, 25).await;
    let state = testbed.order("ORDER-1").await.state.name().to_owned();
    assert_eq!(state, "awaiting_payment", "{says}: nothing is lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_code_of_the_page_shows_in_the_log_counts_as_the_page_says_and_loses_no_order() {
    join_all(codes().into_iter().map(each_of_them_shows_and_passes)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_appid_that_is_not_bound_is_a_setting_and_no_answer_from_either_host_is_no_code() {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    let mut unbound = native("ORDER-1");
    unbound["appid"] = json!(FOREIGN_APPID);
    assert_eq!(lines.of(testbed.post_order(&unbound)).await.status, 202);
    let [refused] = &refusals(&lines)[..] else {
        panic!("one refusal");
    };
    assert_eq!(refused["MerchantRefusals"], 1, "{refused}");
    row_says(
        PAGE,
        "`APPID_MCHID_NOT_MATCH`, `MCH_NOT_EXISTS`",
        &["a binding at WeChat Pay, or our settings"],
    );

    let options = TestbedOptions {
        both_hosts_are_down: true,
        ..TestbedOptions::default()
    };
    let testbed = Testbed::with(options).await;
    let ordered = lines.of(testbed.post_order(&native("ORDER-1"))).await;
    assert_eq!(ordered.status, 202);
    let logged = lines.take_all();
    let silent = |line: &&Value| line["message"] == "WeChat Pay did not answer";
    let silent: Vec<&Value> = logged.iter().filter(silent).collect();
    assert!(silent.len() >= 2, "main and backup: {logged:?}");
    for line in silent {
        assert_eq!(line["cause"], "unreachable");
    }
    row_says(
        PAGE,
        "no answer from either host",
        &["WeChat Pay, or our network path to it"],
    );
}
