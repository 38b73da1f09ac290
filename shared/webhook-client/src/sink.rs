//! Brings log lines to a system outside AWS.
//!
//! Its address is the operator's own and no stranger's. It is held to the same rules as a webhook's
//! all the same: the function that calls it is in no VPC, so an address that is not public leads
//! nowhere.

use std::time::Duration;

use log_sinks::{CALL_MAX_MS, Kind, Refusal, Request, Taken, read_answer};
use runtime::net::{BadUrl, WebhookUrl};

use crate::{NoAnswer, WebhookHttp};

/// A sink did not take a request, or its answer was lost. Holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// Its address must not be called.
    #[error(transparent)]
    Url(#[from] BadUrl),
    /// No answer came: whether it took the lines is not known. What is sent twice is there once.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    /// It said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl WebhookHttp {
    /// Sends a request to a sink, and reads whether it was taken. All of it ends within 5 s.
    ///
    /// # Errors
    /// [`SinkError`].
    pub async fn forward(&self, kind: Kind, request: Request) -> Result<Taken, SinkError> {
        let url = WebhookUrl::parse(&request.address, self.reach())?;
        let within = Duration::from_millis(u64::try_from(CALL_MAX_MS).unwrap_or_default());
        let headers = request
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()));
        let received = self
            .send(&url, request.content_type, headers, request.body, within)
            .await?;
        let header = |name: &str| received.headers.get(name)?.to_str().ok();
        let now_s = self.0.clock.now().0;
        let (status, body) = (received.status, &received.body);
        Ok(read_answer(kind, status, header, body, now_s)?)
    }
}
