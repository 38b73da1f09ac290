//! The notice of a refund that was asked for without `notify_url`: APIv2's XML, sealed with
//! AES-256-ECB under the MD5 of the APIv2 key, and not signed.

use aes_gcm::aes::{
    Aes256, Block,
    cipher::{BlockCipherEncrypt, KeyInit},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

use crate::{
    clock,
    order::{Order, Payment},
    refund::{Refund, RefundSource, RefundStatus},
    signed_callback::{Damage, SignedCallback},
};

const BLOCK_BYTES: usize = 16;

/// The elements of the notice, with `req_info` still open. Names are WeChat Pay's,
/// `refund_recv_accout` too.
pub(crate) fn tree(refund: &Refund, order: &Order, payment: &Payment) -> Value {
    let mut req_info = json!({
        "transaction_id": refund.transaction_id,
        "out_trade_no": refund.out_trade_no,
        "refund_id": refund.refund_id,
        "out_refund_no": refund.out_refund_no,
        "total_fee": order.total_fen,
        "settlement_total_fee": order.payer_total_fen(payment),
        "refund_fee": refund.refund_fen,
        "settlement_refund_fee": refund.payer_refund_fen,
        "refund_status": match refund.status {
            RefundStatus::Processing => "PROCESSING",
            RefundStatus::Success => "SUCCESS",
            RefundStatus::Closed => "REFUNDCLOSE",
            RefundStatus::Abnormal => "CHANGE",
        },
        "refund_recv_accout": "支付用户零钱",
        "refund_account": "REFUND_SOURCE_RECHARGE_FUNDS",
        "refund_request_source": match refund.source {
            RefundSource::Api => "API",
            RefundSource::Console => "VENDOR_PLATFORM",
        },
    });
    if let (Some(success_ms), Some(req_info)) = (refund.success_ms, req_info.as_object_mut()) {
        req_info.insert(
            "success_time".to_owned(),
            json!(clock::bill_time(success_ms)),
        );
    }
    json!({
        "return_code": "SUCCESS",
        "appid": order.appid,
        "mch_id": order.mchid,
        "req_info": req_info,
    })
}

/// Seals a tree and writes it as XML. Nothing signs it, so of all damage only what touches the
/// ciphertext shows.
pub(crate) fn message(
    url: &str,
    tree: &Value,
    apiv2_key: &str,
    nonce: &str,
    damage: &Damage,
) -> Option<SignedCallback> {
    let mut sealed = seal(apiv2_key, &xml("root", tree.get("req_info")?))?;
    if *damage == Damage::CutCiphertext {
        sealed.truncate(sealed.len().saturating_sub(8));
    }
    let mut tree = tree.clone();
    let elements = tree.as_object_mut()?;
    elements.insert("req_info".to_owned(), json!(sealed));
    elements.insert("nonce_str".to_owned(), json!(nonce));
    Some(SignedCallback {
        url: url.to_owned(),
        headers: [
            ("Content-Type", "text/xml"),
            ("Accept", "*/*"),
            ("User-Agent", "Mozilla/4.0"),
            ("Pragma", "no-cache"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        body: xml("xml", &tree),
    })
}

/// Whether an answer says that the notice was taken: 200, and `return_code` is SUCCESS.
pub(crate) fn is_taken(status: u16, body: &[u8]) -> bool {
    let text: String = String::from_utf8_lossy(body)
        .split_whitespace()
        .collect::<String>()
        .replace("<![CDATA[", "")
        .replace("]]>", "");
    status == 200 && text.contains("<return_code>SUCCESS</return_code>")
}

/// An object of texts and numbers as elements of `name`.
fn xml(name: &str, elements: &Value) -> String {
    let elements = elements.as_object().into_iter().flatten();
    let inside: String = elements
        .map(|(name, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            // A CDATA section cannot contain its own end mark.
            let text = text.replace("]]>", "]]]]><![CDATA[>");
            format!("<{name}><![CDATA[{text}]]></{name}>\n")
        })
        .collect();
    format!("<{name}>\n{inside}</{name}>")
}

/// AES-256-ECB with PKCS#7 padding, Base64. The key is the MD5 of the APIv2 key in lower-case hex,
/// whose 32 characters are the bytes.
fn seal(apiv2_key: &str, text: &str) -> Option<String> {
    let key = format!("{:x}", md5::compute(apiv2_key));
    let cipher = Aes256::new_from_slice(key.as_bytes()).ok()?;
    let mut bytes = text.as_bytes().to_vec();
    let over = bytes.len().checked_rem(BLOCK_BYTES)?;
    let missing = BLOCK_BYTES.saturating_sub(over);
    bytes.extend(std::iter::repeat_n(u8::try_from(missing).ok()?, missing));
    for bytes in bytes.chunks_exact_mut(BLOCK_BYTES) {
        let mut block = Block::try_from(&*bytes).ok()?;
        cipher.encrypt_block(&mut block);
        bytes.copy_from_slice(&block);
    }
    Some(BASE64.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealing_gives_what_openssl_gives() {
        // printf '<root>...' | openssl enc -aes-256-ecb -K <hex of the MD5 in hex> -base64 -A
        let sealed = seal(
            "SimulatedApiV2Key0SimulatedApiV2",
            "<root><refund_fee><![CDATA[3960]]></refund_fee></root>",
        );
        assert_eq!(
            sealed.unwrap(),
            "yng2oV8zRTKgKZF0oDDg4O9b5LL8e0TdZNYf73Gbm1MPsRUotKUUTuPwKeOCiiu/YIGE71crCsjUD3T0CDzXHg=="
        );
    }

    #[test]
    fn only_success_in_the_answer_ends_the_repeats() {
        let taken = "<xml>\n <return_code><![CDATA[SUCCESS]]></return_code>\n</xml>";
        assert!(is_taken(200, taken.as_bytes()));
        assert!(is_taken(
            200,
            b"<xml><return_code>SUCCESS</return_code></xml>"
        ));
        assert!(!is_taken(500, taken.as_bytes()));
        assert!(!is_taken(
            200,
            b"<xml><return_code>FAIL</return_code></xml>"
        ));
        assert!(!is_taken(200, b"{\"code\":\"SUCCESS\"}"));
    }

    #[test]
    fn the_end_of_a_cdata_section_cannot_be_smuggled_in() {
        let text = xml("root", &json!({"reason": "a]]><b>"}));
        assert_eq!(
            text,
            "<root>\n<reason><![CDATA[a]]]]><![CDATA[><b>]]></reason>\n</root>"
        );
    }
}
