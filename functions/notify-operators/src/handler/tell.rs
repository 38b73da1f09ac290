//! One message to the first channel of its route that takes it.

use std::fmt;

use flows::problem::ErrorChain;
use operator_channels::{
    Admission, Kind, NotTaken, Notification, Refusal, Severity, compose, route,
};
use stores::{
    keys_table::{KeysError, channels::Channel},
    notifications::{NotificationsError, StoredLog, Written},
    topic::TopicError,
};
use tracing::{info, warn};
use webhook_client::ChannelError;

use super::{AFTERWARDS_MS, CHANNEL_MS, TRIED_MAX};
use crate::app::App;

/// How often a channel's log is read and written before it is left to the other sandboxes.
const LOG_TRIES: usize = 2;

/// Why no channel took a message. Its text is for people, and holds no address.
#[derive(Debug)]
pub(super) struct NotTold {
    tried: Vec<NotTaken>,
    /// What else prevented it.
    beside: Option<String>,
    /// When the first of the full channels takes a message again (Unix milliseconds), if any is
    /// full.
    pub(super) free_at_ms: Option<i64>,
    /// Whether any channel failed otherwise than by being full.
    has_failed: bool,
}

impl NotTold {
    /// The channels could not be read.
    pub(super) fn unread(error: &KeysError) -> Self {
        Self::because(format!(
            "the channels cannot be read: {}",
            ErrorChain(error)
        ))
    }

    fn because(beside: String) -> Self {
        Self {
            tried: Vec::new(),
            beside: Some(beside),
            free_at_ms: None,
            has_failed: true,
        }
    }

    /// Whether it is only a matter of waiting.
    pub(super) fn is_only_full(&self) -> bool {
        self.free_at_ms.is_some() && !self.has_failed
    }
}

impl fmt::Display for NotTold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for NotTaken { channel, why } in &self.tried {
            write!(f, "{separator}{channel}: {why}")?;
            separator = "; ";
        }
        match &self.beside {
            Some(beside) => write!(f, "{separator}{beside}"),
            None => Ok(()),
        }
    }
}

/// Why one channel did not take a message.
#[derive(Debug, thiserror::Error)]
enum ChannelFailure {
    /// Its log cannot be read or written.
    #[error("its limit could not be checked")]
    Log(#[from] NotificationsError),
    /// Other sandboxes send to it all the time.
    #[error("other messages were sent to it at the same time")]
    Contended,
    /// It had as many messages as its maker allows.
    #[error("it has had as many messages as it takes in a minute")]
    Full {
        /// When it takes one again (Unix milliseconds).
        until_ms: i64,
    },
    /// Its address cannot be unsealed.
    #[error("its address could not be read")]
    Keys(#[from] KeysError),
    /// The stack has no topic for it.
    #[error("the stack has no OperatorsTopicArn")]
    NoTopic,
    /// SNS did not take it.
    #[error("SNS did not take it")]
    Topic(#[from] TopicError),
    /// Robot or receiver did not take it.
    #[error(transparent)]
    Http(#[from] ChannelError),
}

/// Tries the channels of the severity's route, one after the other. Gives the name of the one that
/// took it.
pub(super) async fn tell(
    app: &App,
    channels: &[Channel],
    severity: Severity,
    about: &[&Notification],
    deadline_ms: i64,
) -> Result<String, NotTold> {
    if channels.is_empty() {
        return Err(NotTold::because(
            "no channel is set up (`cargo client setup channel add`)".to_owned(),
        ));
    }
    let mut not_told = NotTold {
        tried: Vec::new(),
        beside: None,
        free_at_ms: None,
        has_failed: false,
    };
    let tried = route(channels, |channel| channel.place(severity));
    for channel in tried.into_iter().take(TRIED_MAX) {
        let left_ms = deadline_ms.saturating_sub(app.clock.now_ms());
        if left_ms < CHANNEL_MS + AFTERWARDS_MS {
            not_told.has_failed = true;
            not_told.beside = Some("no time was left for another channel".to_owned());
            break;
        }
        let name = channel.name.as_str();
        let kind = channel.kind.name();
        let count = about.len();
        match send(app, channel, about, &not_told.tried).await {
            Ok(()) => {
                let failed_over = not_told.tried.len();
                let severity = severity.name();
                info!(
                    channel = name,
                    kind, severity, count, failed_over, "people on call were told"
                );
                return Ok(channel.name.clone());
            }
            Err(failure) => {
                // The message that the next channel takes says so to people; an ERROR line here
                // would raise an alarm by each alarm.
                warn!(
                    channel = name,
                    kind,
                    count,
                    error = %ErrorChain(&failure),
                    "a channel did not take a message"
                );
                match failure {
                    ChannelFailure::Full { until_ms } => {
                        let first = not_told.free_at_ms.unwrap_or(until_ms);
                        not_told.free_at_ms = Some(first.min(until_ms));
                    }
                    ChannelFailure::Log(_)
                    | ChannelFailure::Contended
                    | ChannelFailure::Keys(_)
                    | ChannelFailure::NoTopic
                    | ChannelFailure::Topic(_)
                    | ChannelFailure::Http(_) => not_told.has_failed = true,
                }
                not_told.tried.push(NotTaken {
                    channel: channel.name.clone(),
                    why: failure.to_string(),
                });
            }
        }
    }
    Err(not_told)
}

/// Sends one channel one message, if its limit allows.
async fn send(
    app: &App,
    channel: &Channel,
    about: &[&Notification],
    not_taken: &[NotTaken],
) -> Result<(), ChannelFailure> {
    let credentials = app.keys.channel_credentials(channel).await?;
    admit(app, channel).await?;
    let text = compose(about, not_taken, channel.kind.text_bytes_max());
    match channel.kind {
        Kind::Sns => {
            let topic = app.topic.as_ref().ok_or(ChannelFailure::NoTopic)?;
            topic.publish(&text).await?;
        }
        Kind::Wecom | Kind::Dingtalk | Kind::Feishu | Kind::Webhook => {
            let now_ms = app.clock.now_ms();
            let told = app
                .http
                .tell(channel.kind, &credentials, &text, about, now_ms)
                .await;
            if let Err(ChannelError::Refused(Refusal::TooMany { .. })) = &told {
                rest(app, channel).await;
            }
            told?;
        }
    }
    Ok(())
}

/// Counts a message against the channel's limit, which all sandboxes share.
async fn admit(app: &App, channel: &Channel) -> Result<(), ChannelFailure> {
    for _ in 0..LOG_TRIES {
        let read = app.notifications.send_log(&channel.name).await?;
        let now_ms = app.clock.now_ms();
        let log = match read.log.admit(channel.kind.rate_limit(), now_ms) {
            Admission::Admitted(log) => log,
            Admission::Full { until_ms } => return Err(ChannelFailure::Full { until_ms }),
        };
        let written = app
            .notifications
            .write_log(&channel.name, &read, &log, app.clock.now())
            .await?;
        match written {
            Written::Done => return Ok(()),
            Written::Conflict => {}
        }
    }
    Err(ChannelFailure::Contended)
}

/// Somebody else uses the same robot, and it is over its limit: each message more would prolong
/// that. A failed write is passed over, since the robot says so again.
async fn rest(app: &App, channel: &Channel) {
    let now_ms = app.clock.now_ms();
    let rested = async {
        let read: StoredLog = app.notifications.send_log(&channel.name).await?;
        let log = read
            .log
            .resting(now_ms.saturating_add(channel.kind.rest_ms()));
        app.notifications
            .write_log(&channel.name, &read, &log, app.clock.now())
            .await
    };
    if let Err(error) = rested.await {
        let channel = channel.name.as_str();
        warn!(channel, error = %ErrorChain(&error), "that a channel rests could not be written down");
    }
}
