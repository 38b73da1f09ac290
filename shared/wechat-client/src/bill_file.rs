//! A bill's file as it comes from WeChat Pay, and what unpacks it.
//!
//! WeChat Pay does not sign the file. What proves it is the hash that came, signed, with its link:
//! so nothing read from a file counts before [`Unzip::finish`] has given that hash.

mod unzip;

use std::time::Duration;

use bytes::Bytes;
use wechatpay::api::{BadDownloadUrl, Refusal};

use crate::not_sent::NotSent;

pub use unzip::{Sha1Hex, Unzip, UnzipError};

/// How long the next bytes of a file may take.
const CHUNK_WITHIN: Duration = Duration::from_secs(10);

/// A bill's file while it is received from WeChat Pay, unverified: see
/// [`WechatApi::open_bill`](crate::api::WechatApi::open_bill).
#[derive(Debug)]
pub struct BillBytes {
    response: reqwest::Response,
}

/// A bill's file that is not to be had, or not whole.
#[derive(Debug, thiserror::Error)]
pub enum BillFileError {
    /// The request never left.
    #[error("the bill's file was not asked for")]
    NotSent(#[from] NotSent),
    /// The link is none.
    #[error(transparent)]
    Link(#[from] BadDownloadUrl),
    /// The link leads elsewhere. Nothing was sent: a signed request in strange hands could be used.
    #[error(
        "the bill's link leads to {origin}, which is none of WeChat Pay's hosts in the settings: nothing was sent there; find out whether WeChat Pay has a new host before adding it"
    )]
    ForeignHost {
        /// Scheme and host of the link.
        origin: String,
    },
    /// WeChat Pay does not give the file. A link is good for five minutes.
    #[error("WeChat Pay does not give the bill's file: {0}; ask for a new link")]
    Refused(Box<Refusal>),
    /// No byte came in time.
    #[error("the bill's file stopped coming: ask for a new link")]
    TimedOut,
    /// The connection did not come about, or broke.
    #[error("the bill's file did not come whole: ask for a new link")]
    BrokeOff(#[source] reqwest::Error),
}

impl BillFileError {
    /// Whether asking again, from a new link, may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NotSent(_) | Self::TimedOut | Self::BrokeOff(_) | Self::Refused(_) => true,
            Self::Link(_) | Self::ForeignHost { .. } => false,
        }
    }
}

impl BillBytes {
    pub(crate) fn of(response: reqwest::Response) -> Self {
        Self { response }
    }

    /// The next bytes of the file; `None` at its end. Each may take 10 seconds.
    ///
    /// # Errors
    /// [`BillFileError::TimedOut`] or [`BillFileError::BrokeOff`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, BillFileError> {
        match tokio::time::timeout(CHUNK_WITHIN, self.response.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk),
            // Without the URL: it holds the token of the download.
            Ok(Err(error)) => Err(BillFileError::BrokeOff(error.without_url())),
            Err(_elapsed) => Err(BillFileError::TimedOut),
        }
    }
}
