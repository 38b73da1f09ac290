//! TLS for calls outside AWS: the library that the AWS SDK links already, and Mozilla's trust
//! roots. Scanning the platform's store would take most of a cold start.

use std::sync::{Arc, LazyLock};

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs::default_provider};

/// TLS 1.2 and 1.3 without a client certificate: WeChat Pay's is ordinary one-way TLS (page
/// 4012081709).
///
/// # Errors
/// Cannot fail with this provider.
pub fn client_config() -> Result<ClientConfig, rustls::Error> {
    // Read once for all clients of a process: the fault harness makes tens of thousands.
    static ROOTS: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
        let mut roots = RootCertStore::empty();
        // The form that the AWS SDK's client takes too: a second copy of the set would add 60 KB to
        // each zip.
        roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
        Arc::new(roots)
    });
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?;
    let config = config.with_root_certificates(Arc::clone(&ROOTS));
    Ok(config.with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_root_of_the_set_is_trusted() {
        let mut roots = RootCertStore::empty();
        let (added, ignored) = roots
            .add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
        assert!(
            added > 100 && ignored == 0,
            "{added} added, {ignored} ignored"
        );
        assert!(client_config().is_ok());
    }
}
