//! Bills: `tradebill` and `fundflowbill` give a link, the link gives the file.

use serde_json::json;

use super::call::{Reply, VerifiedCall};
use crate::{
    bills::{
        bill::{self, Bill},
        day::BillDay,
        download::{Download, File},
        fund,
        trade::{self, TradeBill},
    },
    clock::{self, DAY_MS},
    endpoint,
    faults::Fault,
    ledger::FundAccount,
    refusal::Refusal,
    sim::{MutableState, Shared},
};

const LINK_LIVES_MS: i64 = 300_000;
const OLDEST_DAYS: i64 = 92;
/// Beijing hour from which yesterday's bill can be had.
const READY_AT_HOUR: u8 = 10;

pub(super) fn trade_bill(
    sim: &Shared,
    world: &mut MutableState,
    call: &VerifiedCall<'_>,
) -> Result<Reply, Refusal> {
    let query = call.query;
    known_names(query, &["bill_date", "bill_type", "tar_type"])?;
    let day = day(sim, world, query)?;
    let bill_type = one_of(query, "bill_type", &["ALL", "SUCCESS", "REFUND"])?;
    let gzip = gzip(query)?;
    ready(sim, world, call, &day)?;
    // All three kinds are made in one go, so that they agree.
    for kind in TradeBill::KINDS {
        let key = format!("trade/{}/{}", day.name, kind.as_str());
        snapshot(sim, world, &day, key, |world| {
            trade::text(&world.books, &day, kind)
        });
    }
    let key = format!("trade/{}/{bill_type}", day.name);
    link(sim, world, call, &key, gzip)
}

pub(super) fn fund_flow_bill(
    sim: &Shared,
    world: &mut MutableState,
    call: &VerifiedCall<'_>,
) -> Result<Reply, Refusal> {
    if world.books.settings.fund_bill_quota && !world.quotas.admit_fund_bill(sim.now_ms()) {
        return Err(Refusal::frequency_limited());
    }
    let query = call.query;
    known_names(query, &["bill_date", "account_type", "tar_type"])?;
    let day = day(sim, world, query)?;
    let account_type = one_of(query, "account_type", &["BASIC", "OPERATION", "FEES"])?;
    let account = match account_type {
        "OPERATION" => FundAccount::Operation,
        "FEES" => FundAccount::Fees,
        _ => FundAccount::Basic,
    };
    let missing = &world.books.settings.missing_accounts;
    if missing.iter().any(|name| name == account_type) {
        return Err(Refusal::new(
            403,
            "NO_AUTH",
            268_435_463,
            "商户未开通此账户",
            "The merchant does not have this account",
        ));
    }
    let gzip = gzip(query)?;
    ready(sim, world, call, &day)?;
    let MutableState { books, ids, .. } = &mut *world;
    books.ledger.book_due(ids, sim.now_ms());
    let key = format!("fund/{}/{account_type}", day.name);
    snapshot(sim, world, &day, key.clone(), |world| {
        fund::text(&world.books, &day, account)
    });
    link(sim, world, call, &key, gzip)
}

pub(super) fn file(
    sim: &Shared,
    world: &MutableState,
    call: &VerifiedCall<'_>,
) -> Result<Reply, Refusal> {
    let token = endpoint::query_value(call.query, "token").unwrap_or_default();
    world
        .downloads
        .get(&token)
        .filter(|download| sim.now_ms() < download.until_ms)
        .filter(|_| !call.faults.contains(&Fault::ExpiredLink))
        .map(|download| {
            Reply::File(File {
                download: download.clone(),
                faults: call.faults.to_vec(),
            })
        })
        .ok_or_else(|| {
            Refusal::new(
                403,
                "NO_AUTH",
                268_435_463,
                "下载链接无效或已过期",
                "The link is unknown or older than 5 minutes",
            )
        })
}

/// Freezes the bill as it is now, unless it was frozen before, has no rows, or its day is not over.
fn snapshot(
    sim: &Shared,
    world: &mut MutableState,
    day: &BillDay,
    key: String,
    make: impl Fn(&MutableState) -> Option<String>,
) {
    let day_runs = sim.now_ms() < day.end_ms();
    if day_runs || !world.books.bills.contains_key(&key) {
        match make(world) {
            Some(text) => world.books.bills.insert(key, text.into()),
            None => world.books.bills.remove(&key),
        };
    }
}

fn link(
    sim: &Shared,
    world: &mut MutableState,
    call: &VerifiedCall<'_>,
    key: &str,
    gzip: bool,
) -> Result<Reply, Refusal> {
    let kept = world.books.bills.get(key);
    let bill: Bill = kept.ok_or_else(no_statement)?.clone();
    let now_ms = sim.now_ms();
    let hash = if call.faults.contains(&Fault::WrongHash) {
        bill::hash(b"another text")
    } else {
        bill.hash().to_owned()
    };
    let host = match call.faults.iter().find_map(foreign_host) {
        Some(foreign) => foreign.to_owned(),
        None => call.base_url.to_owned(),
    };
    let token = world.ids.letters(48);
    world
        .downloads
        .retain(|_, download| now_ms < download.until_ms);
    world.downloads.insert(
        token.clone(),
        Download {
            bill,
            gzip,
            until_ms: now_ms.saturating_add(LINK_LIVES_MS),
        },
    );
    let tar = if gzip { "&tartype=gzip" } else { "" };
    Ok(Reply::Json(json!({
        "hash_type": "SHA1",
        "hash_value": hash,
        "download_url": format!("{host}/v3/billdownload/file?token={token}{tar}"),
    })))
}

fn foreign_host(fault: &Fault) -> Option<&str> {
    if let Fault::ForeignHost { base_url } = fault {
        Some(base_url)
    } else {
        None
    }
}

fn no_statement() -> Refusal {
    Refusal::new(
        400,
        "NO_STATEMENT_EXIST",
        268_435_464,
        "账单文件不存在",
        "There was nothing on that day",
    )
}

/// `bill_date`: a past Beijing day, at most three months back.
fn day(sim: &Shared, world: &MutableState, query: &str) -> Result<BillDay, Refusal> {
    let wrong = |issue| Err(Refusal::query("bill_date", issue));
    let Some(text) = endpoint::query_value(query, "bill_date") else {
        return wrong("缺少必填参数 (required, but missing)");
    };
    let Some(day) = BillDay::parse(&text) else {
        return wrong("格式应为yyyy-MM-DD (must be yyyy-MM-DD)");
    };
    let now_ms = sim.now_ms();
    let today = clock::day(now_ms) == day.name;
    if day.start_ms > now_ms || (today && !world.bills_of_today) {
        return wrong("不能为当天或未来日期 (must be a day before today)");
    }
    if day.start_ms < now_ms.saturating_sub(OLDEST_DAYS.saturating_mul(DAY_MS)) {
        return wrong("仅支持三个月内的账单 (must be within three months)");
    }
    Ok(day)
}

/// Yesterday's bill is being made until 10:00, unless bills may be asked for while their day runs.
/// Faults may say otherwise.
fn ready(
    sim: &Shared,
    world: &MutableState,
    call: &VerifiedCall<'_>,
    day: &BillDay,
) -> Result<(), Refusal> {
    let now_ms = sim.now_ms();
    let yesterday = clock::day(now_ms.saturating_sub(DAY_MS)) == day.name;
    let early = yesterday && clock::hour(now_ms) < READY_AT_HOUR && !world.bills_of_today;
    if call.faults.contains(&Fault::NoStatement) {
        return Err(no_statement());
    }
    if early || call.faults.contains(&Fault::StatementCreating) {
        return Err(Refusal::new(
            400,
            "STATEMENT_CREATING",
            268_435_465,
            "账单生成中，请稍后再试",
            "The bill is being made; ask again after 10:00 (Beijing)",
        ));
    }
    Ok(())
}

fn gzip(query: &str) -> Result<bool, Refusal> {
    match endpoint::query_value(query, "tar_type").as_deref() {
        None => Ok(false),
        Some("GZIP") => Ok(true),
        Some(_) => Err(Refusal::query("tar_type", "枚举值错误 (must be GZIP)")),
    }
}

/// The value of `name`; the first of `allowed` if it is not there.
fn one_of(
    query: &str,
    name: &'static str,
    allowed: &[&'static str],
) -> Result<&'static str, Refusal> {
    let wrong = || {
        Refusal::query(
            name,
            &format!("枚举值错误 (must be one of {})", allowed.join(", ")),
        )
    };
    match endpoint::query_value(query, name) {
        None => allowed.first().copied().ok_or_else(wrong),
        Some(value) => allowed
            .iter()
            .find(|one| **one == value)
            .copied()
            .ok_or_else(wrong),
    }
}

fn known_names(query: &str, known: &[&str]) -> Result<(), Refusal> {
    match endpoint::query_names(query).find(|name| !known.contains(name)) {
        Some(name) => {
            Err(Refusal::query(name, "未定义的参数 (unknown parameter)").with_internal(270_924_358))
        }
        None => Ok(()),
    }
}
