//! `events` and `replay`: what happened to an order, told once more.

use client::Call;

use crate::api::{Outcome, number, send};
use crate::args::{Args, UsageError};

pub(crate) async fn list(raw: impl Iterator<Item = String>) -> Outcome {
    let mut args = Args::parse(raw, &["settings"], &[])?;
    let call = Call::list_events(&number(&mut args, "ORDER_NO")?);
    send(args, &call).await
}

pub(crate) async fn replay(raw: impl Iterator<Item = String>) -> Outcome {
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
