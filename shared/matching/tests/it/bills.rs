//! Bills as WeChat Pay writes them, of rows that a test has made up.

use matching::{
    bill_line::{BillLine, LineKind},
    fund_line::{FlowDirection, FundLine},
};
use wechatpay::bill::{Fee, yuan_of_fen};

/// The bill that has these rows.
pub(crate) fn trade_bill(rows: &[BillLine]) -> String {
    let mut text = "交易时间,公众账号ID,商户号,微信订单号,商户订单号,交易类型,交易状态,货币种类,应结订单金额,微信退款单号,商户退款单号,退款金额,退款状态,手续费,费率,订单金额,申请退款金额\n".to_owned();
    let or_zero = |id: &str| if id.is_empty() { "0" } else { id }.to_owned();
    for row in rows {
        let state = match row.kind {
            LineKind::Payment => "SUCCESS",
            LineKind::Refund => "REFUND",
            LineKind::Revoked => "REVOKED",
        };
        let fields = [
            row.at.clone(),
            row.appid.clone(),
            row.mchid.clone(),
            row.transaction_id.clone(),
            row.order_no.clone(),
            row.trade_type.clone(),
            state.to_owned(),
            row.currency.clone(),
            yuan_of_fen(row.settlement_fen),
            or_zero(&row.refund_id),
            or_zero(&row.out_refund_no),
            yuan_of_fen(row.refund_fen),
            row.refund_state.clone(),
            Fee::from_units(row.fee).to_string(),
            row.rate.clone(),
            yuan_of_fen(row.total_fen),
            yuan_of_fen(row.requested_refund_fen),
        ];
        for (position, field) in fields.iter().enumerate() {
            text.push_str(if position == 0 { "`" } else { ",`" });
            text.push_str(field);
        }
        text.push('\n');
    }
    let sum = |of: fn(&BillLine) -> i64| rows.iter().map(of).sum::<i64>();
    text.push_str("总交易单数,应结订单总金额,退款总金额,手续费总金额,订单总金额,申请退款总金额\n");
    let sums = [
        format!("{}.0", rows.len()),
        yuan_of_fen(sum(|row| row.settlement_fen)),
        yuan_of_fen(sum(|row| row.refund_fen)),
        Fee::from_units(sum(|row| row.fee)).to_string(),
        yuan_of_fen(sum(|row| row.total_fen)),
        yuan_of_fen(sum(|row| row.requested_refund_fen)),
    ];
    text.push('`');
    text.push_str(&sums.join(",`"));
    text.push('\n');
    text
}

/// The fund bill that has these rows.
pub(crate) fn fund_bill(rows: &[FundLine]) -> String {
    let mut text = "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额（元）,账户结余（元）,资金变更提交申请人,备注,业务凭证号\n".to_owned();
    for row in rows {
        let FundLine {
            at,
            business_id,
            flow_id,
            business_name,
            business_type,
            voucher,
            ..
        } = row;
        let flow = match row.flow {
            FlowDirection::In => "收入",
            FlowDirection::Out => "支出",
        };
        let amount = yuan_of_fen(row.amount_fen);
        text.push_str(&format!(
            "`{at},`{business_id},`{flow_id},`{business_name},`{business_type},`{flow},`{amount},`0.00,`system,`,`{voucher}\n"
        ));
    }
    let of = |flow| rows.iter().filter(move |row| row.flow == flow);
    let sum = |flow| yuan_of_fen(of(flow).map(|row| row.amount_fen).sum());
    text.push_str(&format!(
        "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额\n`{}.0,`{}.0,`{},`{}.0,`{}\n",
        rows.len(),
        of(FlowDirection::In).count(),
        sum(FlowDirection::In),
        of(FlowDirection::Out).count(),
        sum(FlowDirection::Out),
    ));
    text
}
