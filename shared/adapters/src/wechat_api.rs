//! Calls WeChat Pay: signs, sends, and takes the answer apart as far as it can be trusted.
//!
//! Whether to try again, on which host and what an answer means for an order is for the rules and the flows. Here a call is
//! made once, and it comes back as one of three: a verified success, an (unsigned) refusal, or unknown.

use std::{error::Error, sync::Arc, time::Duration};

use payments::issue::Answer;
use tokio::sync::OnceCell;
use tracing::{debug, warn};
use wechatpay::{
    api::{Call, CallFailure, Method, read_answer},
    sign::{SignError, authorization},
    verify::{SignedHeaders, VerifyError},
};

use crate::{
    clock::Clock,
    keys_table::{KeysError, KeysTable, MerchantKeys, SignWith},
    random::Random,
    signer::MerchantSigner,
    tls,
};

/// WeChat Pay's interfaces for one merchant. Cheap to clone; clones share the connections.
#[derive(Clone, Debug)]
pub struct WechatApi(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    hosts: Hosts,
    mchid: String,
    sign_with: SignWith,
    keys: KeysTable,
    clock: Clock,
    random: Random,
    /// Built at the first call: a function that is only started makes no TLS set-up.
    http: OnceCell<reqwest::Client>,
}

/// WeChat Pay's two hosts, without a slash at the end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hosts {
    /// The main host.
    pub main: String,
    /// The same operator in another city. One `Authorization` is good on either: the host is not signed (section 1).
    pub backup: String,
}

/// Which host to call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Host {
    /// The main host.
    Main,
    /// The other one.
    Backup,
}

/// The call never left: nothing happened at WeChat Pay.
#[derive(Debug, thiserror::Error)]
pub enum NotSent {
    /// The keys could not be read.
    #[error("the merchant's keys could not be read")]
    Keys(#[from] KeysError),
    /// The request could not be signed.
    #[error("the request could not be signed")]
    Sign(#[from] SignError),
    /// The HTTP client could not be built.
    #[error("the HTTP client could not be built")]
    Client(#[source] Box<dyn Error + Send + Sync>),
    /// Reading keys and signing took all the time there was.
    #[error("there was no time left to send the request")]
    TooLate,
}

/// How long a connection may take, in seconds: over one is bad (section 1.2).
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// WeChat Pay closes idle connections after 8 s; a request sent into that moment is lost (section 1).
const IDLE_MAX: Duration = Duration::from_secs(7);
/// Larger than any answer of the interfaces that are called here.
const ANSWER_MAX: usize = 1024 * 1024;
/// WeChat Pay refuses requests without one (section 1).
const USER_AGENT: &str = concat!("wechatpay-on-lambda/", env!("CARGO_PKG_VERSION"));

impl WechatApi {
    /// The interfaces at these hosts. Nothing is built or read before the first call.
    pub fn new(
        hosts: Hosts,
        mchid: impl Into<String>,
        sign_with: SignWith,
        keys: KeysTable,
        clock: Clock,
        random: Random,
    ) -> Self {
        Self(Arc::new(Shared {
            hosts,
            mchid: mchid.into(),
            sign_with,
            keys,
            clock,
            random,
            http: OnceCell::new(),
        }))
    }

    /// The merchant number.
    pub fn mchid(&self) -> &str {
        &self.0.mchid
    }

    /// The merchant's signer, for the parameters that a payer's device needs.
    ///
    /// # Errors
    /// [`NotSent::Keys`].
    pub async fn signer(&self) -> Result<MerchantSigner, NotSent> {
        Ok(self
            .0
            .keys
            .merchant()
            .await?
            .signer(&self.0.sign_with)
            .await?)
    }

    /// Makes one call, within the time given.
    ///
    /// # Errors
    /// [`NotSent`] when nothing left for WeChat Pay; whatever happened after that is an [`Answer`].
    pub async fn call<C: Call>(
        &self,
        call: &C,
        host: Host,
        within: Duration,
    ) -> Result<Answer<C::Answer>, NotSent> {
        let outgoing = call.outgoing();
        let began_ms = self.0.clock.now_ms();
        let keys = self.0.keys.merchant().await?;
        let signer = keys.signer(&self.0.sign_with).await?;
        let authorization = authorization(
            &signer,
            &self.0.mchid,
            &outgoing,
            self.0.clock.now(),
            &self.0.random.nonce(),
        )
        .await?;
        let http = self
            .0
            .http
            .get_or_try_init(|| async { build_client() })
            .await?;
        let spent_ms = self.0.clock.now_ms().saturating_sub(began_ms);
        let spent = Duration::from_millis(u64::try_from(spent_ms).unwrap_or_default());
        let left = within
            .checked_sub(spent)
            .filter(|left| !left.is_zero())
            .ok_or(NotSent::TooLate)?;
        let base = match host {
            Host::Main => &self.0.hosts.main,
            Host::Backup => &self.0.hosts.backup,
        };
        let method = match outgoing.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
        };
        let sent = http
            .request(method, format!("{base}{}", outgoing.path_and_query))
            .header("authorization", authorization)
            .header("wechatpay-serial", &keys.response_serial)
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .body(outgoing.body)
            .timeout(left)
            .send()
            .await;
        let received = match sent {
            Ok(response) => Received::read(response).await,
            Err(error) => Err(error),
        };
        Ok(match received {
            Ok(Some(received)) => self.judge::<C>(&keys, &received).await,
            Ok(None) => {
                Answer::Unknown("WeChat Pay's answer is longer than any known one".to_owned())
            }
            Err(error) => {
                // Without the URL: its path names the order.
                let error = error.without_url();
                warn!(?host, timed_out = error.is_timeout(), %error, "WeChat Pay did not answer");
                Answer::Unknown(if error.is_timeout() {
                    "time-out".to_owned()
                } else {
                    "no answer".to_owned()
                })
            }
        })
    }

    /// Verifies and reads. A serial that is not known makes the keys be read anew, once: WeChat Pay may have rotated them.
    async fn judge<C: Call>(&self, keys: &MerchantKeys, received: &Received) -> Answer<C::Answer> {
        let now = self.0.clock.now();
        let read = |keys: &wechatpay::verify::VerificationKeys| {
            read_answer::<C>(
                received.status,
                received.headers.clone(),
                &received.body,
                keys,
                now,
            )
        };
        let answer = match read(&keys.verification) {
            Err(CallFailure::Unverified(VerifyError::UnknownSerial { .. })) => {
                match self.0.keys.refresh_merchant().await {
                    Ok(keys) => read(&keys.verification),
                    // The call was made: what came of it cannot be told without keys.
                    Err(error) => return Answer::Unknown(error.to_string()),
                }
            }
            answer => answer,
        };
        let request_id = received.request_id.as_deref().unwrap_or("none");
        match answer {
            Ok(value) => {
                debug!(
                    wechat_request_id = request_id,
                    status = received.status,
                    "WeChat Pay answered"
                );
                Answer::Done(value)
            }
            Err(CallFailure::Refused(refusal)) => {
                warn!(
                    wechat_request_id = request_id,
                    %refusal,
                    "WeChat Pay refused"
                );
                Answer::Refused(*refusal)
            }
            Err(CallFailure::Unverified(error)) => {
                warn!(wechat_request_id = request_id, cause = error.name(), %error, "an answer was not believed");
                Answer::Unknown(error.name().to_owned())
            }
            Err(CallFailure::Unreadable(error)) => {
                warn!(wechat_request_id = request_id, %error, "a verified answer could not be read");
                Answer::Unknown("unreadable answer".to_owned())
            }
        }
    }
}

/// An answer as far as it is used.
struct Received {
    status: u16,
    headers: Result<SignedHeaders, VerifyError>,
    request_id: Option<String>,
    body: Vec<u8>,
}

impl Received {
    /// Reads the whole answer; `None` when it is too long.
    async fn read(mut response: reqwest::Response) -> Result<Option<Self>, reqwest::Error> {
        let status = response.status().as_u16();
        let text = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let headers = SignedHeaders::read(text);
        let request_id = text("request-id").map(str::to_owned);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len().saturating_add(chunk.len()) > ANSWER_MAX {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(Self {
            status,
            headers,
            request_id,
            body,
        }))
    }
}

/// One client for each sandbox: pinned TLS, no redirects, no proxy from the environment.
fn build_client() -> Result<reqwest::Client, NotSent> {
    let tls = tls::client_config().map_err(|error| NotSent::Client(error.into()))?;
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_WITHIN)
        .pool_idle_timeout(IDLE_MAX)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .http1_only()
        .tls_backend_preconfigured(tls)
        .build()
        .map_err(|error| NotSent::Client(error.into()))
}
