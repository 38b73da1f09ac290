//! Bills: where a day's file is to be had (manual pages 4012791866, 4012791867), and the request for the file itself
//! (page 4012791868).
//!
//! The file's response is *not* signed: it is right when the SHA-1 of its uncompressed bytes is [`BillLink::hash_value`].

use serde::{Deserialize, Serialize};

use super::path::escape;
use super::{Call, Outgoing, Unreadable, read_json};

/// Which trades a bill lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BillType {
    /// Payments and refunds, the default.
    All,
    /// Payments.
    Success,
    /// Refunds.
    Refund,
}

/// Which account a fund bill is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountType {
    /// The basic account, the default.
    Basic,
    /// The operation account.
    Operation,
    /// The fee account.
    Fees,
}

/// Asks for a trade bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TradeBill {
    /// A Beijing day such as `2026-08-01`: not today, at most three months back. The file is there from 10:00 next day.
    pub bill_date: String,
    /// Which trades.
    pub bill_type: BillType,
    /// Whether the file comes as gzip.
    pub gzip: bool,
}

impl Call for TradeBill {
    type Answer = BillLink;

    fn outgoing(&self) -> Outgoing {
        let kind = match self.bill_type {
            BillType::All => "ALL",
            BillType::Success => "SUCCESS",
            BillType::Refund => "REFUND",
        };
        let (day, tar) = (escape(&self.bill_date), tar_type(self.gzip));
        Outgoing::get(format!(
            "/v3/bill/tradebill?bill_date={day}&bill_type={kind}{tar}"
        ))
    }

    fn answer(status: u16, body: &[u8]) -> Result<BillLink, Unreadable> {
        read_json(status, body)
    }
}

/// Asks for a fund bill. At most 3 requests a second per merchant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FundFlowBill {
    /// As in [`TradeBill::bill_date`].
    pub bill_date: String,
    /// Which account.
    pub account_type: AccountType,
    /// Whether the file comes as gzip.
    pub gzip: bool,
}

impl Call for FundFlowBill {
    type Answer = BillLink;

    fn outgoing(&self) -> Outgoing {
        let account = match self.account_type {
            AccountType::Basic => "BASIC",
            AccountType::Operation => "OPERATION",
            AccountType::Fees => "FEES",
        };
        let (day, tar) = (escape(&self.bill_date), tar_type(self.gzip));
        Outgoing::get(format!(
            "/v3/bill/fundflowbill?bill_date={day}&account_type={account}{tar}"
        ))
    }

    fn answer(status: u16, body: &[u8]) -> Result<BillLink, Unreadable> {
        read_json(status, body)
    }
}

fn tar_type(gzip: bool) -> &'static str {
    if gzip { "&tar_type=GZIP" } else { "" }
}

/// Where the file is, and its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillLink {
    /// `SHA1`
    pub hash_type: String,
    /// Hexadecimal, of the uncompressed file.
    pub hash_value: String,
    /// Good for five minutes.
    pub download_url: String,
}

/// The download URL is no absolute http or https URL with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bill's download_url is not an absolute http(s) URL with a path")]
pub struct BadDownloadUrl;

/// The request for a bill's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillDownload {
    /// Scheme and host, such as `https://api.mch.weixin.qq.com`. Compare it with the hosts you trust before sending a
    /// signed request there.
    pub origin: String,
    /// The request, to be signed like any other. Path and query are as WeChat gave them.
    pub outgoing: Outgoing,
}

impl BillLink {
    /// Takes [`download_url`](Self::download_url) apart.
    ///
    /// # Errors
    /// [`BadDownloadUrl`] when it is none.
    pub fn download(&self) -> Result<BillDownload, BadDownloadUrl> {
        let url = self.download_url.trim();
        let after_scheme = url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("http://"))
            .ok_or(BadDownloadUrl)?;
        let (host, _) = after_scheme.split_once('/').ok_or(BadDownloadUrl)?;
        if host.is_empty()
            || !url
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'#')
        {
            return Err(BadDownloadUrl);
        }
        let (origin, path_and_query) = url
            .split_at_checked(url.len() - after_scheme.len() + host.len())
            .ok_or(BadDownloadUrl)?;
        Ok(BillDownload {
            origin: origin.to_owned(),
            outgoing: Outgoing::get(path_and_query.to_owned()),
        })
    }
}
