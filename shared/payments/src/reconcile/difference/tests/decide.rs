use super::*;

#[test]
fn money_moves_only_with_two_different_persons_behind_it() {
    let proposed =
        difference(DifferenceKind::DuplicatePayment).proposed("run-1", "a second payment", NOW);
    let once = decide(&proposed, Decision::Approve, "li").unwrap();
    assert_eq!(once.state, DifferenceState::Proposed);
    for same in ["li", "Li"] {
        assert_eq!(
            decide(&once, Decision::Approve, same),
            Err(DecisionRejected::SamePerson)
        );
    }
    let twice = decide(&once, Decision::Approve, "wang").unwrap();
    assert_eq!(twice.state, DifferenceState::Approved);
    assert_eq!(twice.version, 4);
}

#[test]
fn one_person_alone_ends_nothing_above_the_limit_by_turning_its_refund_down() {
    let rejected_at = |fen: Option<i64>| {
        let mut second = difference(DifferenceKind::DuplicatePayment);
        second.there.as_mut().unwrap().amount_fen = fen;
        let proposed = second.proposed("run-1", "a second payment", NOW);
        decide(&proposed, Decision::Reject, "li").unwrap().state
    };
    let max_fen = SoloExplainLimit::default().max_fen;
    assert_eq!(rejected_at(Some(max_fen)), DifferenceState::Rejected);
    assert_eq!(rejected_at(Some(max_fen + 1)), DifferenceState::Open);
    assert_eq!(rejected_at(None), DifferenceState::Open);
}

#[test]
fn the_proposer_is_the_first_of_the_two() {
    let proposed = decide(
        &difference(DifferenceKind::UnknownOrderThere),
        Decision::Propose,
        "li",
    )
    .unwrap();
    assert_eq!(proposed.behind_the_proposal(), ["li"]);
    assert_eq!(
        decide(&proposed, Decision::Approve, "li"),
        Err(DecisionRejected::SamePerson)
    );
    let approved = decide(&proposed, Decision::Approve, "wang").unwrap();
    assert_eq!(approved.state, DifferenceState::Approved);
}

#[test]
fn approvals_of_a_proposal_that_was_rejected_do_not_count_for_the_next() {
    let proposed =
        difference(DifferenceKind::DuplicatePayment).proposed("run-1", "a second payment", NOW);
    let once = decide(&proposed, Decision::Approve, "li").unwrap();
    let rejected = decide(&once, Decision::Reject, "wang").unwrap();
    let again = decide(&rejected, Decision::Propose, "zhao").unwrap();
    assert_eq!(again.behind_the_proposal(), ["zhao"]);
    assert_eq!(
        decide(&again, Decision::Approve, "li").unwrap().state,
        DifferenceState::Approved
    );
}

#[test]
fn a_refund_that_could_not_be_made_needs_two_persons_again() {
    let proposed = decide(
        &difference(DifferenceKind::DuplicatePayment),
        Decision::Propose,
        "li",
    );
    let approved = decide(&proposed.unwrap(), Decision::Approve, "wang").unwrap();
    let reopened = approved.reopened("run-2", "WeChat Pay does not have it", NOW);
    assert!(reopened.state.needs_action());
    let again = reopened.proposed("run-3", "a second payment", NOW);
    let once = decide(&again, Decision::Approve, "li").unwrap();
    assert_eq!(once.state, DifferenceState::Proposed);
}

#[test]
fn what_is_done_or_under_way_cannot_be_decided_nor_anything_without_a_reason() {
    let open = difference(DifferenceKind::DuplicatePayment);
    let approved = {
        let proposed = decide(&open, Decision::Propose, "li").unwrap();
        decide(&proposed, Decision::Approve, "wang").unwrap()
    };
    let explained = decide(&open, Decision::Explain, "li").unwrap();
    for over in [approved, explained, open.repaired("run-2", "gone", NOW)] {
        for decision in [
            Decision::Propose,
            Decision::Approve,
            Decision::Reject,
            Decision::Explain,
        ] {
            assert_eq!(
                decide(&over, decision, "zhao"),
                Err(DecisionRejected::WrongState { state: over.state }),
                "{decision:?}"
            );
        }
    }
    for why in ["", "  ", &"x".repeat(REASON_MAX + 1)] {
        assert_eq!(
            open.decided(Decision::Explain, "li", why, NOW),
            Err(DecisionRejected::NoReason)
        );
    }
}

#[test]
fn how_the_payer_was_paid_can_be_said_only_of_money_that_is_with_the_merchant() {
    let begun = approved(DifferenceKind::DuplicatePayment);
    for stage in [
        RefundStage::Abnormal,
        RefundStage::Refused,
        RefundStage::Closed,
        RefundStage::Released,
    ] {
        let stands = with_stage(&begun, stage);
        let said = decide(&stands, Decision::PayerPaid, "li");
        assert_eq!(said, Err(DecisionRejected::NothingOwed), "{}", stage.name());
    }
    let open = difference(DifferenceKind::DuplicatePayment);
    let said = decide(&open, Decision::PayerPaid, "li");
    assert_eq!(said, Err(DecisionRejected::NothingOwed));
}

#[test]
fn above_the_amount_two_different_persons_explain_a_difference_and_one_person_below_it() {
    let max_fen = SoloExplainLimit::default().max_fen;
    for (there, here, alone) in [
        (Some(max_fen), None, true),
        (Some(max_fen + 1), None, false),
        (Some(1), Some(max_fen + 1), false),
        (Some(-max_fen - 1), None, false),
        (Some(i64::MIN), None, false),
        (None, None, false),
    ] {
        let explained = decide(&of_fen(there, here), Decision::Explain, "li").unwrap();
        let expected = if alone {
            DifferenceState::Explained
        } else {
            DifferenceState::Proposed
        };
        assert_eq!(explained.state, expected, "{there:?} {here:?}");
    }
    let fee = |fee_e5, amount_fen| {
        Some(SideView {
            fee_e5: Some(fee_e5),
            amount_fen,
            ..SideView::default()
        })
    };
    let off_the_rate = Difference {
        there: fee(600_000, Some(9_000_000)),
        here: fee(-1, None),
        ..difference(DifferenceKind::FeeOffTheRate)
    };
    assert_eq!(
        off_the_rate.amount_fen(),
        Some(601),
        "what the fees are apart"
    );
    let many = of_many(DifferenceKind::FeeOffTheRate, 2);
    let explained = decide(&many, Decision::Explain, "li").unwrap();
    assert_eq!(
        explained.state,
        DifferenceState::Proposed,
        "they may cancel out"
    );

    let large = of_fen(Some(max_fen + 1), None);
    let once = decide(&large, Decision::Explain, "li").unwrap();
    assert_eq!(
        (&once.wanted, once.state.needs_action()),
        (&ApprovedAction::Explain, true)
    );
    let alone = decide(&once, Decision::Approve, "li");
    assert_eq!(alone, Err(DecisionRejected::SamePerson));
    let again = decide(&once, Decision::Explain, "li");
    assert_eq!(again, Err(DecisionRejected::RejectFirst));
    let twice = decide(&once, Decision::Approve, "wang").unwrap();
    assert_eq!(
        (twice.state, &twice.wanted),
        (DifferenceState::Explained, &ApprovedAction::Refund)
    );
    assert!(!twice.is_under_way() && !twice.is_tracked());
    let rejected = decide(&once, Decision::Reject, "wang").unwrap();
    assert_eq!(
        rejected.state,
        DifferenceState::Open,
        "it waits for a person as before"
    );
}

#[test]
fn the_approval_of_a_refund_does_not_count_for_an_explanation() {
    let large = Difference {
        there: of_fen(Some(1_000_000), None).there,
        ..difference(DifferenceKind::DuplicatePayment)
    };
    let proposed = large.proposed("run-1", "twice", NOW);
    let once = decide(&proposed, Decision::Approve, "li").unwrap();
    let explained = decide(&once, Decision::Explain, "wang");
    assert_eq!(explained, Err(DecisionRejected::RejectFirst));
    let alone = DecisionContext {
        explain_alone: SoloExplainLimit { max_fen: i64::MAX },
        ..DecisionContext::default()
    };
    let rejected = once.decided_by_rules(Decision::Reject, &alone, "wang", "no", NOW);
    let rejected = rejected.unwrap();
    let explained = decide(&rejected, Decision::Explain, "wang").unwrap();
    assert_eq!(explained.behind_the_proposal(), ["wang"]);
    let turned_down = decide(&explained, Decision::Reject, "li").unwrap();
    assert_eq!(
        turned_down.state,
        DifferenceState::Rejected,
        "as it was before"
    );
    let money = decide(&explained, Decision::Approve, "li").unwrap();
    assert_eq!(
        money.state,
        DifferenceState::Explained,
        "no money moves by it"
    );
}

#[test]
fn a_refund_that_a_person_rejected_stays_rejected_until_a_person_reopens_it() {
    let large = Difference {
        there: of_fen(Some(1_000_000), None).there,
        ..difference(DifferenceKind::DuplicatePayment)
    };
    let proposed = large.proposed("run-1", "twice", NOW);
    let rejected = decide(&proposed, Decision::Reject, "li").unwrap();
    assert_eq!(
        (rejected.state, rejected.refund_rejected),
        (DifferenceState::Open, true)
    );
    let noted = rejected.noted("run-2", "looked at it", NOW);
    assert!(noted.refund_rejected, "a run opens nothing again");
    let explained = decide(&noted, Decision::Explain, "li").unwrap();
    let turned_down = decide(&explained, Decision::Reject, "wang").unwrap();
    assert!(turned_down.refund_rejected, "as it was before");
    let explained = decide(&explained, Decision::Approve, "wang").unwrap();
    let open = decide(&explained, Decision::Reopen, "zhao").unwrap();
    assert!(explained.refund_rejected && !open.refund_rejected);
    let again = decide(&rejected, Decision::Propose, "wang").unwrap();
    assert!(!again.refund_rejected, "a person wants it after all");
    let other = of_fen(Some(2_000_000), None);
    let again = rejected.with_other_amounts(&other, "run-2", NOW);
    assert!(!again.refund_rejected, "that is another matter");
    let explanation = decide(&large, Decision::Explain, "li").unwrap();
    let turned_down = decide(&explanation, Decision::Reject, "wang").unwrap();
    assert!(!turned_down.refund_rejected, "no refund was proposed");
    let stored = serde_json::to_value(&large).unwrap();
    assert!(stored.get("refund_rejected").is_none());
}

#[test]
fn a_rejected_proposal_to_take_an_order_on_says_nothing_about_its_refund() {
    let shop = ClientId::new("shop");
    let take_on = |one: &Difference| {
        let deciding = DecisionContext {
            client: Some(&shop),
            ..DecisionContext::default()
        };
        let proposed =
            one.decided_by_rules(Decision::ProposePaid, &deciding, "li", "restored", NOW);
        let proposed = proposed.unwrap();
        let rejected = decide(&proposed, Decision::Reject, "wang").unwrap();
        (proposed, rejected)
    };
    for amount_fen in [1, 1_000_000] {
        let open = Difference {
            there: of_fen(Some(amount_fen), None).there,
            ..difference(DifferenceKind::UnknownOrderThere)
        };
        let (proposed, rejected) = take_on(&open);
        assert!(!proposed.refund_rejected && !rejected.refund_rejected);
        // Nor does it withdraw what a person decided about the refund before.
        let refund = open.proposed("run-1", "to be given back", NOW);
        let kept = decide(&refund, Decision::Reject, "li").unwrap();
        let (proposed, rejected) = take_on(&kept);
        assert!(proposed.refund_rejected && rejected.refund_rejected);
    }
}

#[test]
fn an_explained_difference_is_opened_again_by_a_person_who_says_why() {
    let explained = decide(
        &difference(DifferenceKind::AmountDiffers),
        Decision::Explain,
        "li",
    )
    .unwrap();
    let silent = explained.decided(Decision::Reopen, "wang", " ", NOW);
    assert_eq!(silent, Err(DecisionRejected::NoReason));
    let open = decide(&explained, Decision::Reopen, "wang").unwrap();
    assert_eq!(
        (open.state, open.state.needs_action()),
        (DifferenceState::Open, true)
    );
    let last = open.history.last().unwrap();
    assert_eq!(
        (&last.who, last.decision),
        (&Actor::Person("wang".into()), Some(Decision::Reopen))
    );
    let twice = decide(&open, Decision::Explain, "li").unwrap();
    assert_eq!(twice.state, DifferenceState::Explained);
    assert_eq!(
        explained.notice_step().is_some(),
        explained.notice_id().is_some()
    );
    let money = decide(
        &difference(DifferenceKind::DuplicatePayment),
        Decision::Explain,
        "li",
    )
    .unwrap();
    let waits = decide(&money, Decision::Reopen, "wang").unwrap();
    assert_eq!(waits.notice_step(), Some(NoticeStep::Waits));
    let proposed = money.proposed("run-1", "twice", NOW);
    for stands in [
        difference(DifferenceKind::AmountDiffers),
        proposed,
        open.repaired("run-2", "gone", NOW),
    ] {
        assert!(
            decide(&stands, Decision::Reopen, "li").is_err(),
            "{:?}",
            stands.state
        );
    }
}

#[test]
fn two_persons_send_a_refund_to_the_merchant_or_give_it_up_and_a_rejection_leaves_it_stuck() {
    for (stage, decision, wanted) in [
        (
            RefundStage::Abnormal,
            Decision::Redirect,
            ApprovedAction::Redirect,
        ),
        (
            RefundStage::Refused,
            Decision::Release,
            ApprovedAction::Release,
        ),
    ] {
        let stuck = with_stage(&approved(DifferenceKind::DuplicatePayment), stage);
        let proposed = decide(&stuck, decision, "li").unwrap();
        assert_eq!(
            (proposed.state, &proposed.wanted),
            (DifferenceState::Proposed, &wanted)
        );
        assert_eq!(
            decide(&proposed, Decision::Approve, "li"),
            Err(DecisionRejected::SamePerson)
        );
        let decided = decide(&proposed, Decision::Approve, "wang").unwrap();
        assert_eq!(
            (decided.state, &decided.wanted),
            (DifferenceState::Approved, &wanted)
        );
        let (who, why) = decided.decided_by();
        assert_eq!(
            (who.as_str(), why.as_str()),
            ("li and wang", "looked at it; looked at it")
        );
        let rejected = decide(&proposed, Decision::Reject, "wang").unwrap();
        assert_eq!(
            (rejected.state, rejected.is_tracked()),
            (DifferenceState::Open, true)
        );
    }
}

#[test]
fn a_refund_is_sent_on_only_from_where_it_does_not_get_on() {
    let sending = [Decision::Retry, Decision::Release, Decision::Redirect];
    let begun = approved(DifferenceKind::UnknownOrderThere);
    for (stage, holds) in [
        (RefundStage::Moving, [false, false, false]),
        (RefundStage::Refused, [true, true, false]),
        (RefundStage::Abnormal, [false, false, true]),
        (RefundStage::Closed, [false, false, false]),
        (RefundStage::Released, [false, false, false]),
        (RefundStage::Succeeded, [false, false, false]),
    ] {
        let stands = with_stage(&begun, stage);
        for (decision, holds) in sending.into_iter().zip(holds) {
            let decided = decide(&stands, decision, "li");
            assert_eq!(decided.is_ok(), holds, "{} {decision:?}", stage.name());
            if let Ok(decided) = decided {
                let alone = decision == Decision::Retry;
                let expected = if alone {
                    DifferenceState::Approved
                } else {
                    DifferenceState::Proposed
                };
                assert_eq!(decided.state, expected);
                assert!(!decided.is_tracked(), "first it is carried out");
            }
        }
        let again = decide(&stands, Decision::Propose, "li");
        assert_eq!(
            again.is_ok(),
            stage == RefundStage::Closed,
            "{}",
            stage.name()
        );
    }
    for decision in sending {
        let open = difference(DifferenceKind::UnknownOrderThere);
        assert!(decide(&open, decision, "li").is_err(), "no refund was made");
    }
}

#[test]
fn an_order_is_taken_on_as_paid_only_for_a_client_and_by_two_persons() {
    let shop = ClientId::new("shop");
    let propose = |one: &Difference, client| {
        let deciding = DecisionContext {
            client,
            ..DecisionContext::default()
        };
        one.decided_by_rules(Decision::ProposePaid, &deciding, "li", "restored", NOW)
    };
    let open = difference(DifferenceKind::UnknownOrderThere);
    assert_eq!(propose(&open, None), Err(DecisionRejected::NoClient));
    let proposed = propose(&open, Some(&shop)).unwrap();
    let wanted = ApprovedAction::RestoreOrder {
        client_id: shop.clone(),
    };
    assert_eq!(
        (proposed.state, &proposed.wanted),
        (DifferenceState::Proposed, &wanted)
    );
    assert_eq!(
        decide(&proposed, Decision::Approve, "li"),
        Err(DecisionRejected::SamePerson)
    );
    let approved = decide(&proposed, Decision::Approve, "wang").unwrap();
    assert_eq!(
        (approved.state, &approved.wanted),
        (DifferenceState::Approved, &wanted)
    );
    // Approvals of a refund never count for it, nor the other way round.
    let refund = open.proposed("run-1", "to be given back", NOW);
    assert!(
        propose(&refund, Some(&shop)).is_err(),
        "that is rejected first"
    );
    let once = decide(&refund, Decision::Approve, "wang").unwrap();
    let rejected = decide(&once, Decision::Reject, "li").unwrap();
    let proposed = propose(&rejected, Some(&shop)).unwrap();
    assert_eq!(proposed.behind_the_proposal(), ["li"]);
    let second = decide(&proposed, Decision::Reject, "li").unwrap();
    assert_eq!(second.wanted, ApprovedAction::Refund);
    for kind in DifferenceKind::ALL {
        let takes = propose(&difference(kind), Some(&shop)).is_ok();
        assert_eq!(
            takes,
            kind == DifferenceKind::UnknownOrderThere,
            "{}",
            kind.name()
        );
    }
    let given_back = with_stage(
        &self::approved(DifferenceKind::UnknownOrderThere),
        RefundStage::Closed,
    );
    assert_eq!(
        propose(&given_back, Some(&shop)),
        Err(DecisionRejected::NothingToRestore)
    );
}

#[test]
fn only_money_that_is_not_ours_can_be_proposed_for_a_refund() {
    for kind in DifferenceKind::ALL {
        let refund = matches!(kind.remedy(), Remedy::Refund(_));
        let proposed = decide(&difference(kind), Decision::Propose, "li");
        assert_eq!(proposed.is_ok(), refund, "{}", kind.name());
    }
}
