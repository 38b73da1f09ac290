//! A merchant's request for an order, parsed and checked at the edge. After this file its form is
//! valid.

use serde::{Deserialize, Serialize};
use strict_json::Null;
use wechatpay::{
    UnixSeconds,
    api::{H5Info, PrepayAmount, PrepayBody, PrepaySceneInfo},
    time::format_rfc3339_beijing,
    wire::Payer as WirePayer,
};

use crate::{
    ids::{ClientId, IdempotencyKey, OrderNo},
    money::Fen,
    order::{Fingerprint, Product},
    request::{BadRequest, bad_field, fingerprint, text, text_in_bytes},
};

/// Values that are fixed for a deployment and go into every order.
#[derive(Clone, Debug)]
pub struct MerchantProfile {
    /// The merchant number.
    pub mchid: String,
    /// The appids that orders may be made for; the first is the default.
    pub appids: Vec<String>,
    /// Where WeChat Pay sends its callbacks. From the settings only, never from a request.
    pub notify_url: String,
}

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

    /// The body for WeChat Pay's prepay call, with an absolute `time_expire`, so that it can be
    /// sent again byte for byte.
    pub fn prepay_body(&self, merchant: &MerchantProfile, expires_at: UnixSeconds) -> PrepayBody {
        let terms = &self.terms;
        PrepayBody {
            appid: terms.appid.clone(),
            mchid: merchant.mchid.clone(),
            description: terms.description.clone(),
            out_trade_no: self.order_no.as_str().to_owned(),
            time_expire: Some(format_rfc3339_beijing(expires_at)),
            attach: terms.attach.clone(),
            notify_url: merchant.notify_url.clone(),
            goods_tag: terms.goods_tag.clone(),
            amount: PrepayAmount {
                total: terms.amount.get(),
                currency: Some("CNY".to_owned()),
            },
            payer: terms.openid.clone().map(|openid| WirePayer {
                openid: Some(openid),
            }),
            scene_info: terms.h5.as_ref().map(|h5| PrepaySceneInfo {
                payer_client_ip: h5.client_ip.clone(),
                h5_info: Some(H5Info {
                    kind: h5.kind.clone(),
                    ..H5Info::default()
                }),
                ..PrepaySceneInfo::default()
            }),
            ..PrepayBody::default()
        }
    }
}

impl OrderTerms {
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
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn merchant() -> MerchantProfile {
        MerchantProfile {
            mchid: "1900000001".into(),
            appids: vec!["wxa".into(), "wxb".into()],
            notify_url: "https://pay.example/v1/callbacks/wechatpay".into(),
        }
    }

    fn read(body: &Value, key: Option<&str>) -> Result<CreateOrder, BadRequest> {
        CreateOrder::read(
            body.to_string().as_bytes(),
            key,
            &ClientId::new("shop"),
            &merchant(),
        )
    }

    fn native() -> Value {
        json!({"order_no": "ORDER-1", "product": "native", "amount_fen": 100, "description": "Tea"})
    }

    /// The valid request with one key changed (`null` removes it).
    fn with(changes: Value) -> Value {
        let mut body = native();
        for (key, value) in changes.as_object().unwrap() {
            if value.is_null() {
                body.as_object_mut().unwrap().remove(key);
            } else {
                body[key] = value.clone();
            }
        }
        body
    }

    #[test]
    fn the_smallest_request_gets_the_defaults() {
        let order = read(&native(), None).unwrap();
        assert_eq!(order.order_no.as_str(), "ORDER-1");
        assert_eq!(
            (order.terms.appid.as_str(), order.terms.expires_in_s),
            ("wxa", 7200)
        );
    }

    #[test]
    fn without_a_number_the_idempotency_key_names_the_order() {
        let body = with(json!({"order_no": null}));
        let order = read(&body, Some("k1")).unwrap();
        assert_eq!(order, read(&body, Some("k1")).unwrap());
        assert_ne!(order.order_no, read(&body, Some("k2")).unwrap().order_no);
        assert_eq!(
            read(&body, None),
            Err(BadRequest::NoNumber { field: "order_no" })
        );
    }

    #[test]
    fn every_field_that_is_out_of_bounds_is_named() {
        for (changes, field) in [
            (json!({"amount_fen": 0}), "amount_fen"),
            (json!({"amount_fen": -1}), "amount_fen"),
            (json!({"amount_fen": 1_000_000_001}), "amount_fen"),
            (json!({"description": ""}), "description"),
            (json!({"description": "x".repeat(128)}), "description"),
            (json!({"description": "tea 🍵"}), "description"),
            (json!({"description": "a\nb"}), "description"),
            (json!({"product": "cash"}), "product"),
            (json!({"order_no": "x"}), "order_no"),
            (json!({"order_no": "idem-aaaaaa"}), "order_no"),
            (json!({"appid": "wxz"}), "appid"),
            (json!({"openid": "o1"}), "openid"),
            (json!({"product": "jsapi"}), "openid"),
            (json!({"product": "mini_program", "openid": ""}), "openid"),
            (json!({"product": "h5"}), "payer_client_ip"),
            (
                json!({"product": "h5", "payer_client_ip": "127.0.0.1", "h5_type": "Wap"}),
                "payer_client_ip",
            ),
            (
                json!({"product": "h5", "payer_client_ip": "203.0.113.7"}),
                "h5_type",
            ),
            (
                json!({"product": "h5", "payer_client_ip": "203.0.113.7", "h5_type": "Fridge"}),
                "h5_type",
            ),
            (json!({"h5_type": "Wap"}), "h5_type"),
            (json!({"payer_client_ip": "203.0.113.7"}), "payer_client_ip"),
            (json!({"attach": "x".repeat(129)}), "attach"),
            (json!({"attach": "茶".repeat(43)}), "attach"),
            (json!({"attach": ""}), "attach"),
            (
                json!({"product": "h5", "payer_client_ip": "::ffff:127.0.0.1", "h5_type": "Wap"}),
                "payer_client_ip",
            ),
            (
                json!({"product": "h5", "payer_client_ip": "::ffff:0.0.0.0", "h5_type": "Wap"}),
                "payer_client_ip",
            ),
            (json!({"goods_tag": "x".repeat(33)}), "goods_tag"),
            (json!({"expires_in_s": 59}), "expires_in_s"),
            (json!({"expires_in_s": 604_801}), "expires_in_s"),
        ] {
            match read(&with(changes.clone()), None) {
                Err(BadRequest::Field { field: found, .. }) => {
                    assert_eq!(found, field, "{changes}");
                }
                other => panic!("{changes}: {other:?}"),
            }
        }
    }

    #[test]
    fn attach_is_counted_in_bytes_as_wechat_pay_counts_it() {
        let longest = format!("{}xx", "茶".repeat(42));
        assert_eq!(longest.len(), 128);
        let order = read(&with(json!({"attach": longest})), None).unwrap();
        assert_eq!(order.terms.attach, Some(longest));
        let told = read(&with(json!({"attach": "茶".repeat(43)})), None).unwrap_err();
        let told = told.to_string();
        assert!(
            told.contains("`attach`") && told.contains("128 bytes"),
            "{told}"
        );
        assert!(told.contains("129"), "{told}");
    }

    #[test]
    fn a_payers_address_goes_out_as_plain_ipv4_where_it_is_one() {
        for (given, sent) in [
            ("203.0.113.7", "203.0.113.7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("::FFFF:cb00:7107", "203.0.113.7"),
            ("2001:DB8::1", "2001:db8::1"),
        ] {
            let h5 = json!({"product": "h5", "payer_client_ip": given, "h5_type": "Wap"});
            let order = read(&with(h5), None).unwrap();
            let body = order.prepay_body(&merchant(), UnixSeconds(1_785_556_801));
            assert_eq!(body.scene_info.unwrap().payer_client_ip, sent, "{given}");
        }
    }

    #[test]
    fn json_that_is_not_the_contracts_is_refused() {
        for body in ["", "[]", "null", "{", r#"{"product":"native"}"#] {
            let refused =
                CreateOrder::read(body.as_bytes(), None, &ClientId::new("shop"), &merchant());
            assert!(matches!(refused, Err(BadRequest::Json(_))), "{body}");
        }
        for changes in [
            json!({"amount_fen": 1.5}),
            json!({"amount_fen": "100"}),
            json!({"notify_url": "https://evil.example/"}),
        ] {
            assert!(
                matches!(read(&with(changes.clone()), None), Err(BadRequest::Json(_))),
                "{changes}"
            );
        }
    }

    #[test]
    fn an_order_is_an_object_whose_members_are_there_or_left_out() {
        let array = json!([
            "A1", "native", 100, "Tea", "wxa", null, null, null, null, null, null, null
        ]);
        let says = |body: &Value| read(body, None).unwrap_err().to_string();
        assert!(
            says(&array).contains("it must be an object"),
            "{}",
            says(&array)
        );
        let good = with(json!({
            "product": "h5", "payer_client_ip": "203.0.113.7", "h5_type": "Wap", "appid": "wxa", "payer_id": "m-1",
            "attach": "a", "goods_tag": "g", "expires_in_s": 600
        }));
        assert!(read(&good, None).is_ok());
        let members: Vec<&String> = good.as_object().unwrap().keys().collect();
        for name in members.into_iter().chain([&"openid".to_owned()]) {
            let mut body = good.clone();
            body[name.as_str()] = Value::Null;
            let told = says(&body);
            assert!(
                told.contains(&format!("`{name}` must not be null")),
                "{told}"
            );
        }
    }

    #[test]
    fn whole_numbers_are_written_in_digits_alone_and_texts_are_about_json() {
        for (number, plain) in [
            ("100.0", false),
            ("1e2", false),
            ("\"100\"", false),
            ("100", true),
        ] {
            let body = native().to_string().replace(":100", &format!(":{number}"));
            let asked =
                CreateOrder::read(body.as_bytes(), None, &ClientId::new("shop"), &merchant());
            assert_eq!(asked.is_ok(), plain, "{number}");
            if let Err(error) = asked {
                let told = error.to_string();
                assert!(
                    told.contains("`amount_fen` must be a whole number"),
                    "{told}"
                );
                assert!(!told.contains("i64") && !told.contains("Wire"), "{told}");
            }
        }
    }

    #[test]
    fn a_fingerprint_changes_with_every_term_and_not_with_the_number() {
        let base = read(&native(), None).unwrap().terms.fingerprint();
        assert_eq!(
            base,
            read(&with(json!({"order_no": "ORDER-2"})), None)
                .unwrap()
                .terms
                .fingerprint()
        );
        let mut seen = std::collections::BTreeSet::from([base.0]);
        for changes in [
            json!({"amount_fen": 101}),
            json!({"description": "Teb"}),
            json!({"appid": "wxb"}),
            json!({"attach": "a"}),
            json!({"goods_tag": "g"}),
            json!({"expires_in_s": 7201}),
            json!({"product": "app"}),
            json!({"product": "jsapi", "openid": "o1"}),
            json!({"product": "jsapi", "openid": "o2"}),
            json!({"product": "mini_program", "openid": "o1"}),
            json!({"product": "h5", "payer_client_ip": "203.0.113.7", "h5_type": "Wap"}),
            json!({"product": "h5", "payer_client_ip": "203.0.113.8", "h5_type": "Wap"}),
            json!({"product": "h5", "payer_client_ip": "203.0.113.7", "h5_type": "iOS"}),
        ] {
            let changed = read(&with(changes.clone()), None).unwrap().terms;
            let Fingerprint(digest) = changed.fingerprint();
            assert!(seen.insert(digest), "{changes}");
        }
    }

    #[test]
    fn wechat_pay_is_sent_every_term_and_nothing_else() {
        let sent = |changes: Value| {
            let order = read(&with(changes), None).unwrap();
            serde_json::to_value(order.prepay_body(&merchant(), UnixSeconds(1_785_556_801)))
                .unwrap()
        };
        let bare = json!({
            "appid": "wxa", "mchid": "1900000001", "description": "Tea", "out_trade_no": "ORDER-1",
            "time_expire": "2026-08-01T12:00:01+08:00", "notify_url": merchant().notify_url,
            "amount": {"total": 100, "currency": "CNY"},
        });
        assert_eq!(sent(json!({})), bare);
        let plus = |more: Value| {
            let mut body = bare.clone();
            body.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            body
        };
        for (asked, more) in [
            (json!({"attach": "shop 7"}), json!({"attach": "shop 7"})),
            (json!({"goods_tag": "WXG"}), json!({"goods_tag": "WXG"})),
            (json!({"appid": "wxb"}), json!({"appid": "wxb"})),
            (json!({"payer_id": "p1"}), json!({})),
            (
                json!({"product": "jsapi", "openid": "o1"}),
                json!({"payer": {"openid": "o1"}}),
            ),
            (
                json!({"product": "h5", "payer_client_ip": "203.0.113.7", "h5_type": "iOS"}),
                json!({"scene_info": {"payer_client_ip": "203.0.113.7", "h5_info": {"type": "iOS"}}}),
            ),
        ] {
            assert_eq!(sent(asked.clone()), plus(more), "{asked}");
        }
    }

    #[test]
    fn wechat_pay_is_sent_fen_an_absolute_expiry_and_our_own_notify_url() {
        let order = read(&with(json!({"product": "jsapi", "openid": "oUser"})), None).unwrap();
        let body = serde_json::to_value(order.prepay_body(&merchant(), UnixSeconds(1_785_556_801)))
            .unwrap();
        assert_eq!(body["amount"], json!({"total": 100, "currency": "CNY"}));
        assert_eq!(body["time_expire"], "2026-08-01T12:00:01+08:00");
        assert_eq!(body["notify_url"], merchant().notify_url);
        assert_eq!(body["payer"], json!({"openid": "oUser"}));
        assert!(
            body.as_object()
                .unwrap()
                .values()
                .all(|value| !value.is_null()),
            "WeChat Pay refuses null"
        );
    }
}
