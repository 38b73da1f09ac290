//! News about refunds: WeChat Pay's notices and answers as our own types.

use wechatpay::{
    RequestId, UnixSeconds,
    time::parse_rfc3339,
    wire::{self, RefundStatus},
};

use crate::{
    model::{
        ids::{OrderNo, OutRefundNo, RefundId, TransactionId},
        money::Fen,
        refund::{ReceivedBy, Refund},
    },
    news::unreadable::UnreadableNotice,
};

/// What WeChat Pay says about one refund, typed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RefundNews {
    /// The merchant number in it; answers have none and are about ours.
    pub mchid: Option<String>,
    /// The order it names.
    pub order_no: OrderNo,
    /// The payment it names.
    pub transaction_id: TransactionId,
    /// The refund in it, by the number that we gave to WeChat Pay.
    pub out_refund_no: OutRefundNo,
    /// WeChat Pay's own number of it.
    pub refund_id: RefundId,
    pub status: ReportedRefundStatus,
    pub amount: Fen,
    /// The order's total.
    pub total: Fen,
    /// When it was accepted (`create_time`). Answers contain it, notices do not; no refund waits
    /// for it.
    pub accepted_at: Option<UnixSeconds>,
    /// Whose account receives its money, if given (`user_received_account`). It decides only once
    /// the refund has succeeded.
    pub received_by: Option<ReceivedBy>,
    /// WeChat Pay's `Request-ID` of the answer or callback.
    pub request_id: Option<RequestId>,
}

/// The values of `user_received_account` for the merchant's own accounts: its basic one, or the
/// bank account that it is settled to. The manual has both names in one line, so any of them
/// counts.
const MERCHANTS: [&str; 2] = ["商户基本账户", "商户结算银行账户"];

/// What the payer's wallets are called, such as `支付用户零钱`.
const WALLETS: [&str; 2] = ["支付用户", "零钱"];

/// The kinds of a payer's card. Its last digits follow.
const CARDS: [&str; 3] = ["信用卡", "储蓄卡", "借记卡"];

/// What each account of a merchant has in its name.
const OF_A_MERCHANT: &str = "商户";

/// Parses `user_received_account`: a bank, a kind of card and its last digits, `支付用户零钱`, or
/// one of the merchant's accounts. `None` for any other name: WeChat Pay adds new ones, and whose
/// account that is decides whether a payer is owed.
fn received_by(account: &str) -> Option<ReceivedBy> {
    let account = account.trim();
    if MERCHANTS.iter().any(|name| account.contains(name)) {
        return Some(ReceivedBy::Merchant);
    }
    if account.contains(OF_A_MERCHANT) {
        return None;
    }
    let is_wallet = WALLETS.iter().any(|name| account.contains(name));
    let is_card = CARDS.iter().any(|kind| {
        let digits = account.split_once(kind).map(|(_, digits)| digits);
        digits.is_some_and(|digits| {
            !digits.is_empty() && digits.bytes().all(|one| one.is_ascii_digit())
        })
    });
    (is_wallet || is_card).then_some(ReceivedBy::Payer)
}

/// The state of a refund at WeChat Pay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReportedRefundStatus {
    /// Accepted.
    Processing,
    /// The money is back, since then.
    Succeeded(UnixSeconds),
    /// It failed for good.
    Closed,
    /// It cannot be paid out.
    Abnormal,
}

impl TryFrom<wire::RefundNotice> for RefundNews {
    type Error = UnreadableNotice;

    fn try_from(wire: wire::RefundNotice) -> Result<Self, UnreadableNotice> {
        RefundFields {
            mchid: Some(wire.mchid.clone()),
            out_trade_no: &wire.out_trade_no,
            transaction_id: &wire.transaction_id,
            out_refund_no: &wire.out_refund_no,
            refund_id: &wire.refund_id,
            status: wire.state(),
            success_time: wire.success_time.as_deref(),
            create_time: None,
            received_account: wire.user_received_account.as_deref(),
            refund_fen: wire.amount.refund,
            total_fen: wire.amount.total,
        }
        .read()
    }
}

impl TryFrom<wire::Refund> for RefundNews {
    type Error = UnreadableNotice;

    fn try_from(wire: wire::Refund) -> Result<Self, UnreadableNotice> {
        RefundFields {
            mchid: None,
            out_trade_no: &wire.out_trade_no,
            transaction_id: &wire.transaction_id,
            out_refund_no: &wire.out_refund_no,
            refund_id: &wire.refund_id,
            status: wire.state(),
            success_time: wire.success_time.as_deref(),
            create_time: wire.create_time.as_deref(),
            received_account: wire.user_received_account.as_deref(),
            refund_fen: wire.amount.refund,
            total_fen: wire.amount.total,
        }
        .read()
    }
}

/// The fields that a notice and an answer share under different names.
struct RefundFields<'a> {
    mchid: Option<String>,
    out_trade_no: &'a str,
    transaction_id: &'a str,
    out_refund_no: &'a str,
    refund_id: &'a str,
    status: Option<&'a RefundStatus>,
    success_time: Option<&'a str>,
    create_time: Option<&'a str>,
    received_account: Option<&'a str>,
    refund_fen: i64,
    total_fen: i64,
}

impl RefundFields<'_> {
    fn read(self) -> Result<RefundNews, UnreadableNotice> {
        let invalid = UnreadableNotice::Invalid;
        let status = match self.status.ok_or(UnreadableNotice::Missing("status"))? {
            RefundStatus::Success => {
                let at = self
                    .success_time
                    .ok_or(UnreadableNotice::Missing("success_time"))?;
                ReportedRefundStatus::Succeeded(
                    parse_rfc3339(at).map_err(|_| invalid("success_time"))?,
                )
            }
            RefundStatus::Closed => ReportedRefundStatus::Closed,
            RefundStatus::Processing => ReportedRefundStatus::Processing,
            RefundStatus::Abnormal => ReportedRefundStatus::Abnormal,
            RefundStatus::Unknown(state) => {
                return Err(UnreadableNotice::unknown_state(state));
            }
        };
        Ok(RefundNews {
            mchid: self.mchid,
            order_no: OrderNo::parse(self.out_trade_no).map_err(|_| invalid("out_trade_no"))?,
            transaction_id: TransactionId::parse(self.transaction_id)
                .map_err(|_| invalid("transaction_id"))?,
            out_refund_no: OutRefundNo::parse(self.out_refund_no)
                .map_err(|_| invalid("out_refund_no"))?,
            refund_id: RefundId::parse(self.refund_id).map_err(|_| invalid("refund_id"))?,
            status,
            amount: Fen::new(self.refund_fen).ok_or(invalid("amount.refund"))?,
            total: Fen::new(self.total_fen).ok_or(invalid("amount.total"))?,
            // It only decides on which day the refund is searched for, so a wrong value must not
            // block the refund.
            accepted_at: self.create_time.and_then(|at| parse_rfc3339(at).ok()),
            received_by: self.received_account.and_then(received_by),
            request_id: None,
        })
    }
}

impl RefundNews {
    /// Whether WeChat Pay reports success, with the money on the merchant's own account.
    pub fn went_to_merchant(&self) -> bool {
        matches!(self.status, ReportedRefundStatus::Succeeded(_))
            && self.received_by == Some(ReceivedBy::Merchant)
    }

    /// Whether WeChat Pay says that the payer has the money which an operator redirected to the
    /// merchant's own account.
    pub fn contradicts(&self, refund: &Refund) -> bool {
        matches!(self.status, ReportedRefundStatus::Succeeded(_))
            && self.received_by == Some(ReceivedBy::Payer)
            && refund.is_to_merchant()
    }

    /// The same with the `Request-ID` that it came with.
    #[must_use]
    pub fn with_request_id(mut self, request_id: Option<RequestId>) -> Self {
        self.request_id = request_id;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A signed answer about a refund, accepted at `create_time`.
    fn answer(create_time: Option<&str>) -> RefundNews {
        let wire = wire::Refund {
            refund_id: "500001".into(),
            out_refund_no: "R-1".into(),
            transaction_id: "420001".into(),
            out_trade_no: "ORDER-1".into(),
            status: Some(RefundStatus::Processing),
            refund_status: None,
            channel: None,
            user_received_account: None,
            create_time: create_time.map(str::to_owned),
            success_time: None,
            funds_account: None,
            amount: wire::RefundAmount {
                total: 100,
                refund: 60,
                ..wire::RefundAmount::default()
            },
            promotion_detail: None,
        };
        RefundNews::try_from(wire).unwrap()
    }

    #[test]
    fn an_answer_says_when_the_refund_was_accepted_and_none_is_held_up_by_it() {
        let at = answer(Some("2026-08-01T00:00:01+08:00")).accepted_at;
        assert_eq!(at, Some(UnixSeconds(1_785_513_601)));
        assert_eq!(answer(None).accepted_at, None);
        assert_eq!(answer(Some("yesterday")).accepted_at, None);
    }

    #[test]
    fn the_receiving_account_is_read_from_wechat_pay_s_name_of_it() {
        for (account, received_by) in [
            ("商户基本账户", Some(ReceivedBy::Merchant)),
            (" 商户结算银行账户 ", Some(ReceivedBy::Merchant)),
            ("商户基本账户/商户结算银行账户", Some(ReceivedBy::Merchant)),
            ("支付用户零钱", Some(ReceivedBy::Payer)),
            ("招商银行信用卡0403", Some(ReceivedBy::Payer)),
            ("支付用户零钱通", Some(ReceivedBy::Payer)),
            ("工商银行储蓄卡8888", Some(ReceivedBy::Payer)),
            ("建设银行借记卡1234", Some(ReceivedBy::Payer)),
            // Unknown names.
            ("商户账户", None),
            ("退还商户", None),
            ("商户零钱", None),
            ("商户信用卡0403", None),
            ("招商银行0403", None),
            ("信用卡", None),
            ("信用卡中心", None),
            ("0403", None),
            (" ", None),
        ] {
            assert_eq!(super::received_by(account), received_by, "{account}");
        }
    }
}
