//! The merchant's record in the keys table: whether it is whole, and whether a certificate in it
//! ends soon. No call goes to WeChat Pay.

use std::error::Error;
use std::path::Path;

use client::read_merchant_certificate;
use runtime::signer::SignWith;
use stores::keys_table::overview::MerchantOverview;
use wechatpay::merchant_files::MerchantPublicKey;

use super::certificate_ends::{
    certificate_end_unknown, certificate_findings, is_superseded, own_certificate_ends,
    wechat_certificate_ends,
};
use super::merchant::Merchant;
use crate::chain;
use crate::doctor::finding::{Finding, KEYS_PAGE};
use crate::doctor::stack::Stack;

impl Merchant<'_> {
    /// What is stored, without a call to WeChat Pay. An error means that no call can be made.
    pub(crate) async fn stored(&self, certificate: Option<&Path>) -> Vec<Finding> {
        let overview = match self.keys.overview().await {
            Ok(overview) => overview,
            Err(error) => return vec![keys_unreadable(&error)],
        };
        let Some(merchant) = overview.merchant else {
            return vec![not_set_up(self.stack)];
        };
        let mut findings = self.wechat_keys(&merchant);
        match certificate {
            Some(path) => findings.extend(self.certificate(path, &merchant).await),
            None => findings.extend(self.own_certificate(&merchant)),
        }
        findings.extend(certificate_findings(
            &merchant,
            &self.sign_with,
            self.stack.parameter("OtherSigner"),
        ));
        if findings
            .iter()
            .all(|finding| finding.id != "wechat-key-unknown")
            && let Err(error) = self.usable().await
        {
            findings.push(keys_unreadable(error.as_ref()));
        }
        findings
    }

    /// The merchant's record as functions read it, with its secrets unsealed.
    async fn usable(&self) -> Result<(), Box<dyn Error>> {
        let keys = self.keys.merchant().await?;
        keys.apiv3().await?;
        keys.signer(&self.sign_with).await?;
        Ok(())
    }

    /// WeChat Pay's keys: usable, and not about to end.
    fn wechat_keys(&self, merchant: &MerchantOverview) -> Vec<Finding> {
        let mut findings = Vec::new();
        let now = self.clock.now();
        for key in &merchant.verification {
            let id = key.id.as_deref().unwrap_or("an entry without an id");
            if !key.is_usable {
                findings.push(wechat_key_unusable(id));
            }
            let ends = key.ends.filter(|ends| !is_superseded(merchant, *ends));
            findings.extend(ends.and_then(|ends| wechat_certificate_ends(now, ends, id)));
        }
        let asked = merchant.response_serial.as_deref().unwrap_or_default();
        let mut ids = merchant
            .verification
            .iter()
            .filter_map(|key| key.id.as_deref());
        if !ids.any(|id| id.eq_ignore_ascii_case(asked)) {
            findings.push(Finding::error(
                "wechat-key-unknown",
                "Requests ask for answers signed by a key that is not registered, so no answer is believed.",
                format!("response_serial is {asked}"),
                format!("cargo client setup add-wechat-key --sign-answers ({KEYS_PAGE})"),
            ));
        }
        findings
    }

    /// The certificate of the key that signs, as it was registered.
    fn own_certificate(&self, merchant: &MerchantOverview) -> Option<Finding> {
        let certificate = merchant.certificates.of(&self.sign_with)?;
        let serial_no = &certificate.serial_no;
        match certificate.validity {
            Some(validity) => own_certificate_ends(self.clock.now(), validity.until, serial_no),
            None => Some(certificate_end_unknown(serial_no)),
        }
    }

    /// The same by its file, which only its owner has.
    async fn certificate(&self, path: &Path, merchant: &MerchantOverview) -> Vec<Finding> {
        let held = match &self.sign_with {
            SignWith::Kms { key_id } => self.kms.public_key(key_id).await.ok(),
            SignWith::Sealed => None,
        };
        let held = held.and_then(|der| MerchantPublicKey::from_der(&der).ok());
        let certificate = match read_merchant_certificate(path, self.api.mchid(), held.as_ref()) {
            Ok(certificate) => certificate,
            Err(error) => {
                return vec![Finding::error(
                    "merchant-certificate-wrong",
                    "The certificate is not that of the key that signs.",
                    chain(&error),
                    format!(
                        "use the apiclient_cert.pem that belongs to this stack's key ({KEYS_PAGE})"
                    ),
                )];
            }
        };
        let mut findings = Vec::new();
        let registered = merchant.certificates.of(&self.sign_with);
        let registered = registered.map_or("none", |registered| registered.serial_no.as_str());
        if !registered.eq_ignore_ascii_case(certificate.serial_no()) {
            findings.push(Finding::error(
                "merchant-serial-wrong",
                "Requests name another certificate than this one.",
                format!("registered is {registered}, the file's is {}", certificate.serial_no()),
                format!("cargo client setup merchant --merchant-certificate-file FILE, if the file is right ({KEYS_PAGE})"),
            ));
        }
        findings.extend(own_certificate_ends(
            self.clock.now(),
            certificate.not_after(),
            certificate.serial_no(),
        ));
        findings
    }
}

pub(crate) fn not_set_up(stack: &Stack) -> Finding {
    Finding::error(
        "merchant-not-set-up",
        "The keys table knows no merchant, so nothing can be signed and no callback be opened.",
        format!(
            "{} has no item of {}",
            stack.output("KeysTableName"),
            stack.parameter("Mchid")
        ),
        "cargo client setup merchant (infra/runbooks/keys.md)",
    )
}

pub(crate) fn wechat_key_unusable(id: &str) -> Finding {
    Finding::error(
        "wechat-key-unusable",
        format!("{id} verifies nothing: what WeChat Pay signs with it is refused."),
        "the entry of the keys table is no RSA key",
        format!(
            "take it out and register it again (cargo client setup remove-wechat-key, add-wechat-key; {KEYS_PAGE})"
        ),
    )
}

fn keys_unreadable(error: &dyn Error) -> Finding {
    Finding::error(
        "merchant-keys-unreadable",
        "The merchant's keys cannot be read or unsealed, so nothing can be signed and no callback be opened.",
        chain(error),
        format!(
            "if this is a refused permission, run this with a role that may read the keys table, decrypt with SecretsKey and \
             sign with MerchantSigningKey; else set the merchant up again ({KEYS_PAGE})"
        ),
    )
}
