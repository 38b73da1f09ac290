use super::*;

#[test]
fn a_refund_that_was_rejected_before_that_was_stored_is_known_by_the_history() {
    let large = Difference {
        there: of_fen(Some(1_000_000), None).there,
        ..difference(DifferenceKind::DuplicatePayment)
    };
    for open in [large, difference(DifferenceKind::DuplicatePayment)] {
        let proposed = open.proposed("run-1", "twice", NOW);
        let rejected = decide(&proposed, Decision::Reject, "li").unwrap();
        let noted = rejected.noted("run-2", "looked at it", NOW);
        // The first versions stored no decision either.
        for stores_decisions in [true, false] {
            let stored = |one: &Difference| {
                let mut one = one.clone();
                one.refund_rejected = false;
                if !stores_decisions {
                    one.history.iter_mut().for_each(|step| step.decision = None);
                }
                one.with_mark_of_history().refund_rejected
            };
            assert!(stored(&rejected) && stored(&noted));
            assert!(!stored(&open) && !stored(&proposed));
            let again = decide(&rejected, Decision::Propose, "wang").unwrap();
            assert!(!stored(&again), "a person wants it after all");
        }
    }
}

#[test]
fn the_history_says_of_a_rejected_refund_what_is_stored_whatever_was_decided() {
    let shop = ClientId::new("shop");
    let next = |one: &Difference| {
        let deciding = DecisionContext {
            client: Some(&shop),
            ..DecisionContext::default()
        };
        let decisions = [
            Decision::Propose,
            Decision::ProposePaid,
            Decision::Approve,
            Decision::Reject,
            Decision::Explain,
            Decision::Reopen,
        ];
        let by = |who| {
            let decided = decisions.iter().map(move |decision| (who, *decision));
            decided.filter_map(|(who, decision)| {
                one.decided_by_rules(decision, &deciding, who, "so", NOW)
                    .ok()
            })
        };
        let mut next: Vec<Difference> = by("li").chain(by("wang")).collect();
        next.push(one.noted("run", "looked at it", NOW));
        if one.state == DifferenceState::Open {
            next.push(one.with_other_amounts(one, "run", NOW));
            next.push(one.repaired("run", "agrees", NOW));
            if !one.refund_rejected {
                next.push(one.proposed("run", "to be given back", NOW));
            }
        }
        if one.state == DifferenceState::Repaired || one.state == DifferenceState::Approved {
            next.push(one.reopened("run", "found again", NOW));
        }
        next
    };
    for amount_fen in [1, 1_000_000] {
        let mut all = vec![Difference {
            there: of_fen(Some(amount_fen), None).there,
            ..difference(DifferenceKind::UnknownOrderThere)
        }];
        for _ in 0..5 {
            all = all.iter().flat_map(&next).collect();
            for one in &all {
                let derived = one.history_rejects_the_refund();
                assert_eq!(derived, one.refund_rejected, "{:?}", one.history);
            }
        }
        assert!(all.iter().any(|one| one.refund_rejected));
    }
}

#[test]
fn a_difference_that_an_earlier_version_wrote_is_read() {
    let approved = approved(DifferenceKind::DuplicatePayment);
    let mut stored = serde_json::to_value(&approved).unwrap();
    let members = stored.as_object_mut().unwrap();
    assert!(!members.contains_key("wanted") && !members.contains_key("refund"));
    members.insert("state".to_owned(), "repaired".into());
    for step in members["history"].as_array_mut().unwrap() {
        step.as_object_mut().unwrap().remove("decision");
    }
    let read: Difference = serde_json::from_value(stored).unwrap();
    assert_eq!(
        (read.state, &read.wanted),
        (DifferenceState::Repaired, &ApprovedAction::Refund)
    );
    assert_eq!(read.refund, None);
    assert!(read.has_taken(Decision::Approve, 2, "wang", "looked at it"));
    assert!(!read.has_taken(Decision::Explain, 2, "wang", "looked at it"));
}

#[test]
fn a_decision_that_was_taken_is_known_again_whatever_came_after_it() {
    let seen =
        difference(DifferenceKind::DuplicatePayment).proposed("run-1", "to be given back", NOW);
    let first = seen
        .decided(Decision::Approve, "li", " looked at it ", NOW)
        .unwrap();
    let second = first
        .decided(Decision::Approve, "wang", "so did I", NOW)
        .unwrap();
    for stands in [&first, &second, &second.repaired("run-2", "done", NOW)] {
        let taken =
            |decision, version, person, why| stands.has_taken(decision, version, person, why);
        let version = seen.version;
        assert!(taken(Decision::Approve, version, "li", "looked at it"));
        assert!(!taken(Decision::Approve, version, "wang", "looked at it"));
        assert!(!taken(Decision::Approve, version, "li", "changed my mind"));
        assert!(!taken(Decision::Reject, version, "li", "looked at it"));
        assert!(!taken(Decision::Approve, version - 1, "li", "looked at it"));
    }
    assert!(!seen.has_taken(Decision::Approve, seen.version, "li", "looked at it"));
}
