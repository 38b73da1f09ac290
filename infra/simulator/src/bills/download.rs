//! The file that a link leads to, and what faults do to it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::time::Sleep;

use super::bill::{Bill, zip};
use crate::{faults::Fault, refusal::Refusal};

/// Time in which what comes before the connection dies gets to the client.
const DIES_AFTER: Duration = Duration::from_millis(50);

/// What a link leads to.
#[derive(Clone)]
pub(crate) struct Download {
    pub(crate) bill: Bill,
    pub(crate) gzip: bool,
    pub(crate) until_ms: i64,
}

/// A file on its way, with what the faults do to it.
pub(crate) struct File {
    pub(crate) download: Download,
    pub(crate) faults: Vec<Fault>,
}

/// A body and the `Content-Length` that is said of it.
pub(crate) struct DownloadBody {
    pub(crate) body: Body,
    pub(crate) length: usize,
}

impl File {
    /// Zips the file if that was not done before, without blocking other requests.
    pub(crate) async fn send(self) -> Result<DownloadBody, Refusal> {
        let cut = self.faults.iter().find_map(|fault| {
            if let Fault::CutFile { keep_bytes, dies } = fault {
                Some((*keep_bytes, *dies))
            } else {
                None
            }
        });
        let bytes = tokio::task::spawn_blocking(move || self.bytes()).await;
        let bytes = bytes
            .map_err(io::Error::other)
            .flatten()
            .map_err(|_| Refusal::system_error(500))?;
        let whole = bytes.len();
        let Some((keep_bytes, dies)) = cut else {
            return Ok(DownloadBody {
                body: Body::from(bytes),
                length: whole,
            });
        };
        let half = whole.checked_div(2).unwrap_or(0);
        let kept = bytes.slice(..keep_bytes.unwrap_or(half).min(whole));
        Ok(if dies {
            DownloadBody {
                body: Body::new(TruncatedBody::after(kept)),
                length: whole,
            }
        } else {
            DownloadBody {
                length: kept.len(),
                body: Body::from(kept),
            }
        })
    }

    fn bytes(&self) -> io::Result<Bytes> {
        let Download { bill, gzip, .. } = &self.download;
        let altered = self.faults.iter().find_map(|fault| {
            if let Fault::AlteredByte { zipped } = fault {
                Some(*zipped && *gzip)
            } else {
                None
            }
        });
        match (altered, gzip) {
            (None, false) => Ok(bill.text()),
            (None, true) => bill.gzip(),
            (Some(true), _) => Ok(with_another_byte(&bill.gzip()?)),
            (Some(false), false) => Ok(with_another_digit(&bill.text())),
            (Some(false), true) => zip(&with_another_digit(&bill.text())),
        }
    }
}

/// The first digit behind the middle becomes the next one: the text can be read as before.
fn with_another_digit(text: &Bytes) -> Bytes {
    let mut bytes = text.to_vec();
    let middle = bytes.len().checked_div(2).unwrap_or(0);
    let digit = bytes
        .iter_mut()
        .skip(middle)
        .find(|byte| byte.is_ascii_digit());
    if let Some(digit) = digit {
        *digit = if *digit == b'9' {
            b'0'
        } else {
            digit.saturating_add(1)
        };
    }
    bytes.into()
}

fn with_another_byte(zipped: &Bytes) -> Bytes {
    let mut bytes = zipped.to_vec();
    let middle = bytes.len().checked_div(2).unwrap_or(0);
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    bytes.into()
}

/// A body that comes in part; then its connection dies.
struct TruncatedBody {
    kept: Option<Bytes>,
    end: Pin<Box<Sleep>>,
}

impl TruncatedBody {
    fn after(kept: Bytes) -> Self {
        Self {
            kept: Some(kept),
            end: Box::pin(tokio::time::sleep(DIES_AFTER)),
        }
    }
}

impl HttpBody for TruncatedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(kept) = self.kept.take() {
            return Poll::Ready(Some(Ok(Frame::data(kept))));
        }
        let died = || io::Error::other("the connection dies here (fault: cut_file)");
        self.end.as_mut().poll(cx).map(|()| Some(Err(died())))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
