//! What an attempt to get a prepay value works with.

use runtime::{clock::Clock, random::Random};
use stores::order_table::OrderTable;
use wechat_client::api::WechatApi;

use crate::{query_order::QueryFlow, stored_body::StoredBodies};

/// Gets prepay values.
#[derive(Clone, Debug)]
pub struct IssueFlow {
    pub(super) orders: OrderTable,
    pub(super) wechat: WechatApi,
    pub(super) bodies: StoredBodies,
    pub(super) query_flow: QueryFlow,
    pub(super) clock: Clock,
    pub(super) random: Random,
}

impl IssueFlow {
    /// Creates the flow over these parts.
    pub fn new(
        orders: OrderTable,
        wechat: WechatApi,
        bodies: StoredBodies,
        query_flow: QueryFlow,
        clock: Clock,
        random: Random,
    ) -> Self {
        Self {
            orders,
            wechat,
            bodies,
            query_flow,
            clock,
            random,
        }
    }
}
