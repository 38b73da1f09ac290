//! The texts about a difference: its state, who acts next, and the labels of its buttons.

use payments::{
    model::decision::{Destination, OperatorDecision, RefundDecision},
    reconcile::difference::{
        Actor, ApprovedAction, Decision, Difference, DifferenceState, PERSONS, RefundStage, Remedy,
        TrackedRefund,
    },
};

use super::Tone;

/// A state's name on its chip, and its colour.
pub(crate) const fn state(state: DifferenceState) -> (&'static str, Tone) {
    match state {
        DifferenceState::Open => ("Open", Tone::Bad),
        DifferenceState::Proposed => ("Refund proposed", Tone::Wait),
        DifferenceState::Approved => ("Refund approved", Tone::Wait),
        DifferenceState::OnItsWay => ("Refund on its way", Tone::Wait),
        DifferenceState::Repaired => ("Repaired", Tone::Good),
        DifferenceState::Rejected => ("Rejected", Tone::Quiet),
        DifferenceState::Explained => ("Explained", Tone::Good),
    }
}

/// As [`state`], for several differences, whatever is proposed about each.
pub(crate) const fn state_of_several(of: DifferenceState) -> (&'static str, Tone) {
    match of {
        DifferenceState::Proposed => ("Proposed", Tone::Wait),
        DifferenceState::Approved => ("Approved", Tone::Wait),
        DifferenceState::OnItsWay => ("On its way", Tone::Wait),
        DifferenceState::Open
        | DifferenceState::Repaired
        | DifferenceState::Rejected
        | DifferenceState::Explained => state(of),
    }
}

/// The state of one difference, including what is proposed.
pub(crate) fn stands(difference: &Difference) -> (&'static str, Tone) {
    match (difference.state, &difference.wanted) {
        (DifferenceState::Proposed, ApprovedAction::RestoreOrder { .. }) => {
            ("Restoring proposed", Tone::Wait)
        }
        (DifferenceState::Approved, ApprovedAction::RestoreOrder { .. }) => {
            ("Restoring approved", Tone::Wait)
        }
        (DifferenceState::Approved, ApprovedAction::Retry) => ("Refund tried again", Tone::Wait),
        (DifferenceState::Approved, ApprovedAction::Release) => ("Refund given up", Tone::Wait),
        (DifferenceState::Approved, ApprovedAction::Redirect) => ("Refund redirected", Tone::Wait),
        (DifferenceState::Approved, ApprovedAction::PayerPaid) if difference.payer_has_it() => {
            ("Checked", Tone::Wait)
        }
        (DifferenceState::Approved, ApprovedAction::PayerPaid) => ("Payer paid", Tone::Wait),
        (DifferenceState::Proposed, ApprovedAction::Release) => ("Giving up proposed", Tone::Wait),
        (DifferenceState::Proposed, ApprovedAction::Redirect) => {
            ("Redirecting proposed", Tone::Wait)
        }
        (DifferenceState::Proposed, ApprovedAction::PayerPaid) if difference.payer_has_it() => {
            ("Checked, to be approved", Tone::Wait)
        }
        (DifferenceState::Proposed, ApprovedAction::PayerPaid) => {
            ("Payer paid, to be approved", Tone::Wait)
        }
        (DifferenceState::Proposed, ApprovedAction::Explain) => {
            ("Explanation proposed", Tone::Wait)
        }
        (of, _) => state(of),
    }
}

/// The action that is carried out once it is approved.
pub(crate) fn wanted(difference: &Difference) -> String {
    match &difference.wanted {
        ApprovedAction::Refund => "The money goes back to the payer".to_owned(),
        ApprovedAction::RestoreOrder { client_id } => format!(
            "The order is restored as paid, for client {}",
            client_id.as_str()
        ),
        ApprovedAction::Retry => "The refund is sent once more, under its number".to_owned(),
        ApprovedAction::Release => "The refund is given up and its money released".to_owned(),
        ApprovedAction::Redirect => "The money goes to the merchant’s own account".to_owned(),
        ApprovedAction::PayerPaid if difference.payer_has_it() => {
            "WeChat Pay says that the payer has the money; what was found closes the difference"
                .to_owned()
        }
        ApprovedAction::PayerPaid => {
            "The payer was paid by other means, so nothing is owed".to_owned()
        }
        ApprovedAction::Explain => "The difference is correct as it is, and is closed".to_owned(),
    }
}

/// The state of the refund that a difference waits for.
pub(crate) const fn stage(refund: &TrackedRefund) -> &'static str {
    match refund.stage {
        RefundStage::Moving => "on its way",
        RefundStage::Succeeded if refund.to_merchant && refund.payer_has_it => {
            "sent to the merchant’s own account; WeChat Pay says that the payer has it"
        }
        RefundStage::Succeeded if refund.to_merchant => "on the merchant’s own account",
        RefundStage::Succeeded => "arrived",
        RefundStage::Abnormal => "abnormal: the payer’s account does not accept it",
        RefundStage::Refused => "refused by WeChat Pay",
        RefundStage::Closed => "failed for good",
        RefundStage::Released => "released by a person",
    }
}

/// What a decision's button says.
pub(crate) fn button(decision: Decision, difference: &Difference) -> &'static str {
    match decision {
        Decision::Propose => "Propose the refund",
        Decision::ProposePaid => "Propose to restore it as paid",
        Decision::Approve => "Approve",
        Decision::Reject => "Reject",
        Decision::Retry => "Try the refund again",
        Decision::Release => "Release the refund",
        Decision::Redirect => "Send it to the merchant’s account",
        Decision::PayerPaid if difference.payer_has_it() => "Say what was found, and close",
        Decision::PayerPaid => "The payer was paid",
        Decision::Explain => "Explain and close",
        Decision::Reopen => "Open it again",
    }
}

/// A person's proposal; `None` for a refund, which is shown like a run's proposal.
pub(crate) const fn proposed(decision: Decision) -> Option<&'static str> {
    match decision {
        Decision::ProposePaid => Some("Restoring proposed"),
        Decision::Redirect => Some("Redirecting proposed"),
        Decision::Release => Some("Giving up proposed"),
        Decision::PayerPaid => Some("Payer said to be paid"),
        Decision::Explain => Some("Explanation proposed"),
        Decision::Propose
        | Decision::Approve
        | Decision::Reject
        | Decision::Retry
        | Decision::Reopen => None,
    }
}

/// The text about a decision that one person made alone.
pub(crate) const fn decided_alone(decision: Option<Decision>) -> &'static str {
    match decision {
        Some(Decision::Retry) => "Refund tried again",
        Some(Decision::PayerPaid) => "Payer said to be paid",
        Some(
            Decision::Propose
            | Decision::ProposePaid
            | Decision::Approve
            | Decision::Reject
            | Decision::Release
            | Decision::Redirect
            | Decision::Explain
            | Decision::Reopen,
        )
        | None => "Decided about the refund",
    }
}

/// A person's decision about a refund, for the order's timeline.
pub(crate) fn about_refund(decision: &OperatorDecision) -> &'static str {
    match (decision.what, decision.to) {
        (RefundDecision::Retry, _) => "tried again",
        (RefundDecision::Release, _) => "released",
        (RefundDecision::Redirect, Some(Destination::Merchant)) => {
            "sent to the merchant’s own account"
        }
        (RefundDecision::Redirect, Some(Destination::User)) => "sent to another card of the payer",
        (RefundDecision::Redirect, None) => "redirected",
        (RefundDecision::PayerPaid, _) => "the payer was paid by other means",
    }
}

/// The message after a decision; `None` once the difference is in another state than the decision
/// led to.
pub(crate) fn done(decision: Decision, difference: &Difference) -> Option<&'static str> {
    let mut steps = difference.history.iter().rev();
    let last = steps.find_map(|step| step.decision);
    let is_last = last == Some(decision);
    // Each of these led there by its own step alone.
    let leads_again = match decision {
        Decision::Release | Decision::Redirect | Decision::PayerPaid | Decision::Reopen => true,
        Decision::Propose
        | Decision::ProposePaid
        | Decision::Approve
        | Decision::Reject
        | Decision::Explain
        | Decision::Retry => false,
    };
    if leads_again && !is_last {
        return None;
    }
    let led_to = match decision {
        Decision::Propose => (
            DifferenceState::Proposed,
            "The refund is proposed. A second, different person has to approve it.",
        ),
        Decision::ProposePaid => (
            DifferenceState::Proposed,
            "It is proposed to restore the order as paid. A second, different person has to approve it.",
        ),
        Decision::Approve if difference.state == DifferenceState::Proposed => {
            // After a run's new proposal there are no approvals.
            if difference.behind_the_proposal().is_empty() {
                return None;
            }
            (
                DifferenceState::Proposed,
                "One approval is recorded. A second, different person has to approve too.",
            )
        }
        Decision::Approve if difference.state == DifferenceState::Explained => (
            DifferenceState::Explained,
            "The explanation is approved by two persons, and the difference is closed.",
        ),
        Decision::Approve => (
            DifferenceState::Approved,
            match &difference.wanted {
                ApprovedAction::Refund => "The refund is approved by two persons, and on its way.",
                ApprovedAction::RestoreOrder { .. } => {
                    "It is approved by two persons, and the order is being restored."
                }
                ApprovedAction::Redirect => {
                    "It is approved by two persons, and the money is being sent to the merchant’s own account. Pay the payer by other means once it is there."
                }
                ApprovedAction::Release => {
                    "It is approved by two persons, and the refund is given up once WeChat Pay confirms that it does not have it."
                }
                ApprovedAction::Retry | ApprovedAction::PayerPaid | ApprovedAction::Explain => {
                    "It is approved by two persons, and is being carried out."
                }
            },
        ),
        Decision::Reject
            if difference.state == DifferenceState::Open
                && is_last
                && difference.refund_rejected =>
        {
            (
                DifferenceState::Open,
                "It is rejected, and no run proposes the refund again. For this amount the difference stays open until two persons have explained it.",
            )
        }
        Decision::Reject if difference.state == DifferenceState::Open && is_last => (
            DifferenceState::Open,
            "It is rejected, and the difference is as open as before.",
        ),
        Decision::Reject => (DifferenceState::Rejected, "It is rejected. No money moves."),
        Decision::Retry => (
            DifferenceState::Approved,
            "The refund is being sent once more.",
        ),
        Decision::Release => (
            DifferenceState::Proposed,
            "It is proposed to give the refund up. A second, different person has to approve it.",
        ),
        Decision::Redirect => (
            DifferenceState::Proposed,
            "It is proposed to send the money to the merchant’s own account. A second, different person has to approve it.",
        ),
        Decision::PayerPaid
            if difference.state == DifferenceState::Proposed && difference.payer_has_it() =>
        {
            (
                DifferenceState::Proposed,
                "What was found is recorded. For this amount a second, different person has to approve it.",
            )
        }
        Decision::PayerPaid
            if difference.state == DifferenceState::Approved && difference.payer_has_it() =>
        {
            (
                DifferenceState::Approved,
                "What was found is being recorded in the order’s journal.",
            )
        }
        Decision::PayerPaid if difference.payer_has_it() => (
            DifferenceState::Explained,
            "What was found is in the order’s journal, and the difference is closed.",
        ),
        Decision::PayerPaid if difference.state == DifferenceState::Proposed => (
            DifferenceState::Proposed,
            "How the payer was paid is recorded. For this amount a second, different person has to approve it.",
        ),
        Decision::PayerPaid if difference.state == DifferenceState::Approved => (
            DifferenceState::Approved,
            "How the payer was paid is being recorded in the order’s journal.",
        ),
        Decision::PayerPaid => (
            DifferenceState::Explained,
            "How the payer was paid is in the order’s journal, and the difference is closed.",
        ),
        Decision::Explain if difference.wanted == ApprovedAction::Explain => (
            DifferenceState::Proposed,
            "The explanation is recorded. For this amount a second, different person has to approve it.",
        ),
        Decision::Explain => (
            DifferenceState::Explained,
            "The difference is explained and closed.",
        ),
        Decision::Reopen => (DifferenceState::Open, "The difference is open again."),
    };
    (led_to.0 == difference.state).then_some(led_to.1)
}

/// What a person must do about it in its present state.
pub(crate) fn what_to_do(difference: &Difference) -> &'static str {
    match (difference.state, &difference.refund) {
        (DifferenceState::Open, Some(refund)) => match refund.stage {
            RefundStage::Moving => "nothing: the refund is on its way",
            RefundStage::Abnormal => {
                "send the refund to the merchant’s own account and pay the payer by other means, or name another card of the payer in WeChat Pay’s console"
            }
            RefundStage::Refused => {
                "remove the cause of WeChat Pay’s refusal and try the refund again; or release it and pay the payer by other means"
            }
            RefundStage::Closed => "decide again about the money: the refund failed for good",
            RefundStage::Succeeded if refund.payer_has_it => {
                "do not pay the payer: WeChat Pay says that the payer has the money. Check the refund in WeChat Pay’s console, then record what you found"
            }
            RefundStage::Succeeded => {
                "make sure in WeChat Pay’s console that the merchant’s own account has the money, pay the payer by other means, then record how"
            }
            RefundStage::Released if refund.payer_has_it => {
                "explain what was found about the payer’s money"
            }
            RefundStage::Released => "explain how the payer was paid",
        },
        (DifferenceState::Open, None) if was_tried(difference) => {
            "read in its history what the run found; act on that, then explain the difference"
        }
        (DifferenceState::Open, None) if difference.refund_rejected => REJECTED,
        (DifferenceState::Open, None) => difference.what_to_do(),
        (DifferenceState::Proposed, _) => match &difference.wanted {
            ApprovedAction::RestoreOrder { .. } => {
                "make sure that the order is that client’s; approve to restore it as paid, or reject"
            }
            ApprovedAction::Refund | ApprovedAction::Retry => {
                "make sure that we must not keep the money; approve its refund, or reject it"
            }
            ApprovedAction::Redirect => {
                "make sure that the payer’s account does not accept the money; approve to send it to the merchant’s own account, or reject"
            }
            ApprovedAction::Release => {
                "make sure that the payer is paid by other means; approve to give the refund up, or reject"
            }
            ApprovedAction::PayerPaid if difference.payer_has_it() => {
                "make sure that the finding is correct; approve, or reject"
            }
            ApprovedAction::PayerPaid => {
                "make sure that the payer was paid as recorded; approve, or reject"
            }
            ApprovedAction::Explain => {
                "make sure that the explanation is correct; approve, or reject"
            }
        },
        (DifferenceState::Approved, _) => "nothing: it is being carried out",
        (DifferenceState::OnItsWay, _) => "nothing: it is repaired once the money has arrived",
        (DifferenceState::Rejected, _) => {
            "nothing if the money stays; otherwise propose again what to do with it, or explain how it was settled"
        }
        (DifferenceState::Repaired, _) => "nothing: both sides agree, or the money is back",
        (DifferenceState::Explained, _) => {
            "nothing: it is explained why it is correct as it is; open it again if that is wrong"
        }
    }
}

/// What a person must do about a difference that stays open because its amount, above the limit for
/// one person, is not to be refunded.
const REJECTED: &str = "its refund is rejected, and no run proposes it again: explain why the money stays, or propose again what to do with it";

/// Whether a run has tried to repair it and failed. It would fail again. An aggregated difference
/// is counted again by each run, and the next run may repair a part of it.
fn was_tried(difference: &Difference) -> bool {
    if difference.aggregate.is_some() {
        return false;
    }
    let mut latest = difference.history.iter().rev();
    match (latest.next(), latest.next()) {
        (Some(last), Some(before)) => {
            let by_run = matches!(last.who, Actor::Run(_));
            by_run && (before.to, last.to) == (DifferenceState::Open, DifferenceState::Open)
        }
        (_, None) | (None, _) => false,
    }
}

/// Who must act next.
pub(crate) fn next(difference: &Difference) -> String {
    match difference.state {
        DifferenceState::Open => match (&difference.refund, difference.remedy()) {
            (Some(refund), _) => of_refund(refund).to_owned(),
            (None, _) if was_tried(difference) => {
                "A person: check what the run found, then explain".to_owned()
            }
            (None, _) if difference.refund_rejected => {
                "A person: explain, or propose again what to do with it".to_owned()
            }
            (None, _) if goes_on_by_runs(difference) => "A person: run the day again".to_owned(),
            (None, Remedy::Settle(_)) => "The next run; a person if it stays open".to_owned(),
            (None, Remedy::Refund(_)) => "A person: propose the refund, or explain".to_owned(),
            (None, Remedy::Operator) => "A person: check, then explain".to_owned(),
        },
        DifferenceState::Proposed => {
            let behind = difference.behind_the_proposal();
            match behind.as_slice() {
                [] => format!("{PERSONS} persons: approve or reject"),
                [first, ..] => format!("A person other than {first}: approve or reject"),
            }
        }
        DifferenceState::Approved => match difference.wanted {
            ApprovedAction::Refund => "The system: the refund is being made".to_owned(),
            ApprovedAction::RestoreOrder { .. }
            | ApprovedAction::Retry
            | ApprovedAction::Release
            | ApprovedAction::Redirect
            | ApprovedAction::PayerPaid
            | ApprovedAction::Explain => "The system: it is being carried out".to_owned(),
        },
        DifferenceState::OnItsWay => "Nobody: the refund is on its way".to_owned(),
        DifferenceState::Rejected => "Nobody, unless it is proposed again".to_owned(),
        DifferenceState::Repaired | DifferenceState::Explained => "Nobody".to_owned(),
    }
}

/// Whether these are too many for one run, so that each run handles the next ones.
fn goes_on_by_runs(difference: &Difference) -> bool {
    difference.aggregate.is_some() && difference.kind.remedy() != Remedy::Operator
}

/// Who acts next about a stuck refund.
const fn of_refund(refund: &TrackedRefund) -> &'static str {
    match refund.stage {
        RefundStage::Moving => "Nobody: the refund is on its way",
        RefundStage::Abnormal => "A person: send the refund to the merchant’s account, or explain",
        RefundStage::Refused => "A person: try the refund again, release it, or explain",
        RefundStage::Closed => "A person: propose another refund, or explain",
        RefundStage::Succeeded if refund.payer_has_it => {
            "A person: do not pay, check the refund, then record what you found"
        }
        RefundStage::Succeeded => "A person: pay the payer, then record how",
        RefundStage::Released if refund.payer_has_it => {
            "A person: explain what was found about the payer’s money"
        }
        RefundStage::Released => "A person: explain how the payer was paid",
    }
}

#[cfg(test)]
pub(super) mod tests;
