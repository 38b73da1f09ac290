//! Bills: `tradebill` and `fundflowbill` give a link, the link gives the file.

use std::{io::Write, sync::Arc};

use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use sha1::{Digest, Sha1};

use super::Reply;
use crate::{
    bill_text,
    clock::{self, DAY_MS},
    endpoint,
    refusal::Refusal,
    sim::{Sim, World},
};

const LINK_LIVES_MS: i64 = 300_000;
const OLDEST_DAYS: i64 = 92;
/// Beijing hour from which yesterday's bill can be had.
const READY_AT_HOUR: u8 = 10;

/// A file that a link leads to.
pub(crate) struct Download {
    text: Arc<str>,
    gzip: bool,
    until_ms: i64,
}

pub(super) fn trade_bill(sim: &Sim, world: &mut World, query: &str) -> Result<Reply, Refusal> {
    known_names(query, &["bill_date", "bill_type", "tar_type"])?;
    let (day, start_ms) = day(sim, world, query)?;
    let bill_type = one_of(query, "bill_type", &["ALL", "SUCCESS", "REFUND"])?;
    let gzip = gzip(query)?;
    ready(sim, start_ms)?;
    // All three kinds are made in one go, so that they agree.
    for kind in bill_text::TradeBill::KINDS {
        let key = format!("trade/{day}/{}", kind.as_str());
        snapshot(sim, world, start_ms, key, |world| {
            bill_text::trade(&world.books, &sim.merchant.mchid, start_ms, kind)
        });
    }
    link(sim, world, &format!("trade/{day}/{bill_type}"), gzip)
}

pub(super) fn fund_flow_bill(sim: &Sim, world: &mut World, query: &str) -> Result<Reply, Refusal> {
    known_names(query, &["bill_date", "account_type", "tar_type"])?;
    let (day, start_ms) = day(sim, world, query)?;
    let account_type = one_of(query, "account_type", &["BASIC", "OPERATION", "FEES"])?;
    let gzip = gzip(query)?;
    ready(sim, start_ms)?;
    let key = format!("fund/{day}/{account_type}");
    // Only the basic account has movements here.
    if account_type == "BASIC" {
        snapshot(sim, world, start_ms, key.clone(), |world| {
            bill_text::fund(&world.books, start_ms)
        });
    }
    link(sim, world, &key, gzip)
}

pub(super) fn file(sim: &Sim, world: &World, query: &str) -> Result<Reply, Refusal> {
    let token = endpoint::query_value(query, "token").unwrap_or_default();
    let download = world
        .downloads
        .get(&token)
        .filter(|download| sim.now_ms() < download.until_ms)
        .ok_or_else(|| {
            Refusal::new(
                403,
                "NO_AUTH",
                268_435_463,
                "下载链接无效或已过期",
                "The link is unknown or older than 5 minutes",
            )
        })?;
    if !download.gzip {
        return Ok(Reply::File(download.text.as_bytes().to_vec()));
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let zipped = encoder
        .write_all(download.text.as_bytes())
        .and_then(|()| encoder.finish());
    zipped
        .map(Reply::File)
        .map_err(|_| Refusal::system_error(500))
}

/// Keeps the bill as it is now, unless it was kept before, has no rows, or its day still runs.
fn snapshot(
    sim: &Sim,
    world: &mut World,
    start_ms: i64,
    key: String,
    make: impl Fn(&World) -> Option<String>,
) {
    let day_runs = sim.now_ms() < start_ms.saturating_add(DAY_MS);
    if day_runs || !world.books.bills.contains_key(&key) {
        match make(world) {
            Some(text) => world.books.bills.insert(key, text),
            None => world.books.bills.remove(&key),
        };
    }
}

fn link(sim: &Sim, world: &mut World, key: &str, gzip: bool) -> Result<Reply, Refusal> {
    let text: Arc<str> = world
        .books
        .bills
        .get(key)
        .ok_or_else(|| {
            Refusal::new(
                400,
                "NO_STATEMENT_EXIST",
                268_435_464,
                "账单文件不存在",
                "There was nothing on that day",
            )
        })?
        .as_str()
        .into();
    let hash: String = Sha1::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let now_ms = sim.now_ms();
    let token = world.ids.letters(48);
    world
        .downloads
        .retain(|_, download| now_ms < download.until_ms);
    world.downloads.insert(
        token.clone(),
        Download {
            text,
            gzip,
            until_ms: now_ms.saturating_add(LINK_LIVES_MS),
        },
    );
    let tar = if gzip { "&tartype=gzip" } else { "" };
    Ok(Reply::Json(json!({
        "hash_type": "SHA1",
        "hash_value": hash,
        "download_url": format!("{}/v3/billdownload/file?token={token}{tar}", sim.base_url),
    })))
}

/// `bill_date` and its first millisecond: a past Beijing day, at most three months back.
fn day(sim: &Sim, world: &World, query: &str) -> Result<(String, i64), Refusal> {
    let wrong = |issue| Err(Refusal::query("bill_date", issue));
    let Some(text) = endpoint::query_value(query, "bill_date") else {
        return wrong("缺少必填参数 (required, but missing)");
    };
    let Some(start_ms) = clock::parse_day_ms(&text) else {
        return wrong("格式应为yyyy-MM-DD (must be yyyy-MM-DD)");
    };
    let now_ms = sim.now_ms();
    let today = clock::day(now_ms) == text;
    if start_ms > now_ms || (today && !world.bills_of_today) {
        return wrong("不能为当天或未来日期 (must be a day before today)");
    }
    if start_ms < now_ms.saturating_sub(OLDEST_DAYS.saturating_mul(DAY_MS)) {
        return wrong("仅支持三个月内的账单 (must be within three months)");
    }
    Ok((text, start_ms))
}

/// Yesterday's bill is being made until 10:00.
fn ready(sim: &Sim, start_ms: i64) -> Result<(), Refusal> {
    let now_ms = sim.now_ms();
    let yesterday = clock::day(now_ms.saturating_sub(DAY_MS)) == clock::day(start_ms);
    if yesterday && clock::hour(now_ms) < READY_AT_HOUR {
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
