//! WeChat Pay's self-test: it proves the merchant's key and number, WeChat Pay's key, and the
//! encryption of fields in both directions.

use std::error::Error;

use payments::news::call_outcome::CallOutcome;
use runtime::signer::{MerchantSigner, SignWith};
use stores::keys_table::MerchantKeys;
use wechat_client::api::Host;
use wechatpay::api::{ErrorCode, Refusal, SecurityEcho, SecurityEchoAnswer, SecurityEchoBody};

use super::merchant::{CALL_LIMIT, Merchant};
use super::outcome::{host_name, not_sent, refusal_text, unanswered};
use crate::chain;
use crate::doctor::finding::{Examined, Finding, KEYS_PAGE};
use crate::doctor::stack::Stack;

impl Merchant<'_> {
    /// The self-test at one host; whether it went well. The main host is asked for the callback.
    pub(super) async fn echo(&self, host: Host, message: &str, examined: &mut Examined) -> bool {
        let encrypted = match self.api.field_key().await.map(|key| key.encrypt(message)) {
            Ok(Ok(encrypted)) => encrypted,
            Ok(Err(error)) => {
                examined.findings.push(field_key_unusable(&error));
                return false;
            }
            Err(error) => {
                examined.findings.push(not_sent(&error));
                return false;
            }
        };
        let wants_callback = host == Host::Main;
        let body = SecurityEchoBody {
            echo_message: message.to_owned(),
            encrypted_echo_message: Some(encrypted),
            notify_url: wants_callback.then(|| self.stack.output("NotifyUrl").to_owned()),
        };
        let reply = self
            .api
            .call(&SecurityEcho::new(&body), host, CALL_LIMIT)
            .await;
        let finding = match reply {
            Ok(reply) => match reply.answer {
                CallOutcome::Done(answer) => self.check_echo(message, &answer, examined).await,
                CallOutcome::Refused(refusal) => Some(refused(self.stack, host, &refusal)),
                CallOutcome::Unreadable(error) => Some(Finding::error(
                    "echo-unreadable",
                    "WeChat Pay's signed answer is not as documented.",
                    error.to_string(),
                    "tell the developers what its answers have come to look like",
                )),
                CallOutcome::Unknown(why) => Some(unanswered(self.stack, host, &why)),
            },
            Err(error) => Some(not_sent(&error)),
        };
        let went_well = finding.is_none();
        // A finding of both hosts with one cause is reported once.
        if let Some(finding) = finding
            && !examined
                .findings
                .iter()
                .any(|found| found.id == finding.id && found.id != "wechat-host-silent")
        {
            examined.findings.push(finding);
        }
        went_well
    }

    /// Whether what came back is what was sent.
    async fn check_echo(
        &self,
        message: &str,
        answer: &SecurityEchoAnswer,
        examined: &mut Examined,
    ) -> Option<Finding> {
        let echoed = answer.echo_message.as_deref();
        if echoed != Some(message) {
            return Some(Finding::error(
                "echo-altered",
                "WeChat Pay's answer is signed, and does not say what was sent.",
                format!("sent {message}, came {}", echoed.unwrap_or("nothing")),
                "something between here and WeChat Pay changes requests: look for a proxy that rewrites bodies",
            ));
        }
        let keys = self.keys.merchant().await.ok()?;
        let opened = opened(&keys, &self.sign_with, answer).await;
        match opened {
            Opened::As(text) if text == message => None,
            Opened::WithoutKey => {
                let line = "Fields that WeChat Pay encrypts to the merchant's certificate open: a KMS key signs and cannot \
                            decrypt. No function of this stack needs it.";
                if !examined.not_proved.iter().any(|said| said == line) {
                    examined.not_proved.push(line.to_owned());
                }
                None
            }
            Opened::As(_) | Opened::Not(_) => Some(Finding::error(
                "field-from-wechat-closed",
                "What WeChat Pay encrypts to the merchant's certificate does not open.",
                opened.reason(),
                format!(
                    "the certificate in use at WeChat Pay is not that of the sealed key: register the pair anew ({KEYS_PAGE})"
                ),
            )),
        }
    }
}

/// What became of the field that WeChat Pay encrypted.
enum Opened {
    As(String),
    Not(String),
    /// The key is in KMS and cannot decrypt.
    WithoutKey,
}

impl Opened {
    fn reason(&self) -> String {
        match self {
            Self::As(_) => "it opens to another text than was sent".to_owned(),
            Self::Not(why) => why.clone(),
            Self::WithoutKey => String::new(),
        }
    }
}

async fn opened(keys: &MerchantKeys, with: &SignWith, answer: &SecurityEchoAnswer) -> Opened {
    let MerchantSigner::Sealed(key) = (match keys.signer(with).await {
        Ok(signer) => signer,
        Err(error) => return Opened::Not(chain(&error)),
    }) else {
        return Opened::WithoutKey;
    };
    let Some(sealed) = &answer.encrypted_echo_message else {
        return Opened::Not("WeChat Pay's answer has no encrypted_echo_message".to_owned());
    };
    match key.open_sensitive(sealed) {
        Ok(text) => Opened::As(text.to_string()),
        Err(error) => Opened::Not(error.to_string()),
    }
}

fn field_key_unusable(error: &dyn Error) -> Finding {
    Finding::error(
        "wechat-key-unusable",
        "No field can be encrypted to WeChat Pay's key.",
        error.to_string(),
        format!("register WeChat Pay's key again ({KEYS_PAGE})"),
    )
}

fn refused(stack: &Stack, host: Host, refusal: &Refusal) -> Finding {
    let evidence = format!("{}: {}", host_name(stack, host), refusal_text(refusal));
    let field = refusal
        .detail
        .as_ref()
        .and_then(|detail| detail.field.as_deref());
    if refusal.status == 401 || refusal.code == ErrorCode::SignError {
        return Finding::error(
            "signature-refused",
            "WeChat Pay does not take the merchant's signature: every request is refused.",
            evidence,
            format!(
                "the private key is not that of the certificate that is registered, or another merchant's: look at both \
                 (cargo client setup show; doctor --merchant-certificate-file apiclient_cert.pem; {KEYS_PAGE})"
            ),
        );
    }
    if field.is_some_and(|field| field.contains("encrypted_echo_message")) {
        return Finding::error(
            "field-to-wechat-closed",
            "WeChat Pay cannot open what is encrypted to the key that is registered as its own.",
            evidence,
            format!(
                "the file of WeChat Pay's key is not that of its id: register the pair anew ({KEYS_PAGE})"
            ),
        );
    }
    if field.is_some_and(|field| field.contains("notify_url")) {
        return Finding::error(
            "notify-url-refused",
            "WeChat Pay does not take the address for callbacks.",
            evidence,
            "deploy with a NotifyUrl that is https, public, without a query, and of 255 letters at most",
        );
    }
    Finding::error(
        "echo-refused",
        "WeChat Pay refuses its own self-test.",
        evidence,
        refusal.what_to_do().unwrap_or(
            "run this again in some minutes; if it stays, look the code up in WeChat Pay's manual",
        ),
    )
}
