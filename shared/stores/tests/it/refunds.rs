//! Writes to a refund's item.

use aws_sdk_dynamodb::types::AttributeValue;
use payments::{
    model::refund::{Refund, RefundState},
    news::refund::ReportedRefundStatus,
    rules::{overdue_refund::Trouble, schedule},
};
use testbed::NOW;

use crate::days::{Bench, MCHID, news};

/// When a redirection was repeated (Unix seconds), in an item that has the redirection no more.
const LEFT_BEHIND: &str = "1785556800";

impl Bench {
    /// The refund, and whether its item says when a redirection was repeated.
    async fn refund_and_trace(&self, refund: &Refund) -> (Refund, bool) {
        let table = self.table();
        let read = table.refund(&refund.order_no, &refund.refund_no).await;
        let client = self.engine.client(&self.clock);
        let get = client
            .get_item()
            .table_name(&self.tables.orders)
            .key("pk", pk(refund))
            .key("sk", sk(refund));
        let item = get.send().await.expect("read").item.expect("an item");
        let refund = read.expect("read").expect("a refund");
        (refund, item.contains_key("sent_again_at"))
    }

    async fn leave_behind(&self, refund: &Refund) {
        let client = self.engine.client(&self.clock);
        let update = client
            .update_item()
            .table_name(&self.tables.orders)
            .key("pk", pk(refund))
            .key("sk", sk(refund))
            .update_expression("SET sent_again_at = :at")
            .expression_attribute_values(":at", AttributeValue::N(LEFT_BEHIND.to_owned()));
        update.send().await.expect("written");
    }
}

fn pk(refund: &Refund) -> AttributeValue {
    AttributeValue::S(format!("order#{MCHID}#{}", refund.order_no))
}

fn sk(refund: &Refund) -> AttributeValue {
    AttributeValue::S(format!("refund#{}", refund.refund_no))
}

#[tokio::test]
async fn a_repeat_left_behind_without_its_redirection_blocks_no_write_and_goes_with_the_next() {
    let bench = Bench::new().await;
    let order = bench.paid("000001", NOW).await;
    let (order, refund) = bench.reserved(&order).await;
    let abnormal = news(&refund, ReportedRefundStatus::Abnormal, None);
    let (order, refund) = bench.news(&order, &refund, &abnormal).await;
    let (table, next) = (
        bench.table(),
        schedule::refund_check_at(&order.order_no, NOW),
    );
    let trouble = Trouble {
        code: "PROCESSING".to_owned(),
        since: NOW,
    };
    for write in 0..7 {
        bench.leave_behind(&refund).await;
        let (seen, is_left) = bench.refund_and_trace(&refund).await;
        assert!(is_left && seen.redirected.is_none());
        let repeated = table.redirect_again(&seen, NOW, next).await;
        assert!(!repeated.expect("an answer"), "there is none to repeat");
        let written = match write {
            0 => table.claim_refund(&seen, next).await,
            1 => table.check_refund_sooner(&seen, next).await,
            2 => table.hold_refund(&seen, "X", next).await,
            3 => table.forget_redirection(&seen, "X", next).await,
            4 => table.note_trouble(&seen, Some(&trouble), next).await,
            5 => table.note_trouble(&seen, None, next).await,
            _ => table.put_off_refund(&seen, next).await,
        };
        assert!(written.expect("an answer"), "write {write}");
        assert!(!bench.refund_and_trace(&refund).await.1, "write {write}");
    }
    bench.leave_behind(&refund).await;
    let (claimed, _) = bench.refund_and_trace(&refund).await;
    let done = news(&claimed, ReportedRefundStatus::Succeeded(NOW), None);
    bench.news(&order, &claimed, &done).await;
    let (settled, is_left) = bench.refund_and_trace(&refund).await;
    assert_eq!(settled.state, RefundState::Succeeded(NOW));
    assert!(!is_left);
}
