use matching::bill_line::LineKind;
use payments::reconcile::classify::about_row;

use super::*;

fn finding(at_most: usize) -> Findings {
    let date = BillDate::parse("2026-08-01").unwrap();
    let run = Run::begun(date, "run-1", false, UnixSeconds(1_785_643_200));
    Findings {
        at_most,
        ..Findings::new(&run, DayPart { number: 5, of: 8 }, run.started_at)
    }
}

fn add(finding: &mut Findings, kind: DifferenceKind, order_no: &str, fen: i64) {
    let about = DifferenceSubject {
        order_no: Some(order_no.to_owned()),
        ..DifferenceSubject::default()
    };
    let there = SideView {
        amount_fen: Some(fen),
        ..SideView::default()
    };
    finding.add(kind, about, Some(there), None);
}

fn kinds_and_sums(finding: &Findings) -> Vec<(DifferenceKind, Option<u64>, i64)> {
    let all = finding.differences();
    let kinds_and_sums = all.iter().map(|one| {
        let count = one.aggregate.as_ref().map(|many| many.count);
        (one.kind, count, amount_fen(one))
    });
    kinds_and_sums.collect()
}

#[test]
fn more_of_a_kind_than_there_is_room_for_are_aggregated() {
    let mut finding = finding(2);
    let kind = DifferenceKind::TradeWithoutFundFlow;
    for (order_no, fen) in [("A", 1), ("B", 20), ("B", 20)] {
        add(&mut finding, kind, order_no, fen);
    }
    assert_eq!(finding.differences().len(), 2, "found twice, it is one");
    add(&mut finding, kind, "C", 300);
    add(&mut finding, DifferenceKind::AmountDiffers, "D", 4_000);
    let more = Overflow {
        count: 10,
        amount_fen: 50_000,
    };
    finding.more(kind, more);
    assert_eq!(
        kinds_and_sums(&finding),
        [
            (DifferenceKind::AmountDiffers, None, 4_000),
            (kind, Some(13), 50_321)
        ]
    );
    let many = finding.differences().pop().unwrap();
    let many = many.aggregate.unwrap();
    assert_eq!((many.part, many.examples.len()), (5, 3));
}

#[test]
fn the_page_for_on_call_has_the_limits_and_the_name_of_an_aggregated_difference() {
    let page = include_str!("../../../../infra/runbooks/reconciliation.md");
    let begins = "| `done`, one difference that stands for many";
    let row = page.lines().find(|line| line.starts_with(begins));
    let row = row.expect("its row");
    let thousands = |count: usize| format!("{},{:03}", count / 1_000, count % 1_000);
    let more = format!("more than {} of one kind", thousands(DIFFERENCES_MAX));
    assert!(row.contains(&more), "{row}");
    let rows = format!("over {} rows", thousands(crate::bills::ROWS_MAX));
    assert!(row.contains(&rows), "{row}");
    let unchecked = DifferenceKind::UncheckedRows;
    assert!(row.contains(&format!("`{}`", unchecked.name())), "{row}");
    let id = Difference::id_of_many(unchecked, 0);
    assert!(id.contains("-all-") && row.contains("`-all-`"), "{id}");
}

#[test]
fn what_a_run_settles_one_by_one_is_listed_one_by_one_and_only_the_rest_is_aggregated() {
    let mut finding = finding(2);
    let kind = DifferenceKind::PaidThereUnpaidHere;
    for (order_no, fen) in [("A", 1), ("B", 20), ("C", 300), ("D", 4_000)] {
        add(&mut finding, kind, order_no, fen);
    }
    let kinds_and_sums = kinds_and_sums(&finding);
    assert_eq!(kinds_and_sums.len(), 3);
    assert_eq!(kinds_and_sums.last(), Some(&(kind, Some(2), 4_300)));
}

/// The bill has a refund twice whose state is not ours: one row more, once, in the sums.
#[test]
fn a_row_that_the_bill_has_twice_counts_twice_in_the_sums() {
    let mut finding = finding(9);
    let row = |line| BillLine {
        line,
        kind: LineKind::Refund,
        at: "2026-08-01 10:00:05".into(),
        appid: String::new(),
        mchid: String::new(),
        transaction_id: "420001".into(),
        order_no: "ORDER-1".into(),
        refund_id: "500001".into(),
        out_refund_no: "R-1".into(),
        trade_type: "NATIVE".into(),
        currency: "CNY".into(),
        refund_state: "SUCCESS".into(),
        total_fen: 0,
        settlement_fen: 0,
        requested_refund_fen: 70,
        refund_fen: 70,
        fee: 0,
        rate: String::new(),
    };
    for (line, is_repeated) in [(2, false), (3, true)] {
        let row = row(line);
        let gap = finding.gap_of_row(&row, "refund#R-1", Some(70), is_repeated);
        let kind = DifferenceKind::RefundStateDiffers;
        finding.add_with_gap(kind, about_row(&row), (None, None), ("NATIVE", gap));
    }
    finding.repeated(&[row(3)]);
    let mut effects = Gaps::default();
    finding
        .gaps()
        .values()
        .for_each(|gaps| effects.add_all(gaps));
    assert_eq!(effects.all(), Gap::of_refund(70));
}

#[test]
fn an_aggregated_difference_has_the_same_effect_on_the_sums_as_its_parts() {
    let mut finding = finding(2);
    let add = |finding: &mut Findings, kind, order_no: &str, gap| {
        let about = DifferenceSubject {
            order_no: Some(order_no.to_owned()),
            ..DifferenceSubject::default()
        };
        finding.add_with_gap(kind, about, (None, None), ("NATIVE", gap));
    };
    for (order_no, fen) in [("A", 1), ("B", 20), ("C", 300)] {
        let gap = Gap::of_payment(fen);
        add(&mut finding, DifferenceKind::AmountDiffers, order_no, gap);
        add(
            &mut finding,
            DifferenceKind::PaidThereUnpaidHere,
            order_no,
            gap,
        );
    }
    add(
        &mut finding,
        DifferenceKind::FeeOffTheRate,
        "A",
        Gap::default(),
    );
    let gaps = finding.gaps();
    let ids: BTreeSet<String> = finding
        .differences()
        .into_iter()
        .map(|one| one.id)
        .collect();
    assert!(gaps.keys().all(|id| ids.contains(id)), "{gaps:?} {ids:?}");
    let fen = |id: &str| gaps.get(id).map(|gaps| gaps.all().net_fen());
    assert_eq!(fen("amount-differs-all-5"), Some(321), "all as one");
    assert_eq!(fen("paid-there-unpaid-here-all-5"), Some(300), "the rest");
    let mut all = Gaps::default();
    gaps.values().for_each(|gaps| all.add_all(gaps));
    assert_eq!(all.all().net_fen(), 642);
    assert_eq!(gaps.len(), 4, "a fee is in no sum");
}

#[test]
fn a_difference_that_may_be_among_those_only_counted_is_not_reported_as_over() {
    let known = |kind| {
        let about = DifferenceSubject::default();
        let date = finding(1).date;
        Difference::found(date, kind, about, None, None, "run-0", UnixSeconds(0))
    };
    let mut finding = finding(1);
    for order_no in ["A", "B"] {
        add(&mut finding, DifferenceKind::FeeOffTheRate, order_no, 1);
    }
    assert!(!finding.proves_resolved(&known(DifferenceKind::FeeOffTheRate)));
    assert!(finding.proves_resolved(&known(DifferenceKind::AmountDiffers)));
    let more = Overflow {
        count: 1,
        amount_fen: 1,
    };
    finding.more(DifferenceKind::UncheckedRows, more);
    assert!(!finding.proves_resolved(&known(DifferenceKind::AmountDiffers)));
}
