//! Reads one input as a trade bill and as a fund bill, whole and in chunks of the fuzzer's choice:
//! rows and result must be the same. Whatever a row can be asked is asked.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wechatpay::bill::{
    BillError, Fee, FundBillReader, FundRow, FundSummary, TradeBillReader, TradeRow, TradeSummary,
    fen_of_yuan, unescape, yuan_of_fen,
};

fuzz_target!(|data: &[u8]| {
    // The last three bytes say how large the chunks are.
    let Some((bill, sizes)) = data.split_last_chunk::<3>() else {
        return;
    };
    assert_eq!(trades([bill]), trades(chunks(bill, *sizes)));
    assert_eq!(funds([bill]), funds(chunks(bill, *sizes)));
    if let Ok(text) = std::str::from_utf8(bill) {
        amounts(text);
    }
});

fn trades<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<String>, Result<TradeSummary, BillError>) {
    let mut rows = Vec::new();
    let mut each = |row: &TradeRow<'_>| {
        let texts = [
            row.at(),
            row.requested_at(),
            row.refunded_at(),
            row.appid(),
            row.mchid(),
            row.sub_mchid(),
            row.device_id(),
            row.transaction_id(),
            row.out_trade_no(),
            row.openid(),
            row.trade_type(),
            row.state(),
            row.bank_type(),
            row.currency(),
            row.refund_id(),
            row.out_refund_no(),
            row.refund_type(),
            row.refund_state(),
            row.description(),
            row.attach(),
            row.rate(),
            row.rate_note(),
        ];
        let unknown: Vec<_> = row.unknown().collect();
        let plain = unescape(row.description(), row.kind);
        let (at, rate) = (row.at_unix(), row.rate_ppm());
        rows.push(format!(
            "{row:?} {texts:?} {unknown:?} {plain} {at:?} {rate:?}"
        ));
    };
    let mut reader = TradeBillReader::new();
    let fed = chunks
        .into_iter()
        .try_for_each(|chunk| reader.feed(chunk, &mut each));
    let summary = fed.and_then(|()| reader.finish(&mut each));
    (rows, without_place(summary))
}

fn funds<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<String>, Result<FundSummary, BillError>) {
    let mut rows = Vec::new();
    let mut each = |row: &FundRow<'_>| {
        let texts = [
            row.at(),
            row.business_id(),
            row.flow_id(),
            row.business_name(),
            row.business_type(),
            row.submitter(),
            row.note(),
            row.voucher(),
        ];
        let unknown: Vec<_> = row.unknown().collect();
        rows.push(format!("{row:?} {texts:?} {unknown:?} {:?}", row.at_unix()));
    };
    let mut reader = FundBillReader::new();
    let fed = chunks
        .into_iter()
        .try_for_each(|chunk| reader.feed(chunk, &mut each));
    let summary = fed.and_then(|()| reader.finish(&mut each));
    (rows, without_place(summary))
}

fn without_place<T>(summary: Result<T, BillError>) -> Result<T, BillError> {
    summary.inspect_err(|error| assert!(!error.to_string().is_empty() && !error.name().is_empty()))
}

fn chunks(mut bytes: &[u8], sizes: [u8; 3]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    for size in sizes.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (part, rest) = bytes.split_at(usize::from(size.max(&1).to_owned()).min(bytes.len()));
        parts.push(part);
        bytes = rest;
    }
    parts
}

fn amounts(text: &str) {
    if let Some(fen) = fen_of_yuan(text) {
        assert_eq!(fen_of_yuan(&yuan_of_fen(fen)), Some(fen));
    }
    if let Some(fee) = Fee::parse(text) {
        assert_eq!(Fee::parse(&fee.to_string()), Some(fee));
        let _ = fee.fits_rate(i64::MAX, i64::MIN);
    }
}
