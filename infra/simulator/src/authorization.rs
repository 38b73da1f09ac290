//! Checks the signature of a request, as WeChat Pay does, and refuses with its words.

use serde_json::json;

use crate::{clock, credentials::MerchantCertificate, refusal::Refusal};

const SCHEME: &str = "WECHATPAY2-SHA256-RSA2048";

/// Seconds that a request's timestamp may be off, either way.
const AGE_LIMIT_S: i64 = 300;

/// Whose signature is expected.
pub(crate) struct ExpectedSigner<'a> {
    pub(crate) mchid: &'a str,
    /// Those that are valid.
    pub(crate) certificates: &'a [MerchantCertificate],
}

/// The parts of a request that were signed.
pub(crate) struct SignedRequest<'a> {
    pub(crate) method: &'a str,
    /// As it came over the wire.
    pub(crate) path_and_query: &'a str,
    pub(crate) body: &'a [u8],
}

/// Refuses with 401 `SIGN_ERROR` unless `header` is a right and recent signature of `request`, and
/// gives the number of the certificate whose key signed.
pub(crate) fn check<'a>(
    header: Option<&str>,
    request: &SignedRequest<'_>,
    expected: &ExpectedSigner<'a>,
    now_ms: i64,
) -> Result<&'a str, Refusal> {
    let header = header.ok_or_else(|| {
        Refusal::sign(
            "Http头缺少Authorization，请参考《微信支付商户REST API签名规则》",
            "The Authorization header is missing",
        )
    })?;
    let (scheme, parameters) = header.split_once(' ').unwrap_or((header, ""));
    if scheme != SCHEME {
        return Err(Refusal::sign(
            "Http头Authorization认证类型不正确",
            format!("The scheme in Authorization is not {SCHEME}"),
        ));
    }
    let parameter = |name: &'static str| {
        parameters
            .split(',')
            .filter_map(|part| part.split_once('='))
            .find(|(key, _)| *key == name)
            .and_then(|(_, value)| value.strip_prefix('"')?.strip_suffix('"'))
            .filter(|value| !value.is_empty())
            .ok_or_else(|| {
                Refusal::sign(
                    format!("Http头Authorization值格式错误，缺少{name}，请参考《微信支付商户REST API签名规则》"),
                    format!("The Authorization header is malformed: {name}=\"...\" is missing"),
                )
            })
    };
    let (mchid, nonce) = (parameter("mchid")?, parameter("nonce_str")?);
    let (serial, timestamp) = (parameter("serial_no")?, parameter("timestamp")?);
    let signature = parameter("signature")?;

    if mchid != expected.mchid {
        return Err(Refusal::sign(
            "商户号不存在或商户未设置API证书",
            format!("No merchant {mchid} here"),
        ));
    }
    let mut certificates = expected.certificates.iter();
    let certificate = certificates
        .find(|certificate| serial.eq_ignore_ascii_case(&certificate.serial))
        .ok_or_else(|| {
            Refusal::sign(
                "商户证书序列号有误。请使用签名私钥匹配的证书序列号",
                "serial_no is not the serial of the merchant certificate whose key signs",
            )
        })?;
    let age_s = timestamp
        .parse::<i64>()
        .ok()
        .map(|at| clock::seconds(now_ms).saturating_sub(at).saturating_abs());
    if age_s.is_none_or(|age_s| age_s > AGE_LIMIT_S) {
        return Err(Refusal::sign(
            "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟",
            "The timestamp in Authorization is more than five minutes off; set the clock",
        ));
    }
    let text = text_to_sign(request, timestamp, nonce);
    if certificate.key.verifies(&text, signature) {
        return Ok(&certificate.serial);
    }
    let shown = String::from_utf8_lossy(&text);
    Err(
        Refusal::sign("错误的签名，验签失败", "The signature is wrong").with_detail(json!({
            "field": "signature",
            "issue": "sign not match",
            "location": "authorization",
            "sign_information": {
                "method": request.method,
                "url": request.path_and_query,
                "sign_message_length": text.len(),
                "truncated_sign_message": shown.chars().take(200).collect::<String>(),
            },
        })),
    )
}

fn text_to_sign(request: &SignedRequest<'_>, timestamp: &str, nonce: &str) -> Vec<u8> {
    let mut text = format!(
        "{}\n{}\n{timestamp}\n{nonce}\n",
        request.method, request.path_and_query
    )
    .into_bytes();
    text.extend_from_slice(request.body);
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::MerchantKey;

    /// The test key that WeChat Pay's manual publishes (page 4012365334).
    const KEY: &str = include_str!("../test-keys/manual.pem");
    const HEAD: &str = "WECHATPAY2-SHA256-RSA2048 mchid=\"1900007291\",nonce_str=\"593BEC0C930BF1AFEB40B4A08C8FB242\",\
                        timestamp=\"1554208460\",serial_no=\"408B07E79B8269FEC3D5D3E6AB8ED163A6A380DB\"";
    const QUERY: &str = "Lc9VXxmeonkdV8Xk9tmigQFLhl0vRWTerdmoRu01aAnYwIrD/5nsSwE1WlmZGLRlAFTNQ3QsMa0+VRDlJp1Wp5p0nO8EK68b5sJBbjouxaFciIfq1zfDWWz+jqhcMoKXI1A6dPm1AW7D4d30WsMTNzp6g23OXakIsh9LO3lUmwvTuE0BY8ncf6tNGk4wKmvXwERd/ZpoQY3MAVKz+Nakwc+2XBmzT66KcUehU5kr4IvGa/lEU5RZb/q00zP9VLdBhC/jQSX3X1UcJLCtEc4gTmib4tnmAT+bHF/e17ZAuxDNcx6rqT8gNEXqaJGG+1OflMSTU2tpyG65G4dMKdFcoA==";
    const PREPAY: &str = "jnks4dlrPw3ZX+ozVvSK39oa0t7OMBsg83BHAwd8BRdUFiVaQNTLTvci+wURgP1OQBbKYhFGvt7iqYpDSTQkp7Uq1sltaQKyncCyrA1g88m5bsKERQfPyT0ahSwKTYJ1CAn9QiJuSJRq1QsQs07eehbU/k9BCS51jTyc1Jpsi2H77HF9f/BnjXAOP3/sPObg6V5Ee4EzwLox684hhuMuIwHo7D8KFk3LIHOKDcNI4It1aCXydFWNpNK+SG86VUDe5kwoDpw4Ulqfu9z8OFDGbDs9TCxEv8iqQzbpxOlEVoOe2kalSYM5kApQb3nZcxdUtoE0liJGW3RGUNE0t4v01A==";
    const PREPAY_BODY: &str = r#"{"appid":"wxd678efh567hg6787","mchid":"1900007291","description":"Image形象店-深圳腾大-QQ公仔","out_trade_no":"1217752501201407033233368018","notify_url":"https://www.weixin.qq.com/wxpay/pay.php","amount":{"total":100,"currency":"CNY"},"payer":{"openid":"oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}}"#;

    #[test]
    fn the_manuals_own_signatures_are_right_and_one_changed_byte_is_not() {
        let key = MerchantKey::from_private_pem(KEY).unwrap();
        let certificates = [MerchantCertificate {
            serial: "408B07E79B8269FEC3D5D3E6AB8ED163A6A380DB".to_owned(),
            key,
        }];
        let expected = ExpectedSigner {
            mchid: "1900007291",
            certificates: &certificates,
        };
        let verdict = |method, path_and_query, body: &str, signature: &str| {
            let request = SignedRequest {
                method,
                path_and_query,
                body: body.as_bytes(),
            };
            let header = format!("{HEAD},signature=\"{signature}\"");
            check(Some(&header), &request, &expected, 1_554_208_460_000)
                .map(|serial| assert_eq!(serial, certificates[0].serial))
                .map_err(|refusal| refusal.code.into_owned())
        };
        let (query, prepay) = (
            "/v3/refund/domestic/refunds/123123123123",
            "/v3/pay/transactions/jsapi",
        );
        assert_eq!(verdict("GET", query, "", QUERY), Ok(()));
        assert_eq!(verdict("POST", prepay, PREPAY_BODY, PREPAY), Ok(()));
        assert_eq!(
            verdict("POST", prepay, &PREPAY_BODY.replace("100", "101"), PREPAY),
            Err("SIGN_ERROR".to_owned())
        );
        assert_eq!(
            verdict("GET", "/v3/refund/domestic/refunds/123123123124", "", QUERY),
            Err("SIGN_ERROR".to_owned())
        );
    }
}
