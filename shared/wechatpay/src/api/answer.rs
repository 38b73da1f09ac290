//! What came back for a call.

use super::call::{Call, UnreadableAnswer};
use super::refusal::Refusal;
use crate::time::UnixSeconds;
use crate::verify::{SignedHeaders, VerificationKeys, VerifyError, verify};

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallFailure {
    /// Not a 2xx. Error answers are not signed (manual page 4013053249; WeChat's own SDKs verify
    /// 2xx only), so this is never proof that money did not move.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// A 2xx without a valid signature: drop it. The outcome is unknown; repeat once (a repeat is
    /// not probed) or query.
    #[error("the answer cannot be taken for WeChat Pay's: {0}")]
    Unverified(#[source] VerifyError),
    /// A signed success that does not read.
    #[error(transparent)]
    Unreadable(UnreadableAnswer),
}

/// Takes what came back for a call of type `C`: its HTTP status, signature headers, and raw body.
///
/// # Errors
/// [`CallFailure`]. No kind of it proves that the operation was not executed; where money moves,
/// query.
pub fn read_answer<C: Call>(
    status: u16,
    headers: Result<SignedHeaders, VerifyError>,
    body: &[u8],
    keys: &VerificationKeys,
    now: UnixSeconds,
) -> Result<C::Answer, CallFailure> {
    if !is_success(status) {
        return Err(CallFailure::Refused(Box::new(Refusal::read(status, body))));
    }
    headers
        .and_then(|headers| verify(&headers, body, keys, now))
        .map_err(CallFailure::Unverified)?;
    C::answer(status, body).map_err(CallFailure::Unreadable)
}

fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{ErrorCode, PrepayCall, PrepayValue, QueryByOutTradeNo};

    const NOW: UnixSeconds = UnixSeconds(1_722_850_421);
    const BODY: &[u8] = include_bytes!("../../vectors/message-manual-response/body");

    /// The manual's example of a Native prepay answer (page 4013053420).
    fn manual() -> (SignedHeaders, VerificationKeys) {
        let case: serde_json::Value = serde_json::from_str(include_str!(
            "../../vectors/message-manual-response/case.json"
        ))
        .expect("JSON");
        let headers =
            SignedHeaders::read(|name| case["headers"][name].as_str()).expect("four headers");
        let mut keys = VerificationKeys::new();
        keys.add_public_key(
            &headers.serial,
            include_str!("../../vectors/keys/manual-response-public.pem"),
        )
        .expect("the manual's key");
        (headers, keys)
    }

    #[test]
    fn a_signed_success_is_an_answer() {
        let (headers, keys) = manual();
        let answer = read_answer::<PrepayCall>(200, Ok(headers), BODY, &keys, NOW);
        assert_eq!(
            answer,
            Ok(PrepayValue::CodeUrl(
                "weixin://wxpay/bizpayurl?pr=JyC91EIz1".to_owned()
            ))
        );
    }

    #[test]
    fn a_success_without_signature_is_none() {
        let (_, keys) = manual();
        let missing = VerifyError::MissingHeader {
            name: "Wechatpay-Signature",
        };
        let answer = read_answer::<PrepayCall>(200, Err(missing.clone()), BODY, &keys, NOW);
        assert_eq!(answer, Err(CallFailure::Unverified(missing)));
    }

    #[test]
    fn a_changed_success_is_none() {
        let (headers, keys) = manual();
        let serial = headers.serial.clone();
        let answer = read_answer::<PrepayCall>(
            200,
            Ok(headers),
            br#"{"code_url":"weixin://else"}"#,
            &keys,
            NOW,
        );
        assert_eq!(
            answer,
            Err(CallFailure::Unverified(VerifyError::WrongSignature {
                serial
            }))
        );
    }

    #[test]
    fn an_error_is_a_refusal_signed_or_not() {
        let (headers, keys) = manual();
        let body = br#"{"code":"ORDERNOTEXIST","message":"m"}"#;
        for headers in [
            Ok(headers),
            Err(VerifyError::MissingHeader {
                name: "Wechatpay-Nonce",
            }),
        ] {
            let answer = read_answer::<QueryByOutTradeNo>(404, headers, body, &keys, NOW);
            let Err(CallFailure::Refused(refusal)) = answer else {
                panic!("{answer:?}")
            };
            assert_eq!(
                (refusal.status, refusal.code),
                (404, ErrorCode::OrderNotExist)
            );
        }
    }

    #[test]
    fn a_signed_success_of_another_shape_is_unreadable() {
        let (headers, keys) = manual();
        let answer = read_answer::<QueryByOutTradeNo>(200, Ok(headers), BODY, &keys, NOW);
        assert!(
            matches!(
                answer,
                Err(CallFailure::Unreadable(UnreadableAnswer {
                    status: 200,
                    ..
                }))
            ),
            "{answer:?}"
        );
    }

    #[test]
    fn redirects_are_no_success() {
        let (headers, keys) = manual();
        let answer = read_answer::<PrepayCall>(302, Ok(headers), BODY, &keys, NOW);
        assert!(matches!(answer, Err(CallFailure::Refused(_))), "{answer:?}");
    }
}
