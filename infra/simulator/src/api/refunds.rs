//! Refunds: create, query, and the merchant's word on an abnormal one.

use serde_json::Value;

use super::{
    call::{Reply, VerifiedCall},
    notify_url::check_notify_url,
};
use crate::{
    refund::{Refund, RefundOutcome, RefundSource, RefundStatus},
    refunding::{self, NewRefund},
    refusal::Refusal,
    schema::{self, Field, ValueKind, optional, required},
    settings::ChangedRefund,
    sim::{MutableState, Shared},
};

const FROM: &[Field] = &[
    required("account", ValueKind::OneOf(&["AVAILABLE", "UNAVAILABLE"])),
    required("amount", ValueKind::Integer(1, 9_999_999_999)),
];
const AMOUNT: &[Field] = &[
    required("refund", ValueKind::Integer(1, 9_999_999_999)),
    required("total", ValueKind::Integer(1, 9_999_999_999)),
    required("currency", ValueKind::OneOf(&["CNY"])),
    optional("from", ValueKind::List(FROM)),
];
const GOODS: &[Field] = &[
    required("merchant_goods_id", ValueKind::Id("_-", 32)),
    optional("wechatpay_goods_id", ValueKind::Text(32)),
    optional("goods_name", ValueKind::Text(256)),
    required("unit_price", ValueKind::Integer(0, 9_999_999_999)),
    required("refund_amount", ValueKind::Integer(0, 9_999_999_999)),
    required("refund_quantity", ValueKind::Integer(1, 9_999_999_999)),
];
const REFUND: &[Field] = &[
    optional("transaction_id", ValueKind::Text(32)),
    optional("out_trade_no", ValueKind::Text(32)),
    required("out_refund_no", ValueKind::Text(64)),
    optional("reason", ValueKind::Bytes(80)),
    optional("notify_url", ValueKind::Text(256)),
    optional(
        "funds_account",
        ValueKind::OneOf(&["AVAILABLE", "UNSETTLED"]),
    ),
    required("amount", ValueKind::Object(AMOUNT)),
    optional("goods_detail", ValueKind::List(GOODS)),
];
const ABNORMAL: &[Field] = &[
    required("out_refund_no", ValueKind::Text(64)),
    required(
        "type",
        ValueKind::OneOf(&["USER_BANK_CARD", "MERCHANT_BANK_CARD"]),
    ),
    optional("bank_type", ValueKind::Text(16)),
    optional("bank_account", ValueKind::Text(1024)),
    optional("real_name", ValueKind::Text(1024)),
];

pub(super) fn create(
    sim: &Shared,
    world: &mut MutableState,
    call: &VerifiedCall<'_>,
) -> Result<Reply, Refusal> {
    let quotas = world.books.settings.refund_quotas;
    let now_ms = sim.now_ms();
    if quotas && !world.quotas.admit_refund(now_ms) {
        return Err(Refusal::frequency_limited());
    }
    let outcome = create_admitted(sim, world, call);
    if quotas && outcome.is_err() {
        world.quotas.refund_failed(now_ms);
    }
    outcome
}

fn create_admitted(
    sim: &Shared,
    world: &mut MutableState,
    call: &VerifiedCall<'_>,
) -> Result<Reply, Refusal> {
    let request = schema::read(call.body, REFUND)?;
    check_notify_url(&request)?;
    let number = schema::text(&request, "/out_refund_no").to_owned();
    if !schema::is_number(&number, "_-|*@", 1, 64) {
        return Err(Refusal::field(
            "/out_refund_no",
            request.pointer("/out_refund_no"),
            "应为1至64位数字、大小写字母或_-|*@ (1 to 64 digits, letters, or _-|*@)",
        ));
    }
    let transaction_id = find_payment(world, &request)?;
    if let Some(known) = world.books.refunds.get(&number) {
        return if known.request == request {
            answer(world, known)
        } else {
            Err(changed(world, known, &request))
        };
    }
    let wanted = NewRefund {
        out_refund_no: number,
        transaction_id,
        refund_fen: schema::integer(&request, "/amount/refund"),
        total_fen: schema::integer(&request, "/amount/total"),
        notify_url: schema::optional_text(&request, "/notify_url"),
        request,
        source: RefundSource::Api,
        outcome: call.refund_comes_to.unwrap_or(world.books.next_refunds),
    };
    let refund = refunding::accept(sim, world, wanted)?;
    answer(world, &refund)
}

/// `transaction_id` of the payment that the request names by either number.
fn find_payment(world: &MutableState, request: &Value) -> Result<String, Refusal> {
    let transaction_id = schema::text(request, "/transaction_id");
    let out_trade_no = schema::text(request, "/out_trade_no");
    if transaction_id.is_empty() && out_trade_no.is_empty() {
        return Err(Refusal::field(
            "/transaction_id",
            None,
            "与out_trade_no二选一 (one of transaction_id and out_trade_no is required)",
        ));
    }
    let orders = &world.books.orders;
    let found = if transaction_id.is_empty() {
        let order = orders.get(out_trade_no);
        order.and_then(|order| Some((order, order.payment.as_ref()?)))
    } else {
        orders.with_transaction(transaction_id)
    };
    found
        .filter(|(order, _)| out_trade_no.is_empty() || order.out_trade_no == out_trade_no)
        .map(|(_, payment)| payment.transaction_id.clone())
        .ok_or_else(refunding::no_such_payment)
}

/// What a known number with other parameters is refused with.
fn changed(world: &MutableState, known: &Refund, request: &Value) -> Refusal {
    let other_amount = ["/amount/refund", "/amount/total"]
        .iter()
        .any(|pointer| known.request.pointer(pointer) != request.pointer(pointer));
    match world.books.settings.changed_refund {
        ChangedRefund::FeeMismatch if other_amount => Refusal::new(
            400,
            "REFUND_FEE_MISMATCH",
            268_498_688,
            "订单金额或退款金额与之前请求不一致",
            "The amounts differ from those of the first request with this number",
        ),
        ChangedRefund::FeeMismatch | ChangedRefund::InvalidRequest => Refusal::changed_re_entry(),
    }
}

fn answer(world: &MutableState, refund: &Refund) -> Result<Reply, Refusal> {
    let (order, payment) = world
        .books
        .orders
        .with_transaction(&refund.transaction_id)
        .ok_or_else(no_such_refund)?;
    Ok(Reply::Json(refund.answer(order, payment)))
}

pub(super) fn query(
    sim: &Shared,
    world: &mut MutableState,
    call: &VerifiedCall<'_>,
) -> Result<Reply, Refusal> {
    if world.books.settings.refund_quotas && !world.quotas.admit_query(sim.now_ms()) {
        return Err(Refusal::frequency_limited());
    }
    let refund = world
        .books
        .refunds
        .get(&call.route.number)
        .ok_or_else(no_such_refund)?;
    answer(world, refund)
}

pub(super) fn apply_abnormal(
    sim: &Shared,
    world: &mut MutableState,
    call: &VerifiedCall<'_>,
) -> Result<Reply, Refusal> {
    if world.books.settings.refund_quotas && !world.quotas.admit_abnormal(sim.now_ms()) {
        return Err(Refusal::frequency_limited());
    }
    let request = schema::read(call.body, ABNORMAL)?;
    let opened = if schema::text(&request, "/type") == "USER_BANK_CARD" {
        opened_bank_card(world, &request, call.serial)?
    } else {
        request.clone()
    };
    let number = schema::text(&request, "/out_refund_no");
    let refund = world.books.refunds.get(number).ok_or_else(no_such_refund)?;
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
    // WeChat Pay's side executes the redirect, unless the admin wants to decide.
    let outcome = match world.books.next_refunds {
        RefundOutcome::Hold => RefundOutcome::Hold,
        RefundOutcome::Success
        | RefundOutcome::Abnormal
        | RefundOutcome::Closed
        | RefundOutcome::Refused => RefundOutcome::Success,
    };
    let ends = refunding::end(sim, outcome, sim.now_ms());
    world.books.refunds.change(number, |refund| {
        refund.status = RefundStatus::Processing;
        refund.ends = ends;
        refund.redirected = Some(opened);
    });
    let refund = world.books.refunds.get(number).ok_or_else(no_such_refund)?;
    answer(world, refund)
}

/// A user's card needs three fields, two of them encrypted to the key that the header names. The
/// request with those opened.
fn opened_bank_card(
    world: &MutableState,
    request: &Value,
    serial: Option<&str>,
) -> Result<Value, Refusal> {
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
    let mut opened = request.clone();
    for pointer in ["/bank_account", "/real_name"] {
        let Some(plain) = key.open(schema::text(request, pointer)) else {
            return Err(Refusal::field(
                pointer,
                None,
                "平台私钥解密失败 (not encrypted with OAEP and SHA-1 to the key in Wechatpay-Serial)",
            ));
        };
        if let Some(place) = opened.pointer_mut(pointer) {
            *place = String::from_utf8_lossy(&plain).into_owned().into();
        }
    }
    Ok(opened)
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
