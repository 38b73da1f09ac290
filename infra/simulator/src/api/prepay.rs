//! `POST /v3/pay/transactions/{jsapi,app,h5,native}`: creates an order, or renews its prepay value.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{
    call::{Reply, VerifiedCall},
    notify_url::check_notify_url,
};
use crate::{
    clock::{self, DAY_MS},
    endpoint::Product,
    ids::Ids,
    order::{CLOSED_AFTER_MS, Order, Prepay, TradeState},
    refusal::Refusal,
    schema::{self, Field, ValueKind, optional, required},
    sim::{MutableState, Shared},
};

const MINUTE_MS: i64 = 60_000;
const DETAIL_BYTES_MAX: usize = 6144;

/// An openid that begins with this belongs to another appid.
const FOREIGN_OPENID: &str = "other-appid-";

const AMOUNT: &[Field] = &[
    required("total", ValueKind::Integer(1, 9_999_999_999)),
    optional("currency", ValueKind::OneOf(&["CNY"])),
];
const GOODS: &[Field] = &[
    required("merchant_goods_id", ValueKind::Id("_-", 32)),
    optional("wechatpay_goods_id", ValueKind::Text(32)),
    optional("goods_name", ValueKind::Text(256)),
    required("quantity", ValueKind::Integer(1, 9_999_999_999)),
    required("unit_price", ValueKind::Integer(0, 9_999_999_999)),
];
const DETAIL: &[Field] = &[
    optional("cost_price", ValueKind::Integer(0, 9_999_999_999)),
    optional("invoice_id", ValueKind::Text(32)),
    optional("goods_detail", ValueKind::List(GOODS)),
];
const STORE: &[Field] = &[
    required("id", ValueKind::Text(32)),
    optional("name", ValueKind::Text(256)),
    optional("area_code", ValueKind::Text(32)),
    optional("address", ValueKind::Text(512)),
];
const H5_INFO: &[Field] = &[
    required("type", ValueKind::OneOf(&["iOS", "Android", "Wap"])),
    optional("app_name", ValueKind::Text(64)),
    optional("app_url", ValueKind::Text(128)),
    optional("bundle_id", ValueKind::Text(128)),
    optional("package_name", ValueKind::Text(128)),
];
const SCENE: &[Field] = &[
    required("payer_client_ip", ValueKind::Text(45)),
    optional("device_id", ValueKind::Text(32)),
    optional("store_info", ValueKind::Object(STORE)),
    optional("h5_info", ValueKind::Object(H5_INFO)),
];
/// For payments that only this person may make; WeChat Pay grants them to some merchants
/// (partner manual 4013991553).
const IDENTITY: &[Field] = &[
    required(
        "type",
        ValueKind::OneOf(&[
            "IDCARD",
            "HONGKONG_MACAO",
            "HONGKONG_MACAO_RESIDENT",
            "TAIWAN_RESIDENT",
            "FOREIGN_RESIDENT",
            "OVERSEA_PASSPORT",
        ]),
    ),
    required("number", ValueKind::Text(32)),
    required("name", ValueKind::Text(32)),
];
/// `openid` is required for JSAPI, which [`check_payer`] sees to; the other products may name a
/// person without it.
const PAYER: &[Field] = &[
    optional("openid", ValueKind::Text(128)),
    optional("identity", ValueKind::Object(IDENTITY)),
];
const ORDER: &[Field] = &[
    required("appid", ValueKind::Text(32)),
    required("mchid", ValueKind::Text(32)),
    required("description", ValueKind::Text(127)),
    required("out_trade_no", ValueKind::Text(32)),
    optional("time_expire", ValueKind::Text(64)),
    // Bytes, unlike the other texts (shared/wechatpay/PROTOCOL.md, 5.2).
    optional("attach", ValueKind::Bytes(128)),
    required("notify_url", ValueKind::Text(255)),
    optional("goods_tag", ValueKind::Text(32)),
    optional(
        "limit_pay",
        ValueKind::SomeOf(&["no_balance", "no_credit", "no_debit", "balance_only"]),
    ),
    optional("support_fapiao", ValueKind::Boolean),
    required("amount", ValueKind::Object(AMOUNT)),
    optional("payer", ValueKind::Object(PAYER)),
    optional("detail", ValueKind::Object(DETAIL)),
    optional("scene_info", ValueKind::Object(SCENE)),
    optional(
        "settle_info",
        ValueKind::Object(&[optional("profit_sharing", ValueKind::Boolean)]),
    ),
    optional("subsidy_info", ValueKind::AnyObject),
];

pub(super) fn prepay(
    sim: &Shared,
    world: &mut MutableState,
    product: Product,
    call: &VerifiedCall<'_>,
) -> Result<Reply, Refusal> {
    let request = schema::read(call.body, ORDER)?;
    check(sim, product, &request)?;
    let now_ms = sim.now_ms();
    let number = schema::text(&request, "/out_trade_no").to_owned();

    let prepay = if let Some(order) = world.books.orders.get(&number) {
        may_enter_again(
            order,
            world.books.state(order, now_ms),
            product,
            &request,
            now_ms,
        )?;
        let prepay = new_value(&mut world.ids, call.base_url, product, now_ms);
        world.books.orders.renew(&number, prepay.clone());
        prepay
    } else {
        let prepay = new_value(&mut world.ids, call.base_url, product, now_ms);
        let order = new_order(product, request, prepay.clone(), now_ms);
        world.books.orders.insert(order);
        prepay
    };
    let key = match product {
        Product::Jsapi | Product::App => "prepay_id",
        Product::H5 => "h5_url",
        Product::Native => "code_url",
    };
    Ok(Reply::Json(json!({ key: prepay.value })))
}

/// What the table of fields cannot say.
fn check(sim: &Shared, product: Product, request: &Value) -> Result<(), Refusal> {
    let wrong =
        |pointer: &str, issue: &str| Err(Refusal::field(pointer, request.pointer(pointer), issue));
    let text = |pointer| schema::text(request, pointer);
    if text("/mchid") != sim.merchant.mchid {
        return wrong(
            "/mchid",
            "与Authorization中的商户号不一致 (differs from the mchid in Authorization)",
        );
    }
    if !sim
        .merchant
        .appids
        .iter()
        .any(|appid| appid == text("/appid"))
    {
        return Err(Refusal::new(
            400,
            "APPID_MCHID_NOT_MATCH",
            268_445_527,
            "商户号该产品权限未开通，或appid和mch_id不匹配，请检查后再试",
            "appid is not bound to mchid",
        ));
    }
    if !schema::is_number(text("/out_trade_no"), "_-*|", 6, 32) {
        return wrong(
            "/out_trade_no",
            "应为6至32位数字、大小写字母或_-|* (6 to 32 digits, letters, or _-|*)",
        );
    }
    if request.pointer("/time_expire").is_some() && clock::parse_ms(text("/time_expire")).is_none()
    {
        return wrong(
            "/time_expire",
            "不符合RFC3339格式 (is not an RFC 3339 time)",
        );
    }
    if request
        .pointer("/detail")
        .is_some_and(|detail| detail.to_string().len() > DETAIL_BYTES_MAX)
    {
        return wrong("/detail", "超过6144字节 (has more than 6144 bytes)");
    }
    check_notify_url(request)?;
    let ip = text("/scene_info/payer_client_ip").parse::<IpAddr>();
    if request.pointer("/scene_info").is_some() && ip.is_err() {
        return wrong(
            "/scene_info/payer_client_ip",
            "不是IP地址 (is not an IP address)",
        );
    }
    match product {
        Product::Jsapi => check_payer(request),
        Product::H5 => {
            for pointer in ["/scene_info", "/scene_info/h5_info"] {
                if request.pointer(pointer).is_none() {
                    return wrong(pointer, "H5支付必传 (required for H5)");
                }
            }
            if ip.is_ok_and(|ip| ip.to_canonical().is_loopback()) {
                return wrong(
                    "/scene_info/payer_client_ip",
                    "应为用户的IP (must be the payer's address)",
                );
            }
            Ok(())
        }
        Product::App | Product::Native => Ok(()),
    }
}

fn check_payer(request: &Value) -> Result<(), Refusal> {
    let openid = schema::text(request, "/payer/openid");
    if openid.is_empty() {
        let refusal = Refusal::field(
            "/payer/openid",
            None,
            "JSAPI支付必须传openid (required for JSAPI)",
        );
        return Err(refusal.with_internal(268_501_013));
    }
    if openid.starts_with(FOREIGN_OPENID) {
        return Err(Refusal::new(
            500,
            "OPENID_MISMATCH",
            268_501_014,
            "openid和appid不匹配",
            "openid belongs to another appid",
        ));
    }
    Ok(())
}

fn may_enter_again(
    order: &Order,
    state: TradeState,
    product: Product,
    request: &Value,
    now_ms: i64,
) -> Result<(), Refusal> {
    let closed = |chinese: &str, english: &str| {
        Err(Refusal::new(
            400,
            "ORDER_CLOSED",
            268_447_914,
            chinese,
            english,
        ))
    };
    match state {
        TradeState::Success | TradeState::Refund => Err(Refusal::new(
            400,
            "ORDERPAID",
            268_449_538,
            "该订单已支付",
            "The order is paid already",
        )),
        TradeState::Closed => closed(
            "该订单已关闭，请重新下单",
            "The order is closed; take a new number",
        ),
        TradeState::NotPay if order.product != product => Err(Refusal::new(
            403,
            "OUT_TRADE_NO_USED",
            268_498_688,
            "商户订单号重复，请核实商户订单号是否重复提交",
            "The number is used by an order of another product",
        )),
        TradeState::NotPay if order.request != *request => Err(Refusal::changed_re_entry()),
        TradeState::NotPay if now_ms >= order.expires_ms => closed(
            "该订单已过期，请重新下单",
            "The order's time_expire has passed; take a new number",
        ),
        TradeState::NotPay => Ok(()),
    }
}

fn new_value(ids: &mut Ids, base_url: &str, product: Product, now_ms: i64) -> Prepay {
    let prepay_id = ids.prepay_id(now_ms);
    let (value, life_ms) = match product {
        Product::Jsapi | Product::App => (prepay_id.clone(), 120 * MINUTE_MS),
        Product::Native => (ids.code_url(), 120 * MINUTE_MS),
        Product::H5 => {
            let package = ids.digits(10);
            let url = format!(
                "{base_url}/cgi-bin/mmpayweb-bin/checkmweb?prepay_id={prepay_id}&package={package}"
            );
            (url, 5 * MINUTE_MS)
        }
    };
    Prepay {
        value,
        prepay_id,
        expires_ms: now_ms.saturating_add(life_ms),
    }
}

fn new_order(product: Product, request: Value, prepay: Prepay, now_ms: i64) -> Order {
    let text = |pointer| schema::text(&request, pointer).to_owned();
    Order {
        out_trade_no: text("/out_trade_no"),
        product,
        appid: text("/appid"),
        mchid: text("/mchid"),
        description: text("/description"),
        total_fen: schema::integer(&request, "/amount/total"),
        notify_url: text("/notify_url"),
        attach: schema::optional_text(&request, "/attach"),
        openid: schema::optional_text(&request, "/payer/openid"),
        device_id: schema::optional_text(&request, "/scene_info/device_id"),
        prepay,
        dead_values: Vec::new(),
        created_ms: now_ms,
        expires_ms: expires_ms(&request, now_ms),
        closed_ms: None,
        payment: None,
        more_payments: Vec::new(),
        attempts: Vec::new(),
        request,
    }
}

/// The last moment of payment: a minute from now at the earliest, 15 days at the latest, 7 days if
/// nothing is said.
fn expires_ms(request: &Value, now_ms: i64) -> i64 {
    let asked_ms =
        schema::optional_text(request, "/time_expire").and_then(|text| clock::parse_ms(&text));
    let earliest_ms = now_ms.saturating_add(MINUTE_MS);
    let latest_ms = now_ms.saturating_add(15 * DAY_MS);
    asked_ms
        .unwrap_or(now_ms.saturating_add(CLOSED_AFTER_MS))
        .max(earliest_ms)
        .min(latest_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_expire_is_moved_into_its_bounds() {
        let now_ms = 1_785_556_801_000;
        for (asked, expected_ms) in [
            (None, now_ms + 7 * DAY_MS),
            (Some(now_ms - DAY_MS), now_ms + MINUTE_MS),
            (Some(now_ms + 30_000), now_ms + MINUTE_MS),
            (Some(now_ms + DAY_MS), now_ms + DAY_MS),
            (Some(now_ms + 40 * DAY_MS), now_ms + 15 * DAY_MS),
        ] {
            let request = match asked {
                Some(ms) => json!({"time_expire": clock::rfc3339(ms)}),
                None => json!({}),
            };
            assert_eq!(expires_ms(&request, now_ms), expected_ms, "{request}");
        }
    }
}
