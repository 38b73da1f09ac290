//! Bills, fetched and read as a merchant does.

mod days;
mod differences;
mod faults;
mod formats;
mod making;

use std::{collections::BTreeMap, io::Read, time::Duration};

use flate2::read::GzDecoder;
use serde_json::json;
use sha1::{Digest, Sha1};
use wechatpay_simulator::{Config, GenerateDay, GeneratedDay, PayOptions, SigningMode, Time};

use crate::support::{Answer, Ask, Merchant, NOON_S, at_noon, started};

const TRADE: &str = "/v3/bill/tradebill?bill_date=2026-08-03";
const FUND: &str = "/v3/bill/fundflowbill?bill_date=2026-08-03";

/// Two payments and a partial refund on 3 August; then it is noon of the 4th.
async fn on_the_next_day() -> Merchant {
    let merchant = at_noon();
    merchant.native(&merchant.order("ORDER-1001", 1200)).await;
    merchant
        .admin()
        .pay("ORDER-1001", &PayOptions::default())
        .unwrap();
    merchant.native(&merchant.order("ORDER-1002", 500)).await;
    merchant.admin().advance(Duration::from_secs(60)).await;
    let with_coupon = PayOptions {
        coupon_fen: 100,
        ..PayOptions::default()
    };
    merchant.admin().pay("ORDER-1002", &with_coupon).unwrap();
    merchant.native(&merchant.order("ORDER-1003", 900)).await;
    merchant.admin().advance(Duration::from_secs(60)).await;
    let refund = json!({
        "out_trade_no": "ORDER-1001",
        "out_refund_no": "RF-1001-1",
        "amount": {"refund": 300, "total": 1200, "currency": "CNY"},
    });
    assert_eq!(
        merchant
            .ask(&Ask::post("/v3/refund/domestic/refunds", &refund))
            .await
            .status,
        200
    );
    merchant
        .admin()
        .advance(Duration::from_secs(86_400 - 120))
        .await;
    merchant
}

/// A day of forty orders and ten refunds on 3 August, seen at noon of the 4th.
fn after_a_busy_day() -> (Merchant, GeneratedDay) {
    let merchant = started(Config {
        time: Time::Manual {
            start_s: NOON_S + 86_400,
        },
        ..Config::for_tests()
    });
    let made = merchant
        .admin()
        .make_day(&GenerateDay {
            date: "2026-08-03".to_owned(),
            orders: 40,
            refunds: 10,
            seed: 7,
        })
        .unwrap();
    (merchant, made)
}

async fn step_one(merchant: &Merchant, path_and_query: &str) -> Answer {
    merchant.ask(&Ask::get(path_and_query)).await
}

/// The request for the file of a step one that was answered with a link.
fn step_two(merchant: &Merchant, link: &Answer) -> Ask {
    let link = link.json();
    let url = link["download_url"].as_str().unwrap();
    Ask::get(url.strip_prefix(&merchant.simulator.base_url).unwrap())
}

/// Fetches the file that a link leads to; its hash must be right.
async fn fetch(merchant: &Merchant, path_and_query: &str) -> Vec<u8> {
    let link = step_one(merchant, path_and_query).await;
    assert_eq!(link.status, 200, "{}", link.json());
    assert!(link.is_signed(merchant.admin(), SigningMode::PublicKey));
    let file = merchant.ask(&step_two(merchant, &link)).await;
    assert_eq!(file.status, 200);
    assert!(
        file.header("wechatpay-signature").is_empty(),
        "files are not signed"
    );
    let text = if path_and_query.contains("GZIP") {
        unzip(&file.body).unwrap()
    } else {
        file.body
    };
    let link = link.json();
    assert_eq!(
        link,
        json!({"hash_type": "SHA1", "hash_value": hash(&text), "download_url": link["download_url"]})
    );
    text
}

fn unzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut text)?;
    Ok(text)
}

fn hash(text: &[u8]) -> String {
    let digest = Sha1::digest(text);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

type Row = BTreeMap<String, String>;

/// A bill's rows by column name, and its summary.
struct Sheet {
    columns: Vec<String>,
    rows: Vec<Row>,
    sums: Row,
    summary: Vec<String>,
}

async fn sheet(merchant: &Merchant, path_and_query: &str) -> Sheet {
    read(&fetch(merchant, path_and_query).await)
}

/// Reads any format, by the rules of its syntax alone.
fn read(bytes: &[u8]) -> Sheet {
    let text = std::str::from_utf8(bytes).unwrap();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines: Vec<&str> = text.lines().collect();
    let names = |line: &str| -> Vec<String> { line.split(',').map(str::to_owned).collect() };
    let by_name = |names: &[String], line: &str| -> Row {
        let values = values(line);
        assert_eq!(values.len(), names.len(), "{line}");
        names.iter().cloned().zip(values).collect()
    };
    let columns = names(lines[0]);
    let last = lines.len() - 1;
    Sheet {
        rows: lines[1..last - 1]
            .iter()
            .map(|line| by_name(&columns, line))
            .collect(),
        sums: by_name(&names(lines[last - 1]), lines[last]),
        summary: values(lines[last]),
        columns,
    }
}

fn values(line: &str) -> Vec<String> {
    let values = line.strip_prefix('`').unwrap().split(",`");
    values.map(str::to_owned).collect()
}

/// Yuan text in hundred-thousandths of a yuan.
fn units(text: &str) -> i64 {
    let (yuan, rest) = text.trim_start_matches('-').split_once('.').unwrap();
    let magnitude =
        yuan.parse::<i64>().unwrap() * 100_000 + format!("{rest:0<5}").parse::<i64>().unwrap();
    if text.starts_with('-') {
        -magnitude
    } else {
        magnitude
    }
}

fn counted(text: &str) -> usize {
    text.trim_end_matches(".0").parse().unwrap()
}

/// Names in the summary that are not the sum of their column, or the count of the rows.
fn wrong_sums(sheet: &Sheet) -> Vec<&str> {
    let column = |name: &str| match name {
        "应结订单总金额" => "应结订单金额",
        "退款总金额" | "总退款金额" => "退款金额",
        "充值券退款总金额" => "充值券退款金额",
        "手续费总金额" => "手续费",
        "订单总金额" => "订单金额",
        "申请退款总金额" => "申请退款金额",
        "总交易额" => "总金额",
        "总企业红包退款金额" => "企业红包退款金额",
        other => panic!("{other} is no sum"),
    };
    let moved = |row: &Row, direction: &str| -> i64 {
        let amount = row
            .get("收支金额(元)")
            .or(row.get("收支金额（元）"))
            .unwrap();
        if row["收支类型"] == direction {
            units(amount)
        } else {
            0
        }
    };
    let count = |direction: &str| {
        let those = sheet.rows.iter();
        those.filter(|row| row["收支类型"] == direction).count()
    };
    let sum = |of: &dyn Fn(&Row) -> i64| sheet.rows.iter().map(of).sum::<i64>();
    let is_right = |name: &str, shown: &str| match name {
        "总交易单数" | "资金流水总笔数" => counted(shown) == sheet.rows.len(),
        "收入笔数" => counted(shown) == count("收入"),
        "支出笔数" => counted(shown) == count("支出"),
        "收入金额" => units(shown) == sum(&|row| moved(row, "收入")),
        "支出金额" => units(shown) == sum(&|row| moved(row, "支出")),
        name => units(shown) == sum(&|row| units(&row[column(name)])),
    };
    let sums = sheet.sums.iter();
    sums.filter(|(name, shown)| !is_right(name, shown))
        .map(|(name, _)| name.as_str())
        .collect()
}

/// Whether each balance is the one before it and the row's amount.
fn balances_agree(sheet: &Sheet) -> bool {
    let balances = sheet.rows.iter().map(|row| units(&row["账户结余(元)"]));
    let moves = sheet.rows.iter().map(|row| {
        let amount = units(&row["收支金额(元)"]);
        if row["收支类型"] == "收入" {
            amount
        } else {
            -amount
        }
    });
    let before: Vec<i64> = balances.clone().collect();
    before
        .iter()
        .zip(balances.zip(moves).skip(1))
        .all(|(before, (after, amount))| before + amount == after)
}
