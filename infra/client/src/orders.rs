//! `create`, `get` and `sign`.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use adapters::clock::Clock;
use adapters::random::Random;
use client::{Answer, Call, Client, NewOrder, Sender, SignedCall};

use crate::args::{Args, UsageError};

type Outcome = Result<ExitCode, Box<dyn Error>>;

/// `.local/client.json` of this repository.
pub(crate) fn default_settings() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.local/client.json")
}

pub(crate) async fn create(raw: impl Iterator<Item = String>) -> Outcome {
    let options = [
        "product",
        "amount-fen",
        "description",
        "order-no",
        "idempotency-key",
        "appid",
        "openid",
        "payer-client-ip",
        "h5-type",
        "attach",
        "goods-tag",
        "expires-in-s",
        "settings",
    ];
    let mut args = Args::parse(raw, &options, &["async"])?;
    let order = NewOrder {
        product: args.required("product")?,
        amount_fen: args
            .number("amount-fen")?
            .ok_or(UsageError::Missing("--amount-fen".to_owned()))?,
        description: args.required("description")?,
        order_no: args.optional("order-no")?,
        appid: args.optional("appid")?,
        openid: args.optional("openid")?,
        payer_client_ip: args.optional("payer-client-ip")?,
        h5_type: args.optional("h5-type")?,
        attach: args.optional("attach")?,
        goods_tag: args.optional("goods-tag")?,
        expires_in_s: args.number("expires-in-s")?,
    };
    let mut call = Call::create_order(&order)?;
    if let Some(key) = idempotency_key(&mut args, order.order_no.is_some())? {
        call = call.idempotency_key(&key);
    }
    if args.flag("async")? {
        call = call.respond_async();
    }
    send(args, &call).await
}

pub(crate) async fn get(raw: impl Iterator<Item = String>) -> Outcome {
    let mut args = Args::parse(raw, &["settings"], &[])?;
    let call = Call::get_order(&args.word("ORDER_NO")?);
    send(args, &call).await
}

pub(crate) fn sign(raw: impl Iterator<Item = String>) -> Outcome {
    let mut args = Args::parse(raw, &["body", "idempotency-key", "prefer", "settings"], &[])?;
    let (method, path) = (args.word("METHOD")?, args.word("PATH")?);
    if !path.starts_with('/') {
        return Err(UsageError::Conflict(
            "PATH begins with a slash; the host comes from the settings",
        )
        .into());
    }
    let mut call = Call::new(
        &method.to_ascii_uppercase(),
        &path,
        args.optional("body")?.unwrap_or_default(),
    );
    if let Some(key) = args.optional("idempotency-key")? {
        call = call.idempotency_key(&key);
    }
    if let Some(preference) = args.optional("prefer")? {
        call = call.header("Prefer", preference);
    }
    println!("{}", signed(args, &call)?.curl());
    Ok(ExitCode::SUCCESS)
}

/// The key given, or a new one if nothing else names the order: then it is shown, so that the same order can be asked
/// for again.
fn idempotency_key(args: &mut Args, has_order_no: bool) -> Result<Option<String>, UsageError> {
    let given = args.optional("idempotency-key")?;
    match (&given, has_order_no) {
        (Some(_), true) => Err(UsageError::Conflict(
            "give --order-no or --idempotency-key, not both",
        )),
        (Some(_), false) | (None, true) => Ok(given),
        (None, false) => {
            let key = Random::system().id();
            eprintln!("Idempotency-Key: {key} (repeat with --idempotency-key {key})");
            Ok(Some(key))
        }
    }
}

fn signed(mut args: Args, call: &Call) -> Result<SignedCall, Box<dyn Error>> {
    let settings = args
        .optional("settings")?
        .map_or_else(default_settings, PathBuf::from);
    args.finish()?;
    let client = Client::load(&settings)?;
    Ok(client.sign(call, Clock::system().now(), &Random::system().nonce())?)
}

async fn send(args: Args, call: &Call) -> Outcome {
    let answer = Sender::new()?.send(&signed(args, call)?).await?;
    show(&answer);
    Ok(if answer.is_success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The status and what belongs to it goes to standard error, the body to standard output.
fn show(answer: &Answer) {
    eprintln!("HTTP {}", answer.status);
    for name in ["location", "retry-after", "idempotent-replayed"] {
        if let Some(value) = answer.header(name) {
            eprintln!("{name}: {value}");
        }
    }
    let pretty =
        serde_json::from_str::<serde_json::Value>(&answer.body).map(|json| format!("{json:#}"));
    println!("{}", pretty.unwrap_or_else(|_| answer.body.clone()));
}
