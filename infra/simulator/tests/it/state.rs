//! The state file and its journal: what is written when, and what a kill leaves.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use wechatpay_simulator::{
    Config, ConsoleRefund, FundAccount, GenerateDay, ManualNotice, PayOptions, PlantedDifference,
    RefundOutcome, RefundStatus, Settings, SigningMode, Simulator, Time, WantedDifference,
};

use crate::{
    program::Folder,
    support::{Ask, Merchant, NOON_S, started},
};

const STATE: &str = "state.json";
const JOURNAL: &str = "state.json.journal";
const DATE: &str = "2026-08-03";

fn config(folder: &Folder) -> Config {
    at(folder, NOON_S)
}

fn at(folder: &Folder, start_s: i64) -> Config {
    Config {
        state_file: Some(folder.file(STATE)),
        time: Time::Manual { start_s },
        ..Config::for_tests()
    }
}

/// A simulator with a stopped clock that reads what another one has written so far, as after a
/// kill.
pub(crate) fn as_if_killed(folder: &Folder, start_s: i64) -> (Folder, Merchant) {
    let copy = copied(folder);
    let merchant = started(at(&copy, start_s));
    (copy, merchant)
}

fn copied(folder: &Folder) -> Folder {
    let copy = Folder::new();
    for name in [JOURNAL, STATE] {
        if folder.file(name).exists() {
            fs::copy(folder.file(name), copy.file(name)).unwrap();
        }
    }
    copy
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

/// Waits until the journal has grown beyond `before`, and gives its length.
async fn grown(folder: &Folder, before: u64) -> u64 {
    let begin = Instant::now();
    while length(&folder.file(JOURNAL)) <= before {
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "nothing is written"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    length(&folder.file(JOURNAL))
}

/// Everything that the books can be asked for.
fn seen(merchant: &Merchant) -> Value {
    let admin = merchant.admin();
    let mut refunds = admin.refunds();
    refunds.sort_by(|one, other| one.out_refund_no.cmp(&other.out_refund_no));
    json!({
        "orders": admin.orders(),
        "refunds": refunds,
        "callbacks": admin.callbacks(),
        "balance": admin.balance_fen(),
        "settings": admin.settings(),
        "differences": admin.differences(),
        "public_key": admin.newest_key(SigningMode::PublicKey),
        "certificate": admin.newest_key(SigningMode::Certificate),
    })
}

/// A bill of the day, as its file.
async fn bill(merchant: &Merchant, path: &str) -> String {
    let link = merchant.ask(&Ask::get(path)).await.json();
    let url = link["download_url"].as_str().unwrap();
    let file = url.split_once("/v3/").unwrap().1;
    let file = merchant.ask(&Ask::get(&format!("/v3/{file}"))).await;
    String::from_utf8(file.body).unwrap()
}

async fn bills(merchant: &Merchant) -> [String; 2] {
    [
        bill(merchant, "/v3/bill/tradebill?bill_date=2026-08-03").await,
        bill(merchant, "/v3/bill/fundflowbill?bill_date=2026-08-03").await,
    ]
}

fn requested(order: &str, refund_fen: i64) -> ConsoleRefund {
    ConsoleRefund {
        order: order.to_owned(),
        refund_fen,
        notify_url: Some("http://127.0.0.1:9/refunds".to_owned()),
        ..ConsoleRefund::default()
    }
}

#[tokio::test]
async fn a_kill_loses_nothing_that_was_written() {
    let folder = Folder::new();
    let merchant = started(config(&folder));
    let admin = merchant.admin();
    let mut written = grown(&folder, 0).await;
    let pay = PayOptions::default();

    // After each of these a line is there, and what it leaves is what is seen.
    for step in 0..10 {
        match step {
            0 => {
                for number in ["ORDER-1001", "ORDER-1002", "ORDER-1003"] {
                    merchant.native(&merchant.order(number, 100)).await;
                }
                // Another value pays it now.
                merchant.native(&merchant.order("ORDER-1002", 100)).await;
            }
            1 => {
                admin.pay("ORDER-1001", &pay).unwrap();
                admin.pay_again("ORDER-1001", &pay).unwrap();
                admin.fail("ORDER-1002").unwrap();
                merchant.ask(&merchant.close("ORDER-1003")).await;
            }
            2 => {
                admin.set_refund_outcome(RefundOutcome::Hold);
                let refund = admin.console_refund(&requested("ORDER-1001", 30)).unwrap();
                admin
                    .settle_refund(&refund.out_refund_no, RefundStatus::Success)
                    .unwrap();
            }
            3 => {
                let settings = Settings {
                    settle_next_day: true,
                    ..Settings::default()
                };
                admin.set_settings(settings).unwrap();
                admin.pay_late("ORDER-1003", &pay).unwrap();
            }
            4 => {
                let day = GenerateDay {
                    date: DATE.to_owned(),
                    orders: 5,
                    refunds: 2,
                    seed: 1,
                };
                admin.make_day(&day).unwrap();
            }
            5 => {
                let wanted = WantedDifference::picked(DATE, PlantedDifference::DropRefund);
                admin.plant_difference(&wanted).unwrap();
                admin.move_money(FundAccount::Fees, -300);
            }
            6 => {
                admin.rotate(SigningMode::PublicKey).unwrap();
            }
            // What was put off is booked, the bills are made, and callbacks were tried.
            7 => {
                admin.advance(Duration::from_secs(86_400)).await;
                bills(&merchant).await;
            }
            8 => {
                let notice = ManualNotice::ProfitSharing;
                admin.send_notice(&notice, "ORDER-1001", None).unwrap();
            }
            _ => {
                admin.clear_differences();
                admin.set_balance(7);
            }
        }
        written = grown(&folder, written).await;
        // All changes of the step, however many lines they took.
        tokio::time::sleep(Duration::from_millis(300)).await;
        written = written.max(length(&folder.file(JOURNAL)));
        let (_copy, after) = as_if_killed(&folder, admin.now_s());
        let (mut before, mut after) = (seen(&merchant), seen(&after));
        for seen in [&mut before, &mut after] {
            // What was on its way is tried again.
            for callback in seen["callbacks"].as_array_mut().unwrap() {
                callback["due_ms"].take();
            }
        }
        assert_eq!(before, after, "after step {step}");
    }
    let (copy, after) = as_if_killed(&folder, admin.now_s());
    assert_eq!(bills(&merchant).await, bills(&after).await);
    after.simulator.stop();
    // At the end everything is in one file, and reading that gives the same.
    assert!(!copy.file(JOURNAL).exists());
    let again = started(at(&copy, admin.now_s()));
    assert_eq!(bills(&merchant).await, bills(&again).await);
    assert_eq!(seen(&merchant)["orders"], seen(&again)["orders"]);
}

#[tokio::test]
async fn a_change_is_appended_and_the_rest_is_not_written_again() {
    let folder = Folder::new();
    let day = GenerateDay {
        date: DATE.to_owned(),
        orders: 2_000,
        refunds: 200,
        seed: 1,
    };
    let merchant = started(config(&folder));
    merchant.admin().make_day(&day).unwrap();
    merchant.simulator.stop();

    let merchant = started(config(&folder));
    let begin = grown(&folder, 0).await;
    let before = fs::read(folder.file(STATE)).unwrap();
    merchant.native(&merchant.order("ORDER-1001", 100)).await;
    merchant
        .admin()
        .pay("ORDER-1001", &PayOptions::default())
        .unwrap();
    grown(&folder, begin).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let after = length(&folder.file(JOURNAL));
    assert!(
        after - begin < 8_000 && before.len() > 1_000_000,
        "{} bytes for one order beside {}",
        after - begin,
        before.len()
    );
    assert_eq!(fs::read(folder.file(STATE)).unwrap(), before);
}

#[tokio::test]
async fn a_journal_that_outgrew_the_state_file_goes_into_it() {
    let folder = Folder::new();
    let merchant = started(config(&folder));
    let begin = grown(&folder, 0).await;
    let before = length(&folder.file(STATE));
    let mut seed = 0;
    // More than a MiB of lines.
    while length(&folder.file(STATE)) == before {
        seed += 1;
        assert!(seed < 60, "the journal only grows");
        let day = GenerateDay {
            date: DATE.to_owned(),
            orders: 500,
            refunds: 0,
            seed,
        };
        merchant.admin().make_day(&day).unwrap();
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    assert!(length(&folder.file(STATE)) > 1_000_000);
    merchant.native(&merchant.order("ORDER-1001", 100)).await;
    let written = grown(&folder, begin).await;
    // On a busy machine lines of the last day may come into the new journal.
    assert!(written < 1_000_000, "a new journal has begun: {written}");
    // On a busy machine a line may still be on its way to the journal.
    let mut tries = 0;
    loop {
        let (_copy, after) = as_if_killed(&folder, NOON_S);
        if seen(&merchant)["orders"] == seen(&after)["orders"] {
            break;
        }
        tries += 1;
        assert!(tries < 40, "what was written is not what there is");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Orders `1` to `count` in lines of their own, and the journal.
async fn lines(folder: &Folder, count: usize) -> Vec<u8> {
    let merchant = started(config(folder));
    let mut written = grown(folder, 0).await;
    for number in 1..=count {
        let order = merchant.order(&format!("ORDER-{number}"), 100);
        merchant.native(&order).await;
        written = grown(folder, written).await;
    }
    let journal = fs::read(folder.file(JOURNAL)).unwrap();
    let state = fs::read(folder.file(STATE)).unwrap();
    merchant.simulator.stop();
    fs::write(folder.file(STATE), state).unwrap();
    journal
}

fn order_numbers(folder: &Folder) -> Vec<String> {
    let merchant = started(config(folder));
    let orders = merchant.admin().orders().into_iter();
    orders.map(|view| view.order.out_trade_no).collect()
}

#[tokio::test]
async fn a_torn_last_line_is_dropped_and_nothing_before_it() {
    let folder = Folder::new();
    let journal = lines(&folder, 2).await;
    let ends: Vec<usize> = journal
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(at, _)| at + 1)
        .collect();
    assert_eq!(ends.len(), 3, "a head and a line for each order");
    let state = fs::read(folder.file(STATE)).unwrap();
    let (second, third) = (ends[1], ends[2]);
    for (kept, expected) in [
        (third, &["ORDER-1", "ORDER-2"][..]),
        (third - 1, &["ORDER-1"]),
        ((second + third) / 2, &["ORDER-1"]),
        (second + 1, &["ORDER-1"]),
        (second, &["ORDER-1"]),
        (second - 1, &[]),
        (ends[0], &[]),
        (ends[0] - 1, &[]),
        (3, &[]),
        (0, &[]),
    ] {
        fs::write(folder.file(STATE), &state).unwrap();
        fs::write(folder.file(JOURNAL), &journal[..kept]).unwrap();
        assert_eq!(order_numbers(&folder), expected, "{kept} bytes are kept");
        // A torn line does not block later writes.
        assert_eq!(order_numbers(&folder), expected);
    }
}

#[tokio::test]
async fn a_journal_of_an_earlier_file_is_not_played_on_a_later_one() {
    let folder = Folder::new();
    let journal = lines(&folder, 1).await;
    fs::write(folder.file(JOURNAL), &journal).unwrap();
    // The order comes into the file, which a kill leaves with the journal of the file before it.
    started(config(&folder)).simulator.stop();
    fs::write(folder.file(JOURNAL), &journal).unwrap();
    let merchant = started(config(&folder));
    merchant
        .admin()
        .pay("ORDER-1", &PayOptions::default())
        .unwrap();
    merchant.simulator.stop();
    fs::write(folder.file(JOURNAL), &journal).unwrap();
    let merchant = started(config(&folder));
    assert_eq!(merchant.state("ORDER-1").await, "SUCCESS");
}

#[tokio::test]
async fn a_damaged_line_in_the_middle_is_reported_and_not_passed_over() {
    let folder = Folder::new();
    let mut journal = lines(&folder, 2).await;
    let middle = journal.iter().position(|byte| *byte == b'\n').unwrap() + 5;
    journal[middle] = b'\x00';
    fs::write(folder.file(JOURNAL), &journal).unwrap();
    let refused = Simulator::start(config(&folder)).err().unwrap().to_string();
    assert!(
        refused.contains("line 2 of the journal") && refused.contains(JOURNAL),
        "{refused}"
    );
}

#[tokio::test]
async fn a_file_of_a_version_without_journals_is_read() {
    let folder = Folder::new();
    let merchant = started(config(&folder));
    merchant.native(&merchant.order("ORDER-1", 100)).await;
    merchant.simulator.stop();
    let text = fs::read_to_string(folder.file(STATE)).unwrap();
    let mut file: Value = serde_json::from_str(&text).unwrap();
    let file = file.as_object_mut().unwrap();
    file.remove("journal_id").unwrap();
    file["merchant"]
        .as_object_mut()
        .unwrap()
        .remove("certificate");
    fs::write(folder.file(STATE), json!(file).to_string()).unwrap();
    assert_eq!(order_numbers(&folder), ["ORDER-1"]);
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_reads_the_journal() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let _merchant = started(config(&folder));
    grown(&folder, 0).await;
    for name in [STATE, JOURNAL] {
        let mode = fs::metadata(folder.file(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
