use super::*;

#[test]
fn a_decision_about_one_amount_does_not_hold_for_another_that_a_later_run_finds() {
    let small = difference(DifferenceKind::AmountDiffers);
    let explained = decide(&small, Decision::Explain, "li").unwrap();
    assert!(!explained.has_other_amounts(&small));
    let mut large = small.clone();
    large.there.as_mut().unwrap().amount_fen = Some(10_000_000);
    assert!(explained.has_other_amounts(&large));
    let open = explained.with_other_amounts(&large, "run-2", NOW);
    assert_eq!(
        (open.state, &open.there),
        (DifferenceState::Open, &large.there)
    );
    let again = decide(&open, Decision::Explain, "li").unwrap();
    assert_eq!(
        again.state,
        DifferenceState::Proposed,
        "not for one person any more"
    );

    let fee = |fee_e5| {
        let mut one = small.clone();
        one.there.as_mut().unwrap().fee_e5 = fee_e5;
        one
    };
    assert!(fee(Some(600)).has_other_amounts(&fee(Some(700))));
    let of_an_earlier_version = fee(None);
    assert!(!of_an_earlier_version.has_other_amounts(&fee(Some(700))));
}

#[test]
fn a_difference_stays_decided_if_our_books_have_the_money_by_now_unless_it_is_more() {
    let proposed = difference(DifferenceKind::UnknownOrderThere).proposed("run-1", "nobody's", NOW);
    let found = |fen| {
        let here = Some(SideView {
            amount_fen: Some(fen),
            ..SideView::default()
        });
        Difference {
            here,
            ..difference(DifferenceKind::UnknownOrderThere)
        }
    };
    assert!(!proposed.has_other_amounts(&found(100)), "as the bill says");
    assert!(proposed.has_other_amounts(&found(101)));
    assert!(found(100).has_other_amounts(&found(99)));
}

#[test]
fn only_what_an_earlier_version_did_not_store_is_added() {
    let old = difference(DifferenceKind::IdentityDiffers);
    let explained = decide(&old, Decision::Explain, "li").unwrap();
    let side = |currency: &str, state: &str| SideView {
        amount_fen: Some(100),
        state: Some(state.into()),
        at: Some(NOW),
        note: Some("seen".into()),
        currency: Some(currency.into()),
        appid: Some("wxa".into()),
        mchid: Some("1900000001".into()),
        fee_e5: Some(600),
        rate: Some("0.60%".into()),
    };
    let found = Difference {
        there: Some(side("USD", "SUCCESS")),
        here: Some(side("CNY", "paid")),
        about: DifferenceSubject {
            line: Some(7),
            ..old.about.clone()
        },
        ..old
    };
    let completed = explained.completed_by(&found).unwrap();
    let expected = Difference {
        there: found.there.clone(),
        here: found.here.clone(),
        about: found.about.clone(),
        ..explained
    };
    assert_eq!(completed, expected, "state, version and history stay");
    assert_eq!(completed.completed_by(&found), None, "once");

    let later = Difference {
        there: Some(side("HKD", "REFUND")),
        here: None,
        ..found
    };
    assert_eq!(completed.completed_by(&later), None, "what is known stays");
}

#[test]
fn another_currency_is_not_weighed_as_fen() {
    let mut foreign = difference(DifferenceKind::IdentityDiffers);
    let mut paid_in = |currency: &str| {
        foreign.there.as_mut().unwrap().currency = Some(currency.into());
        (
            foreign.amount_fen(),
            decide(&foreign, Decision::Explain, "li").unwrap().state,
        )
    };
    assert_eq!(paid_in("USD"), (None, DifferenceState::Proposed));
    assert_eq!(paid_in("CNY"), (Some(100), DifferenceState::Explained));
}

#[test]
fn many_of_a_kind_are_one_difference_that_says_how_many_and_moves_no_money() {
    let many = of_many(DifferenceKind::DuplicatePayment, 20_001);
    assert_eq!(many.id, "duplicate-payment-all-3");
    let note = many.there.clone().and_then(|side| side.note).unwrap();
    assert_eq!(
        note,
        "20001 of this kind, 1234.56 yuan in all; among them ORDER-7"
    );
    assert_eq!(
        decide(&many, Decision::Propose, "li"),
        Err(DecisionRejected::NothingToRefund)
    );
    assert!(many.what_to_do().contains("run the day again"));
    let due = of_many(DifferenceKind::TradeWithoutFundFlow, 20_001);
    assert!(due.what_to_do().contains("SettlementDays"));
    let sum_fen = |side: &Option<SideView>| side.as_ref().and_then(|side| side.amount_fen);
    assert_eq!(sum_fen(&many.there), Some(123_456));
    let absent = of_many(DifferenceKind::PaidHereAbsentThere, 20_001);
    assert!(absent.there.is_none() && absent.here.is_some());
}

#[test]
fn an_explained_aggregate_is_open_again_once_it_counts_others() {
    let proposed = decide(
        &of_many(DifferenceKind::FeeOffTheRate, 20_001),
        Decision::Explain,
        "li",
    );
    let explained = decide(&proposed.unwrap(), Decision::Approve, "wang");
    let found = of_many(DifferenceKind::FeeOffTheRate, 20_002);
    let again = explained.unwrap().counted_again(&found, "run-2", NOW);
    assert_eq!((again.state, again.version), (DifferenceState::Open, 4));
    assert_eq!(again.aggregate, found.aggregate);
    assert!(again.history.last().unwrap().why.starts_with("20002 of"));
}

#[test]
fn the_same_thing_has_the_same_name_in_every_run_and_every_kind_its_own() {
    let mut other_line = difference(DifferenceKind::AmountDiffers);
    other_line.about.line = Some(7);
    assert_eq!(
        id(DifferenceKind::AmountDiffers, &other_line.about),
        difference(DifferenceKind::AmountDiffers).id
    );
    let mut ids: Vec<String> = DifferenceKind::ALL.map(|kind| difference(kind).id).into();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), DifferenceKind::ALL.len());
}

#[test]
fn fees_are_apart_by_whole_fen_rounded_up() {
    let apart = |there: i64, here: i64| {
        let side = |fee_e5| {
            Some(SideView {
                fee_e5: Some(fee_e5),
                ..SideView::default()
            })
        };
        let mut off = difference(DifferenceKind::FeeOffTheRate);
        (off.there, off.here) = (side(there), side(here));
        off.amount_fen()
    };
    for (there, here, fen) in [
        (5_000, 5_000, 0),
        (5_001, 5_000, 1),
        (6_000, 5_000, 1),
        (5_000, 6_000, 1),
        (6_001, 5_000, 2),
    ] {
        assert_eq!(apart(there, here), Some(fen), "{there} {here}");
    }
}

#[test]
fn a_difference_of_a_movement_or_of_a_fund_bill_belongs_to_the_fund_side() {
    let side = |kind, bill| {
        let mut found = difference(kind);
        found.about.bill = bill;
        found.side()
    };
    let (movement, sum) = (
        DifferenceKind::FundFlowWithoutTrade,
        DifferenceKind::SummaryDiffers,
    );
    assert_eq!(side(movement, None), RunSide::Funds);
    assert_eq!(side(sum, Some(BillName::FundBasic)), RunSide::Funds);
    assert_eq!(side(sum, Some(BillName::Trade)), RunSide::Trades);
    assert_eq!(side(sum, None), RunSide::Trades);
}
