//! Calls WeChat Pay: signs, sends, and takes the answer apart as far as it can be trusted.
//!
//! Whether to try again, on which host and what an answer means for an order is for the rules and the flows. Here a call is
//! made once, and it comes back as one of three: a verified success, an (unsigned) refusal, or unknown.

mod wire;

use std::{error::Error, sync::Arc, time::Duration};

use payments::issue::Answer;
use tokio::sync::OnceCell;
use tracing::{debug, warn};
use wechatpay::{
    api::{Call, CallFailure, Method, read_answer},
    sign::{SignError, authorization},
    verify::VerifyError,
};

use crate::{
    clock::Clock,
    keys_table::{KeysError, KeysTable, MerchantKeys, SignWith},
    random::Random,
    signer::MerchantSigner,
};

use wire::{Received, build_client};

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
