//! The changes of a difference by runs, and by the refund that it waits for.

use wechatpay::UnixSeconds;

use super::{
    Difference,
    kind::PaymentOrRefund,
    state::{Actor, ApprovedAction, DifferenceState, NoticeStep, RefundStage, TrackedRefund},
};
use crate::model::parked::{payment_notice_id, refund_notice_id};

impl Difference {
    /// The difference after a check of its refund; `None` if nothing is new, or the refund is no
    /// longer waited for.
    ///
    /// It is repaired when the money has arrived, and open again when the refund makes no progress.
    /// Only the refund's stored state counts here, so this may be called any number of times. That
    /// it was redirected to the merchant's own account is known here only where an earlier version
    /// did that, or where it was done in WeChat Pay's console: until it is abnormal again, or
    /// WeChat Pay says that the payer has the money.
    #[must_use]
    pub fn with_refund(&self, refund: &TrackedRefund, run: &str, at: UnixSeconds) -> Option<Self> {
        match self.state {
            DifferenceState::Open | DifferenceState::Approved | DifferenceState::OnItsWay => {}
            DifferenceState::Proposed
            | DifferenceState::Repaired
            | DifferenceState::Rejected
            | DifferenceState::Explained => return None,
        }
        let is_still_to_merchant = || match refund.stage {
            RefundStage::Abnormal => false,
            RefundStage::Moving
            | RefundStage::Succeeded
            | RefundStage::Refused
            | RefundStage::Closed
            | RefundStage::Released => {
                let known = self.refund.as_ref();
                !refund.payer_has_it
                    && known.is_some_and(|known| {
                        known.refund_no == refund.refund_no && known.to_merchant
                    })
            }
        };
        let to_merchant = refund.to_merchant || is_still_to_merchant();
        let refund = TrackedRefund {
            to_merchant,
            ..refund.clone()
        };
        let to = match refund.stage {
            RefundStage::Moving => DifferenceState::OnItsWay,
            RefundStage::Succeeded if !to_merchant => DifferenceState::Repaired,
            RefundStage::Succeeded
            | RefundStage::Abnormal
            | RefundStage::Refused
            | RefundStage::Closed
            | RefundStage::Released => DifferenceState::Open,
        };
        if to == self.state && self.refund.as_ref() == Some(&refund) {
            return None;
        }
        let stepped = self.stepping(Actor::Run(run.to_owned()), to, &refund.meaning(), at);
        Some(Self {
            refund: Some(refund),
            wanted: ApprovedAction::Refund,
            refund_rejected: false,
            ..stepped
        })
    }

    /// The difference when our books no longer have the refund that it waits for, as after a
    /// restore of the table: its result would never arrive, so operators must start again.
    #[must_use]
    pub fn without_its_refund(&self, refund: &TrackedRefund, run: &str, at: UnixSeconds) -> Self {
        let why = format!(
            "our books have refund {} no more: check in WeChat Pay's console whether the money went back, then decide again",
            refund.refund_no
        );
        Self {
            refund: None,
            ..self.reopened(run, &why, at)
        }
    }

    /// Whether its refund must be checked regularly.
    pub fn is_tracked(&self) -> bool {
        let can_change = self
            .refund
            .as_ref()
            .is_some_and(|refund| refund.stage.can_change());
        match self.state {
            DifferenceState::OnItsWay | DifferenceState::Open => can_change,
            DifferenceState::Proposed
            | DifferenceState::Approved
            | DifferenceState::Repaired
            | DifferenceState::Rejected
            | DifferenceState::Explained => false,
        }
    }

    /// Whether it waits for something that bills do not show, such as a refund. Agreement of the
    /// bills does not end it.
    pub fn is_under_way(&self) -> bool {
        match self.state {
            DifferenceState::Approved | DifferenceState::OnItsWay => true,
            DifferenceState::Open | DifferenceState::Proposed => self.refund.is_some(),
            DifferenceState::Repaired | DifferenceState::Rejected | DifferenceState::Explained => {
                false
            }
        }
    }

    /// The parked record of its payment, if that was parked.
    pub fn notice_id(&self) -> Option<String> {
        match self.kind.parked_as()? {
            PaymentOrRefund::Payment => self.about.transaction_id.as_deref().map(payment_notice_id),
            PaymentOrRefund::Refund => self.about.refund_id.as_deref().map(refund_notice_id),
        }
    }

    /// The effect of the last step on that record; `None` if it does not change who must act.
    pub fn notice_step(&self) -> Option<NoticeStep<'_>> {
        let last = self.history.last()?;
        let before = self.history.iter().rev().nth(1)?;
        if before.to.needs_operator() == last.to.needs_operator() {
            return None;
        }
        if last.to.needs_operator() {
            return Some(NoticeStep::Waits);
        }
        let (Actor::Run(who) | Actor::Person(who)) = &last.who;
        Some(NoticeStep::Decided {
            who,
            why: &last.why,
        })
    }
    /// The difference after a run made both sides agree, or found that they agree.
    #[must_use]
    pub fn repaired(&self, run: &str, why: &str, at: UnixSeconds) -> Self {
        self.stepping(
            Actor::Run(run.to_owned()),
            DifferenceState::Repaired,
            why,
            at,
        )
    }

    /// Whether its refund was sent to the merchant's own account, and WeChat Pay says that the
    /// payer has the money.
    pub fn payer_has_it(&self) -> bool {
        let refund = self.refund.as_ref();
        refund.is_some_and(|refund| refund.to_merchant && refund.payer_has_it)
    }

    /// The difference after the order's journal records that the payer was paid by other means, or
    /// what was found of a payer who has the money: the persons who decided that have explained it.
    #[must_use]
    pub fn payer_paid(&self, run: &str, at: UnixSeconds) -> Self {
        let (who, how) = self.decided_by();
        let why = if self.payer_has_it() {
            format!("WeChat Pay says that the payer has the money, and {who} looked it up: {how}")
        } else {
            format!("the payer was paid by other means, says {who}: {how}")
        };
        let explained = self.stepping(
            Actor::Run(run.to_owned()),
            DifferenceState::Explained,
            &why,
            at,
        );
        Self {
            wanted: ApprovedAction::Refund,
            ..explained
        }
    }

    /// The difference with a refund proposed by a run.
    #[must_use]
    pub fn proposed(&self, run: &str, why: &str, at: UnixSeconds) -> Self {
        let proposed = self.stepping(
            Actor::Run(run.to_owned()),
            DifferenceState::Proposed,
            why,
            at,
        );
        Self {
            wanted: ApprovedAction::Refund,
            ..proposed
        }
    }

    /// The difference after an approved action failed, or after a run found a repaired difference
    /// again: it waits for a decision again, and earlier approvals no longer count.
    #[must_use]
    pub fn reopened(&self, run: &str, why: &str, at: UnixSeconds) -> Self {
        let open = self.stepping(Actor::Run(run.to_owned()), DifferenceState::Open, why, at);
        Self {
            wanted: ApprovedAction::Refund,
            refund_rejected: false,
            ..open
        }
    }

    /// The difference with a note about a failed attempt of a run. The state does not change.
    #[must_use]
    pub fn noted(&self, run: &str, why: &str, at: UnixSeconds) -> Self {
        self.stepping(Actor::Run(run.to_owned()), self.state, why, at)
    }
}
