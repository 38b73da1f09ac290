//! A day's differences for a spreadsheet program: UTF-8 with a byte order mark, so that Chinese text is not read as Latin-1,
//! and quoted by RFC 4180.

use payments::reconcile::{
    difference::{Difference, Side, Who},
    run::BillName,
};
use wechatpay::{UnixSeconds, bill::yuan_of_fen, time::format_rfc3339_beijing};

use crate::words;

/// A Lambda function may answer with 6 MiB, of which JSON's escapes take a part.
const BYTES_MAX: usize = 5_000_000;

const HEADER: [&str; 26] = [
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

/// The file; `None` when it were larger than an answer may be.
pub(crate) fn file(differences: &[Difference]) -> Option<String> {
    let mut file = String::from("\u{feff}");
    line(&mut file, HEADER.map(str::to_owned));
    for difference in differences {
        line(&mut file, cells(difference));
        if file.len() > BYTES_MAX {
            return None;
        }
    }
    Some(file)
}

fn cells(difference: &Difference) -> [String; 26] {
    let about = &difference.about;
    let (there, here) = (difference.there.as_ref(), difference.here.as_ref());
    let last = difference.history.last();
    let refund = difference.refund.as_ref();
    let by = last.map(|step| match &step.who {
        Who::Run(_) => "run",
        Who::Person(name) => name.as_str(),
    });
    [
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
        text(there.and_then(|side| side.state.as_deref())),
        text(here.and_then(|side| side.state.as_deref())),
        moment(there.and_then(|side| side.at)),
        moment(here.and_then(|side| side.at)),
        text(there.and_then(|side| side.note.as_deref())),
        text(here.and_then(|side| side.note.as_deref())),
        difference.state.name().to_owned(),
        text(Some(&words::next(difference))),
        moment(last.map(|step| step.at)),
        text(by),
        text(last.map(|step| step.why.as_str())),
        text(refund.map(|refund| refund.refund_no.as_str())),
        text(refund.map(|refund| refund.stage.name())),
        difference.version.to_string(),
    ]
}

fn amount(side: Option<&Side>) -> String {
    let fen = side.and_then(|side| side.amount_fen);
    fen.map(yuan_of_fen).unwrap_or_default()
}

fn moment(at: Option<UnixSeconds>) -> String {
    at.map(format_rfc3339_beijing).unwrap_or_default()
}

/// A text that others wrote. A spreadsheet program would run one that begins like a formula, and round a number of more than
/// 15 digits, as the ids of WeChat Pay are; an apostrophe in front keeps it from both.
fn text(text: Option<&str>) -> String {
    let text = text.unwrap_or_default();
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let is_rounded = text.len() > 15 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_formula || is_rounded {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

fn line<const N: usize>(file: &mut String, cells: [String; N]) {
    for (position, cell) in cells.iter().enumerate() {
        if position > 0 {
            file.push(',');
        }
        if cell.contains([',', '"', '\r', '\n']) {
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
    use payments::reconcile::{
        difference::{About, Kind},
        run::BillDate,
    };

    use super::*;

    fn difference(order_no: &str, note: &str) -> Difference {
        let about = About {
            order_no: Some(order_no.to_owned()),
            transaction_id: Some("4200001234202608010000000001".to_owned()),
            ..About::default()
        };
        let there = Side {
            amount_fen: Some(-1_234_567),
            note: Some(note.to_owned()),
            ..Side::default()
        };
        let date = BillDate::parse("2026-08-01").unwrap();
        let at = UnixSeconds(1_785_556_801);
        Difference::found(date, Kind::AmountDiffers, about, Some(there), None, "r", at)
    }

    #[test]
    fn a_file_begins_with_the_mark_and_names_its_columns() {
        let file = file(&[]).unwrap();
        assert!(file.starts_with("\u{feff}date,id,kind,"));
        assert!(file.ends_with("version\r\n"));
        assert_eq!(file.matches("\r\n").count(), 1);
    }

    #[test]
    fn a_sum_that_is_wrong_says_in_which_bill() {
        let mut wrong = difference("ORDER-1", "plain");
        wrong.kind = Kind::SummaryDiffers;
        wrong.about = About {
            bill: Some(BillName::FundBasic),
            ..About::default()
        };
        let file = file(&[wrong]).unwrap();
        let mut rows = file.trim_start_matches('\u{feff}').lines();
        let columns: Vec<&str> = rows.next().unwrap().split(',').collect();
        let at = columns.iter().position(|column| *column == "bill").unwrap();
        let row: Vec<&str> = rows.next().unwrap().split(',').collect();
        assert_eq!(row[at], "fund_basic");
    }

    #[test]
    fn quotes_commas_and_line_ends_stay_in_their_cell() {
        let file = file(&[difference("ORDER-1", "said \"no\", then\nyes")]).unwrap();
        assert!(file.contains(",\"said \"\"no\"\", then\nyes\","), "{file}");
    }

    #[test]
    fn no_text_is_run_as_a_formula_or_rounded_and_no_amount_is_spoiled() {
        for formula in ["=1+1", "+1", "-9", "@SUM(A1)", "\tx", "\rx"] {
            let file = file(&[difference(formula, "plain")]).unwrap();
            let guarded = format!("'{formula}");
            assert!(file.contains(&guarded), "{file}");
            assert!(!file.contains(&format!(",{formula}")), "{file}");
        }
        let file = file(&[difference("ORDER-1", "plain")]).unwrap();
        assert!(file.contains(",'4200001234202608010000000001,"), "{file}");
        assert!(file.contains(",-12345.67,"), "{file}");
        assert!(file.contains(",2026-08-01T12:00:01+08:00,run,"), "{file}");
    }

    #[test]
    fn a_file_that_no_answer_can_hold_is_not_made() {
        let many = vec![difference("ORDER-1", &"x".repeat(100_000)); 60];
        assert!(file(&many).is_none());
    }
}
