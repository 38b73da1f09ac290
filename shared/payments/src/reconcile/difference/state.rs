//! How far a difference is: its state, what is wanted, its refund, and the steps that led there.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use wechatpay::UnixSeconds;

use crate::model::{
    ids::{ClientId, RefundNo},
    refund::{Refund, RefundState},
};

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceState {
    /// Nothing was done about it yet.
    Open,
    /// An action ([`ApprovedAction`]), mostly a refund, is proposed and waits for approval.
    Proposed,
    /// The action is approved (a refund by two persons) and is being executed.
    Approved,
    /// The refund was made, and its money has not arrived yet.
    OnItsWay,
    /// Both sides agree, or the money has arrived. Final, unless a later run finds it again.
    Repaired,
    /// A person rejected the proposal.
    Rejected,
    /// One or two persons explained why it is correct. It may be reopened.
    Explained,
}

impl DifferenceState {
    /// All states: first those that wait for a person, then those that wait for the system, then
    /// the final ones.
    pub const ALL: [Self; 7] = [
        Self::Open,
        Self::Proposed,
        Self::Approved,
        Self::OnItsWay,
        Self::Rejected,
        Self::Explained,
        Self::Repaired,
    ];

    /// The name in the API, the table and CSV.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Proposed => "proposed",
            Self::Approved => "approved",
            Self::OnItsWay => "on_its_way",
            Self::Repaired => "repaired",
            Self::Rejected => "rejected",
            Self::Explained => "explained",
        }
    }

    /// Whether something must still be done about it.
    pub const fn needs_action(self) -> bool {
        match self {
            Self::Open | Self::Proposed | Self::Approved => true,
            Self::OnItsWay | Self::Repaired | Self::Rejected | Self::Explained => false,
        }
    }

    /// Whether the next step is a person's: then the notice of its payment is listed as waiting.
    pub const fn needs_operator(self) -> bool {
        match self {
            Self::Open | Self::Proposed => true,
            Self::Approved | Self::OnItsWay | Self::Repaired | Self::Rejected | Self::Explained => {
                false
            }
        }
    }
}

/// The action that is executed once it is approved.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum ApprovedAction {
    /// The money is refunded. Records of earlier versions can only mean this.
    #[default]
    Refund,
    /// The order was ours and its record is lost: it is restored as paid.
    #[serde(rename = "take_on")]
    RestoreOrder {
        /// The client whose order it was.
        client_id: ClientId,
    },
    /// The refund that WeChat Pay refused is sent again under its number.
    Retry,
    /// The refund that WeChat Pay refused is given up, and its money released.
    Release,
    /// The refund that could not be paid out goes to the merchant's own account.
    Redirect,
    /// The refund's money is on the merchant's own account, and the payer was paid by other means.
    /// Or WeChat Pay says that the payer has it, and a person looked that up. This is recorded in
    /// the order's journal.
    PayerPaid,
    /// Nothing: the difference is correct as it is.
    Explain,
}

/// Parsed from an object only: Serde's tagged parsing would also accept an array.
impl<'de> Deserialize<'de> for ApprovedAction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum ActionName {
            Refund,
            #[serde(rename = "take_on")]
            RestoreOrder,
            Retry,
            Release,
            Redirect,
            PayerPaid,
            Explain,
        }
        #[derive(Deserialize)]
        struct Members {
            r#do: ActionName,
            client_id: Option<ClientId>,
        }
        let Members { r#do, client_id } = Members::deserialize(deserializer)?;
        Ok(match r#do {
            ActionName::Refund => Self::Refund,
            ActionName::RestoreOrder => Self::RestoreOrder {
                client_id: client_id.ok_or_else(|| D::Error::missing_field("client_id"))?,
            },
            ActionName::Retry => Self::Retry,
            ActionName::Release => Self::Release,
            ActionName::Redirect => Self::Redirect,
            ActionName::PayerPaid => Self::PayerPaid,
            ActionName::Explain => Self::Explain,
        })
    }
}

impl ApprovedAction {
    pub(super) const fn is_refund(&self) -> bool {
        match self {
            Self::Refund => true,
            Self::RestoreOrder { .. }
            | Self::Retry
            | Self::Release
            | Self::Redirect
            | Self::PayerPaid
            | Self::Explain => false,
        }
    }
}

/// The progress of a refund that a difference waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStage {
    /// In progress: reserved, accepted by WeChat Pay, or redirected after it was abnormal.
    Moving,
    /// The money has arrived at its destination.
    Succeeded,
    /// WeChat Pay could not pay it out.
    Abnormal,
    /// WeChat Pay refused it.
    Refused,
    /// It failed for good; another refund may be made.
    Closed,
    /// A person gave it up, or its money went to the merchant and the payer was paid. In both cases
    /// the payer was paid by other means.
    Released,
}

impl RefundStage {
    /// The name in the API and CSV.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Moving => "moving",
            Self::Succeeded => "succeeded",
            Self::Abnormal => "abnormal",
            Self::Refused => "refused",
            Self::Closed => "closed",
            Self::Released => "released",
        }
    }

    /// Whether it can still change.
    pub const fn can_change(self) -> bool {
        match self {
            Self::Moving | Self::Abnormal | Self::Refused => true,
            Self::Succeeded | Self::Closed | Self::Released => false,
        }
    }
}

impl From<&Refund> for RefundStage {
    fn from(refund: &Refund) -> Self {
        match &refund.state {
            RefundState::Reserved | RefundState::Processing => Self::Moving,
            RefundState::Abnormal if refund.is_redirected() => Self::Moving,
            RefundState::Abnormal => Self::Abnormal,
            RefundState::Succeeded(_)
                if refund.is_to_merchant() && !refund.needs_payer_statement() =>
            {
                Self::Released
            }
            RefundState::Succeeded(_) => Self::Succeeded,
            RefundState::Refused(_) => Self::Refused,
            RefundState::Closed if refund.decided.is_some() => Self::Released,
            RefundState::Closed => Self::Closed,
        }
    }
}

/// The refund whose money a difference waits for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct TrackedRefund {
    /// Its number under the order.
    pub refund_no: RefundNo,
    /// Its progress at the last check.
    pub stage: RefundStage,
    /// A person redirected it to the merchant's own account: its arrival there does not pay the
    /// payer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub to_merchant: bool,
    /// WeChat Pay says that the payer has its money.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub payer_has_it: bool,
}

impl TrackedRefund {
    /// A refund in its present state.
    pub fn of(refund: &Refund) -> Self {
        Self {
            refund_no: refund.refund_no.clone(),
            stage: RefundStage::from(refund),
            to_merchant: refund.is_to_merchant(),
            payer_has_it: refund.payer_has_it(),
        }
    }

    /// Whether its money is on the merchant's own account and it is not recorded how the payer was
    /// paid.
    pub fn owes_its_payer(&self) -> bool {
        self.needs_payer_statement() && !self.payer_has_it
    }

    /// Whether it was redirected to the merchant's own account and is through, and it is not
    /// recorded how the payer was paid, or that the payer has the money after all.
    pub fn needs_payer_statement(&self) -> bool {
        self.stage == RefundStage::Succeeded && self.to_merchant
    }

    /// Its meaning, for readers.
    pub(super) fn meaning(&self) -> String {
        let refund_no = &self.refund_no;
        match self.stage {
            RefundStage::Moving => format!("refund {refund_no} gives the money back"),
            RefundStage::Succeeded if self.to_merchant && self.payer_has_it => format!(
                "refund {refund_no} was sent to the merchant's own account, and WeChat Pay says that the payer has its money: do not pay the payer. Look the refund up in WeChat Pay's console, then say here what you found"
            ),
            RefundStage::Succeeded if self.to_merchant => format!(
                "refund {refund_no} was sent to the merchant's own account and is through: make sure of that in WeChat Pay's console, pay the payer by other means, then say here how"
            ),
            RefundStage::Succeeded => format!("the money of refund {refund_no} has arrived"),
            RefundStage::Abnormal => format!(
                "WeChat Pay could not pay refund {refund_no} out: the payer's account does not take it. Send it to the merchant's own account and pay the payer by other means, or name another card of the payer's in WeChat Pay's console"
            ),
            RefundStage::Refused => format!(
                "WeChat Pay does not take refund {refund_no}: mend the cause and try again, or release it and pay by other means"
            ),
            RefundStage::Closed => {
                format!("refund {refund_no} failed for good: decide again about the money")
            }
            RefundStage::Released if self.to_merchant && self.payer_has_it => format!(
                "refund {refund_no} was sent to the merchant's own account, WeChat Pay says that the payer has its money, and a person has looked it up: explain the difference with what was found"
            ),
            RefundStage::Released if self.to_merchant => format!(
                "refund {refund_no} went to the merchant's own account, and a person says that the payer was paid by other means: explain the difference with that"
            ),
            RefundStage::Released => format!(
                "a person released refund {refund_no}, so the payer was paid another way, or will be: explain the difference with that"
            ),
        }
    }
}

/// The new state of the parked record of a difference's payment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NoticeStep<'a> {
    /// It waits for an operator again.
    Waits,
    /// It is dealt with.
    Decided {
        /// Who decided: a person or a run.
        who: &'a str,
        why: &'a str,
    },
}

/// The possible decisions.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Propose a refund. Counts as the first of two persons.
    Propose,
    /// Propose to restore the order as paid. Counts as the first of two persons.
    ProposePaid,
    /// Stand behind a proposal.
    Approve,
    /// Turn a proposal down.
    Reject,
    /// Explain why the difference is correct.
    Explain,
    /// Send again a refund that WeChat Pay refused.
    Retry,
    /// Give up a refund that WeChat Pay refused. Counts as the first of two persons.
    Release,
    /// Redirect a refund that could not be paid out to the merchant's own account. Counts as the
    /// first of two persons.
    Redirect,
    /// Record how the payer was paid whose money went to the merchant's own account.
    PayerPaid,
    /// Reopen an explained difference.
    Reopen,
}

impl Decision {
    /// Whether this decision led to this state in earlier versions, whose steps have no decision.
    pub(super) const fn leads_to(self, to: DifferenceState) -> bool {
        match self {
            Self::Propose | Self::ProposePaid => matches!(to, DifferenceState::Proposed),
            Self::Approve => matches!(to, DifferenceState::Proposed | DifferenceState::Approved),
            Self::Reject => matches!(to, DifferenceState::Rejected),
            Self::Explain => matches!(to, DifferenceState::Explained),
            Self::Retry | Self::Release | Self::Redirect => matches!(to, DifferenceState::Approved),
            // Earlier versions had none of these.
            Self::PayerPaid | Self::Reopen => false,
        }
    }
}

/// Who did something about a difference.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// A run, by its id.
    Run(String),
    /// A person, by the name in the request's token.
    Person(String),
}

/// One step in a difference's history.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When, by our clock.
    pub at: UnixSeconds,
    pub who: Actor,
    /// The state afterwards.
    pub to: DifferenceState,
    pub why: String,
    /// The person's decision; steps of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
}
