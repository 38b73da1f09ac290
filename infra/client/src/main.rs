//! `cargo client`: makes and reads orders, shows signed requests, and gives a deployment its keys.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people"
)]

mod args;
mod orders;
mod register;
mod webhook;

use std::error::Error;
use std::process::ExitCode;

use args::UsageError;

const HELP: &str = "\
Makes and reads orders over the merchant API, with signed requests.

  cargo client create --product native|jsapi|mini_program|app|h5 --amount-fen N --description TEXT
      [--order-no NO | --idempotency-key KEY] [--appid ID] [--openid ID] [--payer-client-ip IP]
      [--h5-type iOS|Android|Wap] [--attach TEXT] [--goods-tag TEXT] [--expires-in-s N] [--async]
  cargo client get ORDER_NO
  cargo client sign METHOD PATH [--body JSON] [--idempotency-key KEY] [--prefer VALUE]
      prints a curl command that is good for 300 s

All three read --settings FILE (default: .local/client.json, which `cargo local` writes):
  {\"api_url\": \"https://...\", \"keyid\": \"...\", \"algorithm\": \"hmac-sha256\", \"secret_base64\": \"...\"}
  or \"ed25519\" / \"rsa-v1_5-sha256\" with \"private_key_file\": \"key.pem\" beside the settings.

Keys of a deployment on AWS; credentials from AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN;
each takes --mchid M --keys-table T --secrets-key-id K (the stack's outputs KeysTableName, SecretsKeyId):

  cargo client setup merchant --merchant-serial S --apiv3-key-file F [--apiv3-key-version N]
      [--previous-apiv3-key-file F] [--merchant-key-file apiclient_key.pem, for MERCHANT_SIGNER=sealed]
      --wechatpay-public-key ID=FILE and/or --platform-certificate FILE, the one in use first
  cargo client setup client --keyid ID --client-id WHOSE --api-url URL
      makes a shared secret, registers it and writes the settings file
  cargo client setup client --keyid ID --client-id WHOSE --algorithm ed25519|rsa-v1_5-sha256 --public-key-file F
  cargo client setup revoke --keyid ID
  cargo client setup webhook --client WHOSE --url URL [--secret-file F, with whsec_... in it]
      posts each change of the client's orders there, signed (Standard Webhooks); makes a secret and shows it once
  cargo client setup webhook --client WHOSE --off
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
        Some("sign") => orders::sign(raw),
        Some("setup") => register::run(raw).await,
        None | Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        Some(other) => Err(UsageError::Command(other.to_owned()).into()),
    }
}

/// The error with all that lies behind it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors of ours already tell their cause.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
