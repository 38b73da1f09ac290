//! The state of a refund in our books, and which status of a bill agrees with it.

/// The state of our refund: the state by its name in our table, without its data.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum BookedRefund {
    /// Not yet, or not certainly, at WeChat Pay.
    Reserved,
    /// Accepted.
    Processing,
    /// The money is back.
    Succeeded,
    /// It failed for good.
    Closed,
    /// WeChat Pay refused it.
    Refused,
    /// It could not be paid out.
    Abnormal,
}

impl BookedRefund {
    /// Whether our present state is possible for a refund that had the status `in_bill` (退款状态:
    /// shared/wechatpay/PROTOCOL.md, 8.4) when the bill was made. The bill is a snapshot, so our
    /// state may be later, never earlier.
    pub fn can_follow(self, in_bill: &str) -> bool {
        match self {
            Self::Reserved | Self::Refused => false,
            Self::Processing => in_bill == "PROCESSING",
            Self::Succeeded => matches!(in_bill, "PROCESSING" | "SUCCESS" | "CHANGE"),
            Self::Closed => matches!(in_bill, "PROCESSING" | "FAIL"),
            Self::Abnormal => matches!(in_bill, "PROCESSING" | "CHANGE"),
        }
    }

    /// The state by its name in our table.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "reserved" => Some(Self::Reserved),
            "processing" => Some(Self::Processing),
            "succeeded" => Some(Self::Succeeded),
            "closed" => Some(Self::Closed),
            "refused" => Some(Self::Refused),
            "abnormal" => Some(Self::Abnormal),
            _ => None,
        }
    }

    /// Never zero, which means a payment.
    pub(super) const fn code(self) -> u64 {
        match self {
            Self::Reserved => 1,
            Self::Processing => 2,
            Self::Succeeded => 3,
            Self::Closed => 4,
            Self::Refused => 5,
            Self::Abnormal => 6,
        }
    }

    pub(super) const fn coded(code: u64) -> Option<Self> {
        match code {
            1 => Some(Self::Reserved),
            2 => Some(Self::Processing),
            3 => Some(Self::Succeeded),
            4 => Some(Self::Closed),
            5 => Some(Self::Refused),
            6 => Some(Self::Abnormal),
            _ => None,
        }
    }
}
