//! What a refund is called where it is kept for a person, and what that person is told to do.

use super::*;
use crate::model::decision::DecidedBy;
use crate::model::parked::{RefundToPark, owed_notice_id, owed_what_to_do, payment_notice_id};

#[test]
fn parked_money_is_found_by_wechat_pays_own_number_of_it() {
    let of_refund = refund(RefundState::Processing);
    let refund_id = RefundId::parse("500001").unwrap();
    let parked = RefundToPark {
        order_no: of_refund.order_no.clone(),
        transaction_id: of_refund.transaction_id.clone(),
        refund_id: refund_id.clone(),
        out_refund_no: of_refund.out_refund_no.clone(),
        amount: of_refund.amount,
        reason: RefundParkReason::UnknownOrder,
    };
    assert_eq!(parked.notice_id(), "refund#500001");
    let owed = Refund {
        refund_id: Some(refund_id),
        ..of_refund.clone()
    };
    assert_eq!(owed_notice_id(&owed).as_deref(), Some("owed#500001"));
    assert_eq!(owed_notice_id(&of_refund), None);
    assert_eq!(payment_notice_id("420001"), "payment#420001");
}

#[test]
fn whoever_has_the_money_decides_what_people_are_told_to_do() {
    let told = |received_by| {
        owed_what_to_do(&Refund {
            received_by,
            ..refund(RefundState::Processing)
        })
    };
    assert!(told(Some(ReceivedBy::Payer)).contains("do not pay the payer"));
    assert!(told(Some(ReceivedBy::Merchant)).contains("pay the payer by other means"));
    assert!(told(None).contains("look it up in WeChat Pay's console"));
}

#[test]
fn a_bill_has_the_refunds_that_wechat_pay_accepted_as_far_as_is_known() {
    for (state, accepted) in [
        (RefundState::Reserved, false),
        (RefundState::Refused("NOT_ENOUGH".to_owned()), false),
        (RefundState::Processing, true),
        (RefundState::Succeeded(UnixSeconds(1)), true),
        (RefundState::Abnormal, true),
        (RefundState::Closed, true),
    ] {
        assert_eq!(refund(state.clone()).is_accepted(), accepted, "{state:?}");
    }
    // An operator released its money: WeChat Pay has no such refund.
    let released = Refund {
        decided: Some(DecidedBy {
            who: "li".to_owned(),
            why: "not there".to_owned(),
        }),
        ..refund(RefundState::Closed)
    };
    assert!(!released.is_accepted());
}
