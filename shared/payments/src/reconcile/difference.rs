//! A difference between a day's bills and our books: its kind, its state, and who may do what about it.
//!
//! ```text
//! open -> repaired                    both sides agree again: by a run, or since a later one found nothing
//! open -> proposed -> approved -> repaired     a refund: two different persons stand behind it before money moves
//!            |           \-> open   the refund could not be made: people begin anew
//!            \-> rejected
//! repaired -> open                    a later run finds it again
//! open | proposed | rejected -> explained      a person says why it is right as it is
//! ```

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wechatpay::UnixSeconds;

use super::run::{BillDate, BillName};

/// A side of a run: each is a verdict of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RunSide {
    /// The bill of trades against our books.
    Trades,
    /// The movements of the account against the trades.
    Funds,
}

/// What differs.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The bill has a payment of an order that is unpaid in our books.
    PaidThereUnpaidHere,
    /// Our books have a payment that the day's bill does not.
    PaidHereAbsentThere,
    /// Both have the payment, with another amount.
    AmountDiffers,
    /// The bill says something else of the payment than that it succeeded.
    StatusDiffers,
    /// Currency, appid or merchant number of the payment is not ours.
    IdentityDiffers,
    /// The bill has a payment of an order that nobody here made.
    UnknownOrderThere,
    /// The bill has a second payment of an order that is paid.
    DuplicatePayment,
    /// The bill has a refund that our books do not.
    RefundThereUnknownHere,
    /// Our books have a refund that the day's bill does not.
    RefundHereAbsentThere,
    /// Both have the refund, with another amount.
    RefundAmountDiffers,
    /// Both have the refund, in states that do not go together.
    RefundStateDiffers,
    /// The fee is not what the row's own rate gives.
    FeeOffTheRate,
    /// The account moved for a trade that is neither in the bills nor in our books.
    FundFlowWithoutTrade,
    /// The bill has a trade for which the account did not move, this day or the next.
    TradeWithoutFundFlow,
    /// The bill's summary row is not the sum of its rows.
    SummaryDiffers,
}

/// What is done about a kind of difference.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Remedy {
    /// WeChat Pay is asked about something, and what it says is settled as a callback would be.
    Settle(Question),
    /// A refund of money is proposed to two persons.
    Refund(Money),
    /// A person looks.
    Person,
}

/// What WeChat Pay is asked about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Question {
    /// The order's payment.
    Payment,
    /// The refund.
    Refund,
}

/// Money that is not ours to keep.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Money {
    /// An order of ours was paid once more.
    Second,
    /// Nobody here made the order.
    Nobodys,
}

impl Kind {
    /// All kinds, in the order in which a report lists them.
    pub const ALL: [Self; 15] = [
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
        }
    }

    /// The kind by its name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What it means, for the people who read the report.
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
        }
    }

    /// What is done, by us or by a person.
    pub const fn what_to_do(self) -> &'static str {
        match self {
            Self::PaidThereUnpaidHere => {
                "nothing: WeChat Pay is asked and the payment is settled; it stays open only if the answer contradicts the bill"
            }
            Self::UnknownOrderThere => {
                "find out who made the order; if nobody did, approve the refund"
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
            | Self::SummaryDiffers => false,
        }
    }

    /// What is done without or with a person.
    pub const fn remedy(self) -> Remedy {
        match self {
            Self::PaidThereUnpaidHere => Remedy::Settle(Question::Payment),
            Self::RefundThereUnknownHere | Self::RefundStateDiffers => {
                Remedy::Settle(Question::Refund)
            }
            Self::UnknownOrderThere => Remedy::Refund(Money::Nobodys),
            Self::DuplicatePayment => Remedy::Refund(Money::Second),
            Self::PaidHereAbsentThere
            | Self::AmountDiffers
            | Self::StatusDiffers
            | Self::IdentityDiffers
            | Self::RefundHereAbsentThere
            | Self::RefundAmountDiffers
            | Self::FeeOffTheRate
            | Self::FundFlowWithoutTrade
            | Self::TradeWithoutFundFlow
            | Self::SummaryDiffers => Remedy::Person,
        }
    }
}

/// What a difference is about. The numbers are kept as the bill writes them: an order that nobody here made may have one that
/// no order of ours could have.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct About {
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
    /// The bill, where it is about that as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bill: Option<BillName>,
    /// The row of the bill, 1 is its header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

/// What one side says.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// Fen; a payment's whole or a refund's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_fen: Option<i64>,
    /// The state, in that side's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// When it happened, by WeChat Pay's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<UnixSeconds>,
    /// What else matters for this kind: the appid, the fee and its rate, the sum of the rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Where a difference stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody has done anything about it.
    Open,
    /// A refund is proposed and waits for persons.
    Proposed,
    /// Two persons approved the refund; it is on its way.
    Approved,
    /// Both sides agree, or will once a refund that is under way is through. Final, unless a later run finds it again.
    Repaired,
    /// A person turned the proposal down.
    Rejected,
    /// A person said why it is right as it is. Final.
    Explained,
}

impl State {
    /// The name in the API, the table and CSV.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Proposed => "proposed",
            Self::Approved => "approved",
            Self::Repaired => "repaired",
            Self::Rejected => "rejected",
            Self::Explained => "explained",
        }
    }

    /// Whether somebody still has to do something about it.
    pub const fn needs_somebody(self) -> bool {
        match self {
            Self::Open | Self::Proposed | Self::Approved => true,
            Self::Repaired | Self::Rejected | Self::Explained => false,
        }
    }
}

/// Who did something about a difference.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// A run, by its id.
    Run(String),
    /// A person, as the token of the request names them.
    Person(String),
}

/// One step of a difference's way.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// When, by our clock.
    pub at: UnixSeconds,
    /// Who.
    pub who: Who,
    /// The state afterwards.
    pub to: State,
    /// Why.
    pub why: String,
}

/// A difference, as the table holds it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Its name under its day: the same for the same thing, whichever run finds it.
    pub id: String,
    /// The day.
    pub date: BillDate,
    /// What differs.
    pub kind: Kind,
    /// What it is about.
    pub about: About,
    /// What WeChat Pay says; `None` if it has nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub there: Option<Side>,
    /// What our books say; `None` if they have nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub here: Option<Side>,
    /// Where it stands.
    pub state: State,
    /// Counts its steps; each write names the version it was decided on.
    pub version: u64,
    /// How it came there, the first step is its finding.
    pub history: Vec<Step>,
}

/// What a person may decide.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Propose to give the money back. Counts as the first of two persons.
    Propose,
    /// Stand behind a proposal.
    Approve,
    /// Turn a proposal down.
    Reject,
    /// Say why the difference is right as it is.
    Explain,
}

/// Why a decision does not hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotDecided {
    /// Nothing like that can be decided about a difference that stands there.
    #[error("a difference that is {} cannot be decided about like this: load the page anew", .state.name())]
    WrongState {
        /// Where it stands.
        state: State,
    },
    /// No money can be given back for this kind.
    #[error("no money can be given back for this kind of difference: explain it instead")]
    NothingToRefund,
    /// The same person stands behind the proposal already.
    #[error("you stand behind this proposal already: a second, different person has to approve it")]
    SamePerson,
    /// Nobody will know why.
    #[error("say why, in 1 to 500 characters")]
    NoReason,
}

/// How many persons stand behind a refund before money moves.
pub const PERSONS: usize = 2;

/// The longest reason, in characters.
pub const REASON_MAX: usize = 500;

impl Difference {
    /// A difference as a run finds it.
    pub fn found(
        date: BillDate,
        kind: Kind,
        about: About,
        there: Option<Side>,
        here: Option<Side>,
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
            state: State::Open,
            version: 1,
            history: vec![Step {
                at,
                who: Who::Run(run.to_owned()),
                to: State::Open,
                why: kind.meaning().to_owned(),
            }],
        }
    }

    /// The side of a run that finds such a difference, and may say that it is over.
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

    /// The difference after a person's decision.
    ///
    /// # Errors
    /// [`NotDecided`] when the decision does not hold.
    pub fn decided(
        &self,
        decision: Decision,
        person: &str,
        why: &str,
        at: UnixSeconds,
    ) -> Result<Self, NotDecided> {
        let why = why.trim();
        if why.is_empty() || why.chars().count() > REASON_MAX {
            return Err(NotDecided::NoReason);
        }
        let wrong_state = Err(NotDecided::WrongState { state: self.state });
        let to = match (decision, self.state) {
            (Decision::Propose, State::Open | State::Rejected) => match self.kind.remedy() {
                Remedy::Refund(Money::Second | Money::Nobodys) => State::Proposed,
                Remedy::Settle(Question::Payment | Question::Refund) | Remedy::Person => {
                    return Err(NotDecided::NothingToRefund);
                }
            },
            (Decision::Approve, State::Proposed) => {
                let mut behind = self.behind_the_proposal();
                if behind.contains(&person) {
                    return Err(NotDecided::SamePerson);
                }
                behind.push(person);
                if behind.len() < PERSONS {
                    State::Proposed
                } else {
                    State::Approved
                }
            }
            (Decision::Reject, State::Proposed) => State::Rejected,
            (Decision::Explain, State::Open | State::Proposed | State::Rejected) => {
                State::Explained
            }
            (
                Decision::Propose,
                State::Proposed | State::Approved | State::Repaired | State::Explained,
            )
            | (
                Decision::Approve | Decision::Reject,
                State::Open
                | State::Approved
                | State::Repaired
                | State::Rejected
                | State::Explained,
            )
            | (Decision::Explain, State::Approved | State::Repaired | State::Explained) => {
                return wrong_state;
            }
        };
        Ok(self.stepping(Who::Person(person.to_owned()), to, why, at))
    }

    /// The difference after a run brought both sides together, or found them so.
    #[must_use]
    pub fn repaired(&self, run: &str, why: &str, at: UnixSeconds) -> Self {
        self.stepping(Who::Run(run.to_owned()), State::Repaired, why, at)
    }

    /// The difference with a refund proposed by a run.
    #[must_use]
    pub fn proposed(&self, run: &str, why: &str, at: UnixSeconds) -> Self {
        self.stepping(Who::Run(run.to_owned()), State::Proposed, why, at)
    }

    /// The difference after an approved refund could not be made, or after a run found again what was repaired: it waits for
    /// people anew, and the persons who stood behind it count no more.
    #[must_use]
    pub fn reopened(&self, run: &str, why: &str, at: UnixSeconds) -> Self {
        self.stepping(Who::Run(run.to_owned()), State::Open, why, at)
    }

    /// The difference with a note of what a run tried in vain. The state stays.
    #[must_use]
    pub fn noted(&self, run: &str, why: &str, at: UnixSeconds) -> Self {
        self.stepping(Who::Run(run.to_owned()), self.state, why, at)
    }

    /// The persons behind the proposal that stands, the first one first.
    pub fn behind_the_proposal(&self) -> Vec<&str> {
        let mut persons: Vec<&str> = self
            .history
            .iter()
            .rev()
            .take_while(|step| step.to == State::Proposed)
            .filter_map(|step| match &step.who {
                Who::Person(name) => Some(name.as_str()),
                Who::Run(_) => None,
            })
            .collect();
        persons.reverse();
        persons
    }

    fn stepping(&self, who: Who, to: State, why: &str, at: UnixSeconds) -> Self {
        let mut history = self.history.clone();
        history.push(Step {
            at,
            who,
            to,
            why: why.to_owned(),
        });
        Self {
            state: to,
            version: self.version.saturating_add(1),
            history,
            ..self.clone()
        }
    }
}

/// The name of a difference under its day: its kind, and a hash of what it is about, without the bill's line.
fn id(kind: Kind, about: &About) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_785_556_802);

    fn difference(kind: Kind) -> Difference {
        let about = About {
            order_no: Some("ORDER-1".into()),
            transaction_id: Some("4200001".into()),
            ..About::default()
        };
        let date = BillDate::parse("2026-08-01").unwrap();
        Difference::found(date, kind, about, None, None, "run-1", NOW)
    }

    fn decide(
        difference: &Difference,
        decision: Decision,
        who: &str,
    ) -> Result<Difference, NotDecided> {
        difference.decided(decision, who, "looked at it", NOW)
    }

    #[test]
    fn money_moves_only_with_two_different_persons_behind_it() {
        let proposed =
            difference(Kind::DuplicatePayment).proposed("run-1", "a second payment", NOW);
        let once = decide(&proposed, Decision::Approve, "li").unwrap();
        assert_eq!(once.state, State::Proposed);
        assert_eq!(
            decide(&once, Decision::Approve, "li"),
            Err(NotDecided::SamePerson)
        );
        let twice = decide(&once, Decision::Approve, "wang").unwrap();
        assert_eq!(twice.state, State::Approved);
        assert_eq!(twice.version, 4);
    }

    #[test]
    fn who_proposes_is_the_first_of_the_two() {
        let proposed = decide(
            &difference(Kind::UnknownOrderThere),
            Decision::Propose,
            "li",
        )
        .unwrap();
        assert_eq!(proposed.behind_the_proposal(), ["li"]);
        assert_eq!(
            decide(&proposed, Decision::Approve, "li"),
            Err(NotDecided::SamePerson)
        );
        let approved = decide(&proposed, Decision::Approve, "wang").unwrap();
        assert_eq!(approved.state, State::Approved);
    }

    #[test]
    fn approvals_of_a_proposal_that_was_rejected_do_not_count_for_the_next() {
        let proposed =
            difference(Kind::DuplicatePayment).proposed("run-1", "a second payment", NOW);
        let once = decide(&proposed, Decision::Approve, "li").unwrap();
        let rejected = decide(&once, Decision::Reject, "wang").unwrap();
        let again = decide(&rejected, Decision::Propose, "zhao").unwrap();
        assert_eq!(again.behind_the_proposal(), ["zhao"]);
        assert_eq!(
            decide(&again, Decision::Approve, "li").unwrap().state,
            State::Approved
        );
    }

    #[test]
    fn a_refund_that_could_not_be_made_needs_two_persons_anew() {
        let proposed = decide(&difference(Kind::DuplicatePayment), Decision::Propose, "li");
        let approved = decide(&proposed.unwrap(), Decision::Approve, "wang").unwrap();
        let reopened = approved.reopened("run-2", "WeChat Pay does not have it", NOW);
        assert!(reopened.state.needs_somebody());
        let again = reopened.proposed("run-3", "a second payment", NOW);
        let once = decide(&again, Decision::Approve, "li").unwrap();
        assert_eq!(once.state, State::Proposed);
    }

    #[test]
    fn nobody_decides_about_what_is_over_or_under_way_nor_without_a_reason() {
        let open = difference(Kind::DuplicatePayment);
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
                    Err(NotDecided::WrongState { state: over.state })
                );
            }
        }
        for why in ["", "  ", &"x".repeat(REASON_MAX + 1)] {
            assert_eq!(
                open.decided(Decision::Explain, "li", why, NOW),
                Err(NotDecided::NoReason)
            );
        }
    }

    #[test]
    fn only_money_that_is_not_ours_can_be_proposed_for_a_refund() {
        for kind in Kind::ALL {
            let refund = matches!(kind.remedy(), Remedy::Refund(_));
            let proposed = decide(&difference(kind), Decision::Propose, "li");
            assert_eq!(proposed.is_ok(), refund, "{}", kind.name());
        }
    }

    #[test]
    fn the_same_thing_has_the_same_name_in_every_run_and_every_kind_its_own() {
        let mut other_line = difference(Kind::AmountDiffers);
        other_line.about.line = Some(7);
        assert_eq!(
            id(Kind::AmountDiffers, &other_line.about),
            difference(Kind::AmountDiffers).id
        );
        let mut ids: Vec<String> = Kind::ALL.map(|kind| difference(kind).id).into();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), Kind::ALL.len());
        assert!(
            Kind::ALL
                .iter()
                .all(|kind| Kind::named(kind.name()) == Some(*kind))
        );
    }
}
