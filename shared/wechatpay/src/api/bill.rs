//! Bills: the request for the link to a day's file (manual pages 4012791866, 4012791867), and the
//! request for the file itself (page 4012791868).
//!
//! The file's response is *not* signed: it is right when the SHA-1 of its uncompressed bytes is
//! [`BillLink::hash_value`].

use serde::{Deserialize, Deserializer, Serialize};

use super::call::{Call, UnreadableAnswer, read_json};
use super::interface::Interface;
use super::path::escape;
use crate::loose;
use crate::outgoing::Outgoing;

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
    /// A Beijing day such as `2026-08-01`: not today, at most three months back. The file is there
    /// from 10:00 next day.
    pub bill_date: String,
    /// Which trades.
    pub bill_type: BillType,
    /// Whether the file comes as gzip.
    pub gzip: bool,
}

impl Call for TradeBill {
    type Answer = BillLink;

    fn interface(&self) -> Interface {
        Interface::TradeBill
    }

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

    fn answer(status: u16, body: &[u8]) -> Result<BillLink, UnreadableAnswer> {
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

    fn interface(&self) -> Interface {
        Interface::FundFlowBill
    }

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

    fn answer(status: u16, body: &[u8]) -> Result<BillLink, UnreadableAnswer> {
        read_json(status, body)
    }
}

fn sha1() -> String {
    "SHA1".to_owned()
}

fn sha1_unless_a_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let read: Option<String> = loose::member(deserializer)?;
    Ok(read.filter(|kind| !kind.is_empty()).unwrap_or_else(sha1))
}

fn tar_type(gzip: bool) -> &'static str {
    if gzip { "&tar_type=GZIP" } else { "" }
}

/// Where the file is, and its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillLink {
    /// `SHA1`, which is also assumed if absent: a file without that hash is refused.
    #[serde(default = "sha1", deserialize_with = "sha1_unless_a_text")]
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
    /// Scheme and host, such as `https://api.mch.weixin.qq.com`. Compare it with the hosts you
    /// trust before sending a signed request there.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn link(download_url: &str) -> BillLink {
        BillLink {
            hash_type: "SHA1".to_owned(),
            hash_value: "79bb0f45fc4c42234a918000b2668d689e2bde04".to_owned(),
            download_url: download_url.to_owned(),
        }
    }

    #[test]
    fn the_requests_say_all_their_parameters() {
        let bill = TradeBill {
            bill_date: "2026-08-01".to_owned(),
            bill_type: BillType::All,
            gzip: true,
        };
        let expected = "/v3/bill/tradebill?bill_date=2026-08-01&bill_type=ALL&tar_type=GZIP";
        assert_eq!(bill.outgoing().path_and_query, expected);
        let bill = TradeBill {
            bill_type: BillType::Refund,
            gzip: false,
            ..bill
        };
        assert_eq!(
            bill.outgoing().path_and_query,
            "/v3/bill/tradebill?bill_date=2026-08-01&bill_type=REFUND"
        );
        let bill = FundFlowBill {
            bill_date: "2026-08-01".to_owned(),
            account_type: AccountType::Basic,
            gzip: true,
        };
        let expected =
            "/v3/bill/fundflowbill?bill_date=2026-08-01&account_type=BASIC&tar_type=GZIP";
        assert_eq!(bill.outgoing().path_and_query, expected);
    }

    #[test]
    fn path_and_query_of_the_file_stay_as_they_were_given() {
        let download = link(
            " https://api.mch.weixin.qq.com/v3/billdownload/file?token=a%2Fb+c==&tartype=gzip\n",
        )
        .download()
        .expect("a URL");
        assert_eq!(download.origin, "https://api.mch.weixin.qq.com");
        assert_eq!(
            download.outgoing.path_and_query,
            "/v3/billdownload/file?token=a%2Fb+c==&tartype=gzip"
        );
        assert_eq!(download.outgoing.body, b"");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for url in [
            "",
            "https://",
            "https:///x",
            "https://host",
            "ftp://host/x",
            "/v3/x",
            "https://h/a b",
            "https://h/a#b",
        ] {
            assert_eq!(link(url).download(), Err(BadDownloadUrl), "{url}");
        }
    }
}
