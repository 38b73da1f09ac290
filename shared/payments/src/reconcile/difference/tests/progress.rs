use super::*;

#[test]
fn for_a_payer_who_was_paid_otherwise_no_text_says_that_the_refund_was_released() {
    let released = |to_merchant| {
        let refund = TrackedRefund {
            refund_no: RefundNo::parse("R1").unwrap(),
            stage: RefundStage::Released,
            to_merchant,
            payer_has_it: false,
        };
        refund.meaning()
    };
    assert!(!released(true).contains("released"), "{}", released(true));
    assert!(released(false).contains("released"));
}

#[test]
fn a_difference_is_repaired_by_money_that_arrived_and_open_again_when_its_refund_does_not_get_on() {
    let begun = approved(DifferenceKind::DuplicatePayment);
    let moving = with_stage(&begun, RefundStage::Moving);
    assert_eq!(moving.state, DifferenceState::OnItsWay);
    assert_eq!(
        moving.with_refund(&at(RefundStage::Moving), "run-3", NOW),
        None,
        "no news"
    );
    for from in [&begun, &moving] {
        for (stage, to) in [
            (RefundStage::Succeeded, DifferenceState::Repaired),
            (RefundStage::Abnormal, DifferenceState::Open),
            (RefundStage::Refused, DifferenceState::Open),
            (RefundStage::Closed, DifferenceState::Open),
            (RefundStage::Released, DifferenceState::Open),
        ] {
            let after = with_stage(from, stage);
            assert_eq!(after.state, to, "{}", stage.name());
            assert_eq!(
                after.is_tracked(),
                matches!(stage, RefundStage::Abnormal | RefundStage::Refused),
                "{}: a state that can still change is checked",
                stage.name()
            );
        }
    }
    let abnormal = with_stage(&moving, RefundStage::Abnormal);
    assert!(abnormal.is_under_way(), "no bill says that it is over");
    assert_eq!(
        with_stage(&abnormal, RefundStage::Moving).state,
        DifferenceState::OnItsWay
    );
    assert_eq!(
        with_stage(&abnormal, RefundStage::Succeeded).state,
        DifferenceState::Repaired
    );
}

#[test]
fn what_is_done_or_decided_otherwise_does_not_change_with_a_refund() {
    let open = with_stage(
        &approved(DifferenceKind::DuplicatePayment),
        RefundStage::Closed,
    );
    let proposed = decide(&open, Decision::Propose, "li").unwrap();
    for over in [
        proposed.clone(),
        decide(&proposed, Decision::Reject, "li").unwrap(),
        decide(&open, Decision::Explain, "li").unwrap(),
        with_stage(
            &approved(DifferenceKind::DuplicatePayment),
            RefundStage::Succeeded,
        ),
    ] {
        assert_eq!(
            over.with_refund(&at(RefundStage::Abnormal), "run-3", NOW),
            None
        );
        assert!(!over.is_tracked());
    }
}

#[test]
fn money_that_a_person_sent_to_the_merchants_account_has_not_reached_the_payer() {
    let stuck = with_stage(
        &approved(DifferenceKind::DuplicatePayment),
        RefundStage::Abnormal,
    );
    let proposed = decide(&stuck, Decision::Redirect, "li").unwrap();
    let decided = decide(&proposed, Decision::Approve, "wang").unwrap();
    let redirected = TrackedRefund {
        to_merchant: true,
        payer_has_it: false,
        ..at(RefundStage::Moving)
    };
    let moving = decided.with_refund(&redirected, "run-2", NOW).unwrap();
    assert_eq!(moving.state, DifferenceState::OnItsWay);
    let through = with_stage(&moving, RefundStage::Succeeded);
    assert_eq!(
        (through.state, through.is_tracked()),
        (DifferenceState::Open, false)
    );
    assert!(through.is_under_way(), "only a person ends it");
    assert!(decide(&through, Decision::Propose, "li").is_err());
    let explained = decide(&through, Decision::Explain, "li");
    assert_eq!(explained, Err(DecisionRejected::PayerOwed));
    let paid = decide(&through, Decision::PayerPaid, "li").unwrap();
    assert_eq!(
        (paid.state, &paid.wanted),
        (DifferenceState::Approved, &ApprovedAction::PayerPaid)
    );
    let closed = paid.payer_paid("run-3", NOW);
    assert_eq!(
        (closed.state, closed.is_tracked()),
        (DifferenceState::Explained, false)
    );
    let why = &closed.history.last().unwrap().why;
    assert!(why.contains("says li: looked at it"), "{why}");
}

#[test]
fn a_refund_that_was_stuck_when_it_was_explained_is_tracked_once_it_is_open_again() {
    let stuck = with_stage(
        &approved(DifferenceKind::DuplicatePayment),
        RefundStage::Abnormal,
    );
    let explained = decide(&stuck, Decision::Explain, "li").unwrap();
    assert!(!explained.is_tracked());
    let open = decide(&explained, Decision::Reopen, "wang").unwrap();
    assert!(open.is_tracked() && open.is_under_way());
    assert_eq!(
        with_stage(&open, RefundStage::Succeeded).state,
        DifferenceState::Repaired
    );
}

#[test]
fn the_notice_of_its_money_waits_exactly_while_a_person_has_to_act() {
    let open = difference(DifferenceKind::DuplicatePayment);
    assert_eq!(open.notice_id().as_deref(), Some("payment#4200001"));
    assert_eq!(
        open.notice_step(),
        None,
        "it stands there since the money was kept"
    );
    let proposed = open.proposed("run-1", "twice", NOW);
    assert_eq!(proposed.notice_step(), None);
    let once = decide(&proposed, Decision::Approve, "li").unwrap();
    assert_eq!(once.notice_step(), None);
    let closed = |who| {
        Some(NoticeStep::Decided {
            who,
            why: "looked at it",
        })
    };
    let approved = decide(&once, Decision::Approve, "wang").unwrap();
    assert_eq!(approved.notice_step(), closed("wang"));
    let moving = with_stage(&approved, RefundStage::Moving);
    assert_eq!(moving.notice_step(), None);
    let stuck = with_stage(&moving, RefundStage::Refused);
    assert_eq!(stuck.notice_step(), Some(NoticeStep::Waits));
    let explained = decide(&stuck, Decision::Explain, "li").unwrap();
    assert_eq!(explained.notice_step(), closed("li"));
    assert_eq!(difference(DifferenceKind::FeeOffTheRate).notice_id(), None);
}

#[test]
fn a_redirect_is_believed_until_the_refund_is_abnormal_again_or_the_payer_has_the_money() {
    let to_merchant = |stage| TrackedRefund {
        to_merchant: true,
        ..at(stage)
    };
    let begun = approved(DifferenceKind::DuplicatePayment);
    let redirected = begun.with_refund(&to_merchant(RefundStage::Moving), "run-2", NOW);
    let redirected = redirected.unwrap();
    // Our books do not know of it, and WeChat Pay does not say who has the money.
    let through = with_stage(&redirected, RefundStage::Succeeded);
    assert_eq!(through.state, DifferenceState::Open);
    assert!(through.refund.unwrap().owes_its_payer());

    let back = with_stage(&redirected, RefundStage::Abnormal);
    let again = with_stage(&back, RefundStage::Moving);
    let repaired = with_stage(&again, RefundStage::Succeeded);
    assert_eq!(repaired.state, DifferenceState::Repaired);

    let with_payer = TrackedRefund {
        payer_has_it: true,
        ..at(RefundStage::Succeeded)
    };
    let repaired = redirected.with_refund(&with_payer, "run-3", NOW).unwrap();
    assert_eq!(repaired.state, DifferenceState::Repaired);
}

#[test]
fn for_a_payer_who_has_redirected_money_no_text_says_that_it_is_owed() {
    let has_it = TrackedRefund {
        to_merchant: true,
        payer_has_it: true,
        ..at(RefundStage::Succeeded)
    };
    let begun = approved(DifferenceKind::DuplicatePayment);
    let owed = begun.with_refund(&has_it, "run-2", NOW).unwrap();
    assert_eq!(owed.state, DifferenceState::Open, "an operator decides");
    assert!(!has_it.owes_its_payer());
    assert!(owed.history.last().unwrap().why.contains("do not pay"));
    let explained = decide(&owed, Decision::Explain, "li").unwrap_err();
    assert_eq!(explained, DecisionRejected::PayerHasIt);
    assert!(explained.to_string().contains("do not pay"));
    let said = decide(&owed, Decision::PayerPaid, "li").unwrap();
    let closed = said.payer_paid("run-3", NOW);
    let why = &closed.history.last().unwrap().why;
    assert!(
        why.contains("the payer has the money") && !why.contains("by other means"),
        "{why}"
    );
}
