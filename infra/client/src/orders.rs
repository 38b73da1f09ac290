//! `create`, `get`, `close` and `sign`.

use std::process::ExitCode;

use client::{Call, NewOrder};

use crate::api::{CommandResult, idempotency_key, number, send, signed};
use crate::args::{Args, UsageError};

pub(crate) async fn create(raw: impl Iterator<Item = String>) -> CommandResult {
    let options = [
        "product",
        "amount-fen",
        "description",
        "order-no",
        "idempotency-key",
        "appid",
        "openid",
        "payer-id",
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
        payer_id: args.optional("payer-id")?,
        payer_client_ip: args.optional("payer-client-ip")?,
        h5_type: args.optional("h5-type")?,
        attach: args.optional("attach")?,
        goods_tag: args.optional("goods-tag")?,
        expires_in_s: args.number("expires-in-s")?,
    };
    let mut call = Call::create_order(&order)?;
    if let Some(key) = idempotency_key(&mut args, order.order_no.as_deref())? {
        call = call.idempotency_key(&key);
    }
    if args.flag("async")? {
        call = call.respond_async();
    }
    send(args, &call).await
}

pub(crate) async fn get(raw: impl Iterator<Item = String>) -> CommandResult {
    let mut args = Args::parse(raw, &["settings"], &[])?;
    let call = Call::get_order(&number(&mut args, "ORDER_NO")?);
    send(args, &call).await
}

pub(crate) async fn close(raw: impl Iterator<Item = String>) -> CommandResult {
    let mut args = Args::parse(raw, &["settings"], &[])?;
    let call = Call::close_order(&number(&mut args, "ORDER_NO")?);
    send(args, &call).await
}

pub(crate) fn sign(raw: impl Iterator<Item = String>) -> CommandResult {
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
