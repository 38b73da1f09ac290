//! WeChat Pay: the self-test that proves the merchant's key, its number, WeChat Pay's own key, the
//! encryption of fields and the callback's whole way; the APIv3 key; the appids.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use client::read_merchant_certificate;
use payments::news::call_outcome::CallOutcome;
use runtime::aws::Aws;
use runtime::clock::Clock;
use runtime::env::{SettingsError, SettingsReader};
use runtime::kms::Kms;
use runtime::random::Random;
use runtime::signer::{MerchantSigner, SignWith};
use stores::keys_table::{KeysTable, MerchantKeys, overview::MerchantOverview};
use stores::notices::{NoticeStatus, Notices, id_of_echo};
use wechat_client::api::{
    Host, NotSent, WechatApi, WechatSettings,
    certificates::{DownloadError, FetchedCertificates},
};
use wechatpay::UnixSeconds;
use wechatpay::api::{
    Close, ErrorCode, PrepayAmount, PrepayBody, PrepayCall, PrepayProduct, Refusal, SecurityEcho,
    SecurityEchoAnswer, SecurityEchoBody,
};
use wechatpay::certificates::CertificateError;
use wechatpay::merchant_files::MerchantPublicKey;
use wechatpay::time::format_rfc3339_beijing;

use super::finding::{Examined, Finding};
use super::stack::Stack;
use crate::chain;

/// WeChat Pay counts 5 s as no answer itself.
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// A certificate that ends sooner is told of.
pub(crate) const RENEW_BEFORE_DAYS: i64 = 30;
const RENEW_BEFORE_S: i64 = RENEW_BEFORE_DAYS * 86_400;
/// How often the ledger is looked at for the callback.
const LOOK_EACH: Duration = Duration::from_millis(500);
/// Nobody pays the orders that prove the appids; they are closed at once, and run out by themselves
/// where a close is lost. WeChat Pay takes no less than a minute.
const PROOF_ENDS_S: i64 = 300;

pub(crate) const KEYS_PAGE: &str = "infra/runbooks/keys.md";

/// How to examine it.
pub(crate) struct Wishes<'a> {
    /// How long the callback may take.
    pub(crate) callback_within: Duration,
    /// `apiclient_cert.pem`, whose end and key are looked at.
    pub(crate) certificate: Option<&'a Path>,
    /// Why no callback could arrive, if that is known.
    pub(crate) is_unreachable: bool,
}

/// The merchant as the functions have it.
pub(crate) struct Merchant<'a> {
    stack: &'a Stack,
    keys: KeysTable,
    notices: Notices,
    api: WechatApi,
    sign_with: SignWith,
    kms: Kms,
    clock: Clock,
    random: Random,
}

impl<'a> Merchant<'a> {
    pub(crate) fn of(stack: &'a Stack, aws: &Aws, clock: &Clock) -> Result<Self, Box<dyn Error>> {
        let settings = settings(stack)?;
        let mchid = stack.parameter("Mchid");
        let keys = KeysTable::new(
            aws.dynamodb(),
            stack.output("KeysTableName"),
            mchid,
            Kms::new(aws.kms()),
            stack.output("SecretsKeyId"),
            clock.clone(),
        );
        Ok(Self {
            stack,
            notices: Notices::new(aws.dynamodb(), stack.output("NoticesTableName"), mchid),
            sign_with: settings.sign_with.clone(),
            api: WechatApi::new(
                settings,
                mchid,
                keys.clone(),
                clock.clone(),
                Random::system(),
            ),
            keys,
            kms: Kms::new(aws.kms()),
            clock: clock.clone(),
            random: Random::system(),
        })
    }

    /// What is stored, without a call to WeChat Pay. An error means that no call can be made.
    pub(crate) async fn stored(&self, wishes: &Wishes<'_>) -> Vec<Finding> {
        let overview = match self.keys.overview().await {
            Ok(overview) => overview,
            Err(error) => return vec![keys_unreadable(&error)],
        };
        let Some(merchant) = overview.merchant else {
            return vec![not_set_up(self.stack)];
        };
        let mut findings = self.wechat_keys(&merchant);
        match wishes.certificate {
            Some(path) => findings.extend(self.certificate(path, &merchant).await),
            None => findings.extend(self.own_certificate(&merchant)),
        }
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

    /// The merchant's own certificate, as it was registered.
    fn own_certificate(&self, merchant: &MerchantOverview) -> Option<Finding> {
        let serial_no = merchant.signer_serial.as_deref().unwrap_or_default();
        match merchant.signer_validity {
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
        let registered = merchant.signer_serial.as_deref().unwrap_or_default();
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

    /// Everything that takes calls.
    pub(crate) async fn examine(&self, wishes: &Wishes<'_>) -> Examined {
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
        if opens && !wishes.is_unreachable {
            let arrived = self.callback(&message, wishes.callback_within).await;
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
            .any(|told| told.id == "notify-url-refused")
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

    /// The self-test at one host; whether it went well. The main host is asked for the callback.
    async fn echo(&self, host: Host, message: &str, examined: &mut Examined) -> bool {
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
                CallOutcome::Done(answer) => self.judged(message, &answer, examined).await,
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
        // What both hosts say for one reason is told once.
        if let Some(finding) = finding
            && !examined
                .findings
                .iter()
                .any(|told| told.id == finding.id && told.id != "wechat-host-silent")
        {
            examined.findings.push(finding);
        }
        went_well
    }

    /// Whether what came back is what was sent.
    async fn judged(
        &self,
        message: &str,
        answer: &SecurityEchoAnswer,
        examined: &mut Examined,
    ) -> Option<Finding> {
        let told = answer.echo_message.as_deref();
        if told != Some(message) {
            return Some(Finding::error(
                "echo-altered",
                "WeChat Pay's answer is signed, and does not say what was sent.",
                format!("sent {message}, came {}", told.unwrap_or("nothing")),
                "something between here and WeChat Pay changes requests: look for a proxy that rewrites bodies",
            ));
        }
        let keys = self.keys.merchant().await.ok()?;
        let opened = opened(&keys, &self.sign_with, answer).await;
        match opened {
            Opened::As(text) if text == message => None,
            Opened::ByNobody => {
                let line = "Fields that WeChat Pay encrypts to the merchant's certificate open: a KMS key signs and cannot \
                            decrypt. No function of this stack needs it.";
                if !examined.not_proved.iter().any(|told| told == line) {
                    examined.not_proved.push(line.to_owned());
                }
                None
            }
            Opened::As(_) | Opened::Not(_) => Some(Finding::error(
                "field-from-wechat-closed",
                "What WeChat Pay encrypts to the merchant's certificate does not open.",
                opened.told(),
                format!(
                    "the certificate in use at WeChat Pay is not that of the sealed key: register the pair anew ({KEYS_PAGE})"
                ),
            )),
        }
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
                Ok(_) => self.clock.sleep(LOOK_EACH).await,
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

    /// Whether an order may be made with this appid. It is of one fen, nobody is shown it, and it
    /// is closed at once.
    async fn appid(&self, appid: &str, host: Host) -> Option<Finding> {
        let order_no = format!(
            "doctor{}",
            self.random.nonce().get(..26).unwrap_or_default()
        );
        let expires = UnixSeconds(self.clock.now().0.saturating_add(PROOF_ENDS_S));
        let body = PrepayBody {
            appid: appid.to_owned(),
            mchid: self.api.mchid().to_owned(),
            description: "doctor".to_owned(),
            out_trade_no: order_no.clone(),
            time_expire: Some(format_rfc3339_beijing(expires)),
            notify_url: self.stack.output("NotifyUrl").to_owned(),
            amount: PrepayAmount {
                total: 1,
                currency: None,
            },
            ..PrepayBody::default()
        };
        let prepay = PrepayCall::new(PrepayProduct::Native, &body);
        let outcome = match self.api.call(&prepay, host, CALL_LIMIT).await {
            Ok(reply) => reply.answer,
            Err(error) => return Some(not_sent(&error)),
        };
        let close = Close {
            mchid: self.api.mchid().to_owned(),
            out_trade_no: order_no,
        };
        // One that is not closed runs out in minutes.
        drop(self.api.call(&close, host, CALL_LIMIT).await);
        match outcome {
            CallOutcome::Done(_) | CallOutcome::Unreadable(_) => None,
            CallOutcome::Refused(refusal) => Some(order_refused(appid, &refusal)),
            CallOutcome::Unknown(why) => Some(unanswered(self.stack, host, &why)),
        }
    }
}

/// `kms` where the stack's template has no such parameter.
fn signer(stack: &Stack) -> &str {
    match stack.parameter("MerchantSigner") {
        "" => "kms",
        signer => signer,
    }
}

/// What became of the field that WeChat Pay encrypted.
enum Opened {
    As(String),
    Not(String),
    /// Nobody here can decrypt it.
    ByNobody,
}

impl Opened {
    fn told(&self) -> String {
        match self {
            Self::As(_) => "it opens to another text than was sent".to_owned(),
            Self::Not(why) => why.clone(),
            Self::ByNobody => String::new(),
        }
    }
}

async fn opened(keys: &MerchantKeys, with: &SignWith, answer: &SecurityEchoAnswer) -> Opened {
    let MerchantSigner::Sealed(key) = (match keys.signer(with).await {
        Ok(signer) => signer,
        Err(error) => return Opened::Not(chain(&error)),
    }) else {
        return Opened::ByNobody;
    };
    let Some(sealed) = &answer.encrypted_echo_message else {
        return Opened::Not("WeChat Pay's answer has no encrypted_echo_message".to_owned());
    };
    match key.open_sensitive(sealed) {
        Ok(text) => Opened::As(text.to_string()),
        Err(error) => Opened::Not(error.to_string()),
    }
}

/// The settings of calls to WeChat Pay, as the stack's functions have them.
fn settings(stack: &Stack) -> Result<WechatSettings, SettingsError> {
    let vars = std::collections::BTreeMap::from([
        ("WECHATPAY_BASE_URL", stack.parameter("WechatpayBaseUrl")),
        (
            "WECHATPAY_BACKUP_URL",
            stack.parameter("WechatpayBackupUrl"),
        ),
        ("MERCHANT_SIGNER", signer(stack)),
        (
            "MERCHANT_SIGNING_KEY_ID",
            stack.output("MerchantSigningKeyId"),
        ),
    ]);
    let mut reader = SettingsReader::new(&vars);
    let settings = WechatSettings::read(&mut reader);
    reader.finish(|| settings)
}

/// Who signs for the merchant.
pub(crate) fn sign_with(stack: &Stack) -> Result<SignWith, SettingsError> {
    Ok(settings(stack)?.sign_with)
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

/// Whether there is a certificate of WeChat Pay's that ends later.
pub(crate) fn is_superseded(merchant: &MerchantOverview, ends: UnixSeconds) -> bool {
    let mut others = merchant.verification.iter();
    others.any(|other| other.ends > Some(ends))
}

pub(crate) fn wechat_certificate_ends(
    now: UnixSeconds,
    ends: UnixSeconds,
    id: &str,
) -> Option<Finding> {
    ending(
        now,
        ends,
        "platform-certificate-ends",
        id,
        "WeChat Pay's platform certificate",
    )
}

pub(crate) fn own_certificate_ends(
    now: UnixSeconds,
    ends: UnixSeconds,
    serial_no: &str,
) -> Option<Finding> {
    ending(
        now,
        ends,
        "merchant-certificate-ends",
        serial_no,
        "The merchant's own certificate",
    )
}

/// Only its number was registered, or an earlier version registered it.
pub(crate) fn certificate_end_unknown(serial_no: &str) -> Finding {
    Finding::warning(
        "merchant-certificate-end-unknown",
        "When the merchant's own certificate ends is unknown here, so no alarm comes before it ends and every request \
         is refused.",
        format!("registered is {serial_no}, without its end"),
        format!(
            "register apiclient_cert.pem again: cargo client setup merchant --merchant-certificate-file \
             apiclient_cert.pem ({KEYS_PAGE})"
        ),
    )
}

fn ending(
    now: UnixSeconds,
    ends: UnixSeconds,
    id: &'static str,
    name: &str,
    what: &str,
) -> Option<Finding> {
    let left_s = ends.0.saturating_sub(now.0);
    let evidence = format!("{name} ends {}", format_rfc3339_beijing(ends));
    if left_s <= 0 {
        return Some(Finding::error(
            id,
            format!("{what} has ended."),
            evidence,
            format!("renew it now ({KEYS_PAGE})"),
        ));
    }
    (left_s < RENEW_BEFORE_S).then(|| {
        Finding::warning(
            id,
            format!("{what} ends in {} days.", left_s / 86_400),
            evidence,
            format!("renew it before it ends ({KEYS_PAGE})"),
        )
    })
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

fn not_sent(error: &NotSent) -> Finding {
    Finding::error(
        "request-not-signed",
        "No request to WeChat Pay could be signed.",
        chain(error),
        format!(
            "see that this role may use MerchantSigningKey, and that the key is the merchant's ({KEYS_PAGE})"
        ),
    )
}

fn field_key_unusable(error: &dyn Error) -> Finding {
    Finding::error(
        "wechat-key-unusable",
        "No field can be encrypted to WeChat Pay's key.",
        error.to_string(),
        format!("register WeChat Pay's key again ({KEYS_PAGE})"),
    )
}

fn host_name(stack: &Stack, host: Host) -> &str {
    match host {
        Host::Main => stack.parameter("WechatpayBaseUrl"),
        Host::Backup => stack.parameter("WechatpayBackupUrl"),
    }
}

fn told(refusal: &Refusal) -> String {
    let detail = refusal
        .detail
        .as_ref()
        .and_then(|detail| detail.field.as_deref());
    let field = detail.map(|field| format!(", field {field}"));
    format!(
        "HTTP {} {}: {}{}",
        refusal.status,
        refusal.raw_code,
        refusal.message,
        field.unwrap_or_default()
    )
}

fn refused(stack: &Stack, host: Host, refusal: &Refusal) -> Finding {
    let evidence = format!("{}: {}", host_name(stack, host), told(refusal));
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

/// Why no order can be made with an appid.
fn order_refused(appid: &str, refusal: &Refusal) -> Finding {
    if refusal.code == ErrorCode::AppidMchidNotMatch {
        return Finding::error(
            "appid-not-bound",
            format!(
                "No order can be made with {appid}: WeChat Pay does not know it as this merchant's."
            ),
            told(refusal),
            "bind it to the merchant number in WeChat Pay's console (AppID accounts), or correct the parameter Appids",
        );
    }
    if refusal.code == ErrorCode::NoAuth {
        return Finding::warning(
            "native-not-open",
            format!(
                "Whether {appid} is bound is not proved: the merchant may not make Native orders, which prove it."
            ),
            told(refusal),
            "apply for Native payment in WeChat Pay's console if you want it; else make one order of your product with this appid",
        );
    }
    Finding::error(
        "order-refused",
        format!("WeChat Pay refuses an order with {appid}."),
        told(refusal),
        refusal
            .what_to_do()
            .unwrap_or("look the code up in WeChat Pay's manual"),
    )
}

/// No answer that counts: none at all, or one whose signature is not believed.
fn unanswered(stack: &Stack, host: Host, why: &str) -> Finding {
    let name = host_name(stack, host);
    if why == "time-out" || why == "no answer" {
        return Finding::error(
            "wechat-host-silent",
            format!(
                "{name} does not answer from here. Functions ask the other host then; with both silent no order can be made."
            ),
            format!("{name}: {why}"),
            "see whether a firewall or proxy keeps calls in, and WeChat Pay's notices of maintenance; run this again",
        );
    }
    Finding::error(
        "answer-unverified",
        "No key here verifies WeChat Pay's answer, so it is not believed: neither are its callbacks.",
        format!("{name}: {why}"),
        format!(
            "register the public key or certificate that WeChat Pay's console shows ({KEYS_PAGE})"
        ),
    )
}
