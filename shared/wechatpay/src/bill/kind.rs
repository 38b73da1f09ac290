//! What a row of a trade bill is about.

/// What a row of a trade bill is about (交易状态).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TradeKind {
    /// `SUCCESS`: an order was paid.
    Payment,
    /// `REFUND`: a refund was accepted.
    Refund,
    /// `REVOKED`: a scan-code payment (付款码) was taken back.
    Revoked,
}
