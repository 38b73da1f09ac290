//! Sends webhooks: a POST to a URL that a client has chosen.
//!
//! Such an address may be a trap: a name that leads into this machine or this account's network, a
//! redirect there, a name that means one thing when it is checked and another when it is used. So a
//! connection goes only to a public address ([`address`]), and the addresses that were vetted are
//! the very ones that are connected to: the client is given no other way to resolve a name. It
//! follows no redirects and takes no proxy from the environment. HTTPS alone is spoken, with the
//! trust roots of everything else ([`runtime::tls`]).
//!
//! Ports: 443, and those from 1024 on, where merchants run servers of their own. The other
//! well-known ports belong to services that take no webhooks, and a signed POST has no business
//! there.

mod channel;
mod sink;

use std::{error::Error, fmt, net::SocketAddr, sync::Arc, time::Duration};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use runtime::{
    clock::Clock,
    net::{Reach, WebhookUrl, address},
    spans::{Span, SpanKind},
    tls,
};
use tokio::sync::OnceCell;

pub use channel::ChannelError;
pub use sink::SinkError;

/// Sends webhooks. Cheap to clone; clones share the connections.
#[derive(Clone, Debug)]
pub struct WebhookHttp(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    reach: Reach,
    clock: Clock,
    /// Built at the first webhook: a function that is only started makes no TLS set-up.
    http: OnceCell<reqwest::Client>,
}

/// There is no answer. Whether the receiver got the webhook is not known, unless it was never sent.
/// Holds no URL.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The HTTP client could not be built.
    #[error("the HTTP client could not be built")]
    Client(#[source] Box<dyn Error + Send + Sync>),
    /// The host has no address that may be connected to. Nothing was sent.
    #[error("the host of the webhook has no public address")]
    NoPublicAddress,
    /// The receiver took too long.
    #[error("the receiver did not answer in time")]
    TimedOut,
    /// The name does not resolve, or the connection failed or broke.
    #[error("the receiver could not be reached, or the connection broke")]
    Unreachable(#[source] reqwest::Error),
}

impl NoAnswer {
    /// Its name in a client's view of the last delivery.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Client(_) => "not_sent",
            Self::NoPublicAddress => "no_public_address",
            Self::TimedOut => "timed_out",
            Self::Unreachable(_) => "unreachable",
        }
    }
}

/// How long an attempt may take in all. The specification recommends 15 to 30 s; a batch waits for
/// its slowest receiver.
const ATTEMPT_MAX: Duration = Duration::from_secs(15);
/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A sandbox may be frozen for minutes between two batches: a connection that is open longer than
/// this is usually closed at the other end.
const IDLE_MAX: Duration = Duration::from_secs(5);
/// How much of an answer's body is read: enough for a web framework's default answers, so that the
/// connection can be reused, and for a robot's. Of webhooks only the status counts.
const BODY_READ_MAX: usize = 4096;
/// Names the caller to a receiver.
const USER_AGENT: &str = concat!("wechatpay-on-lambda/", env!("CARGO_PKG_VERSION"));

/// What a receiver answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The beginning of its body.
    pub body: Vec<u8>,
}

/// An answer with its headers, which only some callers read.
struct Received {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Vec<u8>,
}

impl WebhookHttp {
    /// A sender that goes so far. The client is built at the first webhook.
    pub fn new(reach: Reach, clock: Clock) -> Self {
        Self(Arc::new(Shared {
            reach,
            clock,
            http: OnceCell::new(),
        }))
    }

    /// How far it goes.
    pub fn reach(&self) -> Reach {
        self.0.reach
    }

    /// Posts a JSON body, within the time given and 15 s at most. Gives the status of the answer.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn post(
        &self,
        url: &WebhookUrl,
        headers: impl Iterator<Item = (&'static str, &str)>,
        body: String,
        within: Duration,
    ) -> Result<u16, NoAnswer> {
        let answer = self.post_for_answer(url, headers, body, within).await?;
        Ok(answer.status)
    }

    /// The same, with the beginning of the answer's body: group robots say there whether they took
    /// a message.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn post_for_answer(
        &self,
        url: &WebhookUrl,
        headers: impl Iterator<Item = (&'static str, &str)>,
        body: String,
        within: Duration,
    ) -> Result<Answer, NoAnswer> {
        let received = self
            .send(url, "application/json", headers, body, within)
            .await?;
        Ok(Answer {
            status: received.status,
            body: received.body,
        })
    }

    /// Posts a body of this type.
    async fn send(
        &self,
        url: &WebhookUrl,
        content_type: &'static str,
        headers: impl Iterator<Item = (&'static str, &str)>,
        body: String,
        within: Duration,
    ) -> Result<Received, NoAnswer> {
        let client = self
            .0
            .http
            .get_or_try_init(|| async { build_client(self.0.reach) })
            .await?;
        let within = within.min(ATTEMPT_MAX);
        let began_ms = self.0.clock.now_ms();
        let mut request = client
            .post(url.parsed().clone())
            .header("content-type", content_type)
            .timeout(within)
            .body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut span = span(url, began_ms);
        let sent = request.send().await.map_err(|error| {
            let waited_ms = self.0.clock.now_ms().saturating_sub(began_ms);
            let waited = Duration::from_millis(u64::try_from(waited_ms).unwrap_or_default());
            NoAnswer::of(error, waited >= within)
        });
        let mut answer = match sent {
            Ok(answer) => answer,
            Err(none) => {
                span.fails(none.name());
                span.end(self.0.clock.now_ms());
                return Err(none);
            }
        };
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let mut body = Vec::new();
        // The status has arrived: an error in the body does not change it.
        while let Ok(Some(chunk)) = answer.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > BODY_READ_MAX {
                break;
            }
        }
        span.set("http.response.status_code", status);
        if status >= 400 {
            span.fails(status.to_string());
        }
        span.end(self.0.clock.now_ms());
        Ok(Received {
            status,
            headers,
            body,
        })
    }
}

/// The span of a POST. Of its address only the host: the path may be a secret.
fn span(url: &WebhookUrl, at_ms: i64) -> Span {
    let mut span = Span::child(SpanKind::Client, || "POST".to_owned(), at_ms);
    if span.is_recorded() {
        span.set("http.request.method", "POST");
        span.set("server.address", url.host());
        let port = url.parsed().port_or_known_default().unwrap_or(443);
        span.set("server.port", port);
    }
    span
}

impl NoAnswer {
    /// A connection that broke when the time was up had no answer in time either.
    fn of(error: reqwest::Error, is_time_up: bool) -> Self {
        // Without the URL: its query may hold what is not for a log.
        let error = error.without_url();
        if is_refused_address(&error) {
            Self::NoPublicAddress
        } else if is_time_up || error.is_timeout() {
            Self::TimedOut
        } else {
            Self::Unreachable(error)
        }
    }
}

fn is_refused_address(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<RefusedAddress>() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn build_client(reach: Reach) -> Result<reqwest::Client, NoAnswer> {
    let tls = tls::client_config().map_err(|error| NoAnswer::Client(error.into()))?;
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_WITHIN)
        .pool_idle_timeout(IDLE_MAX)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .http1_only()
        .https_only(reach == Reach::Public)
        .dns_resolver(VettedDns { reach })
        .tls_backend_preconfigured(tls)
        .build()
        .map_err(|error| NoAnswer::Client(error.into()))
}

/// The system's resolver, less the addresses that may not be connected to. Hosts that are addresses
/// do not come here: [`WebhookUrl`] has vetted them.
#[derive(Clone, Copy, Debug)]
struct VettedDns {
    reach: Reach,
}

impl Resolve for VettedDns {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.reach;
        Box::pin(async move {
            // Port 0 means the port of the URL.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let vetted: Addrs = Box::new(vet(found, reach)?.into_iter());
            Ok(vetted)
        })
    }
}

/// Those that may be connected to. A name that also has others is used without them.
fn vet(
    found: impl Iterator<Item = SocketAddr>,
    reach: Reach,
) -> Result<Vec<SocketAddr>, RefusedAddress> {
    let allowed: Vec<SocketAddr> = found
        .filter(|found| address::is_allowed(found.ip(), reach))
        .collect();
    if allowed.is_empty() {
        Err(RefusedAddress)
    } else {
        Ok(allowed)
    }
}

/// A name has no address that may be connected to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct RefusedAddress;

impl fmt::Display for RefusedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no address of the host may be connected to")
    }
}

impl Error for RefusedAddress {}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts
            .iter()
            .map(|text| SocketAddr::new(text.parse().unwrap(), 0))
            .collect()
    }

    #[test]
    fn only_vetted_addresses_of_a_name_are_used() {
        let found = addresses(&["10.0.0.1", "93.184.216.34", "::1", "2606:2800:220:1::1"]);
        assert_eq!(
            vet(found.into_iter(), Reach::Public),
            Ok(addresses(&["93.184.216.34", "2606:2800:220:1::1"]))
        );
        let private = addresses(&["10.0.0.1", "127.0.0.1", "169.254.169.254"]);
        assert_eq!(
            vet(private.clone().into_iter(), Reach::Public),
            Err(RefusedAddress)
        );
        assert_eq!(
            vet(private.into_iter(), Reach::PublicAndLoopback),
            Ok(addresses(&["127.0.0.1"]))
        );
        assert_eq!(vet(std::iter::empty(), Reach::Public), Err(RefusedAddress));
    }
}
