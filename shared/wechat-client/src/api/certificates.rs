//! Fetching platform certificates. The answer may be signed by a certificate that it delivers
//! itself, so it is taken apart otherwise than every other answer.

use std::time::Duration;

use tracing::warn;
use wechatpay::{
    RequestId,
    api::{Call, Certificates, ErrorCode, Interface, Refusal},
    certificates::{CertificateError, PlatformCertificate, open_download},
    verify::VerifyError,
};

use super::{
    WechatApi, causes,
    exchange::Exchange,
    measured::{CallResult, MeasuredCall},
};
use crate::not_sent::NotSent;

/// Result of fetching WeChat Pay's certificates.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FetchedCertificates {
    /// Those that are valid now, verified.
    Certificates(Vec<PlatformCertificate>),
    /// The merchant verifies by WeChat Pay's public key and has no platform certificate (404
    /// `RESOURCE_NOT_EXISTS`).
    NoneForThisMerchant,
}

/// There is nothing that could be used.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// No request was sent to WeChat Pay.
    #[error(transparent)]
    NotSent(#[from] NotSent),
    /// WeChat Pay did not answer.
    #[error("WeChat Pay did not answer with its certificates")]
    NoAnswer(#[source] Option<reqwest::Error>),
    /// WeChat Pay refused.
    #[error("WeChat Pay refused to deliver its certificates: {0}")]
    Refused(Box<Refusal>),
    /// What was delivered does not open, or is not WeChat Pay's.
    #[error("what came for WeChat Pay's certificates cannot be used")]
    Unusable(#[source] CertificateError),
}

impl DownloadError {
    /// Whether the same may succeed in a minute.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NotSent(NotSent::Keys(error)) => error.is_transient(),
            Self::NotSent(NotSent::Sign(_) | NotSent::Client(_)) => false,
            Self::NotSent(NotSent::TooLate | NotSent::Busy) | Self::NoAnswer(_) => true,
            Self::Refused(refusal) => refusal.status >= 500 || refusal.status == 429,
            // A wrong signature on purpose, by which WeChat Pay tests its merchants: the next
            // answer is right.
            Self::Unusable(CertificateError::Unverified(VerifyError::Probe { .. })) => true,
            Self::Unusable(_) => false,
        }
    }
}

impl WechatApi {
    /// Asks the host that is asked first for the platform certificates, within the time given, and
    /// opens what it delivers: decrypted by the APIv3 keys, then verified by a certificate that
    /// came or by a key that is known.
    ///
    /// # Errors
    /// [`DownloadError`].
    pub async fn certificates(
        &self,
        within: Duration,
    ) -> Result<FetchedCertificates, DownloadError> {
        let deadline = self.0.clock.deadline(within);
        let [host, _] = self.hosts();
        let Exchange {
            keys,
            received,
            took_ms,
        } = self
            .exchange(
                Certificates.interface(),
                Certificates.outgoing(),
                host,
                &deadline,
            )
            .await?;
        let call = MeasuredCall {
            interface: Interface::Certificates,
            host,
            took_ms,
        };
        let received = match received {
            Ok(received) => received.ok_or(DownloadError::NoAnswer(None))?,
            Err(error) => {
                let error = error.without_url();
                self.log_unanswered(call, &error);
                return Err(DownloadError::NoAnswer(Some(error)));
            }
        };
        if !(200..300).contains(&received.status) {
            let refusal = Refusal::read(received.status, &received.body);
            call.hold(CallResult::of_refusal(&refusal));
            if refusal.status == 404 && refusal.code == ErrorCode::ResourceNotExists {
                return Ok(FetchedCertificates::NoneForThisMerchant);
            }
            let request_id = received.request_id.as_ref().map(RequestId::as_str);
            // The caller logs it for operators.
            let persons = refusal.what_to_do().map(|_| causes::of_persons(&refusal));
            let cause = persons.or_else(|| causes::of_passing(&refusal));
            warn!(
                wechat_request_id = request_id,
                %refusal,
                cause,
                WechatCallsFailed = cause.map(|_| 1),
                MerchantRefusals = causes::is_of_merchant(&refusal).then_some(1),
                "WeChat Pay refused"
            );
            return Err(DownloadError::Refused(Box::new(refusal)));
        }
        call.hold(CallResult::Done);
        let headers = received
            .headers
            .map_err(|error| DownloadError::Unusable(error.into()))?;
        let apiv3 = keys.apiv3().await.map_err(NotSent::from)?;
        let now = self.0.clock.now();
        open_download(
            received.status,
            &headers,
            &received.body,
            apiv3,
            keys.verification(),
            now,
        )
        .map(FetchedCertificates::Certificates)
        .map_err(DownloadError::Unusable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_with_a_probe_for_its_signature_is_asked_for_again_and_a_forged_one_is_a_persons()
    {
        let serial = "5157F09EFDC096DE15EBE81A47057A72A4D0E1B2".to_owned();
        let probe = VerifyError::Probe {
            serial: serial.clone(),
            known: true,
        };
        assert!(DownloadError::Unusable(probe.into()).is_transient());
        let forged = VerifyError::WrongSignature { serial };
        assert!(!DownloadError::Unusable(forged.into()).is_transient());
    }
}
