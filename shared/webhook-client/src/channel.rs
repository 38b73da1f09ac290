//! Tells a channel of people on call something: a robot's group, or a system of the merchant's.

use std::time::Duration;

use operator_channels::{
    BadRequest, CALL_MAX_MS, Credentials, Kind, Notification, Refusal, message_id, read_answer,
    request,
};
use runtime::net::{BadUrl, WebhookUrl};

use crate::{NoAnswer, WebhookHttp};

/// A channel did not take a message, or its answer was lost. Holds no address.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// Its address must not be called.
    #[error(transparent)]
    Url(#[from] BadUrl),
    /// There is no request to be made.
    #[error(transparent)]
    Request(#[from] BadRequest),
    /// No answer came: whether it took the message is not known.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    /// It said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl WebhookHttp {
    /// Brings a text to a channel, signed at `now_ms` (Unix milliseconds), and reads whether it was
    /// taken. All of it ends within 5 s.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn tell(
        &self,
        kind: Kind,
        credentials: &Credentials,
        text: &str,
        about: &[&Notification],
        now_ms: i64,
    ) -> Result<(), ChannelError> {
        let made = request(kind, credentials, text, about, &message_id(about), now_ms)?;
        let url = WebhookUrl::parse(&made.address, self.reach())?;
        let within = Duration::from_millis(u64::try_from(CALL_MAX_MS).unwrap_or_default());
        let headers = made
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()));
        let answer = self
            .post_for_answer(&url, headers, made.body, within)
            .await?;
        Ok(read_answer(kind, answer.status, &answer.body)?)
    }
}
