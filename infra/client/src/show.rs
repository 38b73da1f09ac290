//! `setup show`: what a deployment's keys table holds, without any secret.

use std::error::Error;

use adapters::keys_table::{
    ClientOverview, MerchantOverview, Overview, VerificationKind, VerificationOverview,
    WebhookOverview,
};
use serde_json::{Value, json};
use wechatpay::UnixSeconds;
use wechatpay::time::format_rfc3339_beijing;

use crate::args::Args;
use crate::deployment::{DEPLOYMENT, Deployment};

pub(crate) async fn run(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let mut args = Args::parse(raw, &DEPLOYMENT, &[])?;
    let deployment = Deployment::read(&mut args)?;
    args.finish()?;
    let table = deployment.keys_table()?;
    println!("{:#}", shown(&deployment.mchid, &table.overview().await?));
    Ok(())
}

fn shown(mchid: &str, overview: &Overview) -> Value {
    let merchant = overview.merchant.as_ref();
    json!({
        "mchid": mchid,
        "merchant": merchant.map(merchant_shown),
        "clients": overview.clients.iter().map(client_shown).collect::<Vec<_>>(),
        "webhooks": overview.webhooks.iter().map(webhook_shown).collect::<Vec<_>>(),
    })
}

fn merchant_shown(merchant: &MerchantOverview) -> Value {
    let signs = |key: &VerificationOverview| {
        let asked = merchant.response_serial.as_deref();
        let id = key.id.as_deref();
        id.zip(asked)
            .is_some_and(|(id, asked)| id.eq_ignore_ascii_case(asked))
    };
    let keys = merchant.verification.iter().map(|key| {
        json!({
            "id": key.id,
            "kind": key.kind.map(VerificationKind::name),
            "usable": key.is_usable,
            "ends": key.ends.map(time),
            "signs_answers": signs(key),
        })
    });
    json!({
        "wechat_keys": keys.collect::<Vec<_>>(),
        "apiv3_key_versions": merchant.apiv3_versions,
        "merchant_serial": merchant.signer_serial,
        "sealed_merchant_key": merchant.has_sealed_key,
        "changes": merchant.version,
    })
}

fn client_shown(client: &ClientOverview) -> Value {
    json!({
        "keyid": client.keyid,
        "client_id": client.client_id,
        "algorithm": client.algorithm,
        "state": client.state,
    })
}

fn webhook_shown(webhook: &WebhookOverview) -> Value {
    json!({
        "client_id": webhook.client_id,
        "host": webhook.origin,
        "secrets": webhook.secrets,
        "state": webhook.state,
        "why": webhook.why,
        "since": webhook.since.map(time),
        "changes": webhook.version,
    })
}

fn time(at: UnixSeconds) -> String {
    format_rfc3339_beijing(at)
}
