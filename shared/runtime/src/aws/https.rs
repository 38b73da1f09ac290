//! HTTPS for all that goes to AWS or takes spans: one set of trust roots, read when the first call
//! is made. Plain HTTP goes to private addresses alone ([`super::is_endpoint`]).

use std::sync::OnceLock;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A sandbox may be frozen for minutes: a connection that is idle for longer than this is usually
/// closed at the other end, and what is sent once must not go into it.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// What the clients here go out through: HTTPS that trusts Mozilla's roots. For what finds
/// credentials by calls of its own.
pub fn https_client() -> SharedHttpClient {
    SharedHttpClient::new(PinnedHttps::default())
}

/// What sends single requests, beside the SDK's clients: their own connector, so that it adds
/// nothing to a program. It trusts the same roots, and has no limits of time.
pub(crate) fn connector(is_plain: bool) -> SharedHttpConnector {
    let builder = Connector::builder().pool_idle_timeout(IDLE_MAX);
    if is_plain {
        return SharedHttpConnector::new(builder.build_http());
    }
    let builder = builder.tls_provider(Provider::Rustls(CryptoMode::AwsLc));
    let connector = match TlsContext::builder()
        .with_trust_store(pinned_roots())
        .build()
    {
        Ok(context) => builder.tls_context(context).build(),
        // As in `pinned_client`.
        Err(_) => builder.build(),
    };
    SharedHttpConnector::new(connector)
}

/// An HTTPS client that trusts Mozilla's roots, and reads them at its first call: a cold start that
/// makes no call does not pay for parsing them.
#[derive(Debug, Default)]
struct PinnedHttps {
    client: OnceLock<SharedHttpClient>,
}

impl HttpClient for PinnedHttps {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        parts: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.client
            .get_or_init(pinned_client)
            .http_connector(settings, parts)
    }
}

fn pinned_client() -> SharedHttpClient {
    let builder =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
    match TlsContext::builder()
        .with_trust_store(pinned_roots())
        .build()
    {
        Ok(context) => builder.tls_context(context).build_https(),
        // Not reached in this version of the client; its default would still verify, against the
        // platform's store.
        Err(_) => builder.build_https(),
    }
}

/// All roots in one PEM text, since that is the only form the SDK's client takes.
fn pinned_roots() -> TrustStore {
    let mut pem = String::with_capacity(300_000);
    for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        STANDARD.encode_string(root, &mut pem);
        pem.push_str("\n-----END CERTIFICATE-----\n");
    }
    TrustStore::empty().with_pem_certificate(pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_roots_can_be_loaded_and_amazon_s_are_among_them() {
        let named = |name: &[u8]| {
            let mut roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
            roots.any(|root| root.windows(name.len()).any(|window| window == name))
        };
        for number in ["1", "2", "3", "4"] {
            let name = format!("Amazon Root CA {number}");
            assert!(named(name.as_bytes()), "{name}");
        }
        let context = TlsContext::builder()
            .with_trust_store(pinned_roots())
            .build()
            .expect("a context");
        // Building the connector parses each certificate and panics if one is unreadable.
        let connector = Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(context)
            .build();
        drop(connector);
    }
}
