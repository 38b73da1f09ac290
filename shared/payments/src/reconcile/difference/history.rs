//! What the steps of a difference say: who is behind it, and what was decided.

use super::{
    Difference,
    found_again::OTHER_AMOUNTS,
    state::{Actor, Decision, DifferenceState},
};

impl Difference {
    /// Whether this decision was already made on that version: a repeat after a lost answer, or a
    /// concurrent duplicate.
    pub fn has_taken(&self, decision: Decision, version: u64, person: &str, why: &str) -> bool {
        // The step that made the next version: the first one made version 1.
        let step = usize::try_from(version).map(|at| self.history.get(at));
        let Ok(Some(step)) = step else {
            return false;
        };
        let is_it = match step.decision {
            Some(taken) => taken == decision,
            None => decision.leads_to(step.to),
        };
        is_it && step.who == Actor::Person(person.to_owned()) && step.why == why.trim()
    }

    /// Who made the last decision (one person or two) and why; for the order's journal.
    pub fn decided_by(&self) -> (String, String) {
        let decided = self.history.iter().rev().take_while(|step| {
            matches!(
                step.to,
                DifferenceState::Proposed | DifferenceState::Approved
            )
        });
        let mut persons: Vec<(&str, &str)> = decided
            .filter_map(|step| match &step.who {
                Actor::Person(name) => Some((name.as_str(), step.why.as_str())),
                Actor::Run(_) => None,
            })
            .collect();
        persons.reverse();
        let (who, why): (Vec<&str>, Vec<&str>) = persons.into_iter().unzip();
        (who.join(" and "), why.join("; "))
    }

    /// The persons who approved the present proposal, in order.
    pub fn behind_the_proposal(&self) -> Vec<&str> {
        let mut persons: Vec<&str> = self
            .history
            .iter()
            .rev()
            .take_while(|step| step.to == DifferenceState::Proposed)
            .filter_map(|step| match &step.who {
                Actor::Person(name) => Some(name.as_str()),
                Actor::Run(_) => None,
            })
            .collect();
        persons.reverse();
        persons
    }

    /// The difference as it was read. Earlier versions did not store that a person rejected its
    /// refund: the history says so.
    #[must_use]
    pub fn with_mark_of_history(self) -> Self {
        Self {
            refund_rejected: self.refund_rejected || self.history_rejects_the_refund(),
            ..self
        }
    }

    /// Whether a person rejected the refund that was proposed last, and no person has reopened the
    /// question since. A proposal of a person that has no decision stored may be one of something
    /// else, and does not count.
    pub(super) fn history_rejects_the_refund(&self) -> bool {
        let (mut is_rejected, mut is_for_refund) = (false, false);
        let mut before = DifferenceState::Open;
        for step in &self.history {
            match (&step.who, step.decision) {
                (Actor::Run(_), _) => match step.to {
                    DifferenceState::Proposed => {
                        is_for_refund = is_for_refund || before != DifferenceState::Proposed;
                    }
                    DifferenceState::Open => {
                        let is_noted = before == DifferenceState::Open && step.why != OTHER_AMOUNTS;
                        is_rejected = is_rejected && is_noted;
                    }
                    DifferenceState::OnItsWay => is_rejected = false,
                    DifferenceState::Approved
                    | DifferenceState::Repaired
                    | DifferenceState::Rejected
                    | DifferenceState::Explained => {}
                },
                (Actor::Person(_), Some(Decision::Propose)) => {
                    (is_rejected, is_for_refund) = (false, true);
                }
                (Actor::Person(_), Some(Decision::Reopen)) => is_rejected = false,
                (Actor::Person(_), Some(Decision::Approve)) => {}
                (Actor::Person(_), Some(Decision::Reject)) => {
                    is_rejected = is_rejected || is_for_refund;
                }
                (
                    Actor::Person(_),
                    Some(
                        Decision::ProposePaid
                        | Decision::Explain
                        | Decision::Retry
                        | Decision::Release
                        | Decision::Redirect
                        | Decision::PayerPaid,
                    ),
                ) => is_for_refund = false,
                (Actor::Person(_), None) => match (before, step.to) {
                    (
                        DifferenceState::Proposed,
                        DifferenceState::Open | DifferenceState::Rejected,
                    ) => is_rejected = is_rejected || is_for_refund,
                    // An approval, of which there are more than one.
                    (DifferenceState::Proposed, DifferenceState::Proposed) => {}
                    (_, DifferenceState::Proposed) => (is_rejected, is_for_refund) = (false, false),
                    (_, DifferenceState::Open) => is_rejected = false,
                    (
                        _,
                        DifferenceState::Approved
                        | DifferenceState::OnItsWay
                        | DifferenceState::Repaired
                        | DifferenceState::Rejected
                        | DifferenceState::Explained,
                    ) => {}
                },
            }
            before = step.to;
        }
        is_rejected
    }
}
