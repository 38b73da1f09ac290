//! Decisions about a difference, and who may make them.

use wechatpay::UnixSeconds;

use super::{
    Difference,
    kind::{DifferenceKind, PaymentOrRefund, RefundableMoney, Remedy},
    state::{Actor, ApprovedAction, Decision, DifferenceState, RefundStage, TrackedRefund},
};
use crate::model::ids::{ClientId, RefundNo};

/// The amount up to which one person alone may explain a difference. Above it, or if a difference
/// has no amount or is aggregated, two different persons must.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SoloExplainLimit {
    /// The largest amount for one person, in fen.
    pub max_fen: i64,
}

impl Default for SoloExplainLimit {
    /// 1,000 yuan.
    fn default() -> Self {
        Self { max_fen: 100_000 }
    }
}

/// The context of a decision, besides the difference.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DecisionContext<'a> {
    /// The client of the order to be restored.
    pub client: Option<&'a ClientId>,
    /// Who may explain alone.
    pub explain_alone: SoloExplainLimit,
}

/// Why a decision is rejected.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecisionRejected {
    /// The decision is not possible in the difference's state.
    #[error("a difference that is {} cannot be decided about like this: load the page again", .state.name())]
    WrongState { state: DifferenceState },
    /// This kind has no money to refund.
    #[error("no money can be given back for this kind of difference: explain it instead")]
    NothingToRefund,
    /// A refund of the money exists: only decisions about that refund are possible.
    #[error("refund {refund_no} of this money is {}: decide about that refund, or explain", .stage.name())]
    RefundIsThere {
        refund_no: RefundNo,
        /// How far it is.
        stage: RefundStage,
    },
    /// It cannot be an order of ours whose record was lost, or the order exists by now.
    #[error("only an order that our books do not have can be restored as paid")]
    NothingToRestore,
    /// No client is given for the order.
    #[error("say whose order it is: the id that its client is registered under")]
    NoClient,
    /// Another action is proposed.
    #[error("something else is proposed: reject that first, then explain")]
    RejectFirst,
    /// The payer's money is with the merchant.
    #[error(
        "the refund went to the merchant's own account: pay the payer, then say how (`payer_paid`, the button `The payer was paid`)"
    )]
    PayerOwed,
    /// WeChat Pay says that the payer has the money that was sent to the merchant.
    #[error(
        "WeChat Pay says that the payer has the refund's money: do not pay the payer. Look the refund up in WeChat Pay's console, then say what you found with `payer_paid`"
    )]
    PayerHasIt,
    /// No payer's money is with the merchant.
    #[error("no payer is owed here: no refund went to the merchant's own account")]
    NothingOwed,
    /// The refund's state does not allow this decision.
    #[error("this can be decided only of a refund that is {needs}")]
    WrongStage {
        /// The required state.
        needs: &'static str,
    },
    /// The same person has already approved the proposal.
    #[error("you stand behind this proposal already: a second, different person has to approve it")]
    SamePerson,
    /// The reason is missing or too long.
    #[error("say why, in 1 to 500 characters")]
    NoReason,
}

/// How many persons must approve a proposal before it is executed.
pub const PERSONS: usize = 2;

/// The longest reason, in characters.
pub const REASON_MAX: usize = 500;

impl Difference {
    /// The difference after a decision, under the default limits.
    ///
    /// # Errors
    /// [`DecisionRejected`] if the decision is not allowed.
    pub fn decided(
        &self,
        decision: Decision,
        person: &str,
        why: &str,
        at: UnixSeconds,
    ) -> Result<Self, DecisionRejected> {
        self.decided_by_rules(decision, &DecisionContext::default(), person, why, at)
    }

    /// The difference after a decision.
    ///
    /// # Errors
    /// [`DecisionRejected`] if the decision is not allowed.
    pub fn decided_by_rules(
        &self,
        decision: Decision,
        deciding: &DecisionContext<'_>,
        person: &str,
        why: &str,
        at: UnixSeconds,
    ) -> Result<Self, DecisionRejected> {
        let why = why.trim();
        if why.is_empty() || why.chars().count() > REASON_MAX {
            return Err(DecisionRejected::NoReason);
        }
        let (to, wanted) = match decision {
            Decision::Propose => (self.proposing()?, ApprovedAction::Refund),
            Decision::ProposePaid => (DifferenceState::Proposed, self.restoring(deciding.client)?),
            Decision::Approve => self.approving(person)?,
            Decision::Reject => (
                self.rejecting(deciding.explain_alone)?,
                ApprovedAction::Refund,
            ),
            Decision::Explain => self.explaining(deciding.explain_alone)?,
            Decision::Retry => (
                DifferenceState::Approved,
                self.sending_on(ApprovedAction::Retry)?,
            ),
            Decision::Release => (
                DifferenceState::Proposed,
                self.sending_on(ApprovedAction::Release)?,
            ),
            Decision::Redirect => (
                DifferenceState::Proposed,
                self.sending_on(ApprovedAction::Redirect)?,
            ),
            Decision::PayerPaid => self.paying_the_payer(deciding.explain_alone)?,
            Decision::Reopen => match self.state {
                DifferenceState::Explained => (DifferenceState::Open, ApprovedAction::Refund),
                DifferenceState::Open
                | DifferenceState::Proposed
                | DifferenceState::Approved
                | DifferenceState::OnItsWay
                | DifferenceState::Repaired
                | DifferenceState::Rejected => return Err(self.wrong_state()),
            },
        };
        let who = Actor::Person(person.to_owned());
        let mut decided = self.stepping(who, to, why, at);
        if let Some(step) = decided.history.last_mut() {
            step.decision = Some(decision);
        }
        let refund_rejected = match (decision, &self.wanted) {
            (Decision::Propose | Decision::Reopen, _) => false,
            (Decision::Reject, ApprovedAction::Refund) => true,
            // Whether the order is taken on says nothing about the refund.
            (
                Decision::ProposePaid
                | Decision::Approve
                | Decision::Reject
                | Decision::Explain
                | Decision::Retry
                | Decision::Release
                | Decision::Redirect
                | Decision::PayerPaid,
                _,
            ) => self.refund_rejected,
        };
        Ok(Self {
            wanted,
            refund_rejected,
            ..decided
        })
    }

    fn wrong_state(&self) -> DecisionRejected {
        DecisionRejected::WrongState { state: self.state }
    }

    /// Whether something may be proposed in the present state.
    fn can_be_proposed(&self) -> Result<(), DecisionRejected> {
        match self.state {
            DifferenceState::Open | DifferenceState::Rejected => Ok(()),
            DifferenceState::Proposed
            | DifferenceState::Approved
            | DifferenceState::OnItsWay
            | DifferenceState::Repaired
            | DifferenceState::Explained => Err(self.wrong_state()),
        }
    }

    fn proposing(&self) -> Result<DifferenceState, DecisionRejected> {
        self.can_be_proposed()?;
        match self.remedy() {
            Remedy::Refund(RefundableMoney::SecondPayment | RefundableMoney::Unattributed) => {}
            Remedy::Settle(PaymentOrRefund::Payment | PaymentOrRefund::Refund)
            | Remedy::Operator => {
                return Err(DecisionRejected::NothingToRefund);
            }
        }
        match &self.refund {
            None => Ok(DifferenceState::Proposed),
            // It failed for good: another one may be made.
            Some(refund) if refund.stage == RefundStage::Closed => Ok(DifferenceState::Proposed),
            Some(refund) => Err(DecisionRejected::RefundIsThere {
                refund_no: refund.refund_no.clone(),
                stage: refund.stage,
            }),
        }
    }

    fn restoring(&self, client: Option<&ClientId>) -> Result<ApprovedAction, DecisionRejected> {
        self.can_be_proposed()?;
        let is_one = self.aggregate.is_none() && self.kind == DifferenceKind::UnknownOrderThere;
        if !is_one || self.refund.is_some() {
            return Err(DecisionRejected::NothingToRestore);
        }
        let client_id = client.ok_or(DecisionRejected::NoClient)?.clone();
        Ok(ApprovedAction::RestoreOrder { client_id })
    }

    fn approving(
        &self,
        person: &str,
    ) -> Result<(DifferenceState, ApprovedAction), DecisionRejected> {
        if self.state != DifferenceState::Proposed {
            return Err(self.wrong_state());
        }
        let mut behind = self.behind_the_proposal();
        // An earlier version stored an address as spelled in its token.
        if behind.iter().any(|one| one.eq_ignore_ascii_case(person)) {
            return Err(DecisionRejected::SamePerson);
        }
        behind.push(person);
        Ok(if behind.len() < PERSONS {
            (DifferenceState::Proposed, self.wanted.clone())
        } else if self.wanted == ApprovedAction::Explain {
            // There is nothing to execute.
            (DifferenceState::Explained, ApprovedAction::Refund)
        } else {
            (DifferenceState::Approved, self.wanted.clone())
        })
    }

    /// The state after a rejected proposal. A rejected refund up to the solo limit is final
    /// (`rejected`). Everything else is `open` again.
    fn rejecting(
        &self,
        explain_alone: SoloExplainLimit,
    ) -> Result<DifferenceState, DecisionRejected> {
        if self.state != DifferenceState::Proposed {
            return Err(self.wrong_state());
        }
        let mut steps = self.history.iter().rev().map(|step| step.to);
        let before = steps.find(|to| *to != DifferenceState::Proposed);
        Ok(match &self.wanted {
            ApprovedAction::Refund | ApprovedAction::RestoreOrder { .. }
                if self.is_for_one_person(explain_alone) =>
            {
                DifferenceState::Rejected
            }
            ApprovedAction::Explain if before == Some(DifferenceState::Rejected) => {
                DifferenceState::Rejected
            }
            ApprovedAction::Refund
            | ApprovedAction::RestoreOrder { .. }
            | ApprovedAction::Explain
            | ApprovedAction::Retry
            | ApprovedAction::Release
            | ApprovedAction::Redirect
            | ApprovedAction::PayerPaid => DifferenceState::Open,
        })
    }

    /// Whether one person alone may explain it.
    fn is_for_one_person(&self, explain_alone: SoloExplainLimit) -> bool {
        self.amount_fen()
            .is_some_and(|fen| fen <= explain_alone.max_fen)
    }

    fn explaining(
        &self,
        explain_alone: SoloExplainLimit,
    ) -> Result<(DifferenceState, ApprovedAction), DecisionRejected> {
        let is_owed = self
            .refund
            .as_ref()
            .is_some_and(TrackedRefund::needs_payer_statement);
        let is_for_one = self.is_for_one_person(explain_alone);
        match self.state {
            DifferenceState::Open | DifferenceState::Rejected if is_owed => {
                Err(if self.payer_has_it() {
                    DecisionRejected::PayerHasIt
                } else {
                    DecisionRejected::PayerOwed
                })
            }
            DifferenceState::Proposed if is_owed => Err(DecisionRejected::RejectFirst),
            DifferenceState::Open | DifferenceState::Proposed | DifferenceState::Rejected
                if is_for_one =>
            {
                Ok((DifferenceState::Explained, ApprovedAction::Refund))
            }
            DifferenceState::Open | DifferenceState::Rejected => {
                Ok((DifferenceState::Proposed, ApprovedAction::Explain))
            }
            DifferenceState::Proposed => Err(DecisionRejected::RejectFirst),
            DifferenceState::Approved
            | DifferenceState::OnItsWay
            | DifferenceState::Repaired
            | DifferenceState::Explained => Err(self.wrong_state()),
        }
    }

    fn paying_the_payer(
        &self,
        explain_alone: SoloExplainLimit,
    ) -> Result<(DifferenceState, ApprovedAction), DecisionRejected> {
        if self.state != DifferenceState::Open {
            return Err(self.wrong_state());
        }
        if !self
            .refund
            .as_ref()
            .is_some_and(TrackedRefund::needs_payer_statement)
        {
            return Err(DecisionRejected::NothingOwed);
        }
        Ok(if self.is_for_one_person(explain_alone) {
            (DifferenceState::Approved, ApprovedAction::PayerPaid)
        } else {
            (DifferenceState::Proposed, ApprovedAction::PayerPaid)
        })
    }

    /// A refund without progress is redirected. One person may retry: two approved it before, and
    /// the recipient is the same.
    fn sending_on(&self, wanted: ApprovedAction) -> Result<ApprovedAction, DecisionRejected> {
        if self.state != DifferenceState::Open {
            return Err(self.wrong_state());
        }
        let needs = match &wanted {
            ApprovedAction::Redirect => RefundStage::Abnormal,
            ApprovedAction::Retry
            | ApprovedAction::Release
            | ApprovedAction::Refund
            | ApprovedAction::RestoreOrder { .. }
            | ApprovedAction::PayerPaid
            | ApprovedAction::Explain => RefundStage::Refused,
        };
        match &self.refund {
            Some(refund) if refund.stage == needs => Ok(wanted),
            Some(_) | None => Err(DecisionRejected::WrongStage {
                needs: needs.name(),
            }),
        }
    }
}
