//! Settings of `reconcile` from its environment.

use flows::{sandbox::FunctionSettings, settings::CoreSettings};
use payments::{model::bill_date::BillName, reconcile::run::FundTerms};
use runtime::{aws::AwsSettings, env::SettingsReader};
use stores::settings::{reconcile_work_url, reconciliation_table};

use crate::day_part::LINES;

/// The settings, read once per sandbox.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Tables, queue, keys and WeChat Pay.
    pub core: CoreSettings,
    /// `RECONCILIATION_TABLE`.
    pub reconciliation_table: String,
    /// `RECONCILE_WORK_QUEUE_URL`.
    pub work_queue_url: String,
    /// `EVIDENCE_BUCKET`.
    pub evidence_bucket: String,
    /// `RECONCILE_REPAIRS`.
    pub repairs: bool,
    /// `RECONCILE_FUND_ACCOUNTS` and `RECONCILE_SETTLEMENT_DAYS`.
    pub fund_terms: FundTerms,
    /// `RECONCILE_LINES_MAX`.
    pub lines_max: u64,
}

impl FunctionSettings for Settings {
    fn read(reader: &mut SettingsReader<'_>, _: Option<&AwsSettings>) -> Option<Self> {
        let core = CoreSettings::read(reader);
        let reconciliation_table = reconciliation_table(reader);
        let work_queue_url = reconcile_work_url(reader);
        let evidence_bucket = reader.required(
            "EVIDENCE_BUCKET",
            "the name of the bucket that bills are kept in",
        );
        let repairs = reader.choice(
            "RECONCILE_REPAIRS",
            "`true` (the daily run repairs) or `false` (it only reports)",
            &[("true", true), ("false", false)],
        );
        let usual = FundTerms::default();
        let accounts = reader.parsed_or(
            "RECONCILE_FUND_ACCOUNTS",
            "the accounts that the merchant has, of BASIC, OPERATION and FEES, with commas between",
            usual.accounts,
            accounts,
        );
        let settlement_days = reader.parsed_or(
            "RECONCILE_SETTLEMENT_DAYS",
            "in how many days after its trade money is settled at the latest, 1 to 30",
            usual.settlement_days,
            |text| {
                let days = text.parse().ok()?;
                (1..=FundTerms::DAYS_MAX).contains(&days).then_some(days)
            },
        );
        let lines_max = reader.parsed_or(
            "RECONCILE_LINES_MAX",
            "how many orders and refunds of a day one run holds, 1 or more",
            LINES,
            |text| text.parse().ok().filter(|lines| *lines > 0),
        );
        Some(Self {
            core: core?,
            reconciliation_table: reconciliation_table?,
            work_queue_url: work_queue_url?,
            evidence_bucket: evidence_bucket?,
            repairs: repairs?,
            fund_terms: FundTerms {
                accounts: accounts?,
                settlement_days: settlement_days?,
            },
            lines_max: lines_max?,
        })
    }
}

/// Some of WeChat Pay's accounts, each once: the bills of their movements.
fn accounts(text: &str) -> Option<Vec<BillName>> {
    let mut bills = Vec::new();
    for account in text.split(',') {
        let bill = match account.trim() {
            "BASIC" => BillName::FundBasic,
            "OPERATION" => BillName::FundOperation,
            "FEES" => BillName::FundFees,
            _ => return None,
        };
        if bills.contains(&bill) {
            return None;
        }
        bills.push(bill);
    }
    Some(bills)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_named_as_wechat_pay_names_them_each_once_and_at_least_one() {
        let all = accounts("BASIC,OPERATION,FEES");
        assert_eq!(all.as_deref(), Some(BillName::FUNDS.as_slice()));
        assert_eq!(
            accounts("FEES, BASIC"),
            Some(vec![BillName::FundFees, BillName::FundBasic])
        );
        for wrong in [
            "",
            "BASIC,",
            "basic",
            "BASIC,BASIC",
            "BASIC;FEES",
            "DEPOSIT",
        ] {
            assert_eq!(accounts(wrong), None, "{wrong}");
        }
    }
}
