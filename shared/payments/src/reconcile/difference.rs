//! A difference between a day's bills and our books: its kind, its state, and who may decide what.
//!
//! ```text
//! open -> repaired                    both sides agree again: by a run, or since a later one found nothing
//! open -> proposed -> approved -> on its way   a refund: two different persons stand behind it before money moves
//!            |           |\-> repaired         an order was taken on again: there is no money to wait for
//!            |           \-> open   what was approved could not be done: people begin anew
//!            |\-> rejected         up to an amount; above it one person alone leaves it open
//!            \-> open
//! on its way -> repaired              the refund's money has arrived
//! on its way -> open                  the refund is abnormal, refused or closed, or our books lost it
//! open -> approved | on its way       a person has it sent once more, or it goes on by itself
//! open -> proposed -> approved        two persons give it up, or send it to the merchant's account
//! open -> approved -> explained       the merchant has its money: a person says how the payer was paid
//! repaired -> open                    a later run finds it again
//! open | proposed | rejected -> explained      a person says why it is right as it is
//! open | rejected -> proposed -> explained     above an amount two different persons say so
//! explained -> open                   a person opens it again, or a later run counts others of many
//! ```

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use sha2::{Digest, Sha256};
use wechatpay::{UnixSeconds, bill::yuan_of_fen};

use crate::model::{
    bill_date::{BillDate, BillName},
    ids::{ClientId, RefundNo},
    parked::{payment_notice_id, refund_notice_id},
    refund::{Refund, RefundState},
};

/// A side of a run. Each has its own result.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RunSide {
    /// The bill of trades against our books.
    Trades,
    /// The account's movements against the trades.
    Funds,
}

/// What differs.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// The bill has a payment of an order that is unpaid in our books.
    PaidThereUnpaidHere,
    /// Our books have a payment that the day's bill does not.
    PaidHereAbsentThere,
    /// Both have the payment, with another amount.
    AmountDiffers,
    /// The bill has the payment with a status other than success.
    StatusDiffers,
    /// Currency, appid or merchant number of the payment is not ours.
    IdentityDiffers,
    /// The bill has a payment of an order that is not ours.
    UnknownOrderThere,
    /// The bill has a second payment of an order that is paid.
    DuplicatePayment,
    /// The bill has a refund that our books do not.
    RefundThereUnknownHere,
    /// Our books have a refund that the day's bill does not.
    RefundHereAbsentThere,
    /// Both have the refund, with another amount.
    RefundAmountDiffers,
    /// Both have the refund, in contradictory states.
    RefundStateDiffers,
    /// The fee is not what the row's own rate gives.
    FeeOffTheRate,
    /// A movement of the account belongs to a trade that is neither in the bills nor in our books.
    FundFlowWithoutTrade,
    /// The bill has a trade without a movement of the account, this day or the next.
    TradeWithoutFundFlow,
    /// The bill's summary row is not the sum of its rows.
    SummaryDiffers,
    /// More bill rows than one run can examine differ from the books at first sight: these were
    /// only counted.
    UncheckedRows,
}

/// The remedy for a kind of difference.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Remedy {
    /// WeChat Pay is queried, and its answer is settled like a callback.
    Settle(QuerySubject),
    /// A refund is proposed to two persons.
    Refund(RefundableMoney),
    /// A person looks.
    Operator,
}

/// What is queried at WeChat Pay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum QuerySubject {
    /// The order's payment.
    Payment,
    /// The refund.
    Refund,
}

/// A payment that is not ours to keep.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RefundableMoney {
    /// One of our orders was paid a second time.
    SecondPayment,
    /// The order is not ours.
    Unattributed,
}

impl DifferenceKind {
    /// All kinds, in the order in which a report lists them.
    pub const ALL: [Self; 16] = [
        Self::PaidThereUnpaidHere,
        Self::UnknownOrderThere,
        Self::DuplicatePayment,
        Self::PaidHereAbsentThere,
        Self::AmountDiffers,
        Self::StatusDiffers,
        Self::IdentityDiffers,
        Self::RefundThereUnknownHere,
        Self::RefundHereAbsentThere,
        Self::RefundAmountDiffers,
        Self::RefundStateDiffers,
        Self::FeeOffTheRate,
        Self::FundFlowWithoutTrade,
        Self::TradeWithoutFundFlow,
        Self::SummaryDiffers,
        Self::UncheckedRows,
    ];

    /// The name in the API, the table, metrics and CSV.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PaidThereUnpaidHere => "paid_there_unpaid_here",
            Self::PaidHereAbsentThere => "paid_here_absent_there",
            Self::AmountDiffers => "amount_differs",
            Self::StatusDiffers => "status_differs",
            Self::IdentityDiffers => "identity_differs",
            Self::UnknownOrderThere => "unknown_order_there",
            Self::DuplicatePayment => "duplicate_payment",
            Self::RefundThereUnknownHere => "refund_there_unknown_here",
            Self::RefundHereAbsentThere => "refund_here_absent_there",
            Self::RefundAmountDiffers => "refund_amount_differs",
            Self::RefundStateDiffers => "refund_state_differs",
            Self::FeeOffTheRate => "fee_off_the_rate",
            Self::FundFlowWithoutTrade => "fund_flow_without_trade",
            Self::TradeWithoutFundFlow => "trade_without_fund_flow",
            Self::SummaryDiffers => "summary_differs",
            Self::UncheckedRows => "unchecked_rows",
        }
    }

    /// The kind by its name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its meaning, for readers of the report.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::PaidThereUnpaidHere => {
                "WeChat Pay took money for an order that is not paid in our books: its news never arrived"
            }
            Self::PaidHereAbsentThere => {
                "our books have a payment of this day that WeChat Pay's bill does not have"
            }
            Self::AmountDiffers => "both sides have the payment, but not with the same amount",
            Self::StatusDiffers => {
                "the bill does not say of this payment that it succeeded: it was reversed, say"
            }
            Self::IdentityDiffers => {
                "the payment was made in another currency, to another appid or to another merchant than the order's"
            }
            Self::UnknownOrderThere => "WeChat Pay took money for an order that nobody here made",
            Self::DuplicatePayment => {
                "the payer paid an order that was paid already: this money is not ours to keep"
            }
            Self::RefundThereUnknownHere => {
                "WeChat Pay gave money back that was not asked for here: in its console, say"
            }
            Self::RefundHereAbsentThere => {
                "our books have a refund that WeChat Pay accepted this day, and its bill does not have it"
            }
            Self::RefundAmountDiffers => "both sides have the refund, but not with the same amount",
            Self::RefundStateDiffers => {
                "both sides have the refund, in states that do not go together"
            }
            Self::FeeOffTheRate => {
                "the fee is a fen or more away from what the row's own rate gives"
            }
            Self::FundFlowWithoutTrade => {
                "the account moved for a trade that neither the bills nor our books have"
            }
            Self::TradeWithoutFundFlow => {
                "the account did not move for this trade as it should have, on its day or the next"
            }
            Self::SummaryDiffers => "the bill's last row is not the sum of the rows above it",
            Self::UncheckedRows => {
                "more rows of the bill than one run looks at do not agree with our books at first sight: these were counted, and no order was read"
            }
        }
    }

    /// What is done, automatically or by an operator.
    pub const fn what_to_do(self) -> &'static str {
        match self {
            Self::PaidThereUnpaidHere => {
                "nothing: WeChat Pay is asked and the payment is settled; it stays open only if the answer contradicts the bill"
            }
            Self::UnknownOrderThere => {
                "find out who made the order; if nobody did, approve the refund; if its record was lost here, reject that and take the order on again as paid"
            }
            Self::DuplicatePayment => "approve the refund of the second payment",
            Self::PaidHereAbsentThere => {
                "compare with WeChat Pay's console before anything more is delivered, and open a case with WeChat Pay"
            }
            Self::AmountDiffers | Self::IdentityDiffers => {
                "compare both sides; book or refund the payment by hand, then explain the difference here"
            }
            Self::StatusDiffers => {
                "look the payment up in WeChat Pay's console; take back what was delivered if it was reversed"
            }
            Self::RefundThereUnknownHere => {
                "nothing if WeChat Pay confirms it: the refund is taken into the books; else find out who made it"
            }
            Self::RefundHereAbsentThere => {
                "look the refund up in WeChat Pay's console and open a case with WeChat Pay"
            }
            Self::RefundAmountDiffers => "compare both sides and open a case with WeChat Pay",
            Self::RefundStateDiffers => {
                "nothing if WeChat Pay confirms the bill's state: it is settled; else open a case with WeChat Pay"
            }
            Self::FeeOffTheRate => {
                "compare with the contract and ask WeChat Pay for the difference"
            }
            Self::FundFlowWithoutTrade | Self::TradeWithoutFundFlow => {
                "compare the fund bill with the trade bill and open a case with WeChat Pay"
            }
            Self::SummaryDiffers => "do not book from this bill before WeChat Pay has explained it",
            Self::UncheckedRows => {
                "see whether the merchant number is right and the index `day` is whole; then run the day again, which takes the next ones once those before them are settled"
            }
        }
    }

    /// Whether it is about a movement of the account, which has WeChat Pay's number of its trade.
    pub const fn is_of_movements(self) -> bool {
        match self {
            Self::FundFlowWithoutTrade | Self::TradeWithoutFundFlow => true,
            Self::PaidThereUnpaidHere
            | Self::PaidHereAbsentThere
            | Self::AmountDiffers
            | Self::StatusDiffers
            | Self::IdentityDiffers
            | Self::UnknownOrderThere
            | Self::DuplicatePayment
            | Self::RefundThereUnknownHere
            | Self::RefundHereAbsentThere
            | Self::RefundAmountDiffers
            | Self::RefundStateDiffers
            | Self::FeeOffTheRate
            | Self::SummaryDiffers
            | Self::UncheckedRows => false,
        }
    }

    /// The remedy.
    pub const fn remedy(self) -> Remedy {
        match self {
            Self::PaidThereUnpaidHere => Remedy::Settle(QuerySubject::Payment),
            Self::RefundThereUnknownHere | Self::RefundStateDiffers => {
                Remedy::Settle(QuerySubject::Refund)
            }
            Self::UnknownOrderThere => Remedy::Refund(RefundableMoney::Unattributed),
            Self::DuplicatePayment => Remedy::Refund(RefundableMoney::SecondPayment),
            Self::PaidHereAbsentThere
            | Self::AmountDiffers
            | Self::StatusDiffers
            | Self::IdentityDiffers
            | Self::RefundHereAbsentThere
            | Self::RefundAmountDiffers
            | Self::FeeOffTheRate
            | Self::FundFlowWithoutTrade
            | Self::TradeWithoutFundFlow
            | Self::SummaryDiffers
            | Self::UncheckedRows => Remedy::Operator,
        }
    }
}

/// What a difference is about. The numbers are kept as the bill writes them: a foreign order may
/// have a number in a form that ours cannot have.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct DifferenceSubject {
    /// `out_trade_no`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_no: Option<String>,
    /// `transaction_id`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// `out_refund_no`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_refund_no: Option<String>,
    /// `refund_id`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_id: Option<String>,
    /// The bill, if the difference is about the bill as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bill: Option<BillName>,
    /// The row in the bill; 1 is its header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

/// More of one kind than are listed one by one.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Aggregate {
    /// How many.
    pub count: u64,
    /// Their sum, in fen; for movements, negative if money left the merchant.
    pub amount_fen: i64,
    /// Some of them.
    pub examples: Vec<DifferenceSubject>,
    /// The part of the day that found them, from 0; a day that is not split has one.
    #[serde(default)]
    pub part: u8,
}

impl Aggregate {
    /// This many examples are enough to see what they have in common.
    pub const EXAMPLES: usize = 10;
}

/// What one side says.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct SideView {
    /// In fen; of the whole payment or of the refund.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_fen: Option<i64>,
    /// The state, in that side's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// When it happened, by WeChat Pay's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<UnixSeconds>,
    /// Other data for this kind, such as the sum of the rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The currency, if it matters: `CNY`. Amounts are in its hundredths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The appid that was paid, if it matters; on our side the expected one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appid: Option<String>,
    /// The merchant number that was paid, if it matters; on our side our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mchid: Option<String>,
    /// The fee, if it matters, in 1/100000 yuan; on our side the one that the row's rate gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_e5: Option<i64>,
    /// The rate of the fee as written in the bill: `0.60%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
}

impl SideView {
    /// The known values of a side; missing ones are taken from what a run finds.
    fn completed_by(&self, found: &Self) -> Self {
        let text = |known: &Option<String>, found: &Option<String>| {
            known.as_ref().or(found.as_ref()).cloned()
        };
        Self {
            amount_fen: self.amount_fen.or(found.amount_fen),
            state: text(&self.state, &found.state),
            at: self.at.or(found.at),
            note: text(&self.note, &found.note),
            currency: text(&self.currency, &found.currency),
            appid: text(&self.appid, &found.appid),
            mchid: text(&self.mchid, &found.mchid),
            fee_e5: self.fee_e5.or(found.fee_e5),
            rate: text(&self.rate, &found.rate),
        }
    }
}

/// The state of a difference.
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
    pub const fn needs_somebody(self) -> bool {
        match self {
            Self::Open | Self::Proposed | Self::Approved => true,
            Self::OnItsWay | Self::Repaired | Self::Rejected | Self::Explained => false,
        }
    }

    /// Whether the next step is a person's: then the notice of its payment is listed as waiting.
    pub const fn waits_for_a_person(self) -> bool {
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
    TakeOn {
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
    /// This is recorded in the order's journal.
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
            TakeOn,
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
            ActionName::TakeOn => Self::TakeOn {
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
    const fn is_refund(&self) -> bool {
        match self {
            Self::Refund => true,
            Self::TakeOn { .. }
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
    pub const fn is_alive(self) -> bool {
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
            RefundState::Succeeded(_) if refund.is_to_merchant() && !refund.owes_its_payer() => {
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
}

impl TrackedRefund {
    /// A refund in its present state.
    pub fn of(refund: &Refund) -> Self {
        Self {
            refund_no: refund.refund_no.clone(),
            stage: RefundStage::from(refund),
            to_merchant: refund.is_to_merchant(),
        }
    }

    /// Whether its money is on the merchant's own account and it is not recorded how the payer was
    /// paid.
    pub fn owes_its_payer(&self) -> bool {
        self.stage == RefundStage::Succeeded && self.to_merchant
    }

    /// Its meaning, for readers.
    fn meaning(&self) -> String {
        let refund_no = &self.refund_no;
        match self.stage {
            RefundStage::Moving => format!("refund {refund_no} gives the money back"),
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
                format!("refund {refund_no} failed for good: decide anew about the money")
            }
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
        /// Why.
        why: &'a str,
    },
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
    /// Who.
    pub who: Actor,
    /// The state afterwards.
    pub to: DifferenceState,
    /// Why.
    pub why: String,
    /// The person's decision; steps of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
}

/// A difference as it is stored.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Its id within its day: the same in every run.
    pub id: String,
    /// The day.
    pub date: BillDate,
    /// What differs.
    pub kind: DifferenceKind,
    /// What it is about.
    pub about: DifferenceSubject,
    /// WeChat Pay's side; `None` if it has nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub there: Option<SideView>,
    /// Our side; `None` if the books have nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub here: Option<SideView>,
    /// For an aggregated difference: number and sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<Aggregate>,
    /// Its state.
    pub state: DifferenceState,
    /// The action that is executed once it is approved.
    #[serde(default, skip_serializing_if = "ApprovedAction::is_refund")]
    pub wanted: ApprovedAction,
    /// The refund that it waits for, or last waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<TrackedRefund>,
    /// A person has decided that its money is not refunded: no run proposes that again unless a
    /// person reopens it. Earlier versions did not store it:
    /// [`with_mark_of_history`](Self::with_mark_of_history).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refund_rejected: bool,
    /// Counts its steps; each write names the version that it was decided on.
    pub version: u64,
    /// Its history; the first step is the finding.
    pub history: Vec<HistoryEntry>,
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
    #[error("a difference that is {} cannot be decided about like this: load the page anew", .state.name())]
    WrongState {
        /// Its state.
        state: DifferenceState,
    },
    /// This kind has no money to refund.
    #[error("no money can be given back for this kind of difference: explain it instead")]
    NothingToRefund,
    /// A refund of the money exists: only decisions about that refund are possible.
    #[error("refund {refund_no} of this money is {}: decide about that refund, or explain", .stage.name())]
    RefundIsThere {
        /// Which.
        refund_no: RefundNo,
        /// How far it is.
        stage: RefundStage,
    },
    /// It cannot be an order of ours whose record was lost, or the order exists by now.
    #[error("only the payment of an order that our books do not have can be taken on as paid")]
    NothingToTakeOn,
    /// No client is given for the order.
    #[error("say whose order it is: the id that its client is registered under")]
    NoClient,
    /// Another action is proposed.
    #[error("something else is proposed: reject that first, then explain")]
    RejectFirst,
    /// The payer's money is with the merchant.
    #[error(
        "the refund went to the merchant's own account: pay the payer, then say how with `payer_paid`"
    )]
    PayerOwed,
    /// No payer's money is with the merchant.
    #[error("no payer is owed here: no refund went to the merchant's own account")]
    NothingOwed,
    /// The refund's state does not allow this decision.
    #[error("only a refund that is {needs} can be sent on like this")]
    WrongStage {
        /// What it would have to be.
        needs: &'static str,
    },
    /// The same person has already approved the proposal.
    #[error("you stand behind this proposal already: a second, different person has to approve it")]
    SamePerson,
    /// Nobody will know why.
    #[error("say why, in 1 to 500 characters")]
    NoReason,
}

/// How many persons must approve a proposal before it is executed.
pub const PERSONS: usize = 2;

/// The longest reason, in characters.
pub const REASON_MAX: usize = 500;

impl Decision {
    /// Whether this decision led to this state in earlier versions, whose steps have no decision.
    const fn leads_to(self, to: DifferenceState) -> bool {
        match self {
            Self::Propose | Self::ProposePaid => matches!(to, DifferenceState::Proposed),
            Self::Approve => matches!(to, DifferenceState::Proposed | DifferenceState::Approved),
            Self::Reject => matches!(to, DifferenceState::Rejected),
            Self::Explain => matches!(to, DifferenceState::Explained),
            Self::Retry | Self::Release | Self::Redirect => matches!(to, DifferenceState::Approved),
            // No earlier version knew these.
            Self::PayerPaid | Self::Reopen => false,
        }
    }
}

impl Difference {
    /// A difference found by a run.
    pub fn found(
        date: BillDate,
        kind: DifferenceKind,
        about: DifferenceSubject,
        there: Option<SideView>,
        here: Option<SideView>,
        run: &str,
        at: UnixSeconds,
    ) -> Self {
        Self {
            id: id(kind, &about),
            date,
            kind,
            about,
            there,
            here,
            aggregate: None,
            state: DifferenceState::Open,
            wanted: ApprovedAction::Refund,
            refund: None,
            refund_rejected: false,
            version: 1,
            history: vec![HistoryEntry {
                at,
                who: Actor::Run(run.to_owned()),
                to: DifferenceState::Open,
                why: kind.meaning().to_owned(),
                decision: None,
            }],
        }
    }

    /// One aggregated difference for many of a kind.
    pub fn of_many(
        date: BillDate,
        kind: DifferenceKind,
        aggregate: Aggregate,
        run: &str,
        at: UnixSeconds,
    ) -> Self {
        let side = Some(SideView {
            amount_fen: Some(aggregate.amount_fen),
            note: Some(told(&aggregate)),
            ..SideView::default()
        });
        let (there, here) = match kind {
            DifferenceKind::PaidHereAbsentThere | DifferenceKind::RefundHereAbsentThere => {
                (None, side)
            }
            DifferenceKind::PaidThereUnpaidHere
            | DifferenceKind::AmountDiffers
            | DifferenceKind::StatusDiffers
            | DifferenceKind::IdentityDiffers
            | DifferenceKind::UnknownOrderThere
            | DifferenceKind::DuplicatePayment
            | DifferenceKind::RefundThereUnknownHere
            | DifferenceKind::RefundAmountDiffers
            | DifferenceKind::RefundStateDiffers
            | DifferenceKind::FeeOffTheRate
            | DifferenceKind::FundFlowWithoutTrade
            | DifferenceKind::TradeWithoutFundFlow
            | DifferenceKind::SummaryDiffers
            | DifferenceKind::UncheckedRows => (side, None),
        };
        Self {
            id: Self::id_of_many(kind, aggregate.part),
            aggregate: Some(aggregate),
            ..Self::found(
                date,
                kind,
                DifferenceSubject::default(),
                there,
                here,
                run,
                at,
            )
        }
    }

    /// The id of the aggregated difference of a kind, for one part of the day.
    pub fn id_of_many(kind: DifferenceKind, part: u8) -> String {
        format!("{}-all-{part}", kind.name().replace('_', "-"))
    }

    /// The aggregated difference after a run has counted different numbers: earlier decisions do
    /// not hold for these.
    #[must_use]
    pub fn counted_anew(&self, found: &Self, run: &str, at: UnixSeconds) -> Self {
        let why = found.aggregate.as_ref().map_or_else(String::new, told);
        let counted = self.stepping(Actor::Run(run.to_owned()), DifferenceState::Open, &why, at);
        Self {
            aggregate: found.aggregate.clone(),
            there: found.there.clone(),
            here: found.here.clone(),
            ..counted
        }
    }

    /// Whether a run finds it with other amounts than the known ones, which decisions were based
    /// on. A side that newly has an amount is no such change, unless it is larger than any known
    /// one: for example a run parks the payment whose refund it proposes, and finds it in our books
    /// the next time.
    pub fn has_other_amounts(&self, found: &Self) -> bool {
        let amount = |side: &Option<SideView>| side.as_ref().and_then(|side| side.amount_fen);
        let fee = |side: &Option<SideView>| side.as_ref().and_then(|side| side.fee_e5);
        let known = [amount(&self.there), amount(&self.here)];
        let largest = known.into_iter().flatten().map(i64::saturating_abs).max();
        let is_another_amount = |known: Option<i64>, found: Option<i64>| match known {
            Some(_) => known != found,
            None => found.map(i64::saturating_abs) > largest,
        };
        // Earlier versions did not store fees.
        let is_another_fee = |known: Option<i64>, found| known.is_some() && known != found;
        is_another_amount(amount(&self.there), amount(&found.there))
            || is_another_amount(amount(&self.here), amount(&found.here))
            || is_another_fee(fee(&self.there), fee(&found.there))
            || is_another_fee(fee(&self.here), fee(&found.here))
    }

    /// The difference completed with values that an earlier version did not store; `None` if
    /// nothing is missing. Known values and decisions stay unchanged: this is not a step.
    #[must_use]
    pub fn completed_by(&self, found: &Self) -> Option<Self> {
        let side = |known: &Option<SideView>, found: &Option<SideView>| match (known, found) {
            (Some(known), Some(found)) => Some(known.completed_by(found)),
            (Some(side), None) | (None, Some(side)) => Some(side.clone()),
            (None, None) => None,
        };
        let completed = Self {
            there: side(&self.there, &found.there),
            here: side(&self.here, &found.here),
            about: DifferenceSubject {
                line: self.about.line.or(found.about.line),
                ..self.about.clone()
            },
            ..self.clone()
        };
        (completed != *self).then_some(completed)
    }

    /// The difference after a run has found it with other amounts: earlier decisions do not hold
    /// for these.
    #[must_use]
    pub fn with_other_amounts(&self, found: &Self, run: &str, at: UnixSeconds) -> Self {
        let why = OTHER_AMOUNTS;
        Self {
            there: found.there.clone(),
            here: found.here.clone(),
            ..self.reopened(run, why, at)
        }
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

    /// Whether a person rejected the refund that was proposed last, and nobody has opened the
    /// question since. A proposal of a person that has no decision stored may be one of something
    /// else, and does not count.
    fn history_rejects_the_refund(&self) -> bool {
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

    /// The remedy; an aggregated difference can only be examined by a person.
    pub const fn remedy(&self) -> Remedy {
        if self.aggregate.is_some() {
            Remedy::Operator
        } else {
            self.kind.remedy()
        }
    }

    /// What is done, automatically or by an operator.
    pub const fn what_to_do(&self) -> &'static str {
        match (&self.aggregate, self.kind.remedy()) {
            (None, _) => self.kind.what_to_do(),
            (Some(_), Remedy::Settle(_) | Remedy::Refund(_)) => {
                "run the day again: these are more than one run takes, and it takes the next ones once those before them are settled"
            }
            (Some(_), Remedy::Operator) => match self.kind {
                DifferenceKind::UncheckedRows => self.kind.what_to_do(),
                DifferenceKind::TradeWithoutFundFlow | DifferenceKind::FundFlowWithoutTrade => {
                    "so many have one cause: see whether the parameters SettlementDays and FundAccounts say what the contract says, then open a case with WeChat Pay"
                }
                DifferenceKind::PaidThereUnpaidHere
                | DifferenceKind::PaidHereAbsentThere
                | DifferenceKind::AmountDiffers
                | DifferenceKind::StatusDiffers
                | DifferenceKind::IdentityDiffers
                | DifferenceKind::UnknownOrderThere
                | DifferenceKind::DuplicatePayment
                | DifferenceKind::RefundThereUnknownHere
                | DifferenceKind::RefundHereAbsentThere
                | DifferenceKind::RefundAmountDiffers
                | DifferenceKind::RefundStateDiffers
                | DifferenceKind::FeeOffTheRate
                | DifferenceKind::SummaryDiffers => {
                    "so many have one cause: look at some of them, and whether bill and books are of the same merchant and day; then explain"
                }
            },
        }
    }

    /// The side of a run that finds such a difference and may repair it.
    pub fn side(&self) -> RunSide {
        let of_fund_bill = match self.about.bill {
            Some(BillName::FundBasic | BillName::FundOperation | BillName::FundFees) => true,
            Some(BillName::Trade) | None => false,
        };
        if of_fund_bill || self.kind.is_of_movements() {
            RunSide::Funds
        } else {
            RunSide::Trades
        }
    }

    /// The amount of the difference in fen: the larger amount of both sides, without its sign; for
    /// a fee, the gap between both sides. `None` if no side has an amount or one is in another
    /// currency, and for an aggregated difference, whose sum does not show how large each one is.
    pub fn amount_fen(&self) -> Option<i64> {
        /// 1/100000 yuan in a fen.
        const E5_IN_A_FEN: i64 = 1_000;
        let is_foreign = |side: &SideView| side.currency.as_ref().is_some_and(|name| name != "CNY");
        let sides = || [&self.there, &self.here].into_iter().flatten();
        if self.aggregate.is_some() || sides().any(is_foreign) {
            return None;
        }
        let fee_e5 = |side: &Option<SideView>| side.as_ref().and_then(|side| side.fee_e5);
        if let (Some(there), Some(here)) = (fee_e5(&self.there), fee_e5(&self.here)) {
            let apart = there.saturating_sub(here).saturating_abs();
            let rounded_up = apart.saturating_add(E5_IN_A_FEN - 1);
            return Some(rounded_up.div_euclid(E5_IN_A_FEN));
        }
        sides()
            .filter_map(|side| side.amount_fen.map(i64::saturating_abs))
            .max()
    }

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
            Decision::ProposePaid => (DifferenceState::Proposed, self.taking_on(deciding.client)?),
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
            Remedy::Settle(QuerySubject::Payment | QuerySubject::Refund) | Remedy::Operator => {
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

    fn taking_on(&self, client: Option<&ClientId>) -> Result<ApprovedAction, DecisionRejected> {
        self.can_be_proposed()?;
        let is_one = self.aggregate.is_none() && self.kind == DifferenceKind::UnknownOrderThere;
        if !is_one || self.refund.is_some() {
            return Err(DecisionRejected::NothingToTakeOn);
        }
        let client_id = client.ok_or(DecisionRejected::NoClient)?.clone();
        Ok(ApprovedAction::TakeOn { client_id })
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
            ApprovedAction::Refund | ApprovedAction::TakeOn { .. }
                if self.is_for_one_person(explain_alone) =>
            {
                DifferenceState::Rejected
            }
            ApprovedAction::Explain if before == Some(DifferenceState::Rejected) => {
                DifferenceState::Rejected
            }
            ApprovedAction::Refund
            | ApprovedAction::TakeOn { .. }
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
            .is_some_and(TrackedRefund::owes_its_payer);
        let is_for_one = self.is_for_one_person(explain_alone);
        match self.state {
            DifferenceState::Open | DifferenceState::Rejected if is_owed => {
                Err(DecisionRejected::PayerOwed)
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
            .is_some_and(TrackedRefund::owes_its_payer)
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
            | ApprovedAction::TakeOn { .. }
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

    /// The difference after a check of its refund; `None` if nothing is new, or the refund is no
    /// longer waited for.
    ///
    /// It is repaired when the money has arrived, and open again when the refund makes no progress.
    /// Only the refund's stored state counts here, so this may be called any number of times.
    #[must_use]
    pub fn told(&self, refund: &TrackedRefund, run: &str, at: UnixSeconds) -> Option<Self> {
        match self.state {
            DifferenceState::Open | DifferenceState::Approved | DifferenceState::OnItsWay => {}
            DifferenceState::Proposed
            | DifferenceState::Repaired
            | DifferenceState::Rejected
            | DifferenceState::Explained => return None,
        }
        let to_merchant = refund.to_merchant
            || self
                .refund
                .as_ref()
                .is_some_and(|known| known.refund_no == refund.refund_no && known.to_merchant);
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
        let told = self.stepping(Actor::Run(run.to_owned()), to, &refund.meaning(), at);
        Some(Self {
            refund: Some(refund),
            wanted: ApprovedAction::Refund,
            refund_rejected: false,
            ..told
        })
    }

    /// The difference when our books no longer have the refund that it waits for, as after a
    /// restore of the table: its result would never arrive, so operators must start again.
    #[must_use]
    pub fn without_its_refund(&self, refund: &TrackedRefund, run: &str, at: UnixSeconds) -> Self {
        let why = format!(
            "our books have refund {} no more: look in WeChat Pay's console whether the money went back, then decide anew",
            refund.refund_no
        );
        Self {
            refund: None,
            ..self.reopened(run, &why, at)
        }
    }

    /// Whether its refund must be checked regularly.
    pub fn is_followed(&self) -> bool {
        let is_alive = self
            .refund
            .as_ref()
            .is_some_and(|refund| refund.stage.is_alive());
        match self.state {
            DifferenceState::OnItsWay | DifferenceState::Open => is_alive,
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
        match self.kind {
            DifferenceKind::PaidThereUnpaidHere
            | DifferenceKind::AmountDiffers
            | DifferenceKind::IdentityDiffers
            | DifferenceKind::UnknownOrderThere
            | DifferenceKind::DuplicatePayment => {
                self.about.transaction_id.as_deref().map(payment_notice_id)
            }
            DifferenceKind::RefundThereUnknownHere
            | DifferenceKind::RefundAmountDiffers
            | DifferenceKind::RefundStateDiffers => {
                self.about.refund_id.as_deref().map(refund_notice_id)
            }
            DifferenceKind::PaidHereAbsentThere
            | DifferenceKind::StatusDiffers
            | DifferenceKind::RefundHereAbsentThere
            | DifferenceKind::FeeOffTheRate
            | DifferenceKind::FundFlowWithoutTrade
            | DifferenceKind::TradeWithoutFundFlow
            | DifferenceKind::SummaryDiffers
            | DifferenceKind::UncheckedRows => None,
        }
    }

    /// The effect of the last step on that record; `None` if it does not change who must act.
    pub fn notice_step(&self) -> Option<NoticeStep<'_>> {
        let last = self.history.last()?;
        let before = self.history.iter().rev().nth(1)?;
        if before.to.waits_for_a_person() == last.to.waits_for_a_person() {
            return None;
        }
        if last.to.waits_for_a_person() {
            return Some(NoticeStep::Waits);
        }
        let (Actor::Run(who) | Actor::Person(who)) = &last.who;
        Some(NoticeStep::Decided {
            who,
            why: &last.why,
        })
    }

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

    /// The difference after the order's journal records that the payer was paid by other means: the
    /// persons who decided that have explained it.
    #[must_use]
    pub fn payer_paid(&self, run: &str, at: UnixSeconds) -> Self {
        let (who, how) = self.decided_by();
        let why = format!("the payer was paid by other means, says {who}: {how}");
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

    fn stepping(&self, who: Actor, to: DifferenceState, why: &str, at: UnixSeconds) -> Self {
        let mut history = self.history.clone();
        history.push(HistoryEntry {
            at,
            who,
            to,
            why: why.to_owned(),
            decision: None,
        });
        Self {
            state: to,
            version: self.version.saturating_add(1),
            history,
            ..self.clone()
        }
    }
}

/// An aggregated difference, for readers.
fn told(aggregate: &Aggregate) -> String {
    let number = |about: &DifferenceSubject| {
        let numbers = [
            &about.order_no,
            &about.transaction_id,
            &about.out_refund_no,
            &about.refund_id,
        ];
        numbers.into_iter().flatten().next().cloned()
    };
    let examples: Vec<String> = aggregate.examples.iter().filter_map(number).collect();
    let among = if examples.is_empty() {
        String::new()
    } else {
        format!("; among them {}", examples.join(", "))
    };
    let (count, fen) = (aggregate.count, yuan_of_fen(aggregate.amount_fen));
    format!("{count} of this kind, {fen} yuan in all{among}")
}

/// The id of a difference within its day: its kind, and a hash of its subject without the bill's
/// line.
fn id(kind: DifferenceKind, about: &DifferenceSubject) -> String {
    let mut hash = Sha256::new();
    for part in [
        &about.order_no,
        &about.transaction_id,
        &about.out_refund_no,
        &about.refund_id,
    ] {
        let part = part.as_deref().unwrap_or_default();
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(about.bill.map_or("", BillName::name).as_bytes());
    let hash: String = hash
        .finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{}-{hash}", kind.name().replace('_', "-"))
}

/// Why a later run opens a difference again whose amounts have changed.
const OTHER_AMOUNTS: &str = "a later run finds it with other amounts";

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_785_556_802);

    fn difference(kind: DifferenceKind) -> Difference {
        let about = DifferenceSubject {
            order_no: Some("ORDER-1".into()),
            transaction_id: Some("4200001".into()),
            ..DifferenceSubject::default()
        };
        let date = BillDate::parse("2026-08-01").unwrap();
        let there = Some(SideView {
            amount_fen: Some(100),
            ..SideView::default()
        });
        Difference::found(date, kind, about, there, None, "run-1", NOW)
    }

    fn decide(
        difference: &Difference,
        decision: Decision,
        who: &str,
    ) -> Result<Difference, DecisionRejected> {
        difference.decided(decision, who, "looked at it", NOW)
    }

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
    fn what_was_said_of_one_amount_does_not_hold_for_another_that_a_later_run_finds() {
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
    fn that_our_books_have_the_money_by_now_is_no_other_matter_unless_it_is_more() {
        let proposed =
            difference(DifferenceKind::UnknownOrderThere).proposed("run-1", "nobody's", NOW);
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
    fn what_an_earlier_version_did_not_write_down_is_added_and_no_more() {
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
    fn of_a_payer_who_was_paid_otherwise_nobody_reads_that_the_refund_was_released() {
        let released = |to_merchant| {
            let refund = TrackedRefund {
                refund_no: RefundNo::parse("R1").unwrap(),
                stage: RefundStage::Released,
                to_merchant,
            };
            refund.meaning()
        };
        assert!(!released(true).contains("released"), "{}", released(true));
        assert!(released(false).contains("released"));
    }

    #[test]
    fn who_proposes_is_the_first_of_the_two() {
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
    fn a_refund_that_could_not_be_made_needs_two_persons_anew() {
        let proposed = decide(
            &difference(DifferenceKind::DuplicatePayment),
            Decision::Propose,
            "li",
        );
        let approved = decide(&proposed.unwrap(), Decision::Approve, "wang").unwrap();
        let reopened = approved.reopened("run-2", "WeChat Pay does not have it", NOW);
        assert!(reopened.state.needs_somebody());
        let again = reopened.proposed("run-3", "a second payment", NOW);
        let once = decide(&again, Decision::Approve, "li").unwrap();
        assert_eq!(once.state, DifferenceState::Proposed);
    }

    #[test]
    fn nobody_decides_about_what_is_over_or_under_way_nor_without_a_reason() {
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

    fn approved(kind: DifferenceKind) -> Difference {
        let proposed = decide(&difference(kind), Decision::Propose, "li").unwrap();
        decide(&proposed, Decision::Approve, "wang").unwrap()
    }

    fn at(stage: RefundStage) -> TrackedRefund {
        TrackedRefund {
            refund_no: RefundNo::parse("second-4200001").unwrap(),
            stage,
            to_merchant: false,
        }
    }

    fn told(difference: &Difference, stage: RefundStage) -> Difference {
        difference.told(&at(stage), "run-2", NOW).unwrap()
    }

    #[test]
    fn a_difference_is_repaired_by_money_that_arrived_and_open_again_when_its_refund_does_not_get_on()
     {
        let begun = approved(DifferenceKind::DuplicatePayment);
        let moving = told(&begun, RefundStage::Moving);
        assert_eq!(moving.state, DifferenceState::OnItsWay);
        assert_eq!(
            moving.told(&at(RefundStage::Moving), "run-3", NOW),
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
                let told = told(from, stage);
                assert_eq!(told.state, to, "{}", stage.name());
                assert_eq!(
                    told.is_followed(),
                    matches!(stage, RefundStage::Abnormal | RefundStage::Refused),
                    "{}: what can still happen is looked at",
                    stage.name()
                );
            }
        }
        let abnormal = told(&moving, RefundStage::Abnormal);
        assert!(abnormal.is_under_way(), "no bill says that it is over");
        assert_eq!(
            told(&abnormal, RefundStage::Moving).state,
            DifferenceState::OnItsWay
        );
        assert_eq!(
            told(&abnormal, RefundStage::Succeeded).state,
            DifferenceState::Repaired
        );
    }

    #[test]
    fn what_is_over_or_decided_otherwise_is_told_nothing_of_a_refund() {
        let open = told(
            &approved(DifferenceKind::DuplicatePayment),
            RefundStage::Closed,
        );
        let proposed = decide(&open, Decision::Propose, "li").unwrap();
        for over in [
            proposed.clone(),
            decide(&proposed, Decision::Reject, "li").unwrap(),
            decide(&open, Decision::Explain, "li").unwrap(),
            told(
                &approved(DifferenceKind::DuplicatePayment),
                RefundStage::Succeeded,
            ),
        ] {
            assert_eq!(over.told(&at(RefundStage::Abnormal), "run-3", NOW), None);
            assert!(!over.is_followed());
        }
    }

    #[test]
    fn money_that_a_person_sent_to_the_merchants_account_has_not_reached_the_payer() {
        let stuck = told(
            &approved(DifferenceKind::DuplicatePayment),
            RefundStage::Abnormal,
        );
        let proposed = decide(&stuck, Decision::Redirect, "li").unwrap();
        let decided = decide(&proposed, Decision::Approve, "wang").unwrap();
        let redirected = TrackedRefund {
            to_merchant: true,
            ..at(RefundStage::Moving)
        };
        let moving = decided.told(&redirected, "run-2", NOW).unwrap();
        assert_eq!(moving.state, DifferenceState::OnItsWay);
        let through = told(&moving, RefundStage::Succeeded);
        assert_eq!(
            (through.state, through.is_followed()),
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
            (closed.state, closed.is_followed()),
            (DifferenceState::Explained, false)
        );
        let why = &closed.history.last().unwrap().why;
        assert!(why.contains("says li: looked at it"), "{why}");
    }

    #[test]
    fn only_of_money_that_is_with_the_merchant_a_person_says_how_the_payer_was_paid() {
        let begun = approved(DifferenceKind::DuplicatePayment);
        for stage in [
            RefundStage::Abnormal,
            RefundStage::Refused,
            RefundStage::Closed,
            RefundStage::Released,
        ] {
            let stands = told(&begun, stage);
            let said = decide(&stands, Decision::PayerPaid, "li");
            assert_eq!(said, Err(DecisionRejected::NothingOwed), "{}", stage.name());
        }
        let open = difference(DifferenceKind::DuplicatePayment);
        let said = decide(&open, Decision::PayerPaid, "li");
        assert_eq!(said, Err(DecisionRejected::NothingOwed));
    }

    fn of_fen(there: Option<i64>, here: Option<i64>) -> Difference {
        let side = |amount_fen: Option<i64>| {
            amount_fen.map(|fen| SideView {
                amount_fen: Some(fen),
                ..SideView::default()
            })
        };
        Difference {
            there: side(there),
            here: side(here),
            ..difference(DifferenceKind::AmountDiffers)
        }
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
            (&once.wanted, once.state.needs_somebody()),
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
        assert!(!twice.is_under_way() && !twice.is_followed());
        let rejected = decide(&once, Decision::Reject, "wang").unwrap();
        assert_eq!(
            rejected.state,
            DifferenceState::Open,
            "it waits for somebody as before"
        );
    }

    #[test]
    fn who_approved_a_refund_does_not_stand_behind_an_explanation() {
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
    fn a_refund_that_a_person_rejected_stays_rejected_until_somebody_opens_the_question_anew() {
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
        assert!(noted.refund_rejected, "a run opens nothing anew");
        let explained = decide(&noted, Decision::Explain, "li").unwrap();
        let turned_down = decide(&explained, Decision::Reject, "wang").unwrap();
        assert!(turned_down.refund_rejected, "as it was before");
        let explained = decide(&explained, Decision::Approve, "wang").unwrap();
        let open = decide(&explained, Decision::Reopen, "zhao").unwrap();
        assert!(explained.refund_rejected && !open.refund_rejected);
        let again = decide(&rejected, Decision::Propose, "wang").unwrap();
        assert!(!again.refund_rejected, "a person wants it after all");
        let other = of_fen(Some(2_000_000), None);
        let anew = rejected.with_other_amounts(&other, "run-2", NOW);
        assert!(!anew.refund_rejected, "that is another matter");
        let explanation = decide(&large, Decision::Explain, "li").unwrap();
        let turned_down = decide(&explanation, Decision::Reject, "wang").unwrap();
        assert!(!turned_down.refund_rejected, "no refund was proposed");
        let stored = serde_json::to_value(&large).unwrap();
        assert!(stored.get("refund_rejected").is_none());
    }

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
            (open.state, open.state.needs_somebody()),
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
    fn a_refund_that_was_stuck_when_it_was_explained_is_looked_after_once_it_is_open_again() {
        let stuck = told(
            &approved(DifferenceKind::DuplicatePayment),
            RefundStage::Abnormal,
        );
        let explained = decide(&stuck, Decision::Explain, "li").unwrap();
        assert!(!explained.is_followed());
        let open = decide(&explained, Decision::Reopen, "wang").unwrap();
        assert!(open.is_followed() && open.is_under_way());
        assert_eq!(
            told(&open, RefundStage::Succeeded).state,
            DifferenceState::Repaired
        );
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
            let stuck = told(&approved(DifferenceKind::DuplicatePayment), stage);
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
                (rejected.state, rejected.is_followed()),
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
            let stands = told(&begun, stage);
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
                    assert!(!decided.is_followed(), "first it is carried out");
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
        let wanted = ApprovedAction::TakeOn {
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
        let given_back = told(
            &self::approved(DifferenceKind::UnknownOrderThere),
            RefundStage::Closed,
        );
        assert_eq!(
            propose(&given_back, Some(&shop)),
            Err(DecisionRejected::NothingToTakeOn)
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
        let moving = told(&approved, RefundStage::Moving);
        assert_eq!(moving.notice_step(), None);
        let stuck = told(&moving, RefundStage::Refused);
        assert_eq!(stuck.notice_step(), Some(NoticeStep::Waits));
        let explained = decide(&stuck, Decision::Explain, "li").unwrap();
        assert_eq!(explained.notice_step(), closed("li"));
        assert_eq!(difference(DifferenceKind::FeeOffTheRate).notice_id(), None);
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
    fn only_money_that_is_not_ours_can_be_proposed_for_a_refund() {
        for kind in DifferenceKind::ALL {
            let refund = matches!(kind.remedy(), Remedy::Refund(_));
            let proposed = decide(&difference(kind), Decision::Propose, "li");
            assert_eq!(proposed.is_ok(), refund, "{}", kind.name());
        }
    }

    fn of_many(kind: DifferenceKind, count: u64) -> Difference {
        let about = DifferenceSubject {
            order_no: Some("ORDER-7".into()),
            ..DifferenceSubject::default()
        };
        let aggregate = Aggregate {
            count,
            amount_fen: 123_456,
            examples: vec![about],
            part: 3,
        };
        let date = BillDate::parse("2026-08-01").unwrap();
        Difference::of_many(date, kind, aggregate, "run-1", NOW)
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
        let absent = of_many(DifferenceKind::PaidHereAbsentThere, 20_001);
        assert!(absent.there.is_none() && absent.here.is_some());
    }

    #[test]
    fn what_was_explained_of_so_many_is_open_again_once_they_are_others() {
        let proposed = decide(
            &of_many(DifferenceKind::FeeOffTheRate, 20_001),
            Decision::Explain,
            "li",
        );
        let explained = decide(&proposed.unwrap(), Decision::Approve, "wang");
        let found = of_many(DifferenceKind::FeeOffTheRate, 20_002);
        let anew = explained.unwrap().counted_anew(&found, "run-2", NOW);
        assert_eq!((anew.state, anew.version), (DifferenceState::Open, 4));
        assert_eq!(anew.aggregate, found.aggregate);
        assert!(anew.history.last().unwrap().why.starts_with("20002 of"));
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
        assert!(
            DifferenceKind::ALL
                .iter()
                .all(|kind| DifferenceKind::named(kind.name()) == Some(*kind))
        );
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
}
