//! `setup show`: what a deployment's keys table holds, without any secret, and the KMS key that may
//! sign for the merchant.

use std::error::Error;

use payments::model::permissions::{LimitFen, Scope};
use runtime::kms::signing_key::KeyDescription;
use serde_json::{Value, json};
use stores::keys_table::{
    OwnCertificate, VerificationKind,
    overview::{ClientOverview, MerchantOverview, Overview, VerificationOverview, WebhookOverview},
};
use wechatpay::UnixSeconds;
use wechatpay::time::format_rfc3339_beijing;

use crate::args::Args;
use crate::deployment::{DEPLOYMENT, Deployment, SIGNING_KEY, key_service, optional_signing_key};

pub(crate) async fn run(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let mut args = Args::parse(raw, &[&DEPLOYMENT[..], &[SIGNING_KEY]].concat(), &[])?;
    let deployment = Deployment::read(&mut args)?;
    let key_id = optional_signing_key(&mut args)?;
    args.finish()?;
    let overview = deployment.keys_table().await?.overview().await?;
    let kms_key = match key_id {
        Some(key_id) => Some(
            key_service(&deployment.account)
                .await?
                .describe_key(&key_id)
                .await?,
        ),
        None => None,
    };
    println!(
        "{:#}",
        shown(&deployment.mchid, &overview, kms_key.as_ref())
    );
    Ok(())
}

fn shown(mchid: &str, overview: &Overview, kms_key: Option<&KeyDescription>) -> Value {
    let merchant = overview.merchant.as_ref();
    json!({
        "mchid": mchid,
        "merchant": merchant.map(merchant_shown),
        "merchant_kms_key": kms_key.map(kms_key_shown),
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
    let ends = |it: &OwnCertificate| it.validity.map(|validity| time(validity.until));
    let of_earlier_versions = merchant.certificates.of_earlier_versions();
    let certificates = merchant.certificates.by_key().map(|(key, certificate)| {
        json!({
            "key": key,
            "serial": certificate.serial_no,
            "ends": ends(certificate),
        })
    });
    json!({
        "wechat_keys": keys.collect::<Vec<_>>(),
        "apiv3_key_versions": merchant.apiv3.iter().map(|key| key.version).collect::<Vec<_>>(),
        "merchant_certificates": certificates.collect::<Vec<_>>(),
        "merchant_serial": of_earlier_versions.map(|it| &it.serial_no),
        "merchant_certificate_ends": of_earlier_versions.and_then(ends),
        "sealed_merchant_key": merchant.has_sealed_key,
        "changes": merchant.version,
    })
}

fn kms_key_shown(key: &KeyDescription) -> Value {
    json!({
        "arn": key.arn,
        "spec": key.spec,
        "origin": key.origin,
        "state": key.state,
        "made": key.created.map(time),
    })
}

fn client_shown(client: &ClientOverview) -> Value {
    let permissions = client.permissions.as_ref().ok();
    json!({
        "keyid": client.keyid,
        "client_id": client.client_id,
        "algorithm": client.algorithm,
        "state": client.state,
        "requests_per_s": client.requests_per_s,
        "scopes": permissions.map(|it| it.scopes.iter().map(Scope::name).collect::<Vec<_>>()),
        "order_max_fen": permissions.and_then(|it| it.limits.order_max).map(LimitFen::get),
        "refund_max_fen": permissions.and_then(|it| it.limits.refund_max).map(LimitFen::get),
        "damaged": client.permissions.as_ref().err(),
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
