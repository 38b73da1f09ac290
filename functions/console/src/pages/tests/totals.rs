//! Both sides of a day, and the headline.

use std::collections::BTreeMap;

use matching::totals::{Gap, Gaps, Sums, Totals};
use payments::{
    model::bill_date::BillName,
    reconcile::{
        carried::{CarriedKind, CarriedTrade, TradeIdentity},
        difference::{Decision, Difference, DifferenceKind, DifferenceSubject, SideView},
        run::{BillFacts, FundState, PartDone, Run, RunState},
    },
};

use super::super::{DayView, day};
use super::{NOW, breakdown_run, date, found, li, one, page, page_of_choice, run};
use crate::{
    breakdown::Breakdown, daily_run::DailyRun, day_listing::DayListing, input::Filter,
    runs::DayAlerts,
};

#[test]
fn both_sides_and_their_difference_are_shown_to_the_fen() {
    let mut done = run(RunState::Done);
    let mut part = PartDone::default();
    let sums = |payments, paid_fen, refunds, refunded_fen| Sums {
        payments,
        payments_fen: paid_fen,
        settlement_fen: paid_fen,
        refunds,
        refunds_fen: refunded_fen,
        refunds_settlement_fen: refunded_fen,
        fees: 74_081,
    };
    part.there
        .0
        .insert("NATIVE".to_owned(), sums(2, 123_457, 0, 0));
    part.here
        .0
        .insert("NATIVE".to_owned(), sums(1, 23_457, 1, 7));
    part.here
        .0
        .insert("JSAPI".to_owned(), sums(1, 100_000, 0, 0));
    done.parts_done.insert(0, part);
    let page = page(Some(&done), Vec::new());
    for expected in [
        "¥1,234.57",
        "¥234.57",
        "+¥1,000.00",
        "−¥1,000.00",
        "+¥0.07",
        "¥0.74081",
        "−1 refunds, −¥0.07",
        "QR code",
        "In WeChat",
    ] {
        assert!(page.contains(expected), "{expected} is not in {page}");
    }
}

#[test]
fn a_day_without_run_trade_or_difference_says_which_of_them_it_is() {
    for (run, expected) in [
        (None, &["Not reconciled", "Nothing is known", "Run now"][..]),
        (
            Some(run(RunState::Waiting)),
            &["Waiting for WeChat Pay’s bill", "None so far", "Run again"],
        ),
        (
            Some(run(RunState::Failed)),
            &["Failed", "so the day is not checked"],
        ),
        (
            Some(run(RunState::Done)),
            &["Both sides agree", "None. Both sides agree."],
        ),
    ] {
        let page = page(run.as_ref(), Vec::new());
        for words in expected {
            assert!(page.contains(words), "{words} is not in {page}");
        }
        assert!(
            !page.contains("differences.csv"),
            "there is nothing to download"
        );
    }
    let mut quiet = run(RunState::Done);
    quiet.parts_done.insert(0, PartDone::default());
    assert!(page(Some(&quiet), Vec::new()).contains("Nothing was paid or given back"));
}

#[test]
fn the_headline_is_red_only_for_what_is_open_and_says_what_became_of_the_rest() {
    let explained = found(DifferenceKind::AmountDiffers)
        .decided(Decision::Explain, "li", "a discount", NOW)
        .unwrap();
    let open = found(DifferenceKind::UnknownOrderThere);
    let gaps = |fen| {
        let mut gaps = Gaps::default();
        gaps.add("NATIVE", Gap::of_payment(fen));
        gaps
    };
    let figures_of = |items: &[(&Difference, i64)], other_fen: i64| {
        let accounted_fen: i64 = items.iter().map(|(_, fen)| fen).sum();
        let mut run = breakdown_run(accounted_fen + other_fen);
        run.state = RunState::Done;
        let part = run.parts_done.get_mut(&0).unwrap();
        let sums = part.there.0.get_mut("NATIVE").unwrap();
        sums.payments = u64::try_from(items.len()).unwrap();
        let mut accounted_for = Gaps::default();
        for (_, fen) in items {
            accounted_for.add("NATIVE", Gap::of_payment(*fen));
        }
        part.accounted_for = Some(accounted_for);
        let of_each = items.iter().map(|(one, fen)| (one.id.clone(), gaps(*fen)));
        let mut all = DayListing::default();
        all.breakdown = Breakdown::begin(&run, Some(of_each.collect()));
        for (one, _) in items {
            all.breakdown.take(one);
        }
        page_of_choice(Some(&run), &all, Filter::default())
    };
    let shown = |items: &[(&Difference, i64)]| figures_of(items, 0);
    let decided = shown(&[(&explained, 50)]);
    assert!(decided.contains("class=\"figure good\""), "{decided}");
    assert!(!decided.contains("amount bad") && !decided.contains("small class=\"bad\""));
    let expected = "Difference <strong>+¥0.50</strong> = explained +¥0.50 + rejected ¥0.00 + decided, on its way ¥0.00 + open ¥0.00";
    assert!(decided.contains(expected), "{decided}");
    let both = shown(&[(&explained, 50), (&open, 700)]);
    assert!(both.contains("class=\"figure bad\""), "{both}");
    assert!(both.contains("<p class=\"sum\">+¥7.00</p>"), "{both}");
    assert!(both.contains("Difference <strong>+¥7.50</strong>"));
    let red = "<small class=\"bad\">Open +¥7.00</small>";
    assert!(both.contains(red), "of its product only what is open");
    let repaired = found(DifferenceKind::PaidThereUnpaidHere).repaired("run-1", "booked", NOW);
    // A part without a difference is neither good nor bad.
    let unexplained = figures_of(&[(&explained, 50)], 30);
    assert!(unexplained.contains("class=\"figure\""), "{unexplained}");
    assert!(
        !unexplained.contains("class=\"figure good\"")
            && !unexplained.contains("class=\"figure bad\"")
    );
    assert!(
        unexplained.contains(" + in no difference +¥0.30"),
        "{unexplained}"
    );
    let since = shown(&[(&repaired, 900)]);
    assert!(since.contains("Payments and refunds agree"), "{since}");
    assert!(since.contains("+¥9.00 is repaired since"), "{since}");
}

#[test]
fn open_differences_that_make_up_for_each_other_are_not_called_an_agreement() {
    let differs = |order_no: &str| {
        let about = DifferenceSubject {
            order_no: Some(order_no.to_owned()),
            ..DifferenceSubject::default()
        };
        let there = SideView {
            amount_fen: Some(500),
            ..SideView::default()
        };
        let kind = DifferenceKind::AmountDiffers;
        Difference::found(date(), kind, about, Some(there), None, "run-1", NOW)
    };
    let both = [(differs("MORE-1"), 500), (differs("LESS-1"), -500)];
    let page = |both: &[(Difference, i64)]| {
        let mut run = breakdown_run(0);
        run.state = RunState::Done;
        let part = run.parts_done.get_mut(&0).unwrap();
        part.there = Totals::default();
        part.there.0.entry("NATIVE".to_owned()).or_default();
        part.accounted_for = Some(Gaps::default());
        let of_each = both.iter().map(|(one, paid_fen)| {
            let mut gaps = Gaps::default();
            let gap = Gap {
                paid_fen: *paid_fen,
                ..Gap::default()
            };
            gaps.add("NATIVE", gap);
            (one.id.clone(), gaps)
        });
        let mut all = DayListing::default();
        all.breakdown = Breakdown::begin(&run, Some(of_each.collect()));
        for (one, _) in both {
            all.breakdown.take(one);
        }
        page_of_choice(Some(&run), &all, Filter::default())
    };
    let open = page(&both);
    assert!(open.contains("class=\"figure bad\""), "{open}");
    assert!(!open.contains("payments agree"), "{open}");
    for words in [
        "In all: the payments come to the same; the refunds come to the same.",
        "The open differences cancel out in the sums: both sides do not agree.",
        "<small class=\"bad\">Open ¥0.00, which cancels out</small>",
    ] {
        assert!(open.contains(words), "{words} is not in {open}");
    }
    let explained = both.map(|(one, fen)| {
        let explained = one.decided(Decision::Explain, "li", "a coupon", NOW);
        (explained.unwrap(), fen)
    });
    let explained = page(&explained);
    assert!(
        explained.contains("Payments and refunds agree"),
        "{explained}"
    );
}

#[test]
fn a_carried_trade_that_is_absent_the_next_day_too_is_red_and_links_to_its_difference() {
    let trade = TradeIdentity {
        kind: CarriedKind::Payment,
        order_no: "LATE-1".to_owned(),
        transaction_id: Some("4200001".to_owned()),
        out_refund_no: None,
        refund_id: None,
        amount_fen: 100,
        at: NOW,
    };
    let about = DifferenceSubject {
        order_no: Some(trade.order_no.clone()),
        transaction_id: trade.transaction_id.clone(),
        ..DifferenceSubject::default()
    };
    let next = date().plus_days(1);
    let kind = DifferenceKind::PaidHereAbsentThere;
    let here = SideView {
        amount_fen: Some(100),
        ..SideView::default()
    };
    let open = Difference::found(next, kind, about, None, Some(here), "run-2", NOW);
    let explained = open.decided(Decision::Explain, "li", "it is in no bill", NOW);
    let explained = explained.unwrap();
    let page = |of_next_day: &[&Difference]| {
        let mut run = breakdown_run(100);
        run.state = RunState::Done;
        run.funds.as_mut().unwrap().state = FundState::Done;
        let part = run.parts_done.get_mut(&0).unwrap();
        // Our books have it, and the bill has nothing.
        (part.here, part.there) = (part.there.clone(), Totals::default());
        (part.carried, part.accounted_for) = (1, Some(Gaps::default()));
        let mut all = DayListing::default();
        all.breakdown = Breakdown::begin(&run, Some(BTreeMap::new()));
        let mut gaps = Gaps::default();
        gaps.add("NATIVE", Gap::default().less(Gap::of_payment(100)));
        all.breakdown
            .leave(BTreeMap::from([(CarriedTrade::id_of(&trade), gaps)]));
        for one in of_next_day {
            all.breakdown.take_of_next_day(one);
        }
        page_of_choice(Some(&run), &all, Filter::default())
    };
    let waits = page(&[]);
    assert!(waits.contains(" + in no difference −¥1.00"), "{waits}");
    assert!(!waits.contains("class=\"figure bad\""));
    let absent = page(&[&open]);
    assert!(absent.contains("class=\"figure bad\""), "{absent}");
    assert!(absent.contains("open −¥1.00") && !absent.contains("in no difference"));
    assert!(absent.contains("Done, with open differences"));
    let link = format!("href=\"/console/{next}#differences\"");
    assert!(absent.contains(&link) && !absent.contains("None. Both sides agree"));
    let over = page(&[&explained]);
    assert!(over.contains("explained −¥1.00"), "{over}");
    assert!(over.contains("class=\"figure good\"") && over.contains(&link));
}

#[test]
fn a_wrong_sum_says_of_which_bill_it_is() {
    let about = |bill| DifferenceSubject {
        bill: Some(bill),
        ..DifferenceSubject::default()
    };
    let wrong = |bill| {
        Difference::found(
            date(),
            DifferenceKind::SummaryDiffers,
            about(bill),
            None,
            None,
            "r",
            NOW,
        )
    };
    let bills = [BillName::Trade, BillName::FundBasic];
    let day = page(Some(&run(RunState::Done)), bills.map(wrong).into());
    for name in [
        "The trade bill as a whole",
        "The fund bill of the basic account as a whole",
    ] {
        assert!(day.contains(name), "{name} is not in {day}");
    }
    let single = one(&li(), &wrong(BillName::FundFees), None);
    assert!(single.contains("<dt>Bill</dt><dd>the fund bill of the fees account</dd>"));
}

#[test]
fn a_day_without_bills_at_wechat_pay_says_what_is_kept() {
    let mut old = run(RunState::Done);
    let all = DayListing::default();
    let page_of = |run: &Run| {
        let view = DayView {
            viewer: &li(),
            date: date(),
            run: Some(run),
            preview: None,
            is_missing: false,
            is_unreadable: false,
            alerts: &DayAlerts::default(),
            daily_run: DailyRun::default(),
            day: &all,
            filter: Filter::default(),
            chart: &[],
            has_bill: false,
            has_next: true,
            later_are_done: true,
            now: NOW,
            started: None,
        };
        day(&view).into_string()
    };
    assert!(!page_of(&old).contains("are kept"));
    let facts = BillFacts {
        rows: 0,
        sha1: None,
        kept_as: None,
    };
    old.bills.insert(BillName::Trade, facts);
    let page = page_of(&old);
    assert!(page.contains("it no longer has this day’s. Those that were read are kept"));
}
