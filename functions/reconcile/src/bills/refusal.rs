//! Why WeChat Pay gives no bill.

use payments::model::bill_date::BillName;
use wechatpay::api::{Refusal, Repeat};

use crate::error::{BrokenBill, DayError};

/// What a refusal means: it is temporary, or it needs an operator.
pub(super) fn of_refusal(bill: BillName, refusal: &Refusal) -> DayError {
    match refusal.repeat() {
        Repeat::WithBackoff | Repeat::Later | Repeat::AfterQuery => DayError::Passing(
            format!(
                "WeChat Pay does not give bill {} now ({})",
                bill.name(),
                refusal.raw_code
            )
            .into(),
        ),
        Repeat::AfterTopUp | Repeat::AfterReview | Repeat::AfterChange | Repeat::Never => {
            refused(bill, &refusal.raw_code)
        }
    }
}

/// A bill that WeChat Pay refuses with this code.
pub(super) fn refused(bill: BillName, code: &str) -> DayError {
    DayError::from(BrokenBill::Refused {
        bill: bill.name(),
        code: code.to_owned(),
        next: match bill {
            BillName::Trade => SEE_THE_CODE,
            BillName::FundBasic | BillName::FundOperation | BillName::FundFees => {
                "if the merchant does not have this account, ask the people who run the system to leave it out of the parameter FundAccounts (runbook reconciliation.md); else look the code up in WeChat Pay's manual (the page of 申请资金账单) for what it asks for"
            }
        },
    })
}

const SEE_THE_CODE: &str =
    "look the code up in WeChat Pay's manual (the page of 申请交易账单) for what it asks for";
