//! Where the columns of a trade bill are.

use super::error::BillError;
use super::record::{ABSENT, Header};

/// Indices by name. Whatever the manual calls optional, or one kind of bill has not, may be
/// [`ABSENT`].
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    pub(super) at: usize,
    pub(super) requested_at: usize,
    pub(super) refunded_at: usize,
    pub(super) appid: usize,
    pub(super) mchid: usize,
    pub(super) sub_mchid: usize,
    pub(super) device_id: usize,
    pub(super) transaction_id: usize,
    pub(super) out_trade_no: usize,
    pub(super) openid: usize,
    pub(super) trade_type: usize,
    pub(super) state: usize,
    pub(super) bank_type: usize,
    pub(super) currency: usize,
    pub(super) settlement: usize,
    pub(super) coupon: usize,
    pub(super) refund_id: usize,
    pub(super) out_refund_no: usize,
    pub(super) refund: usize,
    pub(super) refund_coupon: usize,
    pub(super) refund_type: usize,
    pub(super) refund_state: usize,
    pub(super) description: usize,
    pub(super) attach: usize,
    pub(super) fee: usize,
    pub(super) rate: usize,
    /// The old format has no order amount of its own: then this is `settlement`.
    pub(super) total: usize,
    /// The old format has no requested refund of its own: then this is `refund`.
    pub(super) requested_refund: usize,
    pub(super) rate_note: usize,
    /// All others.
    pub(super) unknown: Vec<usize>,
}

impl Columns {
    pub(super) fn find(header: &Header) -> Result<Self, BillError> {
        let one = |name: &'static str| header.find(&[name]);
        let must = |name: &'static str| header.require(&[name]);
        let old = one("总金额")? != ABSENT;
        let settlement = header.require(&["应结订单金额", "总金额"])?;
        let refund = one("退款金额")?;
        let mut columns = Self {
            at: must("交易时间")?,
            requested_at: one("退款申请时间")?,
            refunded_at: one("退款成功时间")?,
            appid: must("公众账号ID")?,
            mchid: must("商户号")?,
            sub_mchid: header.find(&["特约商户号", "子商户号"])?,
            device_id: one("设备号")?,
            transaction_id: must("微信订单号")?,
            out_trade_no: must("商户订单号")?,
            openid: one("用户标识")?,
            trade_type: one("交易类型")?,
            state: must("交易状态")?,
            bank_type: one("付款银行")?,
            currency: must("货币种类")?,
            settlement,
            coupon: header.find(&["代金券金额", "企业红包金额", "代金券或立减优惠金额"])?,
            refund_id: one("微信退款单号")?,
            out_refund_no: one("商户退款单号")?,
            refund,
            refund_coupon: header.find(&[
                "充值券退款金额",
                "企业红包退款金额",
                "代金券或立减优惠退款金额",
            ])?,
            refund_type: one("退款类型")?,
            refund_state: one("退款状态")?,
            description: one("商品名称")?,
            attach: one("商户数据包")?,
            fee: must("手续费")?,
            rate: one("费率")?,
            total: if old {
                settlement
            } else {
                must("订单金额")?
            },
            requested_refund: if old {
                refund
            } else {
                one("申请退款金额")?
            },
            rate_note: one("费率备注")?,
            unknown: Vec::new(),
        };
        // A bill with refunds has their numbers and amounts.
        if columns.refund_id != ABSENT || columns.refund != ABSENT {
            must("微信退款单号")?;
            must("商户退款单号")?;
            must("退款金额")?;
            if !old {
                must("申请退款金额")?;
            }
        }
        let known = columns.known();
        columns.unknown = (0..header.names.len())
            .filter(|at| !known.contains(at))
            .collect();
        Ok(columns)
    }

    /// The column of the order amount that has a sum of its own.
    pub(super) fn own_total(&self) -> usize {
        if self.total == self.settlement {
            ABSENT
        } else {
            self.total
        }
    }

    /// The column of the requested refund that has a sum of its own.
    pub(super) fn own_requested_refund(&self) -> usize {
        if self.requested_refund == self.refund {
            ABSENT
        } else {
            self.requested_refund
        }
    }

    fn known(&self) -> [usize; 29] {
        [
            self.at,
            self.requested_at,
            self.refunded_at,
            self.appid,
            self.mchid,
            self.sub_mchid,
            self.device_id,
            self.transaction_id,
            self.out_trade_no,
            self.openid,
            self.trade_type,
            self.state,
            self.bank_type,
            self.currency,
            self.settlement,
            self.coupon,
            self.refund_id,
            self.out_refund_no,
            self.refund,
            self.refund_coupon,
            self.refund_type,
            self.refund_state,
            self.description,
            self.attach,
            self.fee,
            self.rate,
            self.total,
            self.requested_refund,
            self.rate_note,
        ]
    }
}
