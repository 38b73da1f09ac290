//! Days that are drawn at random, with what differs.

use super::*;

/// What is wrong with a line, on one side or the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    None,
    AbsentThere,
    AbsentHere,
    Amount,
    OrderNo,
    Appid,
    Mchid,
    Currency,
    RefundId,
    RefundOf,
    RefundState(usize),
    TwiceThere,
    TwiceHere,
    AgainHere,
    Revoked,
    Fee,
    Long,
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        8 => Just(Fault::None),
        1 => Just(Fault::AbsentThere),
        1 => Just(Fault::AbsentHere),
        1 => Just(Fault::Amount),
        1 => Just(Fault::OrderNo),
        1 => Just(Fault::Appid),
        1 => Just(Fault::Mchid),
        1 => Just(Fault::Currency),
        1 => Just(Fault::RefundId),
        1 => Just(Fault::RefundOf),
        3 => (0..STATES_THERE.len()).prop_map(Fault::RefundState),
        1 => Just(Fault::TwiceThere),
        1 => Just(Fault::TwiceHere),
        1 => Just(Fault::AgainHere),
        1 => Just(Fault::Revoked),
        1 => Just(Fault::Fee),
        1 => Just(Fault::Long),
    ]
}

const STATES_THERE: [&str; 5] = ["PROCESSING", "SUCCESS", "FAIL", "CHANGE", "NEW"];
pub(super) const STATES_HERE: [BookedRefund; 6] = [
    BookedRefund::Reserved,
    BookedRefund::Processing,
    BookedRefund::Succeeded,
    BookedRefund::Closed,
    BookedRefund::Refused,
    BookedRefund::Abnormal,
];
const TRADE_TYPES: [&str; 4] = ["NATIVE", "JSAPI", "APP", "MWEB"];

/// What a line is drawn from: whether it is a refund and of which payment, amount, product, our
/// state, what is wrong.
pub(super) type Drawn = (Option<usize>, i64, usize, usize, bool, Fault);

pub(super) fn drawn() -> impl Strategy<Value = Vec<Drawn>> {
    let line = (
        proptest::option::of(0_usize..30),
        1_i64..1_000_000,
        0..TRADE_TYPES.len(),
        0..STATES_HERE.len(),
        any::<bool>(),
        fault(),
    );
    proptest::collection::vec(line, 0..200)
}

/// Both sides of a day, the rows in another order than the lines.
pub(super) fn sides(drawn: &[Drawn], order: u64) -> (Vec<Booked>, Vec<BillLine>) {
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for (position, &(of, fen, product, state, knows_id, fault)) in drawn.iter().enumerate() {
        let trade_type = TRADE_TYPES[product];
        let state = STATES_HERE[state];
        let order_no = format!("ORDER-{}", of.unwrap_or(position));
        let transaction_id = format!("42000000002026080100{:08}", of.unwrap_or(position));
        let refund_id = format!("503000000020260801{position:011}");
        let out_refund_no = format!("r-{position:040}");
        let booked = Booked {
            id: if of.is_some() {
                out_refund_no.clone()
            } else {
                transaction_id.clone()
            },
            refund: of.map(|_| {
                (
                    knows_id.then(|| refund_id.clone()),
                    transaction_id.clone(),
                    state,
                )
            }),
            order_no: order_no.clone(),
            fen,
            appid: APPID.to_owned(),
            trade_type,
            shard: u8::try_from(position % 16).unwrap(),
        };
        let is_refund = of.is_some();
        let (paid, refunded) = if is_refund { (0, fen) } else { (fen, 0) };
        let mut row = BillLine {
            line: 0,
            kind: if is_refund {
                LineKind::Refund
            } else {
                LineKind::Payment
            },
            at: "2026-08-01 10:00:05".to_owned(),
            appid: APPID.to_owned(),
            mchid: MCHID.to_owned(),
            transaction_id,
            order_no,
            refund_id: if is_refund { refund_id } else { String::new() },
            out_refund_no: if is_refund {
                out_refund_no
            } else {
                String::new()
            },
            trade_type: trade_type.to_owned(),
            currency: "CNY".to_owned(),
            refund_state: if is_refund {
                STATES_THERE[position % 2].to_owned()
            } else {
                String::new()
            },
            total_fen: paid,
            settlement_fen: paid,
            requested_refund_fen: refunded,
            refund_fen: refunded,
            fee: (paid - refunded) * 6,
            rate: "0.60%".to_owned(),
        };
        match fault {
            Fault::None | Fault::AbsentThere | Fault::AbsentHere => {}
            Fault::Amount if is_refund => row.requested_refund_fen += 1,
            Fault::Amount => row.total_fen += 1,
            Fault::OrderNo => row.order_no.push('x'),
            Fault::Appid => row.appid.push('x'),
            Fault::Mchid => row.mchid = "1900000002".to_owned(),
            Fault::Currency => row.currency = "USD".to_owned(),
            Fault::RefundId => row.refund_id.push('1'),
            Fault::RefundOf => row.transaction_id.replace_range(0..1, "5"),
            Fault::RefundState(state) => row.refund_state = STATES_THERE[state].to_owned(),
            Fault::TwiceThere => there.push(row.clone()),
            Fault::TwiceHere => here.push(Booked {
                fen: fen + 1,
                ..booked.clone()
            }),
            Fault::AgainHere => here.push(booked.clone()),
            Fault::Revoked => row.kind = LineKind::Revoked,
            Fault::Fee => row.fee += 1000,
            Fault::Long => row.order_no = "9".repeat(100),
        }
        if fault != Fault::AbsentHere {
            here.push(booked);
        }
        if fault != Fault::AbsentThere {
            there.push(row);
        }
    }
    let mut random = fastrand::Rng::with_seed(order);
    random.shuffle(&mut here);
    random.shuffle(&mut there);
    for (line, row) in (2..).zip(&mut there) {
        row.line = line;
    }
    (here, there)
}
