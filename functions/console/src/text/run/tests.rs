use payments::{
    model::ids::ClientId,
    reconcile::{
        difference::{
            Decision, DecisionContext, Difference, DifferenceKind, DifferenceSubject, RefundStage,
            TrackedRefund,
        },
        run::PartDone,
    },
};

use super::*;
use crate::{
    input::Filter,
    text::{
        difference::tests::{NOW, date, found_by},
        next, stands,
    },
};

fn run(run: Option<&Run>, items: &[Difference], later_are_done: bool, now: UnixSeconds) -> RunText {
    let found = DayListing::with(items.iter().cloned(), Filter::default());
    super::run(
        date(),
        run,
        &found,
        later_are_done,
        DailyRun::default(),
        now,
    )
}

fn run_that(state: RunState) -> Run {
    let mut run = Run::begun(date(), "run-1", false, NOW);
    run.state = state;
    if state == RunState::Done {
        run.funds.as_mut().unwrap().state = FundState::Done;
    }
    run
}

#[test]
fn the_check_of_movements_is_shown_beside_checked_trades_and_never_hides_their_result() {
    let mut done = run_that(RunState::Done);
    let open = found_by("run-1", DifferenceKind::AmountDiffers);
    for (state, trouble, silent_s, headline, tone) in [
        (
            FundState::Running,
            None,
            0,
            "the check of account movements runs",
            Tone::Wait,
        ),
        (
            FundState::Pending,
            None,
            901,
            "the check of account movements is stuck",
            Tone::Bad,
        ),
        (
            FundState::Waiting,
            Some("no bill yet"),
            901,
            "the check of account movements waits",
            Tone::Wait,
        ),
        (
            FundState::Failed,
            Some("refused"),
            0,
            "the check of account movements failed",
            Tone::Bad,
        ),
    ] {
        let funds = done.funds.as_mut().unwrap();
        (funds.state, funds.trouble) = (state, trouble.map(str::to_owned));
        let now = UnixSeconds(NOW.0 + silent_s);
        let notice = run(Some(&done), &[], true, now);
        let expected = format!("Trades are checked, {headline}");
        assert_eq!(notice.headline, expected);
        assert_eq!(notice.tone, tone, "{headline}");
        assert_eq!(notice.trouble, trouble.map(sentence));
        assert!(notice.detail.contains("agree on every trade"));
        let notice = run(Some(&done), std::slice::from_ref(&open), true, now);
        assert_eq!(notice.tone, Tone::Bad);
        assert!(
            notice
                .detail
                .contains("One difference still needs attention")
        );
    }
}

#[test]
fn trades_that_are_settled_later_are_left_to_as_many_days() {
    let mut waits = run_that(RunState::Done);
    let funds = waits.funds.as_mut().unwrap();
    funds.settlement_days = 7;
    let part = payments::reconcile::run::FundsDone {
        carried: 2,
        ..Default::default()
    };
    funds.parts_done.insert(0, part);
    let notice = run(Some(&waits), &[], false, NOW);
    assert!(
        notice
            .detail
            .contains("2 trades will be compared with the bills of the next 7 days"),
        "{}",
        notice.detail
    );
}

fn left_to_the_next_day(carried: u64) -> Run {
    let mut run = run_that(RunState::Done);
    let part = PartDone {
        carried,
        ..PartDone::default()
    };
    run.parts_done.insert(0, part);
    run
}

#[test]
fn both_sides_agree_only_so_far_while_trades_wait_for_the_next_days_bills() {
    let waits = left_to_the_next_day(3);
    let notice = run(Some(&waits), &[], false, NOW);
    assert_eq!(notice.tone, Tone::Wait);
    assert_eq!(notice.headline, "Both sides agree so far");
    assert!(
        notice
            .detail
            .contains("3 trades will be compared with the next day’s bills"),
        "{}",
        notice.detail
    );
    assert!(!notice.detail.contains("every trade"), "{}", notice.detail);

    let notice = run(Some(&waits), &[], true, NOW);
    assert_eq!(notice.tone, Tone::Good);
    assert!(notice.detail.contains("on that day’s page"));
    let whole = run(Some(&left_to_the_next_day(0)), &[], false, NOW);
    assert_eq!(whole.tone, Tone::Good);
    assert!(whole.detail.ends_with("every trade of this day."));

    let explained = found_by("run-1", DifferenceKind::AmountDiffers)
        .decided(Decision::Explain, "li", "a discount", NOW)
        .unwrap();
    let notice = run(Some(&left_to_the_next_day(1)), &[explained], false, NOW);
    assert_eq!((notice.tone, notice.headline), (Tone::Wait, "Done so far"));
    assert!(notice.detail.contains("One trade will be compared"));
    let open = found_by("run-1", DifferenceKind::AmountDiffers);
    let notice = run(Some(&waits), &[open], false, NOW);
    assert_eq!(notice.tone, Tone::Bad);
    assert!(notice.detail.contains("3 trades"), "{}", notice.detail);
}

#[test]
fn a_run_in_trouble_says_what_it_is_and_what_to_do() {
    let trouble = "not now: DynamoDB did not answer";
    for (state, silent_s, headline, advice) in [
        (RunState::Running, 0, "Running", "tries again by itself"),
        (RunState::Running, 2_701, "Stuck", "Run it again"),
        (RunState::Failed, 0, "Failed", "run the day again"),
    ] {
        let mut run = run_that(state);
        run.trouble = Some(trouble.to_owned());
        let notice = self::run(Some(&run), &[], false, UnixSeconds(NOW.0 + silent_s));
        assert_eq!(notice.headline, headline);
        let expected = Some("Not now: DynamoDB did not answer.");
        assert_eq!(notice.trouble.as_deref(), expected, "{headline}");
        assert!(notice.detail.contains(advice), "{}", notice.detail);
    }
}

#[test]
fn a_run_that_pauses_before_its_next_try_is_not_stuck() {
    let mut run = run_that(RunState::Running);
    let at = |silent_s| UnixSeconds(NOW.0 + silent_s);
    assert!(!is_stuck(&run, at(900)) && is_stuck(&run, at(901)));
    run.trouble = Some("not now".to_owned());
    assert!(!is_stuck(&run, at(2_700)) && is_stuck(&run, at(2_701)));
}

#[test]
fn a_day_without_a_run_is_red_once_its_time_is_over_and_a_bill_that_is_late_too() {
    let end = date().ends_at().0;
    let waits = run_that(RunState::Waiting);
    for (run, hour, minute, tone) in [
        (None, 10, 30, Tone::Quiet),
        (None, 10, 44, Tone::Quiet),
        (None, 10, 45, Tone::Bad),
        (Some(&waits), 12, 44, Tone::Wait),
        (Some(&waits), 13, 0, Tone::Bad),
    ] {
        let now = UnixSeconds(end + hour * 3600 + minute * 60);
        let run = run.map(|run| Run {
            updated_at: now.plus_s(-1_800),
            ..run.clone()
        });
        let notice = self::run(run.as_ref(), &[], true, now);
        assert_eq!(notice.tone, tone, "{hour}:{minute}");
    }
}

#[test]
fn a_bill_that_is_not_requested_any_more_and_an_unusable_one_are_not_called_late() {
    let late = date().ends_at().plus_s(14 * 3600);
    let headline_and_tone = |waits_for_usable_bill, silent_s: i64| {
        let run = Run {
            waits_for_usable_bill,
            updated_at: late.plus_s(-silent_s),
            trouble: Some("the bill trade is cut short".to_owned()),
            ..run_that(RunState::Waiting)
        };
        let notice = self::run(Some(&run), &[], true, late);
        (notice.headline, notice.tone)
    };
    assert_eq!(
        headline_and_tone(false, 1_800),
        ("WeChat Pay’s bill is late", Tone::Bad)
    );
    let broken = ("The bill is unusable, and is fetched again", Tone::Wait);
    assert_eq!(headline_and_tone(true, 1_800), broken);
    let ended = ("The bill is no longer requested", Tone::Bad);
    for waits_for_usable_bill in [false, true] {
        assert_ne!(headline_and_tone(waits_for_usable_bill, 2_700), ended);
        assert_eq!(headline_and_tone(waits_for_usable_bill, 2_701), ended);
    }
}

#[test]
fn with_another_schedule_nothing_is_red_before_its_time_and_the_page_says_that_time() {
    let noon = DailyRun::parse("cron(0 12 * * ? *)").unwrap();
    let found = DayListing::with([], Filter::default());
    for (minute, tone, is_missing) in [
        (10 * 60 + 45, Tone::Quiet, false),
        (12 * 60 + 14, Tone::Quiet, false),
        (12 * 60 + 15, Tone::Bad, true),
        (13 * 60, Tone::Bad, true),
    ] {
        let now = date().ends_at().plus_s(minute * 60);
        let notice = super::run(date(), None, &found, true, noon, now);
        assert_eq!(notice.tone, tone, "{minute}");
        assert!(
            notice.detail.contains("12:00 on the next day"),
            "{}",
            notice.detail
        );
        let ran = Run::begun(date().plus_days(-1), "run-1", false, NOW);
        let ran = Run {
            state: RunState::Done,
            ..ran
        };
        let runs = [(ran.date, DayRuns::new(Some(ran), None))];
        let missing = missing_days(&[date()], &runs, (noon, true), now);
        assert_eq!(missing.contains(&date()), is_missing, "{minute}");
    }
}

#[test]
fn whatever_was_approved_the_day_says_that_it_is_carried_out_and_not_that_it_is_given_back() {
    let client = ClientId::new("shop");
    let deciding = DecisionContext {
        client: Some(&client),
        ..DecisionContext::default()
    };
    let decide = |one: &Difference, decision, who| {
        one.decided_by_rules(decision, &deciding, who, "x", NOW)
            .unwrap()
    };
    let lost = found_by("run-1", DifferenceKind::UnknownOrderThere);
    let lost = Difference {
        about: DifferenceSubject {
            order_no: Some("ORDER-1".to_owned()),
            ..lost.about.clone()
        },
        ..lost
    };
    let proposed = decide(&lost, Decision::ProposePaid, "li");
    let approved = decide(&proposed, Decision::Approve, "wang");
    assert_eq!(approved.state, DifferenceState::Approved);
    let notice = run(Some(&left_to_the_next_day(0)), &[approved], true, NOW);
    assert_eq!(notice.headline, "Done, decisions are being carried out");
    assert!(!notice.detail.contains("given back"), "{}", notice.detail);
}

#[test]
fn a_day_whose_bill_is_gone_does_not_ask_for_a_run() {
    let today = |days| UnixSeconds(date().plus_days(days).starts_at().0);
    let gone = run(None, &[], true, today(BILLS_LAST_DAYS + 1));
    assert_eq!(gone.tone, Tone::Quiet);
    assert!(gone.detail.contains("no longer keeps its bill"));
    let last = run(None, &[], true, today(BILLS_LAST_DAYS));
    assert_eq!(last.tone, Tone::Bad);
    assert!(last.detail.contains("Run it now"), "{}", last.detail);
}

#[test]
fn if_the_daily_run_only_reports_its_preview_is_the_run_that_is_due() {
    let preview = Run::begun(date(), "run-1", true, NOW);
    let previewed = DayRuns::new(None, Some(preview));
    assert!(!has_come(&previewed, true) && has_come(&previewed, false));
    let run = DayRuns::new(Some(run_that(RunState::Done)), None);
    assert!(has_come(&run, true) && has_come(&run, false));
    let none = DayRuns::default();
    assert!(!has_come(&none, true) && !has_come(&none, false));
}

#[test]
fn a_day_is_missing_from_1045_on_without_a_run_and_from_1300_on_until_one_is_done() {
    let day = |back: i64| date().plus_days(-back);
    let run_of = |back, state| {
        let mut run = Run::begun(day(back), "run-1", false, day(back).ends_at());
        run.state = state;
        (day(back), DayRuns::new(Some(run), None))
    };
    let days: Vec<BillDate> = (0..6).rev().map(day).collect();
    let missing = |runs: &[(BillDate, DayRuns)], hour: i64, minute: i64| {
        let now = date().ends_at().0 + hour * 3600 + minute * 60;
        missing_days(&days, runs, (DailyRun::default(), true), UnixSeconds(now))
    };
    let mut runs = vec![
        run_of(5, RunState::Done),
        run_of(2, RunState::Failed),
        run_of(1, RunState::Done),
    ];
    let earlier = [day(4), day(3), day(2)];
    assert_eq!(missing(&runs, 10, 44), earlier);
    let all = [day(4), day(3), day(2), day(0)];
    assert_eq!(missing(&runs, 10, 45), all);
    assert_eq!(missing(&runs, 13, 0), all);
    runs.push(run_of(0, RunState::Waiting));
    assert_eq!(missing(&runs, 12, 59), earlier, "its bill may come");
    assert_eq!(missing(&runs, 13, 0), all);
    runs.pop();
    runs.push(run_of(0, RunState::Done));
    assert_eq!(missing(&runs, 13, 0), earlier);
}

#[test]
fn a_difference_is_not_green_before_its_money_has_arrived() {
    let refund_no = payments::model::ids::RefundNo::parse("second-4200001").unwrap();
    let with_stage = |one: &Difference, stage| {
        let tracked = TrackedRefund {
            refund_no: refund_no.clone(),
            stage,
            to_merchant: false,
            payer_has_it: false,
        };
        one.with_refund(&tracked, "run-2", NOW).unwrap()
    };
    let proposed =
        found_by("run-1", DifferenceKind::DuplicatePayment).proposed("run-1", "twice", NOW);
    let once = proposed.decided(Decision::Approve, "li", "yes", NOW);
    let approved = once.unwrap().decided(Decision::Approve, "wang", "yes", NOW);
    let moving = with_stage(&approved.unwrap(), RefundStage::Moving);
    let day = |one: &Difference| {
        run(
            Some(&left_to_the_next_day(0)),
            std::slice::from_ref(one),
            true,
            NOW,
        )
    };
    assert_eq!(stands(&moving), ("Refund on its way", Tone::Wait));
    assert_eq!(next(&moving), "Nobody: the refund is on its way");
    assert_eq!(day(&moving).tone, Tone::Wait);

    let abnormal = with_stage(&moving, RefundStage::Abnormal);
    assert_eq!(stands(&abnormal), ("Open", Tone::Bad));
    assert!(next(&abnormal).starts_with("A person: send the refund"));
    assert_eq!(day(&abnormal).tone, Tone::Bad);

    let arrived = with_stage(&abnormal, RefundStage::Succeeded);
    assert_eq!(stands(&arrived), ("Repaired", Tone::Good));
    assert_eq!(day(&arrived).tone, Tone::Good);
}
