//! The place of a refund in the index by day: the day on which WeChat Pay accepted it, as far as is
//! known.

use aws_sdk_dynamodb::types::AttributeValue;
use payments::model::refund::{Refund, RefundState};
use wechatpay::UnixSeconds;

use super::keys::day_shard;
use crate::attributes::{number, text};

/// The time under which a refund that becomes `to` is put into the index or moved in it; `None` if
/// its place does not change or it stays out. `at` is the time of the change by our clock.
pub(super) fn refund_day(
    from: Option<&Refund>,
    to: &Refund,
    at: UnixSeconds,
) -> Option<UnixSeconds> {
    if !to.is_accepted() {
        return None;
    }
    let was_there = from.is_some_and(Refund::is_accepted);
    match (to.accepted_at, from.and_then(|from| from.accepted_at)) {
        (Some(accepted_at), before) if !was_there || before.is_none() => Some(accepted_at),
        (None, _) if !was_there => Some(match &to.state {
            RefundState::Succeeded(succeeded_at) => *succeeded_at,
            RefundState::Reserved
            | RefundState::Processing
            | RefundState::Closed
            | RefundState::Refused(_)
            | RefundState::Abnormal => at,
        }),
        (Some(_) | None, _) => None,
    }
}

/// The attributes that put a refund into the index.
pub(super) fn refund_attributes(
    refund: &Refund,
    day_at: UnixSeconds,
) -> [(&'static str, AttributeValue); 3] {
    let (order_no, refund_no) = (&refund.order_no, &refund.refund_no);
    [
        ("day_at", number(day_at.0)),
        ("day_shard", text(day_shard(day_at, order_no))),
        ("day_id", text(format!("{order_no}#{refund_no}"))),
    ]
}

#[cfg(test)]
mod tests {
    use payments::model::{
        decision::DecidedBy,
        fingerprint::Fingerprint,
        ids::{OrderNo, OutRefundNo, RefundNo, TransactionId},
        money::Fen,
        refund::PaymentKind,
    };

    use super::*;

    const AT: UnixSeconds = UnixSeconds(1_785_556_900);
    const SUCCEEDED: UnixSeconds = UnixSeconds(1_785_556_850);
    const ACCEPTED: UnixSeconds = UnixSeconds(1_785_556_799);

    fn refund(state: RefundState, accepted_at: Option<UnixSeconds>) -> Refund {
        let order_no = OrderNo::parse("ORDER-1").expect("a number");
        let refund_no = RefundNo::parse("R1").expect("a number");
        Refund {
            out_refund_no: OutRefundNo::of(&order_no, &refund_no),
            order_no,
            refund_no,
            transaction_id: TransactionId::parse("4200001").expect("a number"),
            of: PaymentKind::Booked,
            amount: Fen::new(40).expect("fen"),
            total: Fen::new(100).expect("fen"),
            reason: None,
            notify_url: String::new(),
            fingerprint: Fingerprint([0; 32]),
            state,
            refund_id: None,
            trouble: None,
            trouble_since: None,
            overdue_since: None,
            decided: None,
            redirected: None,
            received_by: None,
            payer_paid: None,
            accepted_at,
            created_at: AT,
            slot_at: AT,
            tries: 1,
            due: None,
        }
    }

    #[test]
    fn a_refund_enters_the_index_when_wechat_pay_has_accepted_it_and_moves_once_the_time_is_known()
    {
        let succeeded = || RefundState::Succeeded(SUCCEEDED);
        let refused = || RefundState::Refused("NO_AUTH".to_owned());
        let accepted = Some(ACCEPTED);
        for (from, to, day) in [
            (
                (RefundState::Reserved, None),
                (RefundState::Processing, accepted),
                accepted,
            ),
            (
                (RefundState::Reserved, None),
                (RefundState::Processing, None),
                Some(AT),
            ),
            (
                (RefundState::Reserved, None),
                (succeeded(), None),
                Some(SUCCEEDED),
            ),
            (
                (RefundState::Reserved, None),
                (succeeded(), accepted),
                accepted,
            ),
            (
                (RefundState::Reserved, None),
                (RefundState::Closed, None),
                Some(AT),
            ),
            ((RefundState::Reserved, None), (refused(), None), None),
            ((refused(), None), (RefundState::Reserved, None), None),
            ((refused(), None), (RefundState::Abnormal, None), Some(AT)),
            (
                (RefundState::Abnormal, None),
                (succeeded(), accepted),
                accepted,
            ),
            ((RefundState::Abnormal, None), (succeeded(), None), None),
            (
                (RefundState::Processing, accepted),
                (succeeded(), accepted),
                None,
            ),
            (
                (RefundState::Processing, accepted),
                (RefundState::Closed, accepted),
                None,
            ),
        ] {
            let (from, to) = (refund(from.0, from.1), refund(to.0, to.1));
            assert_eq!(
                refund_day(Some(&from), &to, AT),
                day,
                "{} to {}",
                from.state.name(),
                to.state.name()
            );
        }
    }

    #[test]
    fn a_refund_that_a_person_gave_up_was_never_accepted() {
        let released = Refund {
            decided: Some(DecidedBy {
                who: "li".to_owned(),
                why: "paid in cash".to_owned(),
            }),
            ..refund(RefundState::Closed, None)
        };
        let refused = refund(RefundState::Refused("NO_AUTH".to_owned()), None);
        assert_eq!(refund_day(Some(&refused), &released, AT), None);
    }

    #[test]
    fn a_refund_that_was_made_elsewhere_is_there_from_the_beginning() {
        let processing = refund(RefundState::Processing, Some(ACCEPTED));
        assert_eq!(refund_day(None, &processing, AT), Some(ACCEPTED));
        let reserved = refund(RefundState::Reserved, None);
        assert_eq!(refund_day(None, &reserved, AT), None);
    }
}
