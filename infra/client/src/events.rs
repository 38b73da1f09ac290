//! `events` and `replay`: an order's events, and sending them again. `webhook` and `resend`: the
//! state of a client's webhook, and sending its undelivered events.

use std::process::ExitCode;
use std::time::Duration;

use client::{ApiAnswer, Call, Sender};
use runtime::clock::Clock;
use runtime::random::Random;

use crate::api::{CommandResult, client, number, send, show};
use crate::args::{Args, UsageError};

/// How often in a row the API may ask for a pause, or not be there, before `resend` gives up.
const PAUSES_MAX: u32 = 20;
/// The pause if the API names none, in seconds.
const PAUSE_S: u64 = 5;

pub(crate) async fn list(raw: impl Iterator<Item = String>) -> CommandResult {
    let mut args = Args::parse(raw, &["settings"], &[])?;
    let call = Call::list_events(&number(&mut args, "ORDER_NO")?);
    send(args, &call).await
}

pub(crate) async fn replay(raw: impl Iterator<Item = String>) -> CommandResult {
    let mut args = Args::parse(raw, &["settings"], &[])?;
    let order_no = number(&mut args, "ORDER_NO")?;
    let given = args.word("VERSION")?;
    let Ok(version) = given.parse() else {
        return Err(UsageError::Word {
            what: "VERSION",
            expected: "is a whole number that `cargo client events` shows",
            given,
        }
        .into());
    };
    send(args, &Call::replay_event(&order_no, version)).await
}

pub(crate) async fn webhook(raw: impl Iterator<Item = String>) -> CommandResult {
    send(Args::parse(raw, &["settings"], &[])?, &Call::get_webhook()).await
}

/// Goes through the undelivered events page by page. It may be stopped and started again at any
/// time: an event leaves the list when it is delivered, and a repeat has the same `webhook-id`.
pub(crate) async fn resend(raw: impl Iterator<Item = String>) -> CommandResult {
    let mut args = Args::parse(raw, &["settings", "from", "to", "after"], &[])?;
    let from = args.required("from")?;
    let (to, mut after) = (args.optional("to")?, args.optional("after")?);
    let (client, sender) = (client(args)?, Sender::new()?);
    let (mut resent, mut pauses) = (0, 0);
    loop {
        let call = Call::resend_events(&from, to.as_deref(), after.as_deref());
        let nonce = Random::system().nonce();
        let signed = client.sign(&call, Clock::system().now(), &nonce)?;
        let answer = sender.send(&signed).await?;
        let pause_s = answer
            .header("retry-after")
            .and_then(|seconds| seconds.parse().ok());
        if matches!(answer.status, 429 | 500..) && pauses < PAUSES_MAX {
            pauses += 1;
            Clock::system()
                .sleep(Duration::from_secs(pause_s.unwrap_or(PAUSE_S)))
                .await;
            continue;
        }
        if !answer.is_success() {
            show(&answer);
            return Ok(ExitCode::FAILURE);
        }
        pauses = 0;
        let (count, next) = page(&answer);
        resent += count;
        let Some(next) = next else {
            println!("{resent} events are on their way once more");
            return Ok(ExitCode::SUCCESS);
        };
        eprintln!("{resent} events so far (goes on with --after '{next}')");
        after = Some(next);
        Clock::system()
            .sleep(Duration::from_secs(pause_s.unwrap_or(PAUSE_S)))
            .await;
    }
}

/// How many events an answer is about, and where the next ones begin.
fn page(answer: &ApiAnswer) -> (u64, Option<String>) {
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let after = body.get("after").and_then(serde_json::Value::as_str);
    (
        body.get("resent")
            .and_then(serde_json::Value::as_u64)
            .unwrap_or_default(),
        after.map(str::to_owned),
    )
}
