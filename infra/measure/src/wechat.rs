//! WeChat Pay, as far as the benchmarks need it: keys made for this run, signed payment notices,
//! and a prepay answer.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;
use testbed::{APIV3_KEY, APPIDS, MCHID, RsaKey};
use wechatpay::time::format_rfc3339_beijing;
use wechatpay::verify::SignedHeaders;
use wechatpay::{UnixSeconds, canonical};

use crate::clock;
use crate::failure::{ErrorContext, Failure, MeasureResult};
use crate::http::Response;

/// The id of WeChat Pay's public key.
pub(crate) const PUBLIC_KEY_ID: &str = "PUB_KEY_ID_0119000072912026112300000000000001";
/// The amount of every order, in fen.
pub(crate) const AMOUNT_FEN: i64 = 8_888;

/// A callback as it arrives.
#[derive(Clone, Debug)]
pub(crate) struct CannedCallback {
    pub(crate) headers: SignedHeaders,
    pub(crate) body: String,
}

/// WeChat Pay's side.
#[derive(Debug)]
pub(crate) struct Wechat {
    pub(crate) key: RsaKey,
    prepaid: Mutex<Option<Prepaid>>,
}

/// A prepay answer's signed headers. They are reused for a minute, so that making them does not
/// slow down what is measured.
#[derive(Clone, Debug)]
struct Prepaid {
    at: UnixSeconds,
    signature: String,
}

const PREPAY_BODY: &str = r#"{"code_url":"weixin://wxpay/bizpayurl?pr=JyC91EIz1"}"#;
const PREPAY_NONCE: &str = "d824f2e086d3c1df967785d13fcd22ef";
const PREPAY_KEPT_S: i64 = 60;

impl Wechat {
    pub(crate) fn new() -> MeasureResult<Self> {
        Ok(Self {
            key: RsaKey::generate(),
            prepaid: Mutex::new(None),
        })
    }

    /// The notice that `order_no` was paid: about 1.9 KB, as usual for a payment with a coupon.
    pub(crate) fn notice(&self, order_no: &str, at: UnixSeconds) -> MeasureResult<CannedCallback> {
        let paid_at = format_rfc3339_beijing(at);
        let transaction = json!({
            "mchid": MCHID,
            "appid": APPIDS[0],
            "out_trade_no": order_no,
            "transaction_id": "4200002812202611231234567890",
            "trade_type": "NATIVE",
            "trade_state": "SUCCESS",
            "trade_state_desc": "支付成功",
            "bank_type": "ICBC_DEBIT",
            "attach": "shop 17, counter 3",
            "success_time": paid_at,
            "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
            "amount": {"total": AMOUNT_FEN, "payer_total": AMOUNT_FEN - 100, "currency": "CNY", "payer_currency": "CNY"},
            "scene_info": {"device_id": "013467007045764"},
            "promotion_detail": [{
                "coupon_id": "109519", "name": "单品惠-6", "scope": "SINGLE", "type": "CASH", "amount": 100,
                "stock_id": "931386", "wechatpay_contribute": 0, "merchant_contribute": 100, "other_contribute": 0,
                "currency": "CNY",
                "goods_detail": [
                    {"goods_id": "M1006", "quantity": 1, "unit_price": 6_600, "discount_amount": 60, "goods_remark": "商品备注信息"},
                    {"goods_id": "M1007", "quantity": 2, "unit_price": 1_144, "discount_amount": 40, "goods_remark": "商品备注信息"},
                    {"goods_id": "M1008", "quantity": 2, "unit_price": 2_290, "discount_amount": 40, "goods_remark": "商品备注信息"},
                    {"goods_id": "M1009", "quantity": 2, "unit_price": 1_000, "discount_amount": 40, "goods_remark": "商品备注信息"},
                ],
            }],
        });
        let nonce = random_hex::<6>()?;
        let ciphertext = seal(transaction.to_string().into_bytes(), &nonce)?;
        let body = json!({
            "id": "84a30a3e-5d8c-5f1e-9f5c-2b0a1f5e9c11",
            "create_time": paid_at,
            "resource_type": "encrypt-resource",
            "event_type": "TRANSACTION.SUCCESS",
            "summary": "支付成功",
            "resource": {
                "original_type": "transaction",
                "algorithm": "AEAD_AES_256_GCM",
                "ciphertext": ciphertext,
                "associated_data": "transaction",
                "nonce": nonce,
            },
        })
        .to_string();
        let (timestamp, nonce) = (at.0.to_string(), random_hex::<16>()?);
        let signature = self
            .key
            .sign(&canonical::answer(&timestamp, &nonce, body.as_bytes()));
        let headers = SignedHeaders {
            timestamp,
            nonce,
            serial: PUBLIC_KEY_ID.to_owned(),
            signature: BASE64.encode(signature),
            signature_type: Some("WECHATPAY2-SHA256-RSA2048".to_owned()),
        };
        Ok(CannedCallback { headers, body })
    }

    /// The answer to any prepay request.
    pub(crate) fn prepay(&self) -> MeasureResult<Response> {
        let now = clock::now();
        let mut prepaid = self.prepaid.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = prepaid
            .take()
            .filter(|kept| now.0.saturating_sub(kept.at.0) < PREPAY_KEPT_S);
        let Prepaid { at, signature } = match fresh {
            Some(kept) => prepaid.insert(kept).clone(),
            None => {
                let text =
                    canonical::answer(&now.0.to_string(), PREPAY_NONCE, PREPAY_BODY.as_bytes());
                let signature = BASE64.encode(self.key.sign(&text));
                prepaid.insert(Prepaid { at: now, signature }).clone()
            }
        };
        Ok(Response::json(200, PREPAY_BODY)
            .with("Wechatpay-Timestamp", at.0.to_string())
            .with("Wechatpay-Nonce", PREPAY_NONCE)
            .with("Wechatpay-Serial", PUBLIC_KEY_ID)
            .with("Wechatpay-Signature", signature)
            .with("Request-ID", "08F780ACC9061007"))
    }
}

/// `2 * N` random hexadecimal digits.
pub(crate) fn random_hex<const N: usize>() -> MeasureResult<String> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).during("drawing random bytes")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn seal(mut text: Vec<u8>, nonce: &str) -> MeasureResult<String> {
    let key =
        UnboundKey::new(&AES_256_GCM, APIV3_KEY.as_bytes()).during("reading the APIv3 key")?;
    let nonce = nonce
        .as_bytes()
        .try_into()
        .map_err(|_| Failure::new("a nonce has 12 characters"))?;
    LessSafeKey::new(key)
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from("transaction"),
            &mut text,
        )
        .during("encrypting a notice")?;
    Ok(BASE64.encode(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wechatpay::{ApiV3Key, Plaintext, VerificationKeys, callback};

    #[test]
    fn a_notice_opens_is_as_long_as_real_ones_and_names_its_order() {
        let wechat = Wechat::new().expect("keys");
        let mut keys = VerificationKeys::new();
        keys.add_public_key(PUBLIC_KEY_ID, &wechat.key.public_pem())
            .expect("a key");
        let apiv3 = [ApiV3Key::new(APIV3_KEY.as_bytes()).expect("32 bytes")];
        let now = clock::now();
        let notice = wechat.notice("ORDER-000001", now).expect("a notice");
        assert!(
            (1_800..2_100).contains(&notice.body.len()),
            "{} bytes",
            notice.body.len()
        );
        let opened = callback::open(&notice.headers, notice.body.as_bytes(), &keys, &apiv3, now)
            .expect("it opens");
        let Plaintext::Transaction(transaction) = opened.plaintext else {
            panic!("{opened:?}")
        };
        assert_eq!(transaction.out_trade_no, "ORDER-000001");
    }
}
