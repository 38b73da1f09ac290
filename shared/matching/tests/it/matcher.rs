//! Random days on both sides: the matcher must find what a slow and plain one finds, no more and no
//! less.

mod drawn;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use matching::{
    bill_line::{BillLine, LineKind},
    books::{BookLine, BookedRefund, DayBooks, Inserted, ParkedLine},
    matcher::{Matched, Matcher, Overflow},
    totals::{Sums, Totals},
};
use proptest::prelude::*;
use wechatpay::{
    UnixSeconds,
    bill::{TradeBillReader, TradeRow},
};

use crate::bills::trade_bill;
use drawn::{Fault, STATES_HERE, drawn, sides};

const MCHID: &str = "1900000001";
const APPID: &str = "wx00000000000000aa";

/// A line of the books, owned.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Booked {
    id: String,
    refund: Option<(Option<String>, String, BookedRefund)>,
    order_no: String,
    fen: i64,
    appid: String,
    trade_type: &'static str,
    shard: u8,
}

impl Booked {
    fn line(&self) -> BookLine<'_> {
        match &self.refund {
            None => BookLine::Payment {
                transaction_id: &self.id,
                order_no: &self.order_no,
                amount_fen: self.fen,
                appid: &self.appid,
                trade_type: self.trade_type,
            },
            Some((refund_id, transaction_id, state)) => BookLine::Refund {
                out_refund_no: &self.id,
                refund_id: refund_id.as_deref(),
                transaction_id,
                order_no: &self.order_no,
                amount_fen: self.fen,
                state: *state,
                trade_type: Some(self.trade_type),
            },
        }
    }
}

/// What both matchers must agree on.
#[derive(Debug, Default, Eq, PartialEq)]
struct Verdict {
    candidates: BTreeSet<u64>,
    off_rate: BTreeSet<u64>,
    unseen: BTreeSet<String>,
    unseen_in: BTreeMap<u8, u64>,
}

/// Everything as text, one thing after the other.
fn plainly(here: &[Booked], there: &[BillLine]) -> Verdict {
    let mut books: HashMap<(bool, &str), Vec<&Booked>> = HashMap::new();
    for booked in here {
        let lines = books
            .entry((booked.refund.is_some(), &booked.id))
            .or_default();
        if !lines.contains(&booked) {
            lines.push(booked);
        }
    }
    let mut seen: BTreeSet<(bool, &str)> = BTreeSet::new();
    let mut verdict = Verdict::default();
    for row in there {
        let (is_refund, base) = match row.kind {
            LineKind::Payment => (false, row.settlement_fen),
            LineKind::Refund => (true, -row.refund_fen),
            LineKind::Revoked => {
                verdict.candidates.insert(row.line);
                continue;
            }
        };
        let fails = row.refund_state == "FAIL" && row.fee == 0;
        if !fails && (row.fee - base * 6).abs() >= 1000 {
            verdict.off_rate.insert(row.line);
        }
        let id = if is_refund {
            row.out_refund_no.as_str()
        } else {
            row.transaction_id.as_str()
        };
        let key = (is_refund, id);
        let fits = match books.get(&key).map(Vec::as_slice) {
            Some([booked]) => fits(booked, row),
            _ => false,
        };
        let too_long = row.order_no.len() > 64;
        let first = too_long || seen.insert(key);
        if !fits || !first || row.mchid != MCHID || row.currency != "CNY" {
            verdict.candidates.insert(row.line);
        }
    }
    for (key, lines) in &books {
        if !seen.contains(key) {
            verdict.unseen.insert(lines[0].id.clone());
            let shard = lines[0].shard;
            *verdict.unseen_in.entry(shard).or_default() += 1;
        }
    }
    verdict
}

fn fits(booked: &Booked, row: &BillLine) -> bool {
    let same = booked.order_no == row.order_no;
    match &booked.refund {
        None => same && booked.fen == row.total_fen && booked.appid == row.appid,
        Some((refund_id, transaction_id, state)) => {
            let allowed: &[&str] = match state {
                BookedRefund::Reserved | BookedRefund::Refused => &[],
                BookedRefund::Processing => &["PROCESSING"],
                BookedRefund::Succeeded => &["PROCESSING", "SUCCESS", "CHANGE"],
                BookedRefund::Closed => &["PROCESSING", "FAIL"],
                BookedRefund::Abnormal => &["PROCESSING", "CHANGE"],
            };
            same && booked.fen == row.requested_refund_fen
                && *transaction_id == row.transaction_id
                && refund_id.as_ref().is_none_or(|id| *id == row.refund_id)
                && allowed.contains(&row.refund_state.as_str())
        }
    }
}

fn run(here: &[Booked], there: &[BillLine], room: usize, key: [u64; 2]) -> Matched {
    run_keeping(1000, here, there, (room, key))
}

/// A pass that keeps this many rows of each kind.
fn run_keeping(
    kept: usize,
    here: &[Booked],
    there: &[BillLine],
    (room, key): (usize, [u64; 2]),
) -> Matched {
    let mut books = DayBooks::with_capacity(room, key);
    for booked in here {
        assert_ne!(
            books.insert(&booked.line(), booked.shard),
            Inserted::TooLong
        );
    }
    let mut matcher = Matcher::new(books, MCHID, kept);
    let mut reader = TradeBillReader::new();
    let text = trade_bill(there);
    let mut batch = |rows: &[TradeRow<'_>]| matcher.take_batch(rows);
    for chunk in text.as_bytes().chunks(5000) {
        reader.feed_batches(chunk, &mut batch).unwrap();
    }
    reader
        .finish(&mut |row| panic!("{row:?} came late"))
        .unwrap();
    matcher.finish()
}

fn verdict(matched: &Matched, here: &[Booked]) -> Verdict {
    let lines = |rows: &[BillLine]| rows.iter().map(|row| row.line).collect::<BTreeSet<_>>();
    Verdict {
        candidates: lines(&matched.candidates.kept),
        off_rate: lines(&matched.off_rate.kept),
        unseen: here
            .iter()
            .filter(|booked| matched.books.is_unseen(&booked.line()))
            .map(|booked| booked.id.clone())
            .collect(),
        unseen_in: (0..16)
            .map(|shard| (shard, matched.books.unseen_in(shard)))
            .filter(|(_, unseen)| *unseen > 0)
            .collect(),
    }
}

#[test]
fn rows_off_the_rate_take_no_room_of_candidates_and_what_has_no_room_is_counted() {
    let row = |number: u64, rate: &str| BillLine {
        line: number,
        kind: LineKind::Payment,
        at: "2026-08-01 10:00:05".to_owned(),
        appid: APPID.to_owned(),
        mchid: MCHID.to_owned(),
        transaction_id: format!("42000000002026080100{number:08}"),
        order_no: format!("ORDER-{number}"),
        refund_id: String::new(),
        out_refund_no: String::new(),
        trade_type: "NATIVE".to_owned(),
        currency: "CNY".to_owned(),
        refund_state: String::new(),
        total_fen: 1_000,
        settlement_fen: 1_000,
        requested_refund_fen: 0,
        refund_fen: 0,
        fee: 6_000,
        rate: rate.to_owned(),
    };
    // Our books have the first five, whose fees are off; the last five they do not know.
    let there: Vec<BillLine> = (0..10)
        .map(|number| row(number, if number < 5 { "1.00%" } else { "0.60%" }))
        .collect();
    let booked = |row: &BillLine| Booked {
        id: row.transaction_id.clone(),
        refund: None,
        order_no: row.order_no.clone(),
        fen: row.total_fen,
        appid: APPID.to_owned(),
        trade_type: "NATIVE",
        shard: 0,
    };
    let here: Vec<Booked> = there.iter().take(5).map(booked).collect();
    let matched = run_keeping(3, &here, &there, (10, [5, 6]));
    let more = Overflow {
        count: 2,
        amount_fen: 2_000,
    };
    for kept in [&matched.candidates, &matched.off_rate] {
        assert_eq!((kept.kept.len(), kept.more), (3, more));
    }
    assert_eq!(matched.rows, 10);
    assert_eq!(matched.books.unseen(), 0);
}

#[test]
fn parked_money_counts_under_the_product_that_the_bill_names() {
    let (_, there) = sides(&[(None, 1_000, 0, 0, false, Fault::None); 2], 0);
    let mut books = DayBooks::with_capacity(4, [5, 6]);
    let parked = |transaction_id, amount_fen, trade_type| ParkedLine {
        transaction_id,
        order_no: "ORDER-9",
        amount_fen,
        at: UnixSeconds(amount_fen),
        trade_type,
    };
    let of_an_order = parked("4200000000000000000000000009", 70, Some("APP"));
    let unattributed = parked("4200000000000000000000000010", 5, None);
    for _ in 0..2 {
        // An index that is read in pages may give a line twice.
        books.count_parked(&parked(&there[0].transaction_id, 1_000, None));
    }
    books.count_parked(&of_an_order);
    books.count_parked(&unattributed);
    let mut matcher = Matcher::new(books, MCHID, 10);
    let mut reader = TradeBillReader::new();
    let text = trade_bill(&there);
    let mut batch = |rows: &[TradeRow<'_>]| matcher.take_batch(rows);
    reader.feed_batches(text.as_bytes(), &mut batch).unwrap();
    reader.finish(&mut |_| ()).unwrap();
    let matched = matcher.finish();
    let books = &matched.books;
    let totals = books.totals();
    let fen = |product: &str| totals.0.get(product).map(|sums| sums.payments_fen);
    assert_eq!(fen(&there[0].trade_type), Some(1_000), "as the bill has it");
    assert_eq!(fen("APP"), Some(70), "of no row: as the order has it");
    assert_eq!(fen("others"), Some(5), "of no row and no order");
    assert_eq!(totals.all().payments, 3);
    assert_eq!(books.parked_fen(&there[0].transaction_id), Some(1_000));
    assert_eq!(books.parked_fen(&there[1].transaction_id), None);
    assert!(!books.is_unseen_payment(&there[0].transaction_id));
    assert!(books.is_unseen_payment("4200000000000000000000000010"));
    let unseen: Vec<ParkedLine<'_>> = books.unseen_parked().collect();
    assert_eq!(unseen, [of_an_order, unattributed]);
}

#[test]
fn a_refund_without_a_product_counts_under_the_product_that_the_bill_names() {
    let there = BillLine {
        line: 2,
        kind: LineKind::Refund,
        at: "2026-08-01 10:00:05".to_owned(),
        appid: APPID.to_owned(),
        mchid: MCHID.to_owned(),
        transaction_id: "4200000000000000000000000001".to_owned(),
        order_no: "ORDER-1".to_owned(),
        refund_id: "5030000000000000000000000001".to_owned(),
        out_refund_no: "R-1".to_owned(),
        trade_type: "JSAPI".to_owned(),
        currency: "CNY".to_owned(),
        refund_state: "SUCCESS".to_owned(),
        total_fen: 0,
        settlement_fen: 0,
        requested_refund_fen: 70,
        refund_fen: 70,
        fee: -420,
        rate: "0.60%".to_owned(),
    };
    let mut books = DayBooks::with_capacity(4, [5, 6]);
    for (out_refund_no, amount_fen) in [("R-1", 70), ("R-2", 5)] {
        let line = BookLine::Refund {
            out_refund_no,
            refund_id: Some(&there.refund_id),
            transaction_id: &there.transaction_id,
            order_no: &there.order_no,
            amount_fen,
            state: BookedRefund::Succeeded,
            trade_type: None,
        };
        assert_eq!(books.insert(&line, 0), Inserted::New);
    }
    let mut matcher = Matcher::new(books, MCHID, 10);
    let mut reader = TradeBillReader::new();
    let text = trade_bill(std::slice::from_ref(&there));
    let mut batch = |rows: &[TradeRow<'_>]| matcher.take_batch(rows);
    reader.feed_batches(text.as_bytes(), &mut batch).unwrap();
    reader.finish(&mut |_| ()).unwrap();
    let matched = matcher.finish();
    let totals = matched.books.totals();
    let fen = |product: &str| totals.0.get(product).map(|sums| sums.refunds_fen);
    assert_eq!(fen("JSAPI"), Some(70), "as the bill has it");
    assert_eq!(fen("others"), Some(5), "of no row");
    assert_eq!(totals.all().refunds, 2);
}

/// One that had failed when the bill was made. No money went back by it.
#[test]
fn a_refund_that_failed_is_in_no_sum_and_one_that_failed_later_is_in_both() {
    let closed = 3;
    assert_eq!(STATES_HERE[closed], BookedRefund::Closed);
    let of = |position, fen| (Some(position), fen, 0, closed, true, Fault::None);
    let (here, mut there) = sides(&[of(0, 40), of(1, 70), of(2, 5)], 0);
    let row = |there: &mut Vec<BillLine>, fen: i64, state: &str| {
        let mut rows = there.iter_mut();
        let row = rows.find(|row| row.requested_refund_fen == fen).unwrap();
        row.refund_state = state.to_owned();
    };
    row(&mut there, 40, "FAIL");
    row(&mut there, 70, "PROCESSING");
    row(&mut there, 5, "FAIL");
    // The last one our books do not have.
    let known: Vec<Booked> = here.into_iter().filter(|line| line.fen != 5).collect();
    let matched = run(&known, &there, 10, [5, 6]);
    let of = |totals: &Totals| (totals.all().refunds, totals.all().refunds_fen);
    assert_eq!(of(&matched.totals), (1, 70));
    assert_eq!(of(&matched.books.totals()), (1, 70));
    let product = |totals: &Totals| totals.0["NATIVE"].refunds_fen;
    assert_eq!(product(&matched.books.totals()), product(&matched.totals));
    let candidates = &matched.candidates.kept;
    assert_eq!(candidates.len(), 1, "a consistent read may find it");
    assert_eq!(candidates[0].refund_state, "FAIL");

    // By another row it did not fail: a difference, and ours stays in the sum.
    for row in &mut there {
        row.mchid = "1900000002".to_owned();
    }
    let matched = run(&known, &there, 10, [5, 6]);
    assert_eq!(of(&matched.books.totals()), (2, 110));
    assert_eq!(matched.candidates.kept.len(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn the_matcher_finds_what_a_slow_and_plain_one_finds(
        drawn in drawn(), order: u64, key: [u64; 2], room in 0_usize..300,
    ) {
        let (here, there) = sides(&drawn, order);
        let matched = run(&here, &there, room, key);
        prop_assert_eq!(verdict(&matched, &here), plainly(&here, &there));
        prop_assert_eq!(matched.rows, u64::try_from(there.len()).unwrap());
        prop_assert_eq!(matched.books.unseen(), (0..16).map(|shard| matched.books.unseen_in(shard)).sum::<u64>());
        let paid: i64 = there.iter().filter(|row| row.kind == LineKind::Payment).map(|row| row.total_fen).sum();
        let Sums { payments_fen, .. } = matched.totals.all();
        prop_assert_eq!(payments_fen, paid);
        let gave_back = |row: &&BillLine| row.kind == LineKind::Refund && row.refund_state != "FAIL";
        let refunded: i64 = there.iter().filter(gave_back).map(|row| row.requested_refund_fen).sum();
        prop_assert_eq!(matched.totals.all().refunds_fen, refunded);
    }
}
