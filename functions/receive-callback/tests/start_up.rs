//! The function as it is deployed, started without its environment.

use std::process::Command;

#[test]
fn a_function_without_its_environment_says_all_that_is_missing_or_malformed_and_ends_with_status_1()
{
    let started = Command::new(env!("CARGO_BIN_EXE_receive-callback"))
        .env_clear()
        .env("WECHATPAY_MCHID", "not a number")
        .env("AWS_REGION", "us-east-1")
        .output()
        .expect("a process");
    assert_eq!(started.status.code(), Some(1), "{started:?}");
    let printed = String::from_utf8(started.stderr).expect("text");
    let line = printed.lines().last().expect("a line");
    let names = line.strip_prefix("Error: set these environment variables and start again: ");
    let names = names.unwrap_or_else(|| panic!("{printed}"));
    for words in [
        "KEYS_TABLE is missing",
        "PAYMENT_RESULTS_QUEUE_URL is missing",
        "WECHATPAY_MCHID is malformed",
    ] {
        assert!(names.contains(words), "{words}: {names}");
    }
    assert!(!names.contains("not a number"), "{names}");

    let page = include_str!("../../../infra/runbooks/functions.md");
    let begins = "| `Error: set these environment variables and start again`, and names that are `missing` or `malformed`";
    let row = page.lines().find(|line| line.starts_with(begins));
    let row = row.expect("its row");
    assert!(row.contains("`exit status 1`"), "{row}");
    assert!(page.contains("?\"set these environment variables\""));
}
