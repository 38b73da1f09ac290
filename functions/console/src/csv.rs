//! A day's differences for a spreadsheet program: UTF-8 with a byte order mark, so that Chinese
//! text is not read as Latin-1, and quoted by RFC 4180.
//!
//! Numbers are written unchanged, so that a search finds them. A spreadsheet program that opens the
//! file directly rounds numbers of more than 15 digits, such as WeChat Pay's ids. So the first
//! column repeats in words what the row is about, which no program reads as a number.

use payments::{
    model::bill_date::{BillDate, BillName},
    reconcile::difference::{
        Actor, Difference, DifferenceKind, DifferenceState, DifferenceSubject, SideView,
    },
};
use wechatpay::{UnixSeconds, bill::yuan_of_fen, time::format_rfc3339_beijing};

use crate::{input::Filter, money::decimal_of_e5, text};

/// A Lambda function may answer with 6 MiB, as base64: four bytes for three.
const BYTES_MAX: usize = 4_500_000;

const HEADER: [&str; 36] = [
    "about",
    "date",
    "id",
    "kind",
    "meaning",
    "order_no",
    "transaction_id",
    "out_refund_no",
    "refund_id",
    "bill",
    "bill_line",
    "amount_there_yuan",
    "amount_here_yuan",
    "fee_there_yuan",
    "fee_here_yuan",
    "rate",
    "currency_there",
    "currency_here",
    "appid_there",
    "appid_here",
    "mchid_there",
    "mchid_here",
    "state_there",
    "state_here",
    "at_there",
    "at_here",
    "note_there",
    "note_here",
    "state",
    "next",
    "last_at",
    "last_by",
    "last_why",
    "refund_no",
    "refund_stage",
    "version",
];

/// A file in the making.
#[derive(Debug)]
pub(crate) struct CsvFile(String);

impl CsvFile {
    /// A file without a difference.
    pub(crate) fn begin() -> Self {
        let mut file = String::from("\u{feff}");
        line(&mut file, HEADER.map(str::to_owned));
        Self(file)
    }

    /// Adds a difference; `false` once the file is larger than an answer may be.
    pub(crate) fn push(&mut self, difference: &Difference) -> bool {
        line(&mut self.0, cells(difference));
        self.0.len() <= BYTES_MAX
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }
}

/// The file name for a day's download: it contains the chosen filter.
pub(crate) fn name(date: BillDate, filter: Filter) -> String {
    let mut name = format!("differences-{date}");
    let kind = filter.kind.map(DifferenceKind::name);
    let state = filter.state.map(DifferenceState::name);
    for part in [kind, state].into_iter().flatten() {
        name.push('-');
        name.push_str(part);
    }
    name + ".csv"
}

fn cells(difference: &Difference) -> [String; 36] {
    let about = &difference.about;
    let (there, here) = (difference.there.as_ref(), difference.here.as_ref());
    let last = difference.history.last();
    let refund = difference.refund.as_ref();
    let by = last.map(|step| match &step.who {
        Actor::Run(_) => "run",
        Actor::Person(name) => name.as_str(),
    });
    let rate = [there, here].into_iter().flatten();
    let rate = rate.filter_map(|side| side.rate.as_deref()).next();
    [
        text(Some(&in_words(about))),
        difference.date.to_string(),
        difference.id.clone(),
        difference.kind.name().to_owned(),
        difference.kind.meaning().to_owned(),
        text(about.order_no.as_deref()),
        text(about.transaction_id.as_deref()),
        text(about.out_refund_no.as_deref()),
        text(about.refund_id.as_deref()),
        about
            .bill
            .map(BillName::name)
            .unwrap_or_default()
            .to_owned(),
        about.line.map(|line| line.to_string()).unwrap_or_default(),
        amount(there),
        amount(here),
        fee(there),
        fee(here),
        text(rate),
        said(there, |side| side.currency.as_deref()),
        said(here, |side| side.currency.as_deref()),
        said(there, |side| side.appid.as_deref()),
        said(here, |side| side.appid.as_deref()),
        said(there, |side| side.mchid.as_deref()),
        said(here, |side| side.mchid.as_deref()),
        said(there, |side| side.state.as_deref()),
        said(here, |side| side.state.as_deref()),
        moment(there.and_then(|side| side.at)),
        moment(here.and_then(|side| side.at)),
        said(there, |side| side.note.as_deref()),
        said(here, |side| side.note.as_deref()),
        difference.state.name().to_owned(),
        text(Some(&text::next(difference))),
        moment(last.map(|step| step.at)),
        text(by),
        text(last.map(|step| step.why.as_str())),
        text(refund.map(|refund| refund.refund_no.as_str())),
        text(refund.map(|refund| refund.stage.name())),
        difference.version.to_string(),
    ]
}

/// The subject of a row in words, never digits alone.
fn in_words(about: &DifferenceSubject) -> String {
    let ids = [
        ("refund", &about.refund_id),
        ("our refund", &about.out_refund_no),
        ("payment", &about.transaction_id),
        ("order", &about.order_no),
    ];
    let ids = ids
        .into_iter()
        .filter_map(|(what, id)| Some(format!("{what} {}", id.as_ref()?)));
    let ids: Vec<String> = ids.collect();
    if ids.is_empty() {
        text::which_bill(about.bill).to_owned()
    } else {
        ids.join(", ")
    }
}

fn amount(side: Option<&SideView>) -> String {
    let fen = side.and_then(|side| side.amount_fen);
    fen.map(yuan_of_fen).unwrap_or_default()
}

/// A fee as a number of yuan, with all its digits.
fn fee(side: Option<&SideView>) -> String {
    let fee = side.and_then(|side| side.fee_e5);
    fee.map(decimal_of_e5).unwrap_or_default()
}

fn said<'a>(side: Option<&'a SideView>, what: impl Fn(&'a SideView) -> Option<&'a str>) -> String {
    text(side.and_then(what))
}

fn moment(at: Option<UnixSeconds>) -> String {
    at.map(format_rfc3339_beijing).unwrap_or_default()
}

/// A text from others. A spreadsheet program would run a text that starts like a formula, also
/// after blanks, which some programs strip. After an apostrophe all of them treat it as text. A
/// plain number is harmless and stays unchanged, so that a search finds it. An order number such as
/// `-ABC-001` is no plain number: programs compute it. The first column has it
/// unchanged.
fn text(text: Option<&str>) -> String {
    const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    let text = text.unwrap_or_default();
    let is_blank = |sign: char| sign.is_whitespace() || sign.is_control();
    let digits = text.strip_prefix(['+', '-']).unwrap_or_default();
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let is_formula = text.trim_start_matches(is_blank).starts_with(FORMULA);
    if (is_formula || text.starts_with(['\t', '\r', '\n'])) && !is_number {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// Not by the `csv` crate: it leaves a tab unquoted, at which some spreadsheet programs split a
/// cell, and it returns I/O errors, which cannot occur here and would still have to be handled.
fn line<const N: usize>(file: &mut String, cells: [String; N]) {
    for (position, cell) in cells.iter().enumerate() {
        if position > 0 {
            file.push(',');
        }
        if cell.contains([',', '"', '\r', '\n', '\t']) {
            file.push('"');
            file.push_str(&cell.replace('"', "\"\""));
            file.push('"');
        } else {
            file.push_str(cell);
        }
    }
    file.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(differences: &[Difference]) -> Option<String> {
        let mut file = CsvFile::begin();
        let fits = differences.iter().all(|one| file.push(one));
        fits.then(|| file.finish())
    }

    /// The cells of the only row, by their columns.
    fn row(one: Difference) -> std::collections::BTreeMap<String, String> {
        let file = file(&[one]).unwrap();
        let mut rows = file.trim_start_matches('\u{feff}').lines().map(|line| {
            let (mut cells, mut quoted) = (vec![String::new()], false);
            for sign in line.chars() {
                match sign {
                    '"' => quoted = !quoted,
                    ',' if !quoted => cells.push(String::new()),
                    sign => cells.last_mut().unwrap().push(sign),
                }
            }
            cells
        });
        let columns = rows.next().unwrap();
        columns.into_iter().zip(rows.next().unwrap()).collect()
    }

    fn difference(order_no: &str, note: &str) -> Difference {
        let about = DifferenceSubject {
            order_no: Some(order_no.to_owned()),
            transaction_id: Some("4200001234202608010000000001".to_owned()),
            ..DifferenceSubject::default()
        };
        let there = SideView {
            amount_fen: Some(-1_234_567),
            note: Some(note.to_owned()),
            ..SideView::default()
        };
        let date = BillDate::parse("2026-08-01").unwrap();
        let at = UnixSeconds(1_785_556_801);
        Difference::found(
            date,
            DifferenceKind::AmountDiffers,
            about,
            Some(there),
            None,
            "r",
            at,
        )
    }

    #[test]
    fn a_file_begins_with_the_mark_and_names_its_columns() {
        let file = file(&[]).unwrap();
        assert!(file.starts_with("\u{feff}about,date,id,kind,"));
        assert!(file.ends_with("version\r\n"));
        assert_eq!(file.matches("\r\n").count(), 1);
    }

    #[test]
    fn a_sum_that_is_wrong_says_in_which_bill() {
        let mut wrong = difference("ORDER-1", "plain");
        wrong.kind = DifferenceKind::SummaryDiffers;
        wrong.about = DifferenceSubject {
            bill: Some(BillName::FundBasic),
            ..DifferenceSubject::default()
        };
        assert_eq!(row(wrong)["bill"], "fund_basic");
    }

    #[test]
    fn quotes_commas_and_line_ends_stay_in_their_cell() {
        let file = file(&[difference("ORDER-1", "said \"no\", then\nyes")]).unwrap();
        assert!(file.contains(",\"said \"\"no\"\", then\nyes\","), "{file}");
    }

    #[test]
    fn no_text_is_run_as_a_formula_and_no_amount_is_spoiled() {
        for formula in [
            "=1+1",
            "+1+1",
            "-9|x",
            "-ABC-001",
            "@SUM(A1)",
            "\tx",
            "\t=1",
            "\rx",
            "＝1",
            " \u{3000}=1+1",
        ] {
            assert_eq!(text(Some(formula)), format!("'{formula}"));
            let file = file(&[difference(formula, "plain")]).unwrap();
            assert!(file.contains(&format!("'{formula}")), "{file}");
            assert!(!file.contains(&format!(",{formula}")), "{file}");
            assert!(!file.contains(&format!("\"{formula}")), "{file}");
        }
        let about = row(difference("-ABC-001", "plain"));
        assert!(about["about"].ends_with("order -ABC-001"), "{about:?}");
        for number in ["20260801000000000001", "-9", "+1", "ORDER-1"] {
            assert_eq!(text(Some(number)), number);
        }
        let file = file(&[difference("ORDER-1", "plain")]).unwrap();
        assert!(file.contains(",-12345.67,"), "{file}");
        assert!(file.contains(",2026-08-01T12:00:01+08:00,run,"), "{file}");
    }

    #[test]
    fn a_number_can_be_looked_up_as_it_is_and_is_given_once_where_no_program_rounds_it() {
        let row = row(difference("20260801000000000001", "plain"));
        assert_eq!(row["order_no"], "20260801000000000001");
        assert_eq!(row["transaction_id"], "4200001234202608010000000001");
        assert_eq!(
            row["about"],
            "payment 4200001234202608010000000001, order 20260801000000000001"
        );
        assert!(row.values().all(|cell| !cell.contains('\'')), "{row:?}");
    }

    #[test]
    fn fees_are_numbers_and_both_sides_say_whose_money_it_is() {
        let mut one = difference("ORDER-1", "plain");
        let side = |fee_e5, appid: &str, currency: &str| {
            Some(SideView {
                fee_e5: Some(fee_e5),
                rate: Some("0.60%".to_owned()),
                appid: Some(appid.to_owned()),
                currency: Some(currency.to_owned()),
                ..SideView::default()
            })
        };
        (one.there, one.here) = (side(-123_456, "wxb", "HKD"), side(60_000, "wxa", "CNY"));
        let row = row(one);
        assert_eq!(
            (&*row["fee_there_yuan"], &*row["fee_here_yuan"]),
            ("-1.23456", "0.60000")
        );
        assert_eq!(row["rate"], "0.60%");
        assert_eq!((&*row["appid_there"], &*row["appid_here"]), ("wxb", "wxa"));
        assert_eq!(
            (&*row["currency_there"], &*row["currency_here"]),
            ("HKD", "CNY")
        );
    }

    #[test]
    fn the_name_of_a_file_says_what_was_chosen() {
        let date = BillDate::parse("2026-08-01").unwrap();
        let named = |kind, state| name(date, Filter { kind, state });
        assert_eq!(named(None, None), "differences-2026-08-01.csv");
        assert_eq!(
            named(
                Some(DifferenceKind::AmountDiffers),
                Some(DifferenceState::Open)
            ),
            "differences-2026-08-01-amount_differs-open.csv"
        );
        assert_eq!(
            named(None, Some(DifferenceState::OnItsWay)),
            "differences-2026-08-01-on_its_way.csv"
        );
    }

    #[test]
    fn a_file_that_no_answer_can_hold_is_not_made() {
        let many = vec![difference("ORDER-1", &"x".repeat(100_000)); 60];
        assert!(file(&many).is_none());
    }
}
