//! What the books of a day say of their lines.

use matching::{
    bill_line::{BillLine, LineKind},
    books::{BookLine, BookedRefund, DayBooks, Inserted},
    matcher::{Matched, Matcher},
};
use wechatpay::bill::{TradeBillReader, TradeRow};

use crate::bills::trade_bill;

const MCHID: &str = "1900000001";
const APPID: &str = "wx00000000000000aa";
const KEY: [u64; 2] = [5, 6];

fn payment(transaction_id: &str, amount_fen: i64) -> BookLine<'_> {
    BookLine::Payment {
        transaction_id,
        order_no: "ORDER-1",
        amount_fen,
        appid: APPID,
        trade_type: "NATIVE",
    }
}

fn refund(out_refund_no: &str, state: BookedRefund) -> BookLine<'_> {
    BookLine::Refund {
        out_refund_no,
        refund_id: Some("5030000000000000000000000001"),
        transaction_id: "4200000000000000000000000001",
        order_no: "ORDER-1",
        amount_fen: 70,
        state,
        trade_type: Some("NATIVE"),
    }
}

/// The row of a payment, as [`payment`] has it.
fn paid(transaction_id: &str, amount_fen: i64) -> BillLine {
    BillLine {
        line: 0,
        kind: LineKind::Payment,
        at: "2026-08-01 10:00:05".to_owned(),
        appid: APPID.to_owned(),
        mchid: MCHID.to_owned(),
        transaction_id: transaction_id.to_owned(),
        order_no: "ORDER-1".to_owned(),
        refund_id: String::new(),
        out_refund_no: String::new(),
        trade_type: "NATIVE".to_owned(),
        currency: "CNY".to_owned(),
        refund_state: String::new(),
        total_fen: amount_fen,
        settlement_fen: amount_fen,
        requested_refund_fen: 0,
        refund_fen: 0,
        fee: amount_fen * 6,
        rate: "0.60%".to_owned(),
    }
}

/// The row of a refund, as [`refund`] has it.
fn refunded(out_refund_no: &str, refund_state: &str, fee: i64) -> BillLine {
    BillLine {
        kind: LineKind::Refund,
        refund_id: "5030000000000000000000000001".to_owned(),
        out_refund_no: out_refund_no.to_owned(),
        refund_state: refund_state.to_owned(),
        total_fen: 0,
        settlement_fen: 0,
        requested_refund_fen: 70,
        refund_fen: 70,
        fee,
        ..paid("4200000000000000000000000001", 0)
    }
}

fn matched(books: DayBooks, rows: &[BillLine]) -> Matched {
    let mut matcher = Matcher::new(books, MCHID, 100);
    let mut reader = TradeBillReader::new();
    let text = trade_bill(rows);
    let mut batch = |rows: &[TradeRow<'_>]| matcher.take_batch(rows);
    reader.feed_batches(text.as_bytes(), &mut batch).unwrap();
    reader
        .finish(&mut |row| panic!("{row:?} came late"))
        .unwrap();
    matcher.finish()
}

/// The lines of a bill that these rows are on. Its first has the headings.
fn lines(rows: &[BillLine]) -> Vec<u64> {
    rows.iter().map(|row| row.line).collect()
}

#[test]
fn a_refund_s_state_is_known_by_its_name_in_the_table_and_no_other() {
    let named = [
        ("reserved", BookedRefund::Reserved),
        ("processing", BookedRefund::Processing),
        ("succeeded", BookedRefund::Succeeded),
        ("closed", BookedRefund::Closed),
        ("refused", BookedRefund::Refused),
        ("abnormal", BookedRefund::Abnormal),
    ];
    for (name, state) in named {
        assert_eq!(BookedRefund::named(name), Some(state), "{name}");
    }
    assert_eq!(BookedRefund::named("SUCCESS"), None);
}

#[test]
fn lines_of_a_page_go_in_as_one_by_one_and_each_gets_its_result() {
    let long = "4".repeat(65);
    let numbers: Vec<String> = (0..100)
        .map(|number| format!("42000000002026{number:04}"))
        .collect();
    let mut page: Vec<BookLine<'_>> = numbers.iter().map(|number| payment(number, 10)).collect();
    page.push(payment(&numbers[3], 10));
    page.push(payment(&numbers[4], 11));
    page.push(payment(&long, 10));
    page.push(refund("R-1", BookedRefund::Succeeded));

    let mut one_by_one = DayBooks::with_capacity(10, KEY);
    let expected: Vec<Inserted> = page.iter().map(|line| one_by_one.insert(line, 7)).collect();
    let mut together = DayBooks::with_capacity(10, KEY);
    let mut given = Vec::new();
    together.insert_batch(&page, 7, |line, inserted| {
        assert_eq!(*line, page[given.len()]);
        given.push(inserted);
    });

    assert_eq!(given, expected);
    let last = [
        Inserted::Again,
        Inserted::Twice,
        Inserted::TooLong,
        Inserted::New,
    ];
    assert_eq!(given[100..], last);
    for books in [&one_by_one, &together] {
        assert_eq!(books.lines(), 101);
        assert_eq!(books.twice(), 1);
        assert_eq!((books.unseen(), books.unseen_in(7)), (101, 101));
        // The second line of a number is money, too; a line that came again is not.
        let all = books.totals().all();
        assert_eq!((all.payments, all.payments_fen), (101, 1_011));
        assert_eq!((all.refunds, all.refunds_fen), (1, 70));
    }
}

#[test]
fn the_books_know_their_numbers_and_no_others() {
    let mut books = DayBooks::with_capacity(10, KEY);
    assert_eq!((books.lines(), books.twice()), (0, 0));
    books.insert(&payment("4200000000000000000000000001", 10), 0);
    books.insert(&refund("R-1", BookedRefund::Succeeded), 0);
    assert!(books.has_payment("4200000000000000000000000001"));
    assert!(!books.has_payment("4200000000000000000000000002"));
    assert!(!books.has_payment("R-1"), "a refund's number");
    assert!(books.has_refund("R-1"));
    assert!(!books.has_refund("R-2"));
    assert!(
        !books.has_refund("4200000000000000000000000001"),
        "a payment's"
    );
    assert_eq!((books.lines(), books.twice()), (2, 0));
}

#[test]
fn a_second_pass_gets_the_lines_that_no_row_has_named() {
    let numbers: Vec<String> = (0..100)
        .map(|number| format!("42000000002026{number:04}"))
        .collect();
    let ours: Vec<BookLine<'_>> = numbers.iter().map(|number| payment(number, 10)).collect();
    let mut books = DayBooks::with_capacity(10, KEY);
    books.insert_batch(&ours, 0, |_, _| ());
    let there: Vec<BillLine> = (0..100)
        .zip(&numbers)
        .filter(|(position, _)| position % 3 != 0)
        .map(|(_, number)| paid(number, 10))
        .collect();
    let matched = matched(books, &there);
    assert!(matched.candidates.kept.is_empty());
    let mut page = ours.clone();
    page.push(payment("4200000000000000000000000009", 10));
    let mut unseen = Vec::new();
    matched
        .books
        .unseen_among(&page, |line| unseen.push(format!("{line:?}")));
    let expected: Vec<String> = ours
        .iter()
        .step_by(3)
        .map(|line| format!("{line:?}"))
        .collect();
    assert_eq!(unseen, expected);
}

#[test]
fn a_row_that_comes_again_is_repeated_and_one_that_differs_is_only_a_candidate() {
    let [once, again, other, double, absent] =
        [1, 2, 3, 4, 5].map(|number| format!("420000000000000000000000000{number}"));
    let mut books = DayBooks::with_capacity(10, KEY);
    for number in [&once, &again, &other, &double] {
        books.insert(&payment(number, 10), 0);
    }
    assert_eq!(books.insert(&payment(&double, 11), 0), Inserted::Twice);
    let there = [
        paid(&once, 10),
        paid(&again, 10),
        paid(&again, 10),
        paid(&again, 10),
        // The number again, and another amount.
        paid(&other, 10),
        paid(&other, 12),
        // Two lines of ours have this number.
        paid(&double, 10),
        paid(&double, 10),
        paid(&absent, 10),
        paid(&absent, 10),
    ];
    let matched = matched(books, &there);
    assert_eq!(lines(&matched.candidates.kept), [4, 5, 7, 8, 9, 10, 11]);
    assert_eq!(lines(&matched.repeated.kept), [4, 5]);
}

#[test]
fn two_lines_of_one_refund_s_number_count_under_their_own_products() {
    let mut books = DayBooks::with_capacity(10, KEY);
    let native = refund("R-1", BookedRefund::Succeeded);
    let BookLine::Refund {
        out_refund_no,
        refund_id,
        transaction_id,
        order_no,
        state,
        ..
    } = native
    else {
        panic!("a refund");
    };
    let app = BookLine::Refund {
        out_refund_no,
        refund_id,
        transaction_id,
        order_no,
        amount_fen: 5,
        state,
        trade_type: Some("APP"),
    };
    assert_eq!(books.insert(&native, 0), Inserted::New);
    assert_eq!(books.insert(&app, 0), Inserted::Twice);
    let totals = books.totals();
    let fen = |product: &str| totals.0.get(product).map(|sums| sums.refunds_fen);
    assert_eq!((fen("NATIVE"), fen("APP")), (Some(70), Some(5)));
}

#[test]
fn a_line_that_is_read_again_after_its_row_is_the_same_line() {
    let mut books = DayBooks::with_capacity(10, KEY);
    let number = "4200000000000000000000000001";
    books.insert(&payment(number, 10), 0);
    let mut books = matched(books, &[paid(number, 10)]).books;
    assert_eq!(books.insert(&payment(number, 10), 0), Inserted::Again);
    assert_eq!(books.insert(&payment(number, 11), 0), Inserted::Twice);
    assert_eq!(books.insert(&payment(number, 10), 0), Inserted::Again);
    assert_eq!((books.lines(), books.twice()), (1, 1));
}

#[test]
fn only_a_refund_that_failed_may_return_no_fee() {
    let books = DayBooks::with_capacity(10, KEY);
    let rows = [
        refunded("R-1", "SUCCESS", -420),
        refunded("R-2", "FAIL", 0),
        refunded("R-3", "FAIL", -420),
        refunded("R-4", "SUCCESS", 5_000),
        refunded("R-5", "FAIL", 5_000),
    ]
    .map(|row| BillLine {
        requested_refund_fen: 7_000,
        refund_fen: 7_000,
        fee: row.fee * 100,
        ..row
    });
    let none = BillLine {
        fee: 0,
        ..rows[0].clone()
    };
    let rows = [rows.as_slice(), &[none]].concat();
    assert_eq!(lines(&matched(books, &rows).off_rate.kept), [5, 6, 7]);
}

#[test]
fn what_is_printed_of_the_books_does_not_show_their_key() {
    let books = DayBooks::with_capacity(1, [4_711, 4_712]);
    assert!(format!("{books:?}").contains("prints: Prints(..)"));
}
