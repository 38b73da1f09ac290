//! Faults of bills: what a careful client must refuse, or wait for.

use std::time::Duration;

use wechatpay_simulator::{Endpoint, Fault, Rule, Settings};

use super::{FUND, TRADE, hash, on_the_next_day, step_one, step_two, unzip};
use crate::support::{Answer, Merchant};

/// The next answer of that kind is struck.
fn strike(merchant: &Merchant, fault: Fault) {
    merchant.admin().add_fault(Rule::times(fault, 1)).unwrap();
}

fn hash_value(link: &Answer) -> String {
    link.json()["hash_value"].as_str().unwrap().to_owned()
}

fn zipped() -> String {
    format!("{TRADE}&tar_type=GZIP")
}

#[tokio::test]
async fn a_wrong_hash_is_that_of_another_text() {
    let merchant = on_the_next_day().await;
    for bill in [TRADE, FUND] {
        strike(&merchant, Fault::WrongHash);
        let link = step_one(&merchant, bill).await;
        let file = merchant.ask(&step_two(&merchant, &link)).await;
        assert_ne!(hash_value(&link), hash(&file.body));
        assert_eq!(hash_value(&link).len(), 40);
        let again = step_one(&merchant, bill).await;
        assert_eq!(hash_value(&again), hash(&file.body), "struck only once");
    }
}

#[tokio::test]
async fn an_altered_byte_leaves_a_text_that_can_be_read_and_a_hash_that_does_not_fit() {
    let merchant = on_the_next_day().await;
    for bill in [TRADE.to_owned(), zipped()] {
        let link = step_one(&merchant, &bill).await;
        let read = |answer: Answer| {
            if bill.contains("GZIP") {
                unzip(&answer.body).unwrap()
            } else {
                answer.body
            }
        };
        let whole = read(merchant.ask(&step_two(&merchant, &link)).await);
        assert_eq!(hash(&whole), hash_value(&link));
        strike(&merchant, Fault::AlteredByte { zipped: false });
        let altered = read(merchant.ask(&step_two(&merchant, &link)).await);
        let differing: Vec<(&u8, &u8)> = whole
            .iter()
            .zip(&altered)
            .filter(|(one, other)| one != other)
            .collect();
        assert_eq!((whole.len(), differing.len()), (altered.len(), 1));
        assert!(differing[0].1.is_ascii_digit());
        assert_ne!(hash(&altered), hash_value(&link));
    }
}

#[tokio::test]
async fn an_altered_byte_of_the_zipped_file_spoils_it() {
    let merchant = on_the_next_day().await;
    let link = step_one(&merchant, &zipped()).await;
    strike(&merchant, Fault::AlteredByte { zipped: true });
    let file = merchant.ask(&step_two(&merchant, &link)).await;
    let is_whole = unzip(&file.body).is_ok_and(|text| hash(&text) == hash_value(&link));
    assert!(!is_whole);
}

#[tokio::test]
async fn a_cut_file_ends_early_and_its_length_says_nothing_of_it() {
    let merchant = on_the_next_day().await;
    for bill in [TRADE.to_owned(), zipped()] {
        let link = step_one(&merchant, &bill).await;
        let whole = merchant.ask(&step_two(&merchant, &link)).await.body;
        for (keep_bytes, length) in [(None, whole.len() / 2), (Some(10), 10)] {
            let dies = false;
            strike(&merchant, Fault::CutFile { keep_bytes, dies });
            let cut = merchant.ask(&step_two(&merchant, &link)).await;
            assert_eq!(cut.status, 200);
            assert_eq!(cut.header("content-length"), length.to_string());
            assert_eq!(cut.body, whole[..length]);
        }
    }
}

#[tokio::test]
async fn a_connection_can_die_in_the_middle_of_a_file() {
    let merchant = on_the_next_day().await;
    for bill in [TRADE.to_owned(), zipped()] {
        let link = step_one(&merchant, &bill).await;
        let (keep_bytes, dies) = (None, true);
        strike(&merchant, Fault::CutFile { keep_bytes, dies });
        let died = merchant.try_ask(&step_two(&merchant, &link)).await;
        assert!(died.is_err(), "the head came, and not the whole body");
        let again = merchant.ask(&step_two(&merchant, &link)).await;
        assert_eq!(again.status, 200, "the link is still good");
    }
}

#[tokio::test]
async fn a_link_can_lead_to_a_foreign_host() {
    let merchant = on_the_next_day().await;
    for (base_url, host) in [
        (None, "https://bills.example/"),
        (Some("http://127.0.0.1:9"), "http://127.0.0.1:9/"),
    ] {
        let mut rule = serde_json::json!({"fault": "foreign_host", "times": 1});
        if let Some(base_url) = base_url {
            rule["base_url"] = base_url.into();
        }
        let rule: Rule = serde_json::from_value(rule).unwrap();
        merchant.admin().add_fault(rule).unwrap();
        let link = step_one(&merchant, TRADE).await.json();
        let url = link["download_url"].as_str().unwrap();
        assert!(url.starts_with(host) && url.contains("token="), "{url}");
    }
}

#[tokio::test]
async fn bills_are_still_being_made_or_not_there_when_a_fault_says_so() {
    let merchant = on_the_next_day().await;
    for (fault, code) in [
        (Fault::StatementCreating, "STATEMENT_CREATING"),
        (Fault::NoStatement, "NO_STATEMENT_EXIST"),
    ] {
        for bill in [TRADE, FUND] {
            strike(&merchant, fault.clone());
            let answer = step_one(&merchant, bill).await;
            assert_eq!((answer.status, answer.code().as_str()), (400, code));
            assert_eq!(step_one(&merchant, bill).await.status, 200);
        }
    }
    let rule = Rule::times(Fault::NoStatement, 1).at(Endpoint::FundFlowBill);
    merchant.admin().add_fault(rule).unwrap();
    assert_eq!(step_one(&merchant, TRADE).await.status, 200);
    assert_eq!(step_one(&merchant, FUND).await.status, 400);
}

#[tokio::test]
async fn a_link_can_be_dead_before_its_time() {
    let merchant = on_the_next_day().await;
    let link = step_one(&merchant, TRADE).await;
    strike(&merchant, Fault::ExpiredLink);
    let answer = merchant.ask(&step_two(&merchant, &link)).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "NO_AUTH"));
    let answer = merchant.ask(&step_two(&merchant, &link)).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_fourth_fund_bill_within_a_second_is_too_many_if_the_quota_is_set() {
    let merchant = on_the_next_day().await;
    for _ in 0..5 {
        assert_eq!(step_one(&merchant, FUND).await.status, 200, "no quota");
    }
    let settings = Settings {
        fund_bill_quota: true,
        ..Settings::default()
    };
    merchant.admin().set_settings(settings).unwrap();
    for _ in 0..3 {
        assert_eq!(step_one(&merchant, FUND).await.status, 200);
    }
    let answer = step_one(&merchant, FUND).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (429, "FREQUENCY_LIMITED")
    );
    assert_eq!(step_one(&merchant, TRADE).await.status, 200, "it is free");
    merchant.admin().advance(Duration::from_secs(1)).await;
    assert_eq!(step_one(&merchant, FUND).await.status, 200);
}
