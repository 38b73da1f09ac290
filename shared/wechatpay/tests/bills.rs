//! Random bills, written by a writer that shares nothing with the reader: read in any chunks they
//! give the same rows, and what was cut or changed does not pass.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "in a test, a panic is the report"
)]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use wechatpay::bill::{
    BillError, Fee, FundBillReader, FundRow, FundSummary, TradeBillReader, TradeKind, TradeRow,
    TradeSummary, unescape, yuan_of_fen,
};

const ALL: &str = include_str!("bills/all.csv");
const FUND: &str = include_str!("bills/fund.csv");
/// Where the amounts stand that the summary proves.
const PROVED: [usize; 6] = [12, 16, 17, 22, 24, 25];

/// A trade, as the merchant has it.
#[derive(Clone, Debug)]
struct Trade {
    kind: TradeKind,
    fen: [i64; 6],
    fee: i64,
    order: String,
    description: String,
    attach: String,
}

/// How a file is written.
#[derive(Clone, Debug)]
struct Form {
    mark: bool,
    line_end: &'static str,
    last_end: bool,
}

fn trade() -> impl Strategy<Value = Trade> {
    let text = || {
        let parts = select(vec![
            "\\", "'", "\"", "`", "茶", "cup", "\n", "\r", "\t", " ", "140", "n", "\u{1a}",
        ]);
        vec(parts, 0..8).prop_map(|parts| parts.concat())
    };
    let fen = prop_oneof![Just(0), 0_i64..1000, 0_i64..10_000_000_000];
    (
        select(vec![
            TradeKind::Payment,
            TradeKind::Refund,
            TradeKind::Revoked,
        ]),
        [
            fen.clone(),
            fen.clone(),
            fen.clone(),
            fen.clone(),
            fen.clone(),
            fen,
        ],
        -9_999_999_i64..9_999_999,
        "[0-9A-Za-z_*|-]{6,32}",
        text(),
        text(),
    )
        .prop_map(|(kind, fen, fee, order, description, attach)| Trade {
            kind,
            fen,
            fee,
            order,
            description,
            attach,
        })
}

fn form() -> impl Strategy<Value = Form> {
    (any::<bool>(), select(vec!["\n", "\r\n"]), any::<bool>()).prop_map(
        |(mark, line_end, last_end)| Form {
            mark,
            line_end,
            last_end,
        },
    )
}

fn escaped(text: &str, kind: TradeKind) -> String {
    let payment = kind == TradeKind::Payment;
    text.chars()
        .map(|character| match character {
            '\\' => r"\\".to_owned(),
            '"' => r#"\""#.to_owned(),
            '\'' if payment => r"\'".to_owned(),
            '`' if payment => r"\`".to_owned(),
            '`' => r"\140".to_owned(),
            '\n' => r"\n".to_owned(),
            '\r' => r"\r".to_owned(),
            '\t' => r"\t".to_owned(),
            '\u{1a}' => "\\\u{1a}".to_owned(),
            other => other.to_string(),
        })
        .collect()
}

/// Five decimals, always.
fn fee(units: i64) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let units = units.abs();
    format!("{sign}{}.{:05}", units / 100_000, units % 100_000)
}

/// The lines of a bill, as lists of fields.
fn written(trades: &[Trade]) -> Vec<Vec<String>> {
    let mut lines: Vec<Vec<String>> = Vec::new();
    for it in trades {
        let of_refund = |text: &str| match it.kind {
            TradeKind::Payment => "0".to_owned(),
            TradeKind::Refund | TradeKind::Revoked => text.to_owned(),
        };
        let [settlement, coupon, refund, refund_coupon, total, requested] = it.fen.map(yuan_of_fen);
        let state = match it.kind {
            TradeKind::Payment => "SUCCESS",
            TradeKind::Refund => "REFUND",
            TradeKind::Revoked => "REVOKED",
        };
        lines.push(vec![
            "2026-08-01 10:00:05".to_owned(),
            "wx00000000000000aa".to_owned(),
            "1900000001".to_owned(),
            "0".to_owned(),
            String::new(),
            "4200000000202608010000000001".to_owned(),
            it.order.clone(),
            "oUserAAAA".to_owned(),
            "NATIVE".to_owned(),
            state.to_owned(),
            "OTHERS".to_owned(),
            "CNY".to_owned(),
            settlement,
            coupon,
            of_refund("50000000012026080100000000001"),
            of_refund("RF-1"),
            refund,
            refund_coupon,
            String::new(),
            String::new(),
            escaped(&it.description, it.kind),
            escaped(&it.attach, it.kind),
            fee(it.fee),
            "0.60%".to_owned(),
            total,
            requested,
            String::new(),
        ]);
    }
    let sum = |at: usize| yuan_of_fen(trades.iter().map(|it| it.fen[at]).sum());
    lines.push(vec![
        format!("{}.0", trades.len()),
        sum(0),
        sum(2),
        sum(3),
        fee(trades.iter().map(|it| it.fee).sum()),
        sum(4),
        sum(5),
    ]);
    lines
}

fn file(lines: &[Vec<String>], form: &Form) -> Vec<u8> {
    let (summary, rows) = lines.split_last().expect("a summary");
    let row = |fields: &Vec<String>| format!("`{}", fields.join(",`"));
    let headers: Vec<_> = ALL.lines().filter(|line| !line.starts_with('`')).collect();
    let mut texts = vec![headers[0].to_owned()];
    texts.extend(rows.iter().map(row));
    texts.push(headers[1].to_owned());
    texts.push(row(summary));
    let mark = if form.mark { "\u{feff}" } else { "" };
    let last_end = if form.last_end { form.line_end } else { "" };
    (mark.to_owned() + &texts.join(form.line_end) + last_end).into_bytes()
}

/// Everything of a row.
fn shown(row: &TradeRow<'_>) -> String {
    format!(
        "{} {:?} {} {} {} {} {} {} {} {}|{}|{}|{}|{}",
        row.line,
        row.kind,
        row.settlement_fen,
        row.coupon_fen,
        row.refund_fen,
        row.refund_coupon_fen,
        row.total_fen,
        row.requested_refund_fen,
        row.fee.units(),
        row.out_trade_no(),
        row.out_refund_no(),
        row.state(),
        unescape(row.description(), row.kind),
        unescape(row.attach(), row.kind),
    )
}

fn expected(line: usize, it: &Trade) -> String {
    let [settlement, coupon, refund, refund_coupon, total, requested] = it.fen;
    let (number, state) = match it.kind {
        TradeKind::Payment => ("", "SUCCESS"),
        TradeKind::Refund => ("RF-1", "REFUND"),
        TradeKind::Revoked => ("RF-1", "REVOKED"),
    };
    format!(
        "{line} {:?} {settlement} {coupon} {refund} {refund_coupon} {total} {requested} {} {}|{number}|{state}|{}|{}",
        it.kind, it.fee, it.order, it.description, it.attach,
    )
}

fn read<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<String>, Result<TradeSummary, BillError>) {
    let mut rows = Vec::new();
    let mut each = |row: &TradeRow<'_>| rows.push(shown(row));
    let mut reader = TradeBillReader::new();
    let fed = chunks
        .into_iter()
        .try_for_each(|chunk| reader.feed(chunk, &mut each));
    let summary = fed.and_then(|()| reader.finish(&mut each));
    (rows, summary)
}

fn read_funds<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<String>, Result<FundSummary, BillError>) {
    let mut rows = Vec::new();
    let mut each = |row: &FundRow<'_>| rows.push(format!("{row:?} {}", row.note()));
    let mut reader = FundBillReader::new();
    let fed = chunks
        .into_iter()
        .try_for_each(|chunk| reader.feed(chunk, &mut each));
    let summary = fed.and_then(|()| reader.finish(&mut each));
    (rows, summary)
}

/// Parts as large as `sizes` say, again and again.
fn chunks<'a>(mut bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    for size in sizes.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (part, rest) = bytes.split_at((*size).min(bytes.len()));
        parts.push(part);
        bytes = rest;
    }
    parts
}

proptest! {
    #[test]
    fn any_bill_in_any_chunks_gives_what_was_written(
        trades in vec(trade(), 0..20),
        form in form(),
        sizes in vec(1_usize..400, 1..5),
    ) {
        let file = file(&written(&trades), &form);
        let (rows, summary) = read(chunks(&file, &sizes));
        let expected: Vec<_> = trades.iter().enumerate().map(|(at, it)| expected(at + 2, it)).collect();
        prop_assert_eq!(rows, expected);
        let sum = |at: usize| trades.iter().map(|it| it.fen[at]).sum::<i64>();
        prop_assert_eq!(summary, Ok(TradeSummary {
            rows: u64::try_from(trades.len()).expect("a few"),
            settlement_fen: sum(0),
            refund_fen: sum(2),
            refund_coupon_fen: sum(3),
            total_fen: sum(4),
            requested_refund_fen: sum(5),
            fee: Fee::from_units(trades.iter().map(|it| it.fee).sum()),
        }));
    }

    #[test]
    fn a_bill_that_was_cut_is_refused(trades in vec(trade(), 0..5), form in form(), cut: Index) {
        let whole = file(&written(&trades), &Form { last_end: false, ..form });
        let cut = &whole[..cut.index(whole.len())];
        prop_assert!(read([cut]).1.is_err());
    }

    #[test]
    fn a_bill_with_one_altered_byte_in_an_amount_is_refused(
        trades in vec(trade(), 1..6),
        form in form(),
        row: Index,
        column in select(PROVED.to_vec()),
        at: Index,
        change in 1_u8..,
    ) {
        let mut lines = written(&trades);
        let row = row.index(trades.len());
        // The mark stands for the altered byte, which need not be text.
        let value = lines[row][column].clone().into_bytes();
        let at = at.index(value.len());
        let mut marked = value.clone();
        marked[at] = b'@';
        lines[row][column] = String::from_utf8(marked).expect("ASCII");
        let mut file = file(&lines, &form);
        let place = file.iter().position(|byte| *byte == b'@').expect("the mark");
        file[place] = value[at];
        prop_assert!(read([&file[..]]).1.is_ok());
        file[place] ^= change;
        prop_assert!(read([&file[..]]).1.is_err());
    }

    #[test]
    fn a_bill_without_one_of_its_rows_is_refused(trades in vec(trade(), 1..6), form in form(), row: Index) {
        let mut lines = written(&trades);
        lines.remove(row.index(trades.len()));
        prop_assert!(read([&file(&lines, &form)[..]]).1.is_err());
    }

    #[test]
    fn no_bytes_make_reading_panic_and_no_chunks_change_what_they_give(
        bill in select(vec![ALL, FUND]),
        changes in vec((any::<Index>(), any::<u8>()), 0..4),
        garbage in vec(any::<u8>(), 0..30),
        place: Index,
        sizes in vec(1_usize..100, 1..4),
    ) {
        let mut bytes = bill.as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let place = place.index(bytes.len());
        bytes.splice(place..place, garbage);
        prop_assert_eq!(read([&bytes[..]]), read(chunks(&bytes, &sizes)));
        prop_assert_eq!(read_funds([&bytes[..]]), read_funds(chunks(&bytes, &sizes)));
    }
}
