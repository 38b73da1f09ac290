//! What only calls to WeChat Pay prove: the self-test at both hosts, the APIv3 key, the callback's
//! whole way, and the appids.

use std::time::Duration;

use stores::notices::{NoticeStatus, id_of_echo};
use wechat_client::api::Host;
use wechat_client::api::certificates::{DownloadError, FetchedCertificates};
use wechatpay::certificates::CertificateError;

use super::merchant::{CALL_LIMIT, Merchant};
use crate::chain;
use crate::doctor::finding::{Examined, Finding, KEYS_PAGE};

/// How often the ledger is read for the callback.
const READ_EACH: Duration = Duration::from_millis(500);

impl Merchant<'_> {
    /// Everything that takes calls. `callback_within` is how long the callback may take; there is
    /// none where no callback can arrive.
    pub(crate) async fn examine(&self, callback_within: Option<Duration>) -> Examined {
        let mut examined = Examined::default();
        let message = format!("doctor-{}", self.random.nonce());
        let main = self.echo(Host::Main, &message, &mut examined).await;
        let backup = self
            .echo(Host::Backup, &self.random.nonce(), &mut examined)
            .await;
        // The first failure says what it is; the rest would fail for the same reason.
        if !main && !backup {
            return examined;
        }
        // The main host is asked for certificates, and for the callback.
        let apiv3 = if main { self.apiv3_key().await } else { None };
        let opens = main && apiv3.is_none();
        examined.findings.extend(apiv3);
        if let Some(within) = callback_within.filter(|_| opens) {
            let arrived = self.callback(&message, within).await;
            examined.findings.extend(arrived);
        } else {
            examined.not_proved.push(
                "The callback of WeChat Pay's self-test arrives and is opened: it was not waited for, because of an error above."
                    .to_owned(),
            );
        }
        // An order names the same address, and would be refused for it.
        if examined
            .findings
            .iter()
            .any(|found| found.id == "notify-url-refused")
        {
            examined.not_proved.push(
                "An order can be made with each appid: none was tried, because of an error above."
                    .to_owned(),
            );
            return examined;
        }
        let host = if main { Host::Main } else { Host::Backup };
        for appid in self
            .stack
            .parameter("Appids")
            .split(',')
            .filter(|appid| !appid.is_empty())
        {
            examined.findings.extend(self.appid(appid, host).await);
        }
        examined
    }

    /// Whether the APIv3 key opens what WeChat Pay seals: its certificates, or, where a merchant
    /// has none, the callback alone.
    async fn apiv3_key(&self) -> Option<Finding> {
        let seen = match self.api.certificates(CALL_LIMIT).await {
            Ok(FetchedCertificates::Certificates(_) | FetchedCertificates::NoneForThisMerchant) => {
                return None;
            }
            Err(DownloadError::Unusable(CertificateError::Open(error))) => {
                return Some(Finding::error(
                    "apiv3-key-wrong",
                    "No APIv3 key here opens what WeChat Pay seals: every callback is refused.",
                    error.to_string(),
                    format!(
                        "register the key that is set in WeChat Pay's console, under API security ({KEYS_PAGE})"
                    ),
                ));
            }
            Err(error) => chain(&error),
        };
        Some(Finding::warning(
            "certificates-not-fetched",
            "WeChat Pay's platform certificates could not be fetched: the next one will not be known in time.",
            seen,
            format!("run this again; if it stays, {KEYS_PAGE}"),
        ))
    }

    /// Whether the self-test's callback came through the gateway, both functions and the queue, and
    /// was opened by them.
    async fn callback(&self, message: &str, within: Duration) -> Option<Finding> {
        let id = id_of_echo(message)?;
        let deadline = self.clock.deadline(within);
        loop {
            match self.notices.get(&id).await {
                Ok(Some(notice)) if notice.status == NoticeStatus::Settled => return None,
                Ok(_) if deadline.left().is_zero() => break,
                Ok(_) => self.clock.sleep(READ_EACH).await,
                Err(error) => {
                    return Some(Finding::warning(
                        "callback-not-seen",
                        "Whether the self-test's callback arrived cannot be read from the notices table.",
                        chain(&error),
                        "run this with a role that may read that table",
                    ));
                }
            }
        }
        Some(Finding::error(
            "callback-not-arrived",
            "WeChat Pay took the self-test, and its callback did not arrive: payments are seen by the sweep alone, minutes late.",
            format!(
                "within {} s no callback of {message} at {} was opened and worked off",
                within.as_secs(),
                self.stack.output("NotifyUrl")
            ),
            "infra/runbooks/callbacks.md goes along its way: the API's log says whether it came and what became of it; where \
             nothing came, DNS as seen from mainland China, a firewall, a CDN, the certificate",
        ))
    }
}
