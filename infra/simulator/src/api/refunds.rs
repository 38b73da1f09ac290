//! Refunds: create, query, and the merchant's word on an abnormal one.

use serde_json::Value;

use super::{Call, Reply, check_notify_url, serial_header};
use crate::{
    clock::DAY_MS,
    ledger::{self, Occasion, Reason},
    order::Order,
    refund::{Refund, RefundEnd, RefundOutcome, RefundStatus},
    refusal::Refusal,
    schema::{self, Field, Kind, optional, required},
    sim::{Sim, World},
};

const REFUNDS_MAX: usize = 50;
const BETWEEN_REFUNDS_MS: i64 = 60_000;
const REFUNDABLE_FOR_MS: i64 = 365 * DAY_MS;

const FROM: &[Field] = &[
    required("account", Kind::OneOf(&["AVAILABLE", "UNAVAILABLE"])),
    required("amount", Kind::Integer(1, 9_999_999_999)),
];
const AMOUNT: &[Field] = &[
    required("refund", Kind::Integer(1, 9_999_999_999)),
    required("total", Kind::Integer(1, 9_999_999_999)),
    required("currency", Kind::OneOf(&["CNY"])),
    optional("from", Kind::List(FROM)),
];
const GOODS: &[Field] = &[
    required("merchant_goods_id", Kind::Text(32)),
    optional("wechatpay_goods_id", Kind::Text(32)),
    optional("goods_name", Kind::Text(256)),
    required("unit_price", Kind::Integer(0, 9_999_999_999)),
    required("refund_amount", Kind::Integer(0, 9_999_999_999)),
    required("refund_quantity", Kind::Integer(1, 9_999_999_999)),
];
const REFUND: &[Field] = &[
    optional("transaction_id", Kind::Text(32)),
    optional("out_trade_no", Kind::Text(32)),
    required("out_refund_no", Kind::Text(64)),
    optional("reason", Kind::Bytes(80)),
    optional("notify_url", Kind::Text(256)),
    optional("funds_account", Kind::OneOf(&["AVAILABLE", "UNSETTLED"])),
    required("amount", Kind::Object(AMOUNT)),
    optional("goods_detail", Kind::List(GOODS)),
];
const ABNORMAL: &[Field] = &[
    required("out_refund_no", Kind::Text(64)),
    required(
        "type",
        Kind::OneOf(&["USER_BANK_CARD", "MERCHANT_BANK_CARD"]),
    ),
    optional("bank_type", Kind::Text(16)),
    optional("bank_account", Kind::Text(1024)),
    optional("real_name", Kind::Text(1024)),
];

pub(super) fn create(sim: &Sim, world: &mut World, body: &[u8]) -> Result<Reply, Refusal> {
    let request = schema::read(body, REFUND)?;
    check_notify_url(&request)?;
    let number = schema::text(&request, "/out_refund_no").to_owned();
    if !schema::is_number(&number, "_-|*@", 1, 64) {
        return Err(Refusal::field(
            "/out_refund_no",
            request.pointer("/out_refund_no"),
            "应为1至64位数字、大小写字母或_-|*@ (1 to 64 digits, letters, or _-|*@)",
        ));
    }
    let order = find_order(world, &request)?.clone();
    if let Some(known) = world.books.refunds.get(&number) {
        return if known.request == request {
            Ok(Reply::Json(known.answer(&order)))
        } else {
            Err(Refusal::changed_re_entry())
        };
    }
    let refund = accept(sim, world, &order, request, number)?;
    let answer = refund.answer(&order);
    let occasion = Occasion {
        at_ms: refund.created_ms,
        business_id: &refund.refund_id,
        voucher: &refund.out_refund_no,
    };
    let out_fen = refund.payer_refund_fen.saturating_neg();
    let fee_fen = ledger::fee_fen(refund.payer_refund_fen);
    world
        .books
        .ledger
        .book(&mut world.ids, &occasion, Reason::Refund, out_fen);
    world
        .books
        .ledger
        .book(&mut world.ids, &occasion, Reason::RefundedFee, fee_fen);
    world
        .books
        .refunds
        .insert(refund.out_refund_no.clone(), refund);
    Ok(Reply::Json(answer))
}

/// The paid order that the request names by either number.
fn find_order<'a>(world: &'a World, request: &Value) -> Result<&'a Order, Refusal> {
    let transaction_id = schema::text(request, "/transaction_id");
    let out_trade_no = schema::text(request, "/out_trade_no");
    if transaction_id.is_empty() && out_trade_no.is_empty() {
        return Err(Refusal::field(
            "/transaction_id",
            None,
            "与out_trade_no二选一 (one of transaction_id and out_trade_no is required)",
        ));
    }
    world
        .books
        .orders
        .values()
        .filter(|order| out_trade_no.is_empty() || order.out_trade_no == out_trade_no)
        .find(|order| {
            let paid_as = order
                .payment
                .as_ref()
                .map(|payment| payment.transaction_id.as_str());
            paid_as.is_some_and(|paid_as| transaction_id.is_empty() || paid_as == transaction_id)
        })
        .ok_or_else(|| {
            Refusal::new(
                404,
                "RESOURCE_NOT_EXISTS",
                268_512_771,
                "订单不存在或未支付",
                "There is no paid order with this number",
            )
        })
}

/// Holds a new refund to the rules and makes it.
fn accept(
    sim: &Sim,
    world: &mut World,
    order: &Order,
    request: Value,
    number: String,
) -> Result<Refund, Refusal> {
    let now_ms = sim.now_ms();
    let refund_fen = schema::integer(&request, "/amount/refund");
    let earlier: Vec<&Refund> = world
        .books
        .refunds
        .values()
        .filter(|refund| refund.out_trade_no == order.out_trade_no)
        .collect();
    let standing = || {
        earlier
            .iter()
            .filter(|refund| refund.status != RefundStatus::Closed)
    };
    let refunded_fen: i64 = standing().map(|refund| refund.refund_fen).sum();
    let payer_refunded_fen: i64 = standing().map(|refund| refund.payer_refund_fen).sum();
    let paid_ms = order
        .payment
        .as_ref()
        .map_or(now_ms, |payment| payment.paid_ms);

    if schema::integer(&request, "/amount/total") != order.total_fen {
        return Err(Refusal::invalid(
            "订单金额或退款金额与之前请求不一致，请核实后再试",
            "amount.total is not the order's total",
        ));
    }
    if refund_fen.saturating_add(refunded_fen) > order.total_fen {
        return Err(Refusal::invalid(
            "申请退款金额大于订单可退金额",
            "The refunds together would exceed the order's total",
        ));
    }
    if earlier.len() >= REFUNDS_MAX {
        return Err(Refusal::invalid(
            "退款次数超过50次限制",
            "The order has its 50 refunds already",
        ));
    }
    if now_ms > paid_ms.saturating_add(REFUNDABLE_FOR_MS) {
        return Err(Refusal::new(
            403,
            "TRADE_OVERDUE",
            268_498_690,
            "订单已经超过可退款的最大期限",
            "The payment is more than 365 days old",
        ));
    }
    let last_ms = earlier.iter().map(|refund| refund.created_ms).max();
    let next_ms =
        last_ms.map(|last_ms| last_ms.saturating_add(sim.clock.sped_up(BETWEEN_REFUNDS_MS)));
    if next_ms.is_some_and(|next_ms| now_ms < next_ms) {
        return Err(Refusal::frequency_limited());
    }
    let payer_total_fen = order.payer_total_fen();
    let payer_refund_fen =
        ledger::share(refund_fen, payer_total_fen.into(), order.total_fen.into())
            .min(payer_total_fen.saturating_sub(payer_refunded_fen));
    if payer_refund_fen > world.books.ledger.balance_fen {
        return Err(Refusal::new(
            403,
            "NOT_ENOUGH",
            268_447_915,
            "基本账户余额不足，请充值后重新发起",
            "The merchant's balance is too low; top it up and send the same refund again",
        ));
    }
    let ends = end(sim, world.books.next_refunds, now_ms);
    Ok(Refund {
        out_refund_no: number,
        refund_id: world.ids.refund_id(now_ms),
        out_trade_no: order.out_trade_no.clone(),
        transaction_id: order
            .payment
            .as_ref()
            .map_or(String::new(), |payment| payment.transaction_id.clone()),
        refund_fen,
        payer_refund_fen,
        notify_url: schema::optional_text(&request, "/notify_url"),
        request,
        created_ms: now_ms,
        status: RefundStatus::Processing,
        success_ms: None,
        ends,
    })
}

fn end(sim: &Sim, outcome: RefundOutcome, now_ms: i64) -> Option<RefundEnd> {
    outcome.end(now_ms.saturating_add(sim.clock.sped_up(sim.refund_takes_ms)))
}

pub(super) fn query(world: &World, call: &Call<'_>) -> Result<Reply, Refusal> {
    let refund = world
        .books
        .refunds
        .get(&call.route.number)
        .ok_or_else(no_such_refund)?;
    let order = world
        .books
        .orders
        .get(&refund.out_trade_no)
        .ok_or_else(no_such_refund)?;
    Ok(Reply::Json(refund.answer(order)))
}

pub(super) fn apply_abnormal(
    sim: &Sim,
    world: &mut World,
    call: &Call<'_>,
) -> Result<Reply, Refusal> {
    let request = schema::read(call.body, ABNORMAL)?;
    if schema::text(&request, "/type") == "USER_BANK_CARD" {
        check_bank_card(world, &request, serial_header(call))?;
    }
    let number = schema::text(&request, "/out_refund_no");
    let refund = world
        .books
        .refunds
        .get_mut(number)
        .ok_or_else(no_such_refund)?;
    if refund.refund_id != call.route.number {
        return Err(Refusal::invalid(
            "refund_id与out_refund_no不匹配",
            "refund_id and out_refund_no are not of the same refund",
        ));
    }
    if refund.status != RefundStatus::Abnormal {
        return Err(Refusal::invalid(
            "退款单状态不是退款异常",
            "The refund is not ABNORMAL",
        ));
    }
    refund.status = RefundStatus::Processing;
    refund.ends = end(sim, RefundOutcome::Success, sim.now_ms());
    let refund = refund.clone();
    let order = world
        .books
        .orders
        .get(&refund.out_trade_no)
        .ok_or_else(no_such_refund)?;
    Ok(Reply::Json(refund.answer(order)))
}

/// A user's card needs three fields, two of them encrypted to the key that the header names.
fn check_bank_card(world: &World, request: &Value, serial: Option<&str>) -> Result<(), Refusal> {
    for pointer in ["/bank_type", "/bank_account", "/real_name"] {
        if request.pointer(pointer).is_none() {
            return Err(Refusal::field(
                pointer,
                None,
                "USER_BANK_CARD时必填 (required for USER_BANK_CARD)",
            ));
        }
    }
    let key = serial
        .and_then(|serial| world.keys.find(serial))
        .ok_or_else(|| {
            Refusal::header(
                "平台证书序列号Wechatpay-Serial错误",
                "The header Wechatpay-Serial must name the key that the fields were encrypted to",
            )
        })?;
    for pointer in ["/bank_account", "/real_name"] {
        if key.open(schema::text(request, pointer)).is_none() {
            return Err(Refusal::field(
                pointer,
                None,
                "平台私钥解密失败 (not encrypted with OAEP and SHA-1 to the key in Wechatpay-Serial)",
            ));
        }
    }
    Ok(())
}

fn no_such_refund() -> Refusal {
    Refusal::new(
        404,
        "RESOURCE_NOT_EXISTS",
        268_512_772,
        "退款单不存在",
        "There is no such refund",
    )
}
