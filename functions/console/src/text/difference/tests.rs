use payments::{
    model::bill_date::BillDate,
    reconcile::difference::{Aggregate, DifferenceKind, DifferenceSubject},
};
use wechatpay::UnixSeconds;

use super::*;

pub(in crate::text) const NOW: UnixSeconds = UnixSeconds(1_785_643_200);

pub(in crate::text) fn date() -> BillDate {
    BillDate::parse("2026-08-01").unwrap()
}

pub(in crate::text) fn found_by(run: &str, kind: DifferenceKind) -> Difference {
    let about = DifferenceSubject {
        transaction_id: Some("4200001".to_owned()),
        ..DifferenceSubject::default()
    };
    let there = payments::reconcile::difference::SideView {
        amount_fen: Some(100),
        ..Default::default()
    };
    Difference::found(date(), kind, about, Some(there), None, run, NOW)
}

#[test]
fn work_for_more_than_one_run_goes_on_by_running_the_day_again() {
    let many = |kind, count| {
        let aggregate = Aggregate {
            count,
            amount_fen: 100,
            examples: Vec::new(),
            part: 0,
        };
        Difference::of_many(date(), kind, aggregate, "run-1", NOW)
    };
    let kind = DifferenceKind::PaidThereUnpaidHere;
    let again = many(kind, 9).counted_again(&many(kind, 7), "run-2", NOW);
    for one in [many(kind, 9), again] {
        assert!(what_to_do(&one).starts_with("run the day again"));
        assert_eq!(next(&one), "A person: run the day again");
    }
    let fees = many(DifferenceKind::FeeOffTheRate, 9);
    assert_eq!(next(&fees), "A person: check, then explain");
}

#[test]
fn what_to_do_and_who_acts_next_follow_the_state_of_the_difference() {
    let refund_no = payments::model::ids::RefundNo::parse("second-4200001").unwrap();
    let at = |one: &Difference, stage| {
        let refund_no = refund_no.clone();
        let tracked = TrackedRefund {
            refund_no,
            stage,
            to_merchant: false,
            payer_has_it: false,
        };
        one.with_refund(&tracked, "run-2", NOW).unwrap()
    };
    let says = |one: &Difference, what: &str, who: &str| {
        assert!(what_to_do(one).starts_with(what), "{}", what_to_do(one));
        assert!(next(one).starts_with(who), "{}", next(one));
    };
    let twice = found_by("run-1", DifferenceKind::DuplicatePayment);
    says(
        &twice,
        "approve the refund of the second",
        "A person: propose",
    );
    let proposed = twice.proposed("run-1", "twice", NOW);
    says(&proposed, "make sure that we must not keep", "2 persons");
    let rejected = proposed.decided(Decision::Reject, "li", "no", NOW).unwrap();
    says(&rejected, "nothing if the money stays", "Nobody, unless");
    let large = Difference {
        there: None,
        ..proposed.clone()
    };
    let rejected = large.decided(Decision::Reject, "li", "no", NOW).unwrap();
    says(&rejected, "its refund is rejected", "A person: explain, or");
    let text = done(Decision::Reject, &rejected).unwrap();
    assert!(text.contains("no run proposes the refund again"), "{text}");
    let once = proposed
        .decided(Decision::Approve, "li", "yes", NOW)
        .unwrap();
    let approved = once.decided(Decision::Approve, "wang", "yes", NOW).unwrap();
    says(&approved, "nothing: it is being carried out", "The system");
    says(
        &at(&approved, RefundStage::Moving),
        "nothing: it is repaired once",
        "Nobody",
    );
    says(
        &at(&approved, RefundStage::Abnormal),
        "send the refund",
        "A person: send",
    );
    says(
        &at(&approved, RefundStage::Refused),
        "remove the cause",
        "A person: try",
    );
    says(
        &at(&approved, RefundStage::Succeeded),
        "nothing: both sides",
        "Nobody",
    );

    let lost = found_by("run-1", DifferenceKind::PaidThereUnpaidHere);
    says(&lost, "nothing: WeChat Pay is asked", "The next run");
    let noted = lost.noted("run-1", "WeChat Pay says something else", NOW);
    says(&noted, "read in its history", "A person: check");
}

#[test]
fn the_text_after_a_decision_follows_the_state_of_the_difference() {
    let open = found_by("run-1", DifferenceKind::DuplicatePayment);
    let by_run = open.proposed("run-1", "to be given back", NOW);
    let once = by_run
        .decided(Decision::Approve, "li", "twice", NOW)
        .unwrap();
    let approved = once.decided(Decision::Approve, "wang", "yes", NOW).unwrap();
    let repaired = approved.repaired("run-2", "given back", NOW);
    let rejected = once.decided(Decision::Reject, "wang", "no", NOW).unwrap();
    let says = |decision, one: &Difference| done(decision, one).unwrap_or_default();
    assert!(says(Decision::Approve, &once).contains("One approval is recorded"));
    assert!(says(Decision::Approve, &approved).contains("approved by two persons"));
    assert!(says(Decision::Reject, &rejected).contains("rejected"));
    assert!(says(Decision::Propose, &once).contains("proposed"));
    let explained = open.decided(Decision::Explain, "li", "once", NOW).unwrap();
    assert!(says(Decision::Explain, &explained).contains("explained and closed"));
    let reopened = explained.decided(Decision::Reopen, "wang", "not so", NOW);
    assert!(says(Decision::Reopen, &reopened.unwrap()).contains("open again"));
    let large = Difference {
        there: None,
        ..open.clone()
    };
    let explained = large.decided(Decision::Explain, "li", "once", NOW).unwrap();
    assert!(says(Decision::Explain, &explained).contains("a second, different person"));
    assert_eq!(stands(&explained), ("Explanation proposed", Tone::Wait));
    assert_eq!(
        next(&explained),
        "A person other than li: approve or reject"
    );
    let turned_down = explained.decided(Decision::Reject, "wang", "no", NOW);
    assert!(says(Decision::Reject, &turned_down.unwrap()).contains("as open as before"));
    let explained = explained.decided(Decision::Approve, "wang", "yes", NOW);
    assert!(says(Decision::Approve, &explained.unwrap()).contains("approved by two persons"));
    for (decision, one) in [
        (Decision::Approve, &open),
        (Decision::Approve, &by_run),
        (Decision::Approve, &rejected),
        (Decision::Approve, &repaired),
        (Decision::Propose, &open),
        (Decision::Propose, &approved),
        (Decision::Reject, &once),
        (Decision::Explain, &repaired),
        (Decision::Reopen, &repaired),
        (Decision::PayerPaid, &open),
    ] {
        assert_eq!(done(decision, one), None, "{decision:?}, {:?}", one.state);
    }
}
