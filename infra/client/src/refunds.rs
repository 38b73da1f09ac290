//! `refund`, `refunds`, `refund-status`, and an operator's actions for a refund without progress:
//! `refund-retry`, `refund-release`, `refund-abnormal`, `refund-payer-paid`.

use std::error::Error;
use std::path::Path;

use strict_json::Null;

use client::{Call, Card, NewRefund, RefundTo};

use crate::api::{CommandResult, idempotency_key, number, send};
use crate::args::{Args, UsageError};

pub(crate) async fn create(raw: impl Iterator<Item = String>) -> CommandResult {
    let options = [
        "amount-fen",
        "refund-no",
        "idempotency-key",
        "reason",
        "transaction-id",
        "settings",
    ];
    let mut args = Args::parse(raw, &options, &[])?;
    let order_no = number(&mut args, "ORDER_NO")?;
    let refund = NewRefund {
        amount_fen: args
            .number("amount-fen")?
            .ok_or(UsageError::Missing("--amount-fen".to_owned()))?,
        refund_no: args.optional("refund-no")?,
        reason: args.optional("reason")?,
        transaction_id: args.optional("transaction-id")?,
    };
    let mut call = Call::create_refund(&order_no, &refund)?;
    if let Some(key) = idempotency_key(&mut args, refund.refund_no.as_deref())? {
        call = call.idempotency_key(&key);
    }
    send(args, &call).await
}

pub(crate) async fn list(raw: impl Iterator<Item = String>) -> CommandResult {
    let mut args = Args::parse(raw, &["settings"], &[])?;
    let call = Call::list_refunds(&number(&mut args, "ORDER_NO")?);
    send(args, &call).await
}

pub(crate) async fn status(raw: impl Iterator<Item = String>) -> CommandResult {
    let mut args = Args::parse(raw, &["settings"], &[])?;
    let (order_no, refund_no) = refund(&mut args)?;
    send(args, &Call::get_refund(&order_no, &refund_no)).await
}

pub(crate) async fn retry(raw: impl Iterator<Item = String>) -> CommandResult {
    let mut args = Args::parse(raw, &["settings"], &[])?;
    let (order_no, refund_no) = refund(&mut args)?;
    send(args, &Call::retry_refund(&order_no, &refund_no)).await
}

pub(crate) async fn release(raw: impl Iterator<Item = String>) -> CommandResult {
    let mut args = Args::parse(raw, &["who", "why", "settings"], &[])?;
    let (order_no, refund_no) = refund(&mut args)?;
    let (who, why) = (args.required("who")?, args.required("why")?);
    let call = Call::release_refund(&order_no, &refund_no, &who, &why);
    send(args, &call).await
}

pub(crate) async fn redirect(raw: impl Iterator<Item = String>) -> CommandResult {
    let options = ["to", "card-file", "who", "why", "settings"];
    let mut args = Args::parse(raw, &options, &[])?;
    let (order_no, refund_no) = refund(&mut args)?;
    let (to, card_file) = (args.required("to")?, args.optional("card-file")?);
    let to = match (to.as_str(), card_file) {
        ("merchant", None) => RefundTo::Merchant,
        ("merchant", Some(_)) => {
            return Err(UsageError::Conflict("--card-file goes with --to user only").into());
        }
        ("user", Some(file)) => RefundTo::User(read_card(file.as_ref())?),
        ("user", None) => return Err(UsageError::Missing("--card-file".to_owned()).into()),
        _ => {
            return Err(UsageError::Value {
                name: "to",
                expected: "is merchant or user",
                given: to,
            }
            .into());
        }
    };
    let (who, why) = (args.required("who")?, args.required("why")?);
    let call = Call::redirect_refund(&order_no, &refund_no, &to, &who, &why)?;
    send(args, &call).await
}

pub(crate) async fn payer_paid(raw: impl Iterator<Item = String>) -> CommandResult {
    let mut args = Args::parse(raw, &["who", "why", "settings"], &[])?;
    let (order_no, refund_no) = refund(&mut args)?;
    let (who, why) = (args.required("who")?, args.required("why")?);
    let call = Call::payer_paid(&order_no, &refund_no, &who, &why);
    send(args, &call).await
}

fn refund(args: &mut Args) -> Result<(String, String), UsageError> {
    Ok((number(args, "ORDER_NO")?, number(args, "REFUND_NO")?))
}

/// Reads a card from a file, since every process of the machine can see a command line, and the
/// shell's history stores it. Errors about the file do not show its content.
fn read_card(file: &Path) -> Result<Card, Box<dyn Error>> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("the card {} cannot be read: {error}", file.display()))?;
    let card = strict_json::read(text.as_bytes(), Null::Refused).map_err(|wrong| {
        // A rule shows nothing of the file; a name could.
        format!(
            "the card {} is not a JSON object with the texts bank_type, bank_account and real_name and nothing else \
             (a part of it {})",
            file.display(),
            wrong.rule()
        )
    })?;
    Ok(card)
}
