//! WeChat Pay's request bodies as they are stored with their orders: packed, since an order's item
//! of more than 1 KB makes each write of it dearer, and encrypted, since they name payers.
//!
//! A packed body is a zlib stream (RFC 1950) over [`dictionary`], which holds what the order's
//! other attributes and every body say anyway. Releases before it stored the body itself, which
//! begins with `{`, as no zlib stream does.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use payments::model::{ids::OrderNo, money::Fen, order::Order};
use stores::fields::{FieldError, FieldSeal};
use wechatpay::{UnixSeconds, time::format_rfc3339_beijing};

/// More bytes than any body has: its fields are some hundred characters at most.
const BODY_BYTES_MAX: usize = 32 * 1024;
/// By so many bytes at most a packed body is longer than the body: a header and a sum.
const OVERHEAD_BYTES: usize = 64;

/// Packs, seals, opens and unpacks the bodies of orders.
#[derive(Clone, Debug)]
pub struct StoredBodies {
    fields: FieldSeal,
}

/// The stored attributes of an order that its body repeats.
#[derive(Clone, Copy, Debug)]
pub struct BodyFacts<'a> {
    pub order_no: &'a OrderNo,
    pub appid: &'a str,
    pub amount: Fen,
    pub expires_at: UnixSeconds,
}

/// A body that is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The order has a prepay value for as long as it can be paid, or can be paid no more.
    #[error("the order's body was removed, since no call can need it")]
    Removed,
    #[error("the body could not be packed")]
    NotPacked,
    #[error(
        "the stored body does not unpack with what the order says; a newer release may have written it"
    )]
    Damaged,
}

impl BodyError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Field(error) => error.is_transient(),
            Self::Removed | Self::NotPacked | Self::Damaged => false,
        }
    }
}

impl StoredBodies {
    /// Bodies are sealed under the key of `fields`.
    pub fn new(fields: FieldSeal) -> Self {
        Self { fields }
    }

    /// Packs and seals the body of the order that has, or will have, these attributes.
    ///
    /// # Errors
    /// [`BodyError`].
    pub async fn seal(&self, facts: BodyFacts<'_>, body: &[u8]) -> Result<Vec<u8>, BodyError> {
        let packed = pack(facts, body).ok_or(BodyError::NotPacked)?;
        Ok(self.fields.seal(&context(facts.order_no), &packed).await?)
    }

    /// Opens and unpacks the body that is stored with an order.
    ///
    /// # Errors
    /// [`BodyError`].
    pub async fn open(&self, order: &Order) -> Result<Vec<u8>, BodyError> {
        let sealed = order.sealed_body.as_ref().ok_or(BodyError::Removed)?;
        let opened = self.fields.open(&context(&order.order_no), sealed).await?;
        if opened.first() == Some(&b'{') {
            return Ok(opened.to_vec());
        }
        unpack(BodyFacts::from(order), &opened).ok_or(BodyError::Damaged)
    }
}

impl<'a> From<&'a Order> for BodyFacts<'a> {
    fn from(order: &'a Order) -> Self {
        Self {
            order_no: &order.order_no,
            appid: &order.appid,
            amount: order.amount,
            expires_at: order.expires_at,
        }
    }
}

/// The encryption context of an order's body: a body that is moved to another order does not
/// decrypt.
fn context(order_no: &OrderNo) -> String {
    format!("orders/{order_no}/wechat_body")
}

/// What most bodies have, with this order's values. It is part of the stored form: another text
/// makes the bodies of open orders unreadable, so it changes as a stored form does.
fn dictionary(facts: BodyFacts<'_>) -> String {
    let BodyFacts {
        order_no,
        appid,
        amount,
        expires_at,
    } = facts;
    let time_expire = format_rfc3339_beijing(expires_at);
    let fen = amount.get();
    format!(
        r#""scene_info":{{"payer_client_ip":"","h5_info":{{"type":"Wap"}}}},"goods_tag":"","attach":"","payer":{{"openid":"o{{"appid":"{appid}","mchid":"","description":"","out_trade_no":"{order_no}","time_expire":"{time_expire}","notify_url":"https://.execute-api..amazonaws.com/v1/callbacks/wechatpay","amount":{{"total":{fen},"currency":"CNY"}}}}"#
    )
}

fn pack(facts: BodyFacts<'_>, body: &[u8]) -> Option<Vec<u8>> {
    let mut packed = Vec::with_capacity(body.len().checked_add(OVERHEAD_BYTES)?);
    let mut zlib = Compress::new(Compression::best(), true);
    zlib.set_dictionary(dictionary(facts).as_bytes()).ok()?;
    let status = zlib.compress_vec(body, &mut packed, FlushCompress::Finish);
    (status.ok()? == Status::StreamEnd).then_some(packed)
}

/// The sum at a stream's end says that it was unpacked with the dictionary that it was packed with.
fn unpack(facts: BodyFacts<'_>, packed: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::with_capacity(BODY_BYTES_MAX);
    let mut zlib = Decompress::new(true);
    let asked = zlib.decompress_vec(packed, &mut body, FlushDecompress::Finish);
    asked.err()?.needs_dictionary()?;
    zlib.set_dictionary(dictionary(facts).as_bytes()).ok()?;
    let read = usize::try_from(zlib.total_in()).ok()?;
    let status = zlib.decompress_vec(packed.get(read..)?, &mut body, FlushDecompress::Finish);
    (status.ok()? == Status::StreamEnd).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"appid":"wxd678efh567hg6787","mchid":"1900000109","description":"深圳腾大-QQ公仔","out_trade_no":"ORDER-20261130000001","time_expire":"2026-11-30T15:12:43+08:00","notify_url":"https://a1b2c3d4e5.execute-api.ap-east-1.amazonaws.com/v1/callbacks/wechatpay","amount":{"total":100,"currency":"CNY"},"payer":{"openid":"oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}}"#;

    fn facts(order_no: &OrderNo) -> BodyFacts<'_> {
        BodyFacts {
            order_no,
            appid: "wxd678efh567hg6787",
            amount: Fen::new(100).expect("fen"),
            expires_at: UnixSeconds(1_796_022_763),
        }
    }

    fn order_no() -> OrderNo {
        OrderNo::parse("ORDER-20261130000001").expect("a number")
    }

    #[test]
    fn a_packed_body_is_short_and_unpacks_to_the_same_bytes() {
        let order_no = order_no();
        let packed = pack(facts(&order_no), BODY.as_bytes()).expect("packed");
        assert!(packed.len() < BODY.len() / 3, "{} bytes", packed.len());
        assert_ne!(packed.first(), Some(&b'{'));
        let body = unpack(facts(&order_no), &packed).expect("unpacked");
        assert_eq!(body, BODY.as_bytes());
    }

    #[test]
    fn a_body_that_shares_nothing_with_the_dictionary_is_packed_whole() {
        let order_no = order_no();
        let mut state = 1_u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .take(9_000)
        .collect();
        let packed = pack(facts(&order_no), &noise).expect("packed");
        assert_eq!(unpack(facts(&order_no), &packed).expect("unpacked"), noise);
    }

    #[test]
    fn another_orders_facts_do_not_unpack_it() {
        let order_no = order_no();
        let packed = pack(facts(&order_no), BODY.as_bytes()).expect("packed");
        let other = BodyFacts {
            amount: Fen::new(101).expect("fen"),
            ..facts(&order_no)
        };
        assert_eq!(unpack(other, &packed), None);
    }

    #[test]
    fn a_stream_that_is_cut_or_is_none_does_not_unpack() {
        let order_no = order_no();
        let packed = pack(facts(&order_no), BODY.as_bytes()).expect("packed");
        for length in 0..packed.len() {
            let cut = packed.get(..length).expect("shorter");
            assert_eq!(unpack(facts(&order_no), cut), None, "{length} bytes");
        }
        assert_eq!(unpack(facts(&order_no), b"\x79\x00garbage"), None);
    }

    #[test]
    fn bodies_that_are_stored_already_still_unpack() {
        let order_no = order_no();
        let stored = STORED.as_bytes().chunks(2).map(|pair| {
            let pair = std::str::from_utf8(pair).expect("hex");
            u8::from_str_radix(pair, 16).expect("hex")
        });
        let stored: Vec<u8> = stored.collect();
        let body = unpack(facts(&order_no), &stored).expect("unpacked");
        assert_eq!(body, BODY.as_bytes());
    }

    /// `BODY`, packed by the release that began to pack bodies.
    const STORED: &str = "78f9ef21716d23d2ef869610cf18586284c2b3ed1b9fced9fca275dfd325cb7503039fb6ae79b27b0abd8226d130c928d938c524d5142590120b7453138b4b740da91b5a58534f68819b45a96fa9a3977fbcaf5141459261a065955f56786ab0593e307c017ad07483";
}
