//! A merchant's request for an order, parsed and checked at the edge. After this file its form is
//! valid.

use serde::{Deserialize, Serialize};
use strict_json::Null;
use wechatpay::UnixSeconds;

use crate::{
    model::{
        fingerprint::{Fingerprint, fingerprint},
        ids::{ClientId, IdempotencyKey, OrderNo},
        merchant::MerchantProfile,
        money::Fen,
        order::Product,
    },
    rules::request::{BadRequest, bad_field, text, text_in_bytes},
};

mod prepay_body;

/// A client's request, checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CreateOrder {
    /// The order's number: the caller's own, or derived from its `Idempotency-Key`.
    pub order_no: OrderNo,
    /// Who pays, if given. Used for the submit lock only and not sent to WeChat Pay.
    pub payer: Option<PayerKey>,
    /// The other terms. All of them go into the fingerprint.
    pub terms: OrderTerms,
}

/// Identifies a payer, by the client's own id or by openid. Two orders of one payer are never
/// submitted at the same time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PayerKey(String);

impl PayerKey {
    /// How long one submission may block the next one of the same payer, in seconds. It is longer
    /// than the gateway waits for a request. The lock is released as soon as the request is
    /// answered.
    pub const HOLDS_S: i64 = 30;

    /// A digest of the client and the payer that reveals neither.
    pub fn key(&self, client: &ClientId) -> String {
        let Fingerprint(digest) = fingerprint(&(client, &self.0));
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The terms of an order: everything that makes a repeat a repeat.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct OrderTerms {
    /// Where the payer pays.
    pub product: Product,
    /// The amount to be paid.
    pub amount: Fen,
    /// Shown in the payer's bill.
    pub description: String,
    /// The appid the order is made for.
    pub appid: String,
    /// JSAPI and mini program: the payer.
    pub openid: Option<String>,
    /// H5: the payer's own address and device.
    pub h5: Option<H5Payer>,
    /// Comes back with the payment.
    pub attach: Option<String>,
    /// Coupon marker.
    pub goods_tag: Option<String>,
    /// How long the order may be paid, in seconds.
    pub expires_in_s: i64,
}

/// Who opens an H5 payment.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct H5Payer {
    /// IPv4 or IPv6 address of the payer.
    pub client_ip: String,
    /// `iOS`, `Android` or `Wap`.
    pub kind: String,
}

/// The JSON of the request, as received.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateOrderJson {
    order_no: Option<String>,
    product: String,
    amount_fen: i64,
    description: String,
    appid: Option<String>,
    openid: Option<String>,
    payer_id: Option<String>,
    payer_client_ip: Option<String>,
    h5_type: Option<String>,
    attach: Option<String>,
    goods_tag: Option<String>,
    expires_in_s: Option<i64>,
}

/// The default for `expires_in_s`: two hours, the life of a QR code.
const EXPIRES_IN_S: i64 = 7200;

/// The bounds of `expires_in_s`: WeChat Pay extends anything shorter to a minute; seven days is its
/// own default and safe in all variants of its pages (shared/wechatpay/PROTOCOL.md, 12).
const EXPIRES_RANGE_S: std::ops::RangeInclusive<i64> = 60..=604_800;

impl CreateOrder {
    /// Parses a request body and the `Idempotency-Key` header of one client.
    ///
    /// # Errors
    /// [`BadRequest`] names the first thing that is wrong.
    pub fn read(
        body: &[u8],
        idempotency_key: Option<&str>,
        client: &ClientId,
        merchant: &MerchantProfile,
    ) -> Result<Self, BadRequest> {
        let wire: CreateOrderJson = strict_json::read(body, Null::Refused)?;
        let key = idempotency_key.map(IdempotencyKey::parse).transpose()?;
        let order_no = match (&wire.order_no, key) {
            (Some(number), _) => {
                OrderNo::chosen(number).map_err(|problem| bad_field("order_no", problem))?
            }
            (None, Some(key)) => OrderNo::derived(client, "POST /v1/orders", &key),
            (None, None) => return Err(BadRequest::NoNumber { field: "order_no" }),
        };
        let product = Product::named(&wire.product).ok_or_else(|| {
            bad_field(
                "product",
                "must be one of native, jsapi, mini_program, app, h5",
            )
        })?;
        let terms = OrderTerms {
            product,
            amount: Fen::new(wire.amount_fen).ok_or_else(|| {
                bad_field(
                    "amount_fen",
                    format!("must be a whole number from 1 to {}", Fen::MAX.get()),
                )
            })?,
            description: text("description", &wire.description, 127)?,
            appid: appid(wire.appid, &merchant.appids)?,
            openid: openid(product, wire.openid.as_deref())?,
            h5: h5_payer(
                product,
                wire.payer_client_ip.as_deref(),
                wire.h5_type.as_deref(),
            )?,
            attach: wire
                .attach
                .map(|attach| text_in_bytes("attach", &attach, 128))
                .transpose()?,
            goods_tag: wire
                .goods_tag
                .map(|tag| text("goods_tag", &tag, 32))
                .transpose()?,
            expires_in_s: expires_in(wire.expires_in_s)?,
        };
        let payer = payer(wire.payer_id, terms.openid.as_deref())?;
        Ok(Self {
            order_no,
            payer,
            terms,
        })
    }
}

impl OrderTerms {
    /// The last moment of payment of an order made at `now`.
    pub fn expires_at(&self, now: UnixSeconds) -> UnixSeconds {
        now.plus_s(self.expires_in_s)
    }

    /// The digest that distinguishes a repeat from another request under the same number.
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(self)
    }
}

fn appid(asked: Option<String>, allowed: &[String]) -> Result<String, BadRequest> {
    match asked {
        Some(appid) if allowed.contains(&appid) => Ok(appid),
        Some(_) => Err(bad_field(
            "appid",
            "is not one of this merchant's; leave it out for the default",
        )),
        None => allowed
            .first()
            .cloned()
            .ok_or_else(|| bad_field("appid", "is needed: this deployment has no default")),
    }
}

fn openid(product: Product, openid: Option<&str>) -> Result<Option<String>, BadRequest> {
    match (product, openid) {
        (Product::Jsapi | Product::MiniProgram, Some(openid)) => {
            let plain = (1..=128).contains(&openid.len())
                && openid.bytes().all(|byte| byte.is_ascii_graphic());
            if plain {
                Ok(Some(openid.to_owned()))
            } else {
                Err(bad_field(
                    "openid",
                    "must be 1 to 128 visible ASCII characters",
                ))
            }
        }
        (Product::Jsapi | Product::MiniProgram, None) => Err(bad_field(
            "openid",
            "is needed for this product: the payer's openid under this appid",
        )),
        (Product::Native | Product::App | Product::H5, None) => Ok(None),
        (Product::Native | Product::App | Product::H5, Some(_)) => {
            Err(bad_field("openid", "is only for jsapi and mini_program"))
        }
    }
}

/// The client's own id for the payer, otherwise the openid. The two kinds never give the same key.
fn payer(payer_id: Option<String>, openid: Option<&str>) -> Result<Option<PayerKey>, BadRequest> {
    match payer_id {
        Some(id)
            if (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            Ok(Some(PayerKey(format!("id:{id}"))))
        }
        Some(_) => Err(bad_field(
            "payer_id",
            "must be 1 to 64 visible ASCII characters",
        )),
        None => Ok(openid.map(|openid| PayerKey(format!("openid:{openid}")))),
    }
}

fn h5_payer(
    product: Product,
    client_ip: Option<&str>,
    kind: Option<&str>,
) -> Result<Option<H5Payer>, BadRequest> {
    match product {
        Product::H5 => {
            let ip: std::net::IpAddr = client_ip
                .ok_or_else(|| {
                    bad_field(
                        "payer_client_ip",
                        "is needed for h5: the payer's own address",
                    )
                })?
                .parse()
                .map_err(|_| bad_field("payer_client_ip", "must be an IPv4 or IPv6 address"))?;
            // `::ffff:203.0.113.7` is an IPv4 address, as dual-stack sockets show it.
            let ip = ip.to_canonical();
            if ip.is_loopback() || ip.is_unspecified() {
                return Err(bad_field(
                    "payer_client_ip",
                    "must be the payer's own address, not this machine's",
                ));
            }
            let kind =
                kind.ok_or_else(|| bad_field("h5_type", "is needed for h5: iOS, Android or Wap"))?;
            if !["iOS", "Android", "Wap"].contains(&kind) {
                return Err(bad_field("h5_type", "must be iOS, Android or Wap"));
            }
            Ok(Some(H5Payer {
                client_ip: ip.to_string(),
                kind: kind.to_owned(),
            }))
        }
        Product::Native | Product::Jsapi | Product::MiniProgram | Product::App => {
            if client_ip.is_some() {
                return Err(bad_field("payer_client_ip", "is only for h5"));
            }
            if kind.is_some() {
                return Err(bad_field("h5_type", "is only for h5"));
            }
            Ok(None)
        }
    }
}

fn expires_in(asked: Option<i64>) -> Result<i64, BadRequest> {
    let seconds = asked.unwrap_or(EXPIRES_IN_S);
    if EXPIRES_RANGE_S.contains(&seconds) {
        Ok(seconds)
    } else {
        Err(bad_field(
            "expires_in_s",
            format!(
                "must be {} to {} seconds",
                EXPIRES_RANGE_S.start(),
                EXPIRES_RANGE_S.end()
            ),
        ))
    }
}

#[cfg(test)]
mod tests;
