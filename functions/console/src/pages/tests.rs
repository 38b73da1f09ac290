use std::collections::BTreeMap;

use matching::totals::{Gap, Gaps, Sums, Totals};
use payments::{
    model::{
        bill_date::{BillDate, BillName},
        ids::{OrderNo, RefundNo, TransactionId},
        journal::{Cause, Event, Subject},
    },
    reconcile::{
        carried::{CarriedKind, CarriedTrade, TradeIdentity},
        difference::{
            Decision, Difference, DifferenceKind, DifferenceState, DifferenceSubject, RefundStage,
            SideView, SoloExplainLimit, TrackedRefund,
        },
        run::{BillFacts, FundState, PartDone, Run, RunState},
    },
};
use stores::reconciliation::DifferenceCount;
use wechatpay::UnixSeconds;

use flows::problem::Problem;

use super::{ChartDay, DayView, DifferenceView, RejectedForm, day, difference};
use crate::{
    breakdown::Breakdown,
    daily_run::DailyRun,
    day_listing::DayListing,
    input::Filter,
    person::{Person, Viewer},
    runs::DayAlerts,
};

const NOW: UnixSeconds = UnixSeconds(1_785_643_200);

fn date() -> BillDate {
    BillDate::parse("2026-08-01").unwrap()
}

fn li() -> Viewer {
    Viewer::Known(Person::named("li").unwrap())
}

/// What others may have written, with everything in it that HTML knows.
const EVIL: &str = r#"<img src=x onerror="alert('1')">&"#;

fn found(kind: DifferenceKind) -> Difference {
    let about = DifferenceSubject {
        order_no: Some(EVIL.to_owned()),
        transaction_id: Some("4200001".to_owned()),
        ..DifferenceSubject::default()
    };
    let there = SideView {
        amount_fen: Some(12_345),
        state: Some(EVIL.to_owned()),
        at: Some(NOW),
        note: Some(EVIL.to_owned()),
        appid: Some(EVIL.to_owned()),
        ..SideView::default()
    };
    Difference::found(date(), kind, about, Some(there), None, EVIL, NOW)
}

/// A run that counted this much more in the bill, all of it covered by its differences.
fn breakdown_run(fen: i64) -> Run {
    crate::breakdown::tests::run(fen, Some(fen))
}

fn run(state: RunState) -> Run {
    let mut run = Run::begun(date(), "run-1", false, NOW);
    run.state = state;
    if state == RunState::Done {
        run.funds.as_mut().unwrap().state = FundState::Done;
    }
    run
}

fn page(run: Option<&Run>, items: Vec<Difference>) -> String {
    let mut all = DayListing::with(items, Filter::default());
    if let Some(run) = run {
        all.breakdown = Breakdown::begin(run, None);
    }
    page_of_choice(run, &all, Filter::default())
}

fn page_of_choice(run: Option<&Run>, all: &DayListing, filter: Filter) -> String {
    let needing = DifferenceCount {
        count: u64::try_from(all.needing()).unwrap(),
        is_all: true,
    };
    let chart = [ChartDay::of(date(), run, Some(needing))];
    let view = DayView {
        viewer: &li(),
        date: date(),
        run,
        preview: None,
        is_missing: false,
        is_unreadable: false,
        alerts: &DayAlerts::default(),
        daily_run: DailyRun::default(),
        day: all,
        filter,
        chart: &chart,
        has_bill: true,
        has_next: true,
        later_are_done: false,
        now: NOW,
        started: None,
    };
    day(&view).into_string()
}

fn one(viewer: &Viewer, difference_: &Difference, journal: Option<Vec<Event>>) -> String {
    let view = DifferenceView {
        viewer,
        alerts: DayAlerts::default(),
        daily_run: DailyRun::default(),
        difference: difference_,
        journal,
        now: NOW,
        explain_alone: SoloExplainLimit::default(),
        done: None,
        draft: None,
    };
    difference(&view).into_string()
}

#[test]
fn whatever_others_wrote_is_text_on_the_page() {
    let mut failed = run(RunState::Failed);
    failed.trouble = Some(EVIL.to_owned());
    let mut part = PartDone::default();
    part.there.0.insert(EVIL.to_owned(), Sums::default());
    failed.parts_done.insert(0, part);
    let items = vec![found(DifferenceKind::UnknownOrderThere)];
    let escaped = "&lt;img src=x onerror=&quot;alert('1')&quot;&gt;&amp;";
    let day = page(Some(&failed), items);
    assert_eq!(day.matches(escaped).count(), 5, "{day}");
    let person = Viewer::TypesIn(Person::named(EVIL));
    let explained = found(DifferenceKind::UnknownOrderThere)
        .decided(Decision::Propose, EVIL, EVIL, NOW)
        .unwrap();
    let single = one(&person, &explained, None);
    assert!(single.matches(escaped).count() >= 8, "{single}");
    for page in [day, single] {
        assert!(!page.contains("<img"), "{page}");
    }
}

#[test]
fn both_sides_and_their_difference_are_told_to_the_fen() {
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
            &["Failed", "That says nothing about the day"],
        ),
        (
            Some(run(RunState::Done)),
            &["Both sides agree", "None. Both sides say the same."],
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
fn a_run_that_is_silent_for_too_long_may_be_run_again() {
    let mut silent = run(RunState::Running);
    let button = "name=\"dry_run\"";
    assert!(!page(Some(&silent), Vec::new()).contains(button));
    silent.updated_at = UnixSeconds(NOW.0 - 901);
    let page = page(Some(&silent), Vec::new());
    assert!(page.contains("Stuck") && page.contains(button), "{page}");
}

#[test]
fn a_preview_offers_to_be_applied() {
    let mut preview = run(RunState::Done);
    preview.dry_run = true;
    let page = page(
        Some(&preview),
        vec![found(DifferenceKind::DuplicatePayment)],
    );
    assert!(page.contains("nothing was settled") && page.contains(">Apply</button>"));
}

#[test]
fn only_what_may_be_decided_is_offered_and_why_it_may_not() {
    let buttons = |page: &str| -> Vec<String> {
        let values = page.split("name=\"decision\" value=\"").skip(1);
        values
            .map(|rest| rest.split('"').next().unwrap().to_owned())
            .collect()
    };
    let open = found(DifferenceKind::DuplicatePayment);
    assert_eq!(buttons(&one(&li(), &open, None)), ["propose", "explain"]);
    let differs = found(DifferenceKind::AmountDiffers);
    assert_eq!(buttons(&one(&li(), &differs, None)), ["explain"]);
    let proposed = open.decided(Decision::Propose, "li", "twice", NOW).unwrap();
    let page = one(&li(), &proposed, None);
    assert_eq!(buttons(&page), ["approve", "reject", "explain"]);
    assert!(page.contains("value=\"approve\" disabled"), "{page}");
    assert!(page.contains("You stand behind this proposal already"));
    let wang = Viewer::Known(Person::named("wang").unwrap());
    assert!(!one(&wang, &proposed, None).contains("value=\"approve\" disabled"));
    let approved = proposed
        .decided(Decision::Approve, "wang", "yes", NOW)
        .unwrap();
    let page = one(&li(), &approved, None);
    assert_eq!(buttons(&page), Vec::<String>::new());
    assert!(page.contains("Approved, 2 of 2"), "{page}");
    assert!(
        page.contains("The system: the refund is being made"),
        "{page}"
    );
}

#[test]
fn what_happened_to_the_order_stands_between_what_happened_to_the_difference() {
    let at = |seconds| UnixSeconds(NOW.0 + seconds);
    let event = |version, to: &str, seconds| Event {
        version,
        subject: Subject::Order,
        from: None,
        to: to.to_owned(),
        cause: Cause::Request("r-1".to_owned()),
        at: at(seconds),
        trace: String::new(),
        request_id: None,
        refusal: None,
        next_try_at: None,
        decision: None,
    };
    let explained = found(DifferenceKind::AmountDiffers)
        .decided(Decision::Explain, "li", "a discount", at(60))
        .unwrap();
    let journal = vec![event(1, "reserved", -60), event(2, "closed", 30)];
    let page = one(&li(), &explained, Some(journal));
    let positions: Vec<usize> = ["Order: reserved", "Found", "Order: closed", "a discount"]
        .map(|text| page.find(text).unwrap_or_else(|| panic!("{text}")))
        .into();
    assert!(positions.is_sorted(), "{positions:?}");
    assert!(
        OrderNo::parse(EVIL).is_err(),
        "no such order can be asked for"
    );
}

/// An event of a second.
fn event(version: u64, subject: Subject, to: &str, cause: Cause) -> Event {
    Event {
        version,
        subject,
        from: None,
        to: to.to_owned(),
        cause,
        at: NOW,
        trace: String::new(),
        request_id: None,
        refusal: None,
        next_try_at: None,
        decision: None,
    }
}

fn ours() -> Cause {
    Cause::Reconciliation("run-1".to_owned())
}

/// The refund of a second payment as a run sees it.
fn tracked(stage: RefundStage, to_merchant: bool) -> TrackedRefund {
    TrackedRefund {
        refund_no: RefundNo::parse("second-4200001").unwrap(),
        stage,
        to_merchant,
        payer_has_it: false,
    }
}

/// Fails unless a difference's page tells of these in this order, whatever else it tells.
fn happened_in_order<const N: usize>(
    difference: &Difference,
    journal: Vec<Event>,
    texts: [&str; N],
) {
    let page = one(&li(), difference, Some(journal));
    let (_, mut rest) = page.split_once("What happened").unwrap();
    for text in texts {
        let found = rest.split_once(text);
        (_, rest) = found.unwrap_or_else(|| panic!("{text} is not in its place: {page}"));
    }
}

#[test]
fn in_one_second_a_refund_stands_behind_its_approval_and_before_what_tells_of_it() {
    let moving = tracked(RefundStage::Moving, false);
    let second = TransactionId::parse("4200001").unwrap();
    let refund = Subject::Refund(moving.refund_no.clone());
    let journal = vec![
        event(1, Subject::Order, "paid", Cause::Notice("n-1".to_owned())),
        event(2, Subject::Payment(second), "parked", ours()),
        event(3, refund, "reserved", ours()),
    ];
    let twice = found(DifferenceKind::DuplicatePayment).proposed("run-1", "twice", NOW);
    let once = twice.decided(Decision::Approve, "li", "yes", NOW).unwrap();
    let approved = once.decided(Decision::Approve, "wang", "yes", NOW).unwrap();
    let moving = approved.told(&moving, "run-2", NOW).unwrap();
    happened_in_order(
        &moving,
        journal,
        [
            "Order: paid",
            "Found",
            "Payment 4200001: parked",
            "Refund proposed",
            "Approved, 1 of 2",
            "Approved, 2 of 2",
            "Refund second-4200001: reserved",
            "Refund on its way",
        ],
    );
}

#[test]
fn in_one_second_a_redirect_stands_behind_its_approval_and_a_paid_payer_before_what_tells_of_it() {
    let refund = || Subject::Refund(RefundNo::parse("second-4200001").unwrap());
    let later = UnixSeconds(NOW.0 + 1);
    let mut journal = vec![
        event(1, refund(), "abnormal", Cause::Notice("n-1".to_owned())),
        event(2, refund(), "abnormal, redirected", ours()),
        event(3, refund(), "succeeded", Cause::Notice("n-2".to_owned())),
        event(4, refund(), "succeeded, payer paid", ours()),
    ];
    journal[2..].iter_mut().for_each(|event| event.at = later);
    let open = found(DifferenceKind::DuplicatePayment)
        .told(&tracked(RefundStage::Moving, false), "run-2", NOW)
        .unwrap()
        .told(&tracked(RefundStage::Abnormal, false), "run-2", NOW)
        .unwrap();
    let proposed = open.decided(Decision::Redirect, "li", "so", NOW).unwrap();
    let redirected = proposed.decided(Decision::Approve, "wang", "so", NOW);
    let owed = redirected
        .unwrap()
        .told(&tracked(RefundStage::Moving, true), "run-2", NOW)
        .unwrap()
        .told(&tracked(RefundStage::Succeeded, true), "run-2", later)
        .unwrap();
    let said = owed.decided(Decision::PayerPaid, "zhao", "so", later);
    let paid = said.unwrap().payer_paid("run-2", later);
    happened_in_order(
        &paid,
        journal,
        [
            "Open again",
            "Redirecting proposed",
            "Approved, 2 of 2",
            "abnormal, redirected",
            "Payer said to be paid",
            "succeeded, payer paid",
            "Explained",
        ],
    );
}

#[test]
fn another_currency_appid_merchant_and_the_expected_fee_stand_beside_ours() {
    let side = |currency: &str, appid: &str, mchid: &str| {
        Some(SideView {
            amount_fen: Some(12_345),
            currency: Some(currency.to_owned()),
            appid: Some(appid.to_owned()),
            mchid: Some(mchid.to_owned()),
            ..SideView::default()
        })
    };
    let (there, here) = (
        side("HKD", "wx-theirs", "1900000002"),
        side("CNY", "wx-ours", "1900000001"),
    );
    let about = DifferenceSubject::default();
    let kind = DifferenceKind::IdentityDiffers;
    let foreign = Difference::found(date(), kind, about.clone(), there, here, "r", NOW);
    let told = [
        "123.45 HKD",
        "¥123.45",
        "wx-theirs",
        "wx-ours",
        "1900000002",
        "1900000001",
    ];
    let day = page(Some(&run(RunState::Done)), vec![foreign.clone()]);
    for page in [day, one(&li(), &foreign, None)] {
        for text in told {
            assert!(page.contains(text), "{text} is not in {page}");
        }
    }
    let fee = |fee_e5| {
        Some(SideView {
            fee_e5: Some(fee_e5),
            rate: Some("0.60%".to_owned()),
            ..SideView::default()
        })
    };
    let kind = DifferenceKind::FeeOffTheRate;
    let off = Difference::found(date(), kind, about, fee(70_000), fee(60_000), "r", NOW);
    let single = one(&li(), &off, None);
    for text in ["¥0.70", "¥0.60", "0.60%", "The rate gives"] {
        assert!(single.contains(text), "{text} is not in {single}");
    }
    let listed = page(Some(&run(RunState::Done)), vec![off.clone()]);
    for text in [">The rate gives</th>", "data-label=\"The rate gives\""] {
        assert!(listed.contains(text), "{text} is not in {listed}");
    }
    let old = Difference { here: None, ..off };
    assert!(!one(&li(), &old, None).contains("The rate gives"));
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
    let figures_of = |items: &[(&Difference, i64)], untold_fen: i64| {
        let told_fen: i64 = items.iter().map(|(_, fen)| fen).sum();
        let mut run = breakdown_run(told_fen + untold_fen);
        run.state = RunState::Done;
        let part = run.parts_done.get_mut(&0).unwrap();
        let sums = part.there.0.get_mut("NATIVE").unwrap();
        sums.payments = u64::try_from(items.len()).unwrap();
        let mut told_by_it = Gaps::default();
        for (_, fen) in items {
            told_by_it.add("NATIVE", Gap::of_payment(*fen));
        }
        part.told = Some(told_by_it);
        let of_each = items.iter().map(|(one, fen)| (one.id.clone(), gaps(*fen)));
        let mut all = DayListing::default();
        all.breakdown = Breakdown::begin(&run, Some(of_each.collect()));
        for (one, _) in items {
            all.breakdown.take(one);
        }
        page_of_choice(Some(&run), &all, Filter::default())
    };
    let told = |items: &[(&Difference, i64)]| figures_of(items, 0);
    let decided = told(&[(&explained, 50)]);
    assert!(decided.contains("class=\"figure good\""), "{decided}");
    assert!(!decided.contains("amount bad") && !decided.contains("small class=\"bad\""));
    let expected = "Difference <strong>+¥0.50</strong> = explained +¥0.50 + rejected ¥0.00 + decided, on its way ¥0.00 + open ¥0.00";
    assert!(decided.contains(expected), "{decided}");
    let both = told(&[(&explained, 50), (&open, 700)]);
    assert!(both.contains("class=\"figure bad\""), "{both}");
    assert!(both.contains("<p class=\"sum\">+¥7.00</p>"), "{both}");
    assert!(both.contains("Difference <strong>+¥7.50</strong>"));
    let red = "<small class=\"bad\">Open +¥7.00</small>";
    assert!(both.contains(red), "of its product only what is open");
    let repaired = found(DifferenceKind::PaidThereUnpaidHere).repaired("run-1", "booked", NOW);
    // A part without a difference is neither good nor bad.
    let untold = figures_of(&[(&explained, 50)], 30);
    assert!(untold.contains("class=\"figure\""), "{untold}");
    assert!(!untold.contains("class=\"figure good\"") && !untold.contains("class=\"figure bad\""));
    assert!(untold.contains(" + in no difference +¥0.30"), "{untold}");
    let since = told(&[(&repaired, 900)]);
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
        part.told = Some(Gaps::default());
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
        "What is open makes up for itself in the sums: both sides do not agree.",
        "<small class=\"bad\">Open ¥0.00, which makes up for itself</small>",
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
fn a_history_says_that_somebody_rejected_and_what_one_person_had_done() {
    let happened = |one_: &Difference| {
        let page = one(&li(), one_, None);
        let (_, happened) = page.split_once("What happened").unwrap();
        happened.to_owned()
    };
    let large = Difference {
        there: None,
        ..found(DifferenceKind::DuplicatePayment)
    };
    let explained = large.decided(Decision::Explain, "li", "so it is", NOW);
    let rejected = explained
        .unwrap()
        .decided(Decision::Reject, "wang", "no", NOW);
    let told = happened(&rejected.unwrap());
    assert!(told.contains("<strong>Rejected</strong>"), "{told}");
    assert!(!told.contains("Open again"), "{told}");

    let proposed = found(DifferenceKind::DuplicatePayment).proposed("run-1", "twice", NOW);
    let once = proposed
        .decided(Decision::Approve, "li", "yes", NOW)
        .unwrap();
    let approved = once.decided(Decision::Approve, "wang", "yes", NOW).unwrap();
    let refused = TrackedRefund {
        refund_no: RefundNo::parse("second-4200001").unwrap(),
        stage: RefundStage::Refused,
        to_merchant: false,
        payer_has_it: false,
    };
    let refused = approved.told(&refused, "run-2", NOW).unwrap();
    let again = refused.decided(Decision::Retry, "zhao", "mended", NOW);
    let told = happened(&again.unwrap());
    assert!(
        told.contains("<strong>Refund tried again</strong>"),
        "{told}"
    );
    assert!(told.contains("<strong>Open again</strong>"), "by the run");
}

#[test]
fn a_decision_on_what_has_changed_meanwhile_is_answered_by_what_it_is_now() {
    let problem = Problem::stale_difference();
    let found = found(DifferenceKind::AmountDiffers);
    let view = DifferenceView {
        viewer: &li(),
        alerts: DayAlerts::default(),
        daily_run: DailyRun::default(),
        difference: &found,
        journal: None,
        now: NOW,
        explain_alone: SoloExplainLimit::default(),
        done: None,
        draft: Some(RejectedForm {
            problem: &problem,
            you: "li",
            why: "a discount",
            client: "",
        }),
    };
    let page = difference(&view).into_string();
    assert!(
        page.contains("Below is how it stands now: read it, then decide."),
        "{page}"
    );
    assert!(!page.contains("Load it anew"), "{page}");
}

#[test]
fn the_page_of_a_day_that_still_runs_after_its_time_is_red_too() {
    let running = run(RunState::Running);
    let all = DayListing::default();
    let banner = |is_missing| {
        let view = DayView {
            viewer: &li(),
            date: date(),
            run: Some(&running),
            preview: None,
            is_missing,
            is_unreadable: false,
            alerts: &DayAlerts::default(),
            daily_run: DailyRun::default(),
            day: &all,
            filter: Filter::default(),
            chart: &[],
            has_bill: true,
            has_next: true,
            later_are_done: true,
            now: NOW,
            started: None,
        };
        day(&view).into_string()
    };
    let late = banner(true);
    assert!(late.contains("class=\"banner bad\""), "{late}");
    assert!(late.contains("had to be reconciled by 13:00"), "{late}");
    let in_time = banner(false);
    assert!(in_time.contains("class=\"banner wait\""), "{in_time}");
}

#[test]
fn what_was_left_to_the_next_day_and_is_absent_there_too_is_red_and_leads_to_its_difference() {
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
        (part.carried, part.told) = (1, Some(Gaps::default()));
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
    assert!(absent.contains(&link) && !absent.contains("Both sides say the same"));
    let over = page(&[&explained]);
    assert!(over.contains("explained −¥1.00"), "{over}");
    assert!(over.contains("class=\"figure good\"") && over.contains(&link));
}

#[test]
fn what_is_done_about_a_kind_is_told_only_while_one_of_it_waits_for_a_person() {
    let to_do = "<p class=\"todo\">";
    let done = run(RunState::Done);
    let twice = found(DifferenceKind::DuplicatePayment);
    let proposed = twice.proposed("run-1", "twice", NOW);
    let page_of = |one: &Difference| page(Some(&done), vec![one.clone()]);
    assert!(page_of(&twice).contains("approve the refund of the second payment."));
    assert!(page_of(&proposed).contains("approve its refund, or reject it."));
    let rejected = proposed.decided(Decision::Reject, "li", "no", NOW).unwrap();
    let repaired = twice.repaired("run-1", "given back", NOW);
    for over in [&rejected, &repaired] {
        assert!(!page_of(over).contains(to_do), "{:?}", over.state);
    }
    let explained = twice.decided(Decision::Explain, "li", "x", NOW).unwrap();
    let both = page(
        Some(&done),
        vec![explained, found(DifferenceKind::AmountDiffers)],
    );
    assert_eq!(both.matches(to_do).count(), 1, "of the open kind alone");
}

#[test]
fn a_run_that_is_missing_is_said_first_on_every_page() {
    let view = DayView {
        viewer: &li(),
        date: date(),
        run: None,
        preview: None,
        is_missing: false,
        is_unreadable: false,
        alerts: &DayAlerts {
            missing: vec![date().plus_days(1), date().plus_days(-3)],
            unreadable: vec![date().plus_days(-1), date().plus_days(-2)],
        },
        daily_run: DailyRun::default(),
        day: &DayListing::default(),
        filter: Filter::default(),
        chart: &[],
        has_bill: true,
        has_next: true,
        later_are_done: true,
        now: NOW,
        started: None,
    };
    let page = day(&view).into_string();
    let (missing, first) = (page.find("id=\"missing\""), page.find("<h1"));
    assert!(missing.is_some() && missing < first, "{page}");
    assert!(page.contains("Sunday, 2 August 2026 is not reconciled"));
    assert!(page.contains("was due at 10:30"), "{page}");
    assert!(page.contains(">Wednesday, 29 July 2026</a>"), "{page}");
    assert!(page.contains("Friday, 31 July 2026: its record cannot be read"));
    assert!(page.contains(">Thursday, 30 July 2026</a>"), "{page}");
    let own = DayView {
        is_missing: true,
        alerts: &DayAlerts {
            missing: vec![date()],
            unreadable: vec![date()],
        },
        daily_run: DailyRun::default(),
        ..view
    };
    let own = day(&own).into_string();
    for id in ["missing", "unreadable"] {
        let id = format!("id=\"{id}\"");
        assert!(!own.contains(&id), "its own page says so itself");
    }
    let found = found(DifferenceKind::AmountDiffers);
    let view = DifferenceView {
        explain_alone: SoloExplainLimit::default(),
        viewer: &li(),
        alerts: DayAlerts {
            missing: vec![date().plus_days(1)],
            unreadable: Vec::new(),
        },
        daily_run: DailyRun::default(),
        difference: &found,
        journal: None,
        now: NOW,
        done: None,
        draft: None,
    };
    assert!(difference(&view).into_string().contains("id=\"missing\""));
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
fn a_file_is_offered_for_what_is_chosen_and_only_if_it_holds_all_of_it() {
    let done = run(RunState::Done);
    let many = |count, is_cut, filter| {
        let about = |number| DifferenceSubject {
            order_no: Some(format!("ORDER-{number}")),
            ..DifferenceSubject::default()
        };
        let one = |number| {
            let kind = DifferenceKind::AmountDiffers;
            Difference::found(date(), kind, about(number), None, None, "r", NOW)
        };
        let mut day = DayListing::with((0..count).map(one), filter);
        day.is_cut = is_cut;
        day
    };
    let of_kind = Filter {
        kind: Some(DifferenceKind::AmountDiffers),
        ..Filter::default()
    };
    let whole = "href=\"/v1/reconciliations/2026-08-01/differences.csv\"";
    let chosen = "href=\"/v1/reconciliations/2026-08-01/differences.csv?kind=amount_differs\"";
    let told =
        |count, is_cut, filter| page_of_choice(Some(&done), &many(count, is_cut, filter), filter);
    let all = told(501, false, Filter::default());
    assert!(all.contains(whole) && !all.contains(chosen));
    let some = told(501, false, of_kind);
    assert_eq!(some.matches(chosen).count(), 2, "the button and the hint");
    assert!(some.contains("1 more are in <a"), "{some}");

    let all = told(2, true, Filter::default());
    assert!(all.contains("Too many for one file") && !all.contains("differences.csv"));
    let some = told(501, true, of_kind);
    assert!(some.contains(chosen) && !some.contains("Too many for one file"));
    let still = told(8_001, true, of_kind);
    assert!(!still.contains("differences.csv"));
    assert!(still.contains("More than 7,501 others"), "{still}");
    assert!(
        still.contains("Choose a state, or let a program"),
        "{still}"
    );
    let of_state = Filter {
        state: Some(DifferenceState::Open),
        ..of_kind
    };
    let exact = told(8_001, false, of_state);
    assert!(
        exact.contains("<p>7,501 others are of this kind"),
        "{exact}"
    );
    assert!(!exact.contains("Choose a state") && exact.contains("Let a program"));
}

#[test]
fn a_day_without_bills_at_wechat_pay_says_what_is_kept() {
    let mut old = run(RunState::Done);
    let all = DayListing::default();
    let told = |run: &Run| {
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
    assert!(!told(&old).contains("are kept"));
    let facts = BillFacts {
        rows: 0,
        sha1: None,
        kept_as: None,
    };
    old.bills.insert(BillName::Trade, facts);
    let page = told(&old);
    assert!(page.contains("has none of this day any more. Those that were read are kept"));
}
