//! `GET /v3/certificates`: the platform certificates, sealed under the APIv3 key.

use serde_json::{Value, json};

use super::call::Reply;
use crate::{
    clock, keys,
    refusal::Refusal,
    sim::{MutableState, Shared},
};

pub(super) fn list(sim: &Shared, world: &mut MutableState) -> Result<Reply, Refusal> {
    if !sim.platform_certificates {
        return Err(Refusal::new(
            404,
            "RESOURCE_NOT_EXISTS",
            268_512_773,
            "无可用的平台证书，请在商户平台-API安全申请使用微信支付公钥。",
            "This merchant has no platform certificate; use the WeChat Pay public key",
        ));
    }
    let MutableState {
        keys: keyring, ids, ..
    } = world;
    let credentials = sim.credentials();
    let data: Vec<Value> = keyring
        .valid_certificates(sim.now_ms())
        .filter_map(|(serial, issued)| {
            let nonce = ids.gcm_nonce();
            let sealed = keys::seal(
                &credentials.apiv3_key,
                &nonce,
                "certificate",
                issued.pem.as_bytes(),
            )?;
            Some(json!({
                "serial_no": serial,
                "effective_time": clock::rfc3339(issued.from_ms),
                "expire_time": clock::rfc3339(issued.to_ms),
                "encrypt_certificate": sealed,
            }))
        })
        .collect();
    if data.is_empty() {
        return Err(Refusal::new(
            404,
            "NOT_ENOUGH",
            268_512_774,
            "平台证书均已过期",
            "All platform certificates have expired",
        ));
    }
    Ok(Reply::Json(json!({ "data": data })))
}
