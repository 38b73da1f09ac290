//! The kinds of differences, and all that is asked of a kind.

use serde::{Deserialize, Serialize};

/// A side of a run. Each has its own result.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RunSide {
    /// The bill of trades against our books.
    Trades,
    /// The account's movements against the trades.
    Funds,
}

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

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Remedy {
    /// WeChat Pay is queried, and its answer is settled like a callback.
    Settle(PaymentOrRefund),
    /// A refund is proposed to two persons.
    Refund(RefundableMoney),
    /// A person must check it.
    Operator,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PaymentOrRefund {
    Payment,
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

/// What WeChat Pay's values are compared with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OurSide {
    Books,
    /// The fee that the row's own rate gives.
    Rate,
}

impl OurSide {
    /// Its name, for readers.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Books => "Our books",
            Self::Rate => "The rate gives",
        }
    }
}

/// What is done about many of a kind that runs repair.
const THE_NEXT_RUN: &str = "run the day again: these are too many for one run, and it handles the next ones after those before them are settled";
/// What is done about many of a kind that a person examines.
const ONE_CAUSE: &str = "so many have one cause: check some of them, and whether bill and books are of the same merchant and day; then explain";
/// What is done about many movements or trades that do not go together.
const OF_SETTLEMENT: &str = "so many have one cause: ask the people who run the system whether SettlementDays and FundAccounts match the contract with WeChat Pay (runbook reconciliation.md); if they are, open a case with WeChat Pay";
/// What is done about rows that were only counted, which are always many.
const UNCHECKED: &str = "ask the people who run the system whether the merchant number is right and the index `day` is complete (runbook reconciliation.md); then run the day again, which handles the next ones after those before them are settled";

/// All that is asked of a kind, explained where it is read.
struct KindFacts {
    name: &'static str,
    title: &'static str,
    meaning: &'static str,
    what_to_do: &'static str,
    what_to_do_of_many: &'static str,
    remedy: Remedy,
    side: RunSide,
    parked_as: Option<PaymentOrRefund>,
    only_here: Option<PaymentOrRefund>,
    explains_movement: bool,
    our_side: OurSide,
}

impl DifferenceKind {
    /// All kinds, in the order in which a report lists them. A test compares them with those that
    /// can be stored.
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

    const fn facts(self) -> KindFacts {
        match self {
            Self::PaidThereUnpaidHere => KindFacts {
                name: "paid_there_unpaid_here",
                title: "Paid at WeChat Pay, unpaid in our books",
                meaning: "WeChat Pay took money for an order that is not paid in our books: its news never arrived",
                what_to_do: "nothing: WeChat Pay is asked and the payment is settled; it stays open only if the answer contradicts the bill",
                what_to_do_of_many: THE_NEXT_RUN,
                remedy: Remedy::Settle(PaymentOrRefund::Payment),
                side: RunSide::Trades,
                parked_as: Some(PaymentOrRefund::Payment),
                only_here: None,
                explains_movement: false,
                our_side: OurSide::Books,
            },
            Self::UnknownOrderThere => KindFacts {
                name: "unknown_order_there",
                title: "Payment of an unknown order",
                meaning: "WeChat Pay took money for an order that no one here made",
                what_to_do: "find out who made the order; if no one did, approve the refund; if its record was lost here, reject that and restore the order as paid",
                what_to_do_of_many: THE_NEXT_RUN,
                remedy: Remedy::Refund(RefundableMoney::Unattributed),
                side: RunSide::Trades,
                parked_as: Some(PaymentOrRefund::Payment),
                only_here: None,
                explains_movement: false,
                our_side: OurSide::Books,
            },
            Self::DuplicatePayment => KindFacts {
                name: "duplicate_payment",
                title: "Second payment of an order",
                meaning: "the payer paid an order that was paid already: this money is not ours to keep",
                what_to_do: "approve the refund of the second payment",
                what_to_do_of_many: THE_NEXT_RUN,
                remedy: Remedy::Refund(RefundableMoney::SecondPayment),
                side: RunSide::Trades,
                parked_as: Some(PaymentOrRefund::Payment),
                only_here: None,
                explains_movement: false,
                our_side: OurSide::Books,
            },
            Self::PaidHereAbsentThere => KindFacts {
                name: "paid_here_absent_there",
                title: "Paid in our books, not in the bill",
                meaning: "our books have a payment of this day that WeChat Pay's bill does not have",
                what_to_do: "compare with WeChat Pay's console before anything more is delivered, and open a case with WeChat Pay",
                what_to_do_of_many: ONE_CAUSE,
                remedy: Remedy::Operator,
                side: RunSide::Trades,
                parked_as: None,
                only_here: Some(PaymentOrRefund::Payment),
                explains_movement: false,
                our_side: OurSide::Books,
            },
            Self::AmountDiffers => KindFacts {
                name: "amount_differs",
                title: "Payment with another amount",
                meaning: "both sides have the payment, but not with the same amount",
                what_to_do: "compare both sides; book or refund the payment by hand, then explain the difference here",
                what_to_do_of_many: ONE_CAUSE,
                remedy: Remedy::Operator,
                side: RunSide::Trades,
                parked_as: Some(PaymentOrRefund::Payment),
                only_here: None,
                explains_movement: true,
                our_side: OurSide::Books,
            },
            Self::StatusDiffers => KindFacts {
                name: "status_differs",
                title: "Payment that did not succeed",
                meaning: "the bill does not say of this payment that it succeeded: it was reversed, say",
                what_to_do: "look the payment up in WeChat Pay's console; take back what was delivered if it was reversed",
                what_to_do_of_many: ONE_CAUSE,
                remedy: Remedy::Operator,
                side: RunSide::Trades,
                parked_as: None,
                only_here: None,
                explains_movement: true,
                our_side: OurSide::Books,
            },
            Self::IdentityDiffers => KindFacts {
                name: "identity_differs",
                title: "Payment to another appid or merchant, or in another currency",
                meaning: "the payment was made in another currency, to another appid or to another merchant than the order's",
                what_to_do: "compare both sides; book or refund the payment by hand, then explain the difference here",
                what_to_do_of_many: ONE_CAUSE,
                remedy: Remedy::Operator,
                side: RunSide::Trades,
                parked_as: Some(PaymentOrRefund::Payment),
                only_here: None,
                explains_movement: true,
                our_side: OurSide::Books,
            },
            Self::RefundThereUnknownHere => KindFacts {
                name: "refund_there_unknown_here",
                title: "Refund that our books do not have",
                meaning: "WeChat Pay gave money back that was not asked for here: in its console, say",
                what_to_do: "nothing if WeChat Pay confirms it: the refund is taken into the books; else find out who made it",
                what_to_do_of_many: THE_NEXT_RUN,
                remedy: Remedy::Settle(PaymentOrRefund::Refund),
                side: RunSide::Trades,
                parked_as: Some(PaymentOrRefund::Refund),
                only_here: None,
                explains_movement: false,
                our_side: OurSide::Books,
            },
            Self::RefundHereAbsentThere => KindFacts {
                name: "refund_here_absent_there",
                title: "Refund that the bill does not have",
                meaning: "our books have a refund that WeChat Pay accepted this day, and its bill does not have it",
                what_to_do: "check the refund in WeChat Pay's console and open a case with WeChat Pay",
                what_to_do_of_many: ONE_CAUSE,
                remedy: Remedy::Operator,
                side: RunSide::Trades,
                parked_as: None,
                only_here: Some(PaymentOrRefund::Refund),
                explains_movement: false,
                our_side: OurSide::Books,
            },
            Self::RefundAmountDiffers => KindFacts {
                name: "refund_amount_differs",
                title: "Refund with another amount",
                meaning: "both sides have the refund, but not with the same amount",
                what_to_do: "compare both sides and open a case with WeChat Pay",
                what_to_do_of_many: ONE_CAUSE,
                remedy: Remedy::Operator,
                side: RunSide::Trades,
                parked_as: Some(PaymentOrRefund::Refund),
                only_here: None,
                explains_movement: true,
                our_side: OurSide::Books,
            },
            Self::RefundStateDiffers => KindFacts {
                name: "refund_state_differs",
                title: "Refund in another state",
                meaning: "both sides have the refund, in states that do not go together",
                what_to_do: "nothing if WeChat Pay confirms the bill's state: it is settled; else open a case with WeChat Pay",
                what_to_do_of_many: THE_NEXT_RUN,
                remedy: Remedy::Settle(PaymentOrRefund::Refund),
                side: RunSide::Trades,
                parked_as: Some(PaymentOrRefund::Refund),
                only_here: None,
                explains_movement: true,
                our_side: OurSide::Books,
            },
            Self::FeeOffTheRate => KindFacts {
                name: "fee_off_the_rate",
                title: "Fee off the agreed rate",
                meaning: "the fee is a fen or more away from what the row's own rate gives",
                what_to_do: "compare with the contract and ask WeChat Pay for the difference",
                what_to_do_of_many: ONE_CAUSE,
                remedy: Remedy::Operator,
                side: RunSide::Trades,
                parked_as: None,
                only_here: None,
                explains_movement: true,
                our_side: OurSide::Rate,
            },
            Self::FundFlowWithoutTrade => KindFacts {
                name: "fund_flow_without_trade",
                title: "Account movement without a trade",
                meaning: "the account moved for a trade that neither the bills nor our books have",
                what_to_do: "compare the fund bill with the trade bill and open a case with WeChat Pay",
                what_to_do_of_many: OF_SETTLEMENT,
                remedy: Remedy::Operator,
                side: RunSide::Funds,
                parked_as: None,
                only_here: None,
                explains_movement: false,
                our_side: OurSide::Books,
            },
            Self::TradeWithoutFundFlow => KindFacts {
                name: "trade_without_fund_flow",
                title: "Trade without an account movement",
                meaning: "the account did not move for this trade as it should have, on its day or the next",
                what_to_do: "compare the fund bill with the trade bill and open a case with WeChat Pay",
                what_to_do_of_many: OF_SETTLEMENT,
                remedy: Remedy::Operator,
                side: RunSide::Funds,
                parked_as: None,
                only_here: None,
                explains_movement: true,
                our_side: OurSide::Books,
            },
            Self::SummaryDiffers => KindFacts {
                name: "summary_differs",
                title: "The bill's own sum is wrong",
                meaning: "the bill's last row is not the sum of the rows above it",
                what_to_do: "do not book from this bill before WeChat Pay has explained it",
                what_to_do_of_many: ONE_CAUSE,
                remedy: Remedy::Operator,
                side: RunSide::Trades,
                parked_as: None,
                only_here: None,
                explains_movement: false,
                our_side: OurSide::Books,
            },
            Self::UncheckedRows => KindFacts {
                name: "unchecked_rows",
                title: "Rows that were only counted",
                meaning: "more rows of the bill than one run checks do not agree with our books at first sight: these were counted, and no order was read",
                what_to_do: UNCHECKED,
                what_to_do_of_many: UNCHECKED,
                remedy: Remedy::Operator,
                side: RunSide::Trades,
                parked_as: None,
                only_here: None,
                explains_movement: false,
                our_side: OurSide::Books,
            },
        }
    }

    /// The name in the API, the table, metrics and CSV.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its heading, for readers.
    pub const fn title(self) -> &'static str {
        self.facts().title
    }

    /// Its meaning, for readers of the report.
    pub const fn meaning(self) -> &'static str {
        self.facts().meaning
    }

    /// What is done, automatically or by an operator.
    pub const fn what_to_do(self) -> &'static str {
        self.facts().what_to_do
    }

    /// The same of many that are one difference.
    pub(super) const fn what_to_do_of_many(self) -> &'static str {
        self.facts().what_to_do_of_many
    }

    pub const fn remedy(self) -> Remedy {
        self.facts().remedy
    }

    /// Whether it is about a movement of the account, which has WeChat Pay's number of its trade.
    pub const fn is_of_movements(self) -> bool {
        matches!(self.facts().side, RunSide::Funds)
    }

    /// The kind of money that may have been parked for it.
    pub(super) const fn parked_as(self) -> Option<PaymentOrRefund> {
        self.facts().parked_as
    }

    /// The kind of trade that our books have and the bill lacks. The next day's bill may have it.
    pub const fn only_here(self) -> Option<PaymentOrRefund> {
        self.facts().only_here
    }

    /// Whether it explains that the account moved for its trade otherwise than the bill's row says:
    /// both are one fact, seen from two sides.
    pub const fn explains_movement(self) -> bool {
        self.facts().explains_movement
    }

    /// What WeChat Pay's values are compared with.
    pub const fn our_side(self) -> OurSide {
        self.facts().our_side
    }
}
