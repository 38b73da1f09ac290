//! The index by day: what the books have on a day, and when a refund changes its day.

use aws_sdk_dynamodb::types::AttributeValue;
use payments::{
    model::{
        bill_date::BillDate,
        fingerprint::Fingerprint,
        ids::{ClientId, OrderNo, RefundId, TransactionId},
        journal::{Cause, ChangeContext, Subject},
        merchant::MerchantFacts,
        money::Fen,
        next_check,
        order::{IssueLease, Order, OrderState, Payment, Product, RefundTally},
        parked::{ParkReason, PaymentToPark},
        refund::{self, Refund, RefundTerms},
    },
    news::{
        refund::{RefundNews, ReportedRefundStatus},
        trade::{ReportedPayment, TradeNotice, TradeOutcome},
    },
    rules::{
        change::{OrderChange, RefundChange},
        reserve_refund::{self, Approval, RefundRequest},
        schedule,
        settle_refund::{self, RefundSettlement},
        settle_trade::{self, Settlement},
        transition,
    },
};
use runtime::clock::Clock;
use stores::order_table::{
    ApplyOutcome, OrderTable, ReserveOutcome, TableError, day_index::DayLine,
};
use testbed::NOW;
use testbed::{DynamoEngine, FaultyTransport, Match, Service, Tables};
use wechatpay::UnixSeconds;

pub(crate) const MCHID: &str = "1900000001";
/// The first second of 2026-08-02 in Beijing.
const MIDNIGHT: UnixSeconds = UnixSeconds(1_785_600_000);
pub(crate) const BEFORE: UnixSeconds = UnixSeconds(MIDNIGHT.0 - 1);

/// An empty orders table, a manual clock and a wire to count on.
pub(crate) struct Bench {
    pub(crate) clock: Clock,
    pub(crate) wire: FaultyTransport,
    pub(crate) tables: Tables,
    pub(crate) engine: DynamoEngine,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let engine = DynamoEngine::start();
        let tables = engine.create_tables("test-").await;
        let clock = Clock::manual(NOW);
        let wire = FaultyTransport::new(clock.clone());
        Self {
            clock,
            wire,
            tables,
            engine,
        }
    }

    pub(crate) fn table(&self) -> OrderTable {
        self.table_of(MCHID)
    }

    fn table_of(&self, mchid: &str) -> OrderTable {
        let client = self.engine.client_over(&self.wire, &self.clock);
        OrderTable::new(client, &self.tables.orders, mchid)
    }

    async fn write(&self, change: &OrderChange) {
        let applied = self.table().apply(change).await;
        assert_eq!(applied.expect("an answer"), ApplyOutcome::Applied);
    }

    pub(crate) async fn paid(&self, order_no: &str, paid_at: UnixSeconds) -> Order {
        paid_in(&self.table(), order_no, paid_at).await
    }

    /// A refund of 40 fen that is set aside for the order.
    pub(crate) async fn reserved(&self, order: &Order) -> (Order, Refund) {
        let wanted = RefundRequest {
            refund_no: payments::model::ids::RefundNo::parse("R1").expect("a number"),
            terms: RefundTerms {
                amount: Fen::new(40).expect("fen"),
                reason: None,
                transaction_id: None,
            },
            approval: Approval::Caller,
        };
        let change = reserve_refund::reserve(order, None, &[], &wanted, "https://n", &because())
            .expect("there is money to give back");
        self.write(&change).await;
        let Some(RefundChange::New(refund)) = &change.refund else {
            panic!("{change:?}")
        };
        (self.read(order).await, (**refund).clone())
    }

    /// The refund after news about it.
    pub(crate) async fn news(
        &self,
        order: &Order,
        refund: &Refund,
        news: &RefundNews,
    ) -> (Order, Refund) {
        let settlement =
            settle_refund::settle_refund(order, Some(refund), &facts(), news, &because());
        let RefundSettlement::Change(change) = settlement else {
            panic!("{settlement:?}")
        };
        self.write(&change).await;
        let table = self.table();
        let read = table.refund(&refund.order_no, &refund.refund_no).await;
        let refund = read.expect("read").expect("a refund");
        (self.read(order).await, refund)
    }

    pub(crate) async fn read(&self, order: &Order) -> Order {
        let read = self.table().read(&order.order_no).await;
        read.expect("read").expect("an order")
    }

    async fn day(&self, date: &str) -> Vec<DayLine> {
        day_of(&self.table(), date).await
    }

    /// The refunds of a day, by when they were accepted.
    async fn refunds(&self, date: &str) -> Vec<UnixSeconds> {
        let lines = self.day(date).await;
        lines
            .into_iter()
            .filter_map(|line| match line {
                DayLine::Refund { at, .. } => Some(at),
                DayLine::Payment { .. } | DayLine::Parked { .. } => None,
            })
            .collect()
    }
}

async fn paid_in(table: &OrderTable, order_no: &str, paid_at: UnixSeconds) -> Order {
    let order = order(order_no);
    let event = because().event(1, Subject::Order, None, "reserved");
    let reserved = table.reserve(&order, &event).await;
    assert_eq!(reserved.expect("an answer"), ReserveOutcome::New);
    let notice = TradeNotice {
        mchid: MCHID.to_owned(),
        appid: order.appid.clone(),
        order_no: order.order_no.clone(),
        outcome: TradeOutcome::Paid(ReportedPayment {
            payment: Payment {
                transaction_id: transaction(order_no),
                paid_at,
            },
            total: order.amount,
            currency: "CNY".to_owned(),
            refunded: false,
        }),
        request_id: None,
    };
    let Settlement::Change(change) =
        settle_trade::settle_trade(&order, &facts(), &notice, &because())
    else {
        panic!("not booked")
    };
    let applied = table.apply(&change).await;
    assert_eq!(applied.expect("an answer"), ApplyOutcome::Applied);
    let read = table.read(&order.order_no).await;
    read.expect("read").expect("an order")
}

/// All lines of a day, part by part and page by page.
async fn day_of(table: &OrderTable, date: &str) -> Vec<DayLine> {
    let date = BillDate::parse(date).expect("a day");
    let mut lines = Vec::new();
    for shard in 0..next_check::SHARDS {
        let mut from = None;
        loop {
            let page = table.day(date, shard, from, 2).await.expect("read");
            assert!(page.lines.len() <= 2);
            lines.extend(page.lines);
            from = page.next;
            if from.is_none() {
                break;
            }
        }
    }
    lines
}

pub(crate) fn order(order_no: &str) -> Order {
    let order_no = OrderNo::parse(order_no).expect("a number");
    Order {
        client_id: ClientId::new("shop"),
        product: Product::Jsapi,
        appid: "wx1".to_owned(),
        amount: Fen::new(100).expect("fen"),
        fingerprint: Fingerprint([7; 32]),
        sealed_body: Some(b"sealed".to_vec()),
        created_at: NOW,
        expires_at: UnixSeconds(NOW.0 + 900),
        issue_lease: IssueLease::first("a".to_owned(), NOW),
        issued: false,
        state: OrderState::Reserved,
        refunds: RefundTally::NONE,
        version: 1,
        latest_event: Some(because().event(1, Subject::Order, None, "reserved")),
        due: Some(schedule::refund_check_at(&order_no, NOW.plus_s(60))),
        order_no,
    }
}

pub(crate) fn transaction(order_no: &str) -> TransactionId {
    TransactionId::parse(&format!("42{order_no}")).expect("a number")
}

fn facts() -> MerchantFacts {
    MerchantFacts {
        mchid: MCHID.to_owned(),
        notify_url: "https://n".to_owned(),
    }
}

pub(crate) fn because() -> ChangeContext {
    ChangeContext {
        cause: Cause::Request("req-1".to_owned()),
        trace: "t".to_owned(),
        is_sampled: true,
        at: UnixSeconds(MIDNIGHT.0 + 30),
        millisecond: None,
        delivery: None,
        request_id: None,
    }
}

pub(crate) fn news(
    refund: &Refund,
    status: ReportedRefundStatus,
    accepted_at: Option<UnixSeconds>,
) -> RefundNews {
    RefundNews {
        mchid: None,
        order_no: refund.order_no.clone(),
        transaction_id: refund.transaction_id.clone(),
        out_refund_no: refund.out_refund_no.clone(),
        refund_id: RefundId::parse("500001").expect("a number"),
        status,
        amount: refund.amount,
        total: refund.total,
        accepted_at,
        received_by: None,
        request_id: None,
    }
}

#[tokio::test]
async fn a_payment_is_on_the_day_of_wechat_pays_clock_with_all_that_a_bill_is_held_against() {
    let bench = Bench::new().await;
    let order = bench.paid("000001", BEFORE).await;
    bench.paid("000002", MIDNIGHT).await;
    assert_eq!(
        bench.day("2026-08-01").await,
        [DayLine::Payment {
            order_no: order.order_no.clone(),
            transaction_id: transaction("000001"),
            amount_fen: 100,
            product: Product::Jsapi,
            appid: "wx1".to_owned(),
            state: "paid".to_owned(),
            at: BEFORE,
        }]
    );
    assert_eq!(bench.day("2026-08-02").await.len(), 1);
    assert_eq!(bench.day("2026-08-03").await, []);
}

#[tokio::test]
async fn an_order_that_is_not_paid_is_on_no_day() {
    let bench = Bench::new().await;
    let event = because().event(1, Subject::Order, None, "reserved");
    let reserved = bench.table().reserve(&order("000001"), &event).await;
    reserved.expect("an answer");
    assert_eq!(bench.day("2026-08-01").await, []);
}

#[tokio::test]
async fn money_that_waits_for_a_person_is_on_its_day_too() {
    let bench = Bench::new().await;
    let parked = PaymentToPark {
        order_no: OrderNo::parse("NO-ORDER").expect("a number"),
        transaction_id: transaction("000009"),
        amount: Fen::new(55).expect("fen"),
        paid_at: BEFORE,
        reason: ParkReason::UnknownOrder,
    };
    let cause = Cause::Request("req-1".to_owned());
    let kept = bench.table().park(&parked, &cause, NOW).await;
    kept.expect("an answer");
    assert_eq!(
        bench.day("2026-08-01").await,
        [DayLine::Parked {
            order_no: parked.order_no,
            transaction_id: parked.transaction_id,
            amount_fen: 55,
            state: "parked".to_owned(),
            at: BEFORE,
        }]
    );
}

#[tokio::test]
async fn a_refund_is_on_the_day_that_wechat_pay_accepted_it_and_stays_there() {
    let bench = Bench::new().await;
    let order = bench.paid("000001", NOW).await;
    let (order, refund) = bench.reserved(&order).await;
    assert_eq!(bench.refunds("2026-08-02").await, [], "nobody was asked");
    let accepted = news(&refund, ReportedRefundStatus::Processing, Some(BEFORE));
    let (order, refund) = bench.news(&order, &refund, &accepted).await;
    assert_eq!(refund.accepted_at, Some(BEFORE));
    let done = news(
        &refund,
        ReportedRefundStatus::Succeeded(MIDNIGHT),
        Some(BEFORE),
    );
    let (order, refund) = bench.news(&order, &refund, &done).await;
    assert_eq!(bench.refunds("2026-08-02").await, []);
    let lines = bench.day("2026-08-01").await;
    assert_eq!(
        lines.len(),
        2,
        "the payment, and then its refund: {lines:?}"
    );
    assert_eq!(
        lines.last(),
        Some(&DayLine::Refund {
            order_no: order.order_no,
            refund_no: refund.refund_no,
            out_refund_no: refund.out_refund_no,
            refund_id: refund.refund_id,
            transaction_id: transaction("000001"),
            amount_fen: 40,
            product: Some(order.product),
            state: "succeeded".to_owned(),
            at: BEFORE,
        })
    );
}

#[tokio::test]
async fn a_refund_known_first_by_a_notice_moves_to_its_day_when_an_answer_says_when() {
    let bench = Bench::new().await;
    let order = bench.paid("000001", NOW).await;
    let (order, refund) = bench.reserved(&order).await;
    let notice = news(&refund, ReportedRefundStatus::Abnormal, None);
    let (order, refund) = bench.news(&order, &refund, &notice).await;
    assert_eq!(bench.refunds("2026-08-02").await, [because().at]);
    let answer = news(
        &refund,
        ReportedRefundStatus::Succeeded(MIDNIGHT),
        Some(BEFORE),
    );
    let (_, refund) = bench.news(&order, &refund, &answer).await;
    assert_eq!(refund.accepted_at, Some(BEFORE));
    assert_eq!(bench.refunds("2026-08-02").await, []);
    assert_eq!(bench.refunds("2026-08-01").await, [BEFORE]);
}

#[tokio::test]
async fn a_refund_that_wechat_pay_refuses_is_on_no_day() {
    let bench = Bench::new().await;
    let order = bench.paid("000001", NOW).await;
    let (order, refund) = bench.reserved(&order).await;
    let refused = refund::RefundState::Refused("NO_AUTH".to_owned());
    let change = transition::transition(&order, &refund, refused, None, &because());
    bench.write(&change).await;
    assert_eq!(bench.refunds("2026-08-02").await, []);
}

#[tokio::test]
async fn a_refund_that_was_made_in_the_console_is_on_its_day_at_once() {
    let bench = Bench::new().await;
    let order = bench.paid("000001", NOW).await;
    let refund = refund_in_console(&order);
    let RefundSettlement::Change(change) =
        settle_refund::settle_refund(&order, None, &facts(), &refund, &because())
    else {
        panic!("not taken in")
    };
    bench.write(&change).await;
    assert_eq!(bench.refunds("2026-08-01").await, [BEFORE]);
}

fn refund_in_console(order: &Order) -> RefundNews {
    RefundNews {
        mchid: None,
        order_no: order.order_no.clone(),
        transaction_id: transaction(order.order_no.as_str()),
        out_refund_no: payments::model::ids::OutRefundNo::parse("console@1").expect("a number"),
        refund_id: RefundId::parse("500002").expect("a number"),
        status: ReportedRefundStatus::Succeeded(BEFORE),
        amount: Fen::new(10).expect("fen"),
        total: order.amount,
        accepted_at: None,
        received_by: None,
        request_id: None,
    }
}

#[tokio::test]
async fn a_full_day_comes_page_by_page_each_line_once_and_only_this_merchants() {
    let bench = Bench::new().await;
    let mut numbers: Vec<String> = (0..40).map(|count| format!("{count:06}")).collect();
    for order_no in &numbers {
        bench.paid(order_no, BEFORE).await;
    }
    let stranger = bench.table_of("1900000002");
    paid_in(&stranger, "999999", BEFORE).await;
    let mut listed: Vec<String> = bench
        .day("2026-08-01")
        .await
        .into_iter()
        .map(|line| {
            let DayLine::Payment { order_no, .. } = &line else {
                panic!("{line:?}")
            };
            order_no.as_str().to_owned()
        })
        .collect();
    listed.sort_unstable();
    numbers.sort_unstable();
    assert_eq!(listed, numbers);
    let theirs = day_of(&stranger, "2026-08-01").await;
    assert_eq!(theirs.len(), 1);
}

#[tokio::test]
async fn a_day_is_read_from_the_index_alone() {
    let bench = Bench::new().await;
    bench.paid("000001", BEFORE).await;
    bench.wire.forget();
    assert_eq!(bench.day("2026-08-01").await.len(), 1);
    let queries = Match::operation(Service::DynamoDb, "Query");
    assert_eq!(bench.wire.count(&queries), bench.wire.calls().len());
}

#[tokio::test]
async fn a_damaged_line_names_the_order_and_the_attribute() {
    let bench = Bench::new().await;
    let order = bench.paid("000001", BEFORE).await;
    let client = bench.engine.client(&bench.clock);
    let key = format!("order#{MCHID}#000001");
    for attribute in ["product", "amount_fen"] {
        let update = client
            .update_item()
            .table_name(&bench.tables.orders)
            .key("pk", AttributeValue::S(key.clone()))
            .key("sk", AttributeValue::S("order".to_owned()))
            .update_expression("SET #a = :v")
            .expression_attribute_names("#a", attribute)
            .expression_attribute_values(":v", AttributeValue::S("?".to_owned()));
        update.send().await.expect("damaged");
        let date = BillDate::parse("2026-08-01").expect("a day");
        let shard = next_check::shard_of(&order.order_no);
        let error = bench.table().day(date, shard, None, 10).await;
        assert!(
            matches!(&error, Err(TableError::Damaged { order_no, attribute: named })
                if order_no == "000001" && *named == attribute),
            "{error:?}"
        );
    }
}
