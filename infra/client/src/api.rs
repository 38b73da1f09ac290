//! One call of the API, from the command line to the answer on the screen.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use client::{ApiAnswer, Call, Client, Sender, SignedCall};
use runtime::clock::Clock;
use runtime::random::Random;

use crate::args::{Args, UsageError};

pub(crate) type CommandResult = Result<ExitCode, Box<dyn Error>>;

/// The settings file that the option `--settings` or the variable `CLIENT_SETTINGS` names; else
/// `.local/client.json` of this repository.
pub(crate) fn settings_file(args: &mut Args) -> Result<PathBuf, UsageError> {
    let named = args.optional_setting("settings", "CLIENT_SETTINGS")?;
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.local/client.json");
    Ok(named.map_or_else(default, PathBuf::from))
}

/// The next word as a number in a path. A slash or a question mark in it would make another call of
/// this one.
pub(crate) fn number(args: &mut Args, what: &'static str) -> Result<String, UsageError> {
    let given = args.word(what)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if !given.is_empty() && given.bytes().all(plain) {
        Ok(given)
    } else {
        Err(UsageError::Word {
            what,
            expected: "has only digits, letters, `_` and `-`",
            given,
        })
    }
}

/// The key given, or a new one if nothing else names what is asked for: then it is shown, so that
/// the same can be asked for again. `number` is the option that would name it, if it was given.
pub(crate) fn idempotency_key(
    args: &mut Args,
    number: Option<&str>,
) -> Result<Option<String>, UsageError> {
    let given = args.optional("idempotency-key")?;
    match (&given, number) {
        (Some(_), Some(_)) => Err(UsageError::Conflict(
            "give a number or --idempotency-key, not both",
        )),
        (Some(_), None) | (None, Some(_)) => Ok(given),
        (None, None) => {
            let key = Random::system().id();
            eprintln!("Idempotency-Key: {key} (repeat with --idempotency-key {key})");
            Ok(Some(key))
        }
    }
}

/// The client by the settings that the command line names, the last thing that it may name.
pub(crate) fn client(mut args: Args) -> Result<Client, Box<dyn Error>> {
    let settings = settings_file(&mut args)?;
    args.finish()?;
    Ok(Client::load(&settings)?)
}

/// Signs the call as `client` does.
pub(crate) fn signed(args: Args, call: &Call) -> Result<SignedCall, Box<dyn Error>> {
    let client = client(args)?;
    Ok(client.sign(call, Clock::system().now(), &Random::system().nonce())?)
}

/// How often a call that is over the key's limit is sent again.
const PAUSES_MAX: u32 = 3;

/// Signs the call, sends it, and shows the answer. While the key is over its limit it waits as the
/// API says and sends the same again, newly signed: nothing was done.
pub(crate) async fn send(args: Args, call: &Call) -> CommandResult {
    let (client, sender, clock) = (client(args)?, Sender::new()?, Clock::system());
    let mut pauses = 0;
    let answer = loop {
        let signed = client.sign(call, clock.now(), &Random::system().nonce())?;
        let answer = sender.send(&signed).await?;
        let Some(pause_s) = over_limit(&answer).filter(|_| pauses < PAUSES_MAX) else {
            break answer;
        };
        pauses += 1;
        eprintln!("the key is over its limit: sent again in {pause_s} s");
        clock.sleep(Duration::from_secs(pause_s)).await;
    };
    show(&answer);
    Ok(if answer.is_success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// How long to wait, if the answer says that the key is over its limit. Any other 429 is about what
/// was asked for, and not repeated here.
fn over_limit(answer: &ApiAnswer) -> Option<u64> {
    let body: serde_json::Value = serde_json::from_str(&answer.body).ok()?;
    let is_limited = answer.status == 429 && body.get("code")? == "too_many_requests";
    let pause_s = answer.header("retry-after")?.parse().ok()?;
    is_limited.then_some(pause_s)
}

/// The status and what belongs to it goes to standard error, the body to standard output.
pub(crate) fn show(answer: &ApiAnswer) {
    eprintln!("HTTP {}", answer.status);
    for name in ["location", "retry-after", "idempotent-replayed"] {
        if let Some(value) = answer.header(name) {
            eprintln!("{name}: {value}");
        }
    }
    if let Some(command) = answer.header("location").and_then(reading) {
        eprintln!("`{command}` shows what becomes of it");
    }
    let pretty =
        serde_json::from_str::<serde_json::Value>(&answer.body).map(|json| format!("{json:#}"));
    println!("{}", pretty.unwrap_or_else(|_| answer.body.clone()));
}

/// The command that reads a path of the API.
fn reading(location: &str) -> Option<String> {
    let mut parts = location.strip_prefix("/v1/orders/")?.split('/');
    match (parts.next()?, parts.next(), parts.next(), parts.next()) {
        (order_no, None, None, None) => Some(format!("cargo client get {order_no}")),
        (order_no, Some("refunds"), Some(refund_no), None) => {
            Some(format!("cargo client refund-status {order_no} {refund_no}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_shown_as_the_command_that_reads_it() {
        for (location, command) in [
            ("/v1/orders/tea-0001", Some("cargo client get tea-0001")),
            (
                "/v1/orders/tea-0001/refunds/r1",
                Some("cargo client refund-status tea-0001 r1"),
            ),
            ("/v1/orders/tea-0001/refunds", None),
            ("/v1/orders/tea-0001/refunds/r1/retry", None),
            ("/there", None),
        ] {
            assert_eq!(reading(location).as_deref(), command, "{location}");
        }
    }

    #[test]
    fn a_number_cannot_lead_to_another_route() {
        let args = |word: &str| Args::parse([word.to_owned()].into_iter(), &[], &[]).unwrap();
        assert_eq!(
            number(&mut args("tea-0001"), "ORDER_NO").as_deref(),
            Ok("tea-0001")
        );
        for word in ["tea/close", "tea?x=1", "..", "tea 1", "茶", ""] {
            let refused = number(&mut args(word), "ORDER_NO").unwrap_err();
            assert!(
                refused.to_string().starts_with("ORDER_NO has only"),
                "{refused}"
            );
        }
    }
}
