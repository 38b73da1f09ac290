//! WeChat Pay's interfaces by name.

/// One of WeChat Pay's interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// `POST /v3/pay/transactions/jsapi`, for mini programs, too.
    PrepayJsapi,
    /// `POST /v3/pay/transactions/app`
    PrepayApp,
    /// `POST /v3/pay/transactions/h5`
    PrepayH5,
    /// `POST /v3/pay/transactions/native`
    PrepayNative,
    /// `GET /v3/pay/transactions/out-trade-no/{out_trade_no}`
    QueryByOutTradeNo,
    /// `GET /v3/pay/transactions/id/{transaction_id}`
    QueryByTransactionId,
    /// `POST /v3/pay/transactions/out-trade-no/{out_trade_no}/close`
    Close,
    /// `POST /v3/refund/domestic/refunds`
    CreateRefund,
    /// `GET /v3/refund/domestic/refunds/{out_refund_no}`
    QueryRefund,
    /// `POST /v3/refund/domestic/refunds/{refund_id}/apply-abnormal-refund`
    AbnormalRefund,
    /// `GET /v3/bill/tradebill`
    TradeBill,
    /// `GET /v3/bill/fundflowbill`
    FundFlowBill,
    /// `GET /v3/billdownload/file`
    BillFile,
    /// `GET /v3/certificates`
    Certificates,
    /// `POST /v3/security/echo`
    SecurityEcho,
}

impl Interface {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::PrepayJsapi,
        Self::PrepayApp,
        Self::PrepayH5,
        Self::PrepayNative,
        Self::QueryByOutTradeNo,
        Self::QueryByTransactionId,
        Self::Close,
        Self::CreateRefund,
        Self::QueryRefund,
        Self::AbnormalRefund,
        Self::TradeBill,
        Self::FundFlowBill,
        Self::BillFile,
        Self::Certificates,
        Self::SecurityEcho,
    ];

    /// A stable name for metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PrepayJsapi => "prepay_jsapi",
            Self::PrepayApp => "prepay_app",
            Self::PrepayH5 => "prepay_h5",
            Self::PrepayNative => "prepay_native",
            Self::QueryByOutTradeNo => "query_by_out_trade_no",
            Self::QueryByTransactionId => "query_by_transaction_id",
            Self::Close => "close",
            Self::CreateRefund => "create_refund",
            Self::QueryRefund => "query_refund",
            Self::AbnormalRefund => "abnormal_refund",
            Self::TradeBill => "trade_bill",
            Self::FundFlowBill => "fund_flow_bill",
            Self::BillFile => "bill_file",
            Self::Certificates => "certificates",
            Self::SecurityEcho => "security_echo",
        }
    }

    /// Its path with the names of its variable parts: for traces, whose names must have few values
    /// and no number of an order.
    #[must_use]
    pub const fn url_template(self) -> &'static str {
        match self {
            Self::PrepayJsapi => "/v3/pay/transactions/jsapi",
            Self::PrepayApp => "/v3/pay/transactions/app",
            Self::PrepayH5 => "/v3/pay/transactions/h5",
            Self::PrepayNative => "/v3/pay/transactions/native",
            Self::QueryByOutTradeNo => "/v3/pay/transactions/out-trade-no/{out_trade_no}",
            Self::QueryByTransactionId => "/v3/pay/transactions/id/{transaction_id}",
            Self::Close => "/v3/pay/transactions/out-trade-no/{out_trade_no}/close",
            Self::CreateRefund => "/v3/refund/domestic/refunds",
            Self::QueryRefund => "/v3/refund/domestic/refunds/{out_refund_no}",
            Self::AbnormalRefund => "/v3/refund/domestic/refunds/{refund_id}/apply-abnormal-refund",
            Self::TradeBill => "/v3/bill/tradebill",
            Self::FundFlowBill => "/v3/bill/fundflowbill",
            Self::BillFile => "/v3/billdownload/file",
            Self::Certificates => "/v3/certificates",
            Self::SecurityEcho => "/v3/security/echo",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_the_path_that_the_interface_is_described_by() {
        let described: Vec<&str> = include_str!("interface.rs")
            .lines()
            .filter_map(|line| line.trim().strip_prefix("/// `")?.split_once(" /v3"))
            .filter_map(|(_, path)| path.split('`').next())
            .collect();
        let templates = Interface::ALL.map(Interface::url_template);
        assert_eq!(
            templates.map(|path| path.trim_start_matches("/v3")),
            described[..]
        );
    }
}
