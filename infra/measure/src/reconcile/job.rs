//! The measured programs, each in its own process: the minimum, and ours. Each reports its figures
//! as one line of JSON, which `super::run` reads.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use flate2::{Decompress, FlushDecompress, Status};
use matching::bill_line::{BillLine, LineKind};
use matching::books::{BookLine, DayBooks, Inserted};
use matching::matcher::Matcher;
use serde_json::{Value, json};
use testbed::MCHID;
use wechatpay::bill::{TradeBillReader, TradeRow};

use super::books::each_page;
use super::day::DIFFERENCES;
use crate::clock;
use crate::failure::{ErrorContext, Failure, MeasureResult};
use crate::process::own_peak_memory;
use crate::stats::ns;

/// As it would come off the wire.
const READ_BYTES: usize = 64 * 1024;
/// What is hashed and parsed in one go: it stays in the second-level cache between the three.
const UNPACKED_BYTES: usize = 128 * 1024;
/// 15 bits of window, the most that deflate has.
const WINDOW_BITS: u8 = 15;

/// CPU and wall time since some moment.
struct Since {
    cpu: Duration,
    wall: Instant,
}

impl Since {
    fn now() -> MeasureResult<Self> {
        Ok(Self {
            cpu: cpu()?,
            wall: Instant::now(),
        })
    }

    fn took(&self) -> MeasureResult<Value> {
        let wall = self.wall.elapsed();
        Ok(json!({"cpu_ns": ns(cpu()?.saturating_sub(self.cpu)), "wall_ns": ns(wall)}))
    }
}

fn cpu() -> MeasureResult<Duration> {
    clock::thread_cpu().ok_or_else(|| Failure::new("the kernel has no /proc/thread-self/schedstat"))
}

/// Only unpacks and hashes: the minimum of every reconciliation.
pub(crate) fn floor(bill: &Path) -> MeasureResult<Value> {
    let start = Since::now()?;
    let sha1 = unpack(bill, |_| Ok(()))?;
    let took = start.took()?;
    Ok(json!({"whole": took, "peak_bytes": own_peak_memory()?, "sha1": sha1}))
}

/// Reconciles the day: loads the books, unpacks, hashes, parses and matches the bill, lists what
/// differs.
pub(crate) fn ours(rows: usize, bill: &Path, books: &Path, found: &Path) -> MeasureResult<Value> {
    let start = Since::now()?;
    let day_books = load(rows, books)?;
    let loaded = start.took()?;

    let pass = Since::now()?;
    let mut matcher = Matcher::new(
        day_books,
        MCHID,
        usize::try_from(2 * DIFFERENCES).unwrap_or_default(),
    );
    let mut reader = TradeBillReader::new();
    let mut each = |rows: &[TradeRow<'_>]| matcher.take_batch(rows);
    let sha1 = unpack(bill, |bytes| {
        reader
            .feed_batches(bytes, &mut each)
            .during("reading the bill")
    })?;
    let proved = reader
        .finish(&mut |row| each(std::slice::from_ref(row)))
        .during("reading the bill")?;
    let matched = matcher.finish();
    if matched.candidates.more.count > 0 {
        return Err(Failure::new("more rows differ than were made to"));
    }
    let passed = pass.took()?;

    let list = Since::now()?;
    let mut differences: Vec<String> = matched.candidates.kept.iter().map(there).collect();
    // Only parts of the index that have unseen lines are read again; here each has.
    each_page(books, |shard, lines| {
        if matched.books.unseen_in(shard) > 0 {
            let mut add_line =
                |line: &BookLine<'_>| differences.push(format!("here {}\n", id(line)));
            matched.books.unseen_among(lines, &mut add_line);
        }
        Ok(())
    })?;
    differences.sort_unstable();
    let mut file = File::create(found)
        .map(BufWriter::new)
        .during(format!("making {}", found.display()))?;
    for difference in &differences {
        file.write_all(difference.as_bytes())
            .during("listing the differences")?;
    }
    file.flush().during("listing the differences")?;
    let listed = list.took()?;
    Ok(json!({
        "whole": start.took()?, "load": loaded, "pass": passed, "list": listed,
        "peak_bytes": own_peak_memory()?, "sha1": sha1, "rows": proved.rows, "off_rate": matched.off_rate.kept.len(),
    }))
}

/// Streams the file through gunzip and SHA-1, and gives the text to `each`, piece by piece.
fn unpack(bill: &Path, mut each: impl FnMut(&[u8]) -> MeasureResult<()>) -> MeasureResult<String> {
    let mut file = File::open(bill).during(format!("opening {}", bill.display()))?;
    let mut unpacker = Decompress::new_gzip(WINDOW_BITS);
    let mut hash = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    let (mut packed, mut text) = (vec![0; READ_BYTES], vec![0; UNPACKED_BYTES]);
    loop {
        let read = file.read(&mut packed).during("reading the bill")?;
        let mut rest = packed.get(..read).unwrap_or_default();
        loop {
            let (taken, given) = (unpacker.total_in(), unpacker.total_out());
            let status = unpacker
                .decompress(rest, &mut text, FlushDecompress::None)
                .during("unpacking the bill")?;
            let count = |now: u64, before: u64| {
                usize::try_from(now.wrapping_sub(before)).unwrap_or_default()
            };
            rest = rest
                .get(count(unpacker.total_in(), taken)..)
                .unwrap_or_default();
            let piece = text
                .get(..count(unpacker.total_out(), given))
                .unwrap_or_default();
            hash.update(piece);
            each(piece)?;
            if status == Status::StreamEnd {
                let digest = hash.finish();
                return Ok(digest
                    .as_ref()
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect());
            }
            // A full piece may have more behind it, whether or not there is more to take.
            if rest.is_empty() && piece.len() < UNPACKED_BYTES {
                break;
            }
        }
        if read == 0 {
            return Err(Failure::new("the bill is cut"));
        }
    }
}

/// Room for `rows` is a good guess, as that of the day before would be.
fn load(rows: usize, books: &Path) -> MeasureResult<DayBooks> {
    let mut day_books = DayBooks::with_capacity(rows, random_key()?);
    let mut wrong = None;
    each_page(books, |shard, lines| {
        day_books.insert_batch(lines, shard, |line, inserted| match inserted {
            Inserted::New => {}
            Inserted::Again | Inserted::Twice | Inserted::TooLong => {
                wrong = Some(id(line).to_owned());
            }
        });
        match &wrong {
            None => Ok(()),
            Some(id) => Err(Failure::new(format!(
                "the books are not as they were made: {id}"
            ))),
        }
    })?;
    Ok(day_books)
}

fn random_key() -> MeasureResult<[u64; 2]> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).during("drawing a key")?;
    let (words, _) = bytes.as_chunks::<8>();
    let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
    Ok(std::array::from_fn(|_| words.next().unwrap_or_default()))
}

fn id<'a>(line: &BookLine<'a>) -> &'a str {
    match line {
        BookLine::Payment { transaction_id, .. } => transaction_id,
        BookLine::Refund { out_refund_no, .. } => out_refund_no,
    }
}

fn there(row: &BillLine) -> String {
    let id = match row.kind {
        LineKind::Payment | LineKind::Revoked => &row.transaction_id,
        LineKind::Refund => &row.out_refund_no,
    };
    format!("there {id}\n")
}
