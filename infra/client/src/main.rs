//! `cargo client`: works with orders over the API, shows signed requests, and manages a
//! deployment's keys and notices.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people"
)]

mod api;
mod args;
mod certificate_request;
mod channel;
mod client_keys;
mod cloud;
mod deployment;
mod doctor;
mod events;
mod keys;
mod log_sink;
mod map;
mod notices;
mod orders;
mod redrive;
mod refunds;
mod register;
mod secret_file;
mod show;
mod trace;
mod webhook;

use std::error::Error;
use std::process::ExitCode;

use args::UsageError;

const HELP: &str = "\
Works with orders over the merchant API, by signed requests, and checks and maintains a deployment.

Orders:
  cargo client create --product native|jsapi|mini_program|app|h5 --amount-fen N --description TEXT
      [--order-no NO | --idempotency-key KEY] [--appid ID] [--openid ID] [--payer-id ID] [--payer-client-ip IP]
      [--h5-type iOS|Android|Wap] [--attach TEXT] [--goods-tag TEXT] [--expires-in-s N] [--async]
  cargo client get ORDER_NO
  cargo client close ORDER_NO
  cargo client sign METHOD PATH [--body JSON] [--idempotency-key KEY] [--prefer VALUE]
      prints a curl command that is good for 300 s

Refunds:
  cargo client refund ORDER_NO --amount-fen N [--refund-no NO | --idempotency-key KEY] [--reason TEXT]
      [--transaction-id ID, to give a second payment for the order back]
  cargo client refunds ORDER_NO
  cargo client refund-status ORDER_NO REFUND_NO
  cargo client refund-retry ORDER_NO REFUND_NO
      sends a `refused` refund to WeChat Pay once more, under the number it had
  cargo client refund-release ORDER_NO REFUND_NO --who NAME --why TEXT
      gives a `refused` refund up and its money free, unless WeChat Pay knows it after all
  cargo client refund-abnormal ORDER_NO REFUND_NO --to merchant --who NAME --why TEXT
  cargo client refund-abnormal ORDER_NO REFUND_NO --to user --card-file FILE --who NAME --why TEXT
      says where the money of an `abnormal` refund goes; FILE holds
      {\"bank_type\": \"ICBC_DEBIT\", \"bank_account\": \"...\", \"real_name\": \"...\"}
  cargo client refund-payer-paid ORDER_NO REFUND_NO --who NAME --why TEXT
      says how the payer was paid whose money went to the merchant's own account

Events:
  cargo client events ORDER_NO
  cargo client trace ORDER_NO [--json]
      draws the order's way from its events: which function worked when, what waited in which queue, who brought the news
  cargo client replay ORDER_NO VERSION
      sends the webhook of an event once more
  cargo client webhook
      shows whether the client's webhook is active, what its receiver answered last and what it does not have
  cargo client resend --from TIME [--to TIME] [--after PLACE]
      sends the events once more that happened then and that the receiver does not have (TIME as
      2026-08-01T12:00:00+08:00); may be repeated

All of these read --settings FILE, or the file that the variable CLIENT_SETTINGS names (default: .local/client.json, which
`cargo local` writes):
  {\"api_url\": \"https://...\", \"keyid\": \"...\", \"algorithm\": \"hmac-sha256\", \"secret_base64\": \"...\"}
  or \"ed25519\" / \"rsa-v1_5-sha256\" with \"private_key_file\": \"key.pem\" beside the settings.

What follows works in a deployment's AWS account. Credentials: a profile of ~/.aws/config by --profile NAME; else the variables
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN; else the profile that AWS_PROFILE names, or the default one
(keys, SSO sessions, credential_process, roles by source_profile). Region: AWS_REGION, or the profile's.

What is wrong with a deployed stack, and what to do next:
  cargo client doctor --stack NAME (or the variable STACK) [--json] [--merchant-certificate-file apiclient_cert.pem]
      [--callback-within-s N] [--console-token-file FILE]
      examines the AWS side, then WeChat Pay by its self-test, whose callback has to arrive. Exit status: 0 nothing wrong,
      3 warnings, 4 errors; 1 and 2 mean that it could not run

How old the keys of a deployed stack are, when they end, who signs, and what to do about one that is old or ends soon:
  cargo client keys status --stack NAME (or the variable STACK) [--json]
      exit status as above

Which part of a deployed stack called which in the last hour, how often, how much of it failed, and how long it took:
  cargo client map --stack NAME (or the variable STACK) [--json]
      from CloudWatch's metrics, by one call of cloudwatch:GetMetricData

What would fail at a deployment, before there is a stack:
  cargo client preflight [--stack NAME] [--parameters live.yaml] [--architecture arm64|x86_64] [--json]
      examines tools, credentials, the account's limits and what an earlier stack of that name left; exit status as above

Callbacks that did not settle; each takes --mchid M --notices-table T (the stack's output NoticesTableName), or the
variables WECHATPAY_MCHID, NOTICES_TABLE:
  cargo client notices list [--status pending|parked|ok|decided] [--most N]
      by default those that are parked for a person or come again
  cargo client notices show NOTICE_ID
  cargo client notices redrive NOTICE_ID --queue-url URL (the output PaymentResultsQueueUrl, or the variable
      PAYMENT_RESULTS_QUEUE_URL)
      sends its message to the queue once more, when its cause is put right; takes the role that OperatorRoleArn names
  cargo client notices decide NOTICE_ID --who NAME --why TEXT
      records what a person did about it

Dead letters, when their cause is gone:
  cargo client redrive payment-requests|payment-results|webhooks|reconcile-work|notifications --stack NAME (or the variable STACK)
      [--dry-run] [--max N] [--rate N]
      moves what died in a queue back into it, N messages a second (default 10), and stops when nothing is left that was
      there when it began. Takes the role that OperatorRoleArn names. It may be interrupted and started again: a message that comes
      twice does no harm. With --dry-run it says how many there are, how old and why, and moves none

Keys; each takes --mchid M --keys-table T --secrets-key-id K (the outputs KeysTableName, SecretsKeyId), or the variables
WECHATPAY_MCHID, KEYS_TABLE, SECRETS_KEY_ID. What a command does not name stays as it is:
  cargo client setup show [--signing-key-id K]
      what is there, without secrets: WeChat Pay's keys, APIv3 keys by number, clients' keys, webhooks, and the KMS key K
  cargo client setup merchant [--merchant-certificate-file apiclient_cert.pem [--signing-key-id K] | --merchant-serial S]
      [--apiv3-key-file F [--apiv3-key-version N]] [--previous-apiv3-key-file F]
      [--merchant-key-file apiclient_key.pem, for MERCHANT_SIGNER=sealed]
      [--remove-sealed-key, for a key that is in KMS now]
      [--wechatpay-public-key ID=FILE] [--platform-certificate FILE]
      with --signing-key-id (or the variable MERCHANT_SIGNING_KEY_ID) the certificate has to be that KMS key's, and only
      what that key signs names it: the next key's is registered before it signs, and the one before goes on. With
      --merchant-key-file it is that of the sealed key, and both change together.
      A new merchant needs its certificate or that one's serial, an APIv3 key and a key of WeChat Pay's. Of WeChat
      Pay's keys that are named here, answers are to be signed with the first
  cargo client setup add-wechat-key --wechatpay-public-key ID=FILE | --platform-certificate FILE [--sign-answers]
      adds a key of WeChat Pay's beside the others; with --sign-answers answers are to be signed with it
  cargo client setup remove-wechat-key --id ID
  cargo client setup remove-apiv3-key --version N
  cargo client setup remove-merchant-certificate --serial S --merchant-signer kms|sealed [--signing-key-id K]
      takes out the certificate of a key that signs no more, with the private key that lies sealed under it. What signs is
      named: the stack's parameter MerchantSigner, and the KMS key K (or the variable MERCHANT_SIGNING_KEY_ID)
  cargo client setup client --keyid ID --client-id WHOSE --api-url URL [--scopes LIST] [--order-max-fen N] [--refund-max-fen N]
      makes a shared secret, registers it and writes the settings file. LIST is of create, read, close, refund and decide, as
      create,read,refund; without it the key may create, read and close
  cargo client setup client --keyid ID --client-id WHOSE --algorithm ed25519|rsa-v1_5-sha256 --public-key-file F [--scopes LIST ...]
  cargo client setup scopes --keyid ID --scopes LIST
      what the key may do from now on
  cargo client setup limit --keyid ID [--requests-per-s N | --as-the-others] [--order-max-fen N|none] [--refund-max-fen N|none]
      how many requests a second the key may send, where that is not what ClientRateLimit says for all; and what one order
      and one refund may come to
  cargo client setup revoke --keyid ID
  cargo client setup webhook --client WHOSE --url URL [--new-secret --secret-to FILE | --secret-file FILE]
      posts each change of the client's orders there, signed (Standard Webhooks). The first time, and with --new-secret, a
      secret is made: --secret-to writes it into a new file, --show-secret shows it here. --secret-file has one of yours
      (whsec_...). Without any of these the secrets stay, and without --url the address. WHOSE is the --client-id that the
      client's key was registered for; --before-its-key sets the webhook up before there is one
  cargo client setup webhook --client WHOSE --off
  cargo client setup channel add --name NAME --kind wecom|dingtalk|feishu|webhook|sns [--address-file F] [--secret-file F]
      [--page PLACE] [--ticket PLACE]
      tells people on call of alarms there (the stack's parameter OperatorChannels): urgent ones by the channels that have a place
      for pages, in that order until one takes the message, and what can wait by those for tickets. The file F has the robot's
      address; the secret signs: of DingTalk always, of Feishu if its robot checks it, of a webhook as whsec_...
  cargo client setup channel list
  cargo client setup channel test --name NAME
      sends a message there from here
  cargo client setup channel remove --name NAME
  cargo client setup log-sink add --kind sentry --dsn-file F
  cargo client setup log-sink add --kind loki --address URL [--tenant T] [--user U --password-file F | --token-file F]
      brings log lines there (the stack's parameter LogForwarding): errors to Sentry, and all that is forwarded to Loki. The file
      F has the project's DSN, the password or the token
  cargo client setup log-sink list
  cargo client setup log-sink test --kind sentry|loki
      sends a line there from here
  cargo client setup log-sink remove --kind sentry|loki

The merchant's private key in KMS; each takes --mchid M --signing-key-id K (the output MerchantSigningKeyId), or the variables
WECHATPAY_MCHID, MERCHANT_SIGNING_KEY_ID:
  cargo client keys import --merchant-key-file apiclient_key.pem --merchant-certificate-file apiclient_cert.pem [--remove-sealed-key]
      [--only-material, for a replica of the key: nothing is registered]
      imports a private key that WeChat Pay knows into a KMS key of the origin EXTERNAL, for good, proves it by a signature and
      registers its certificate (takes the keys table as above, too). May be repeated after any failure
  cargo client keys csr --merchant-name NAME
      prints a certificate request for a private key that was born in KMS, signed by it
  cargo client keys seal --merchant-key-file apiclient_key.pem --merchant-certificate-file apiclient_cert.pem
      seals a private key into the keys table, for MERCHANT_SIGNER=sealed; takes the options of `setup`. The merchant has
      to be set up: the first time, `setup merchant --merchant-key-file` seals it
";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(std::env::args().skip(1)).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("client: {}", chain(error.as_ref()));
            if error.is::<UsageError>() {
                eprintln!("`cargo client help` shows all commands");
                return ExitCode::from(2);
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(mut raw: impl Iterator<Item = String>) -> Result<ExitCode, Box<dyn Error>> {
    match raw.next().as_deref() {
        Some("create") => orders::create(raw).await,
        Some("get") => orders::get(raw).await,
        Some("close") => orders::close(raw).await,
        Some("sign") => orders::sign(raw),
        Some("refund") => refunds::create(raw).await,
        Some("refunds") => refunds::list(raw).await,
        Some("refund-status") => refunds::status(raw).await,
        Some("refund-retry") => refunds::retry(raw).await,
        Some("refund-release") => refunds::release(raw).await,
        Some("refund-abnormal") => refunds::redirect(raw).await,
        Some("refund-payer-paid") => refunds::payer_paid(raw).await,
        Some("events") => events::list(raw).await,
        Some("trace") => trace::run(raw).await,
        Some("replay") => events::replay(raw).await,
        Some("webhook") => events::webhook(raw).await,
        Some("resend") => events::resend(raw).await,
        Some("notices") => notices::run(raw).await,
        Some("redrive") => redrive::run(raw).await,
        Some("setup") => register::run(raw).await,
        Some("keys") => keys::run(raw).await,
        Some("doctor") => doctor::run(raw).await,
        Some("map") => map::run(raw).await,
        Some("preflight") => doctor::preflight::run(raw).await,
        None | Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        Some(other) => Err(UsageError::Command(other.to_owned()).into()),
    }
}

/// The error with its whole chain of causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some of our errors already contain their cause.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
