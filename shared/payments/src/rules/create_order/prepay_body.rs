//! The body of WeChat Pay's prepay call for an order.

use wechatpay::{
    UnixSeconds,
    api::{H5Info, PrepayAmount, PrepayBody, PrepaySceneInfo},
    time::format_rfc3339_beijing,
    wire::Payer as WirePayer,
};

use super::CreateOrder;
use crate::model::merchant::MerchantProfile;

impl CreateOrder {
    /// The body for WeChat Pay's prepay call, with an absolute `time_expire`, so that it can be
    /// sent again byte for byte.
    pub fn prepay_body(&self, merchant: &MerchantProfile, expires_at: UnixSeconds) -> PrepayBody {
        let terms = &self.terms;
        PrepayBody {
            appid: terms.appid.clone(),
            mchid: merchant.mchid.clone(),
            description: terms.description.clone(),
            out_trade_no: self.order_no.as_str().to_owned(),
            time_expire: Some(format_rfc3339_beijing(expires_at)),
            attach: terms.attach.clone(),
            notify_url: merchant.notify_url.clone(),
            goods_tag: terms.goods_tag.clone(),
            amount: PrepayAmount {
                total: terms.amount.get(),
                currency: Some("CNY".to_owned()),
            },
            payer: terms.openid.clone().map(|openid| WirePayer {
                openid: Some(openid),
            }),
            scene_info: terms.h5.as_ref().map(|h5| PrepaySceneInfo {
                payer_client_ip: h5.client_ip.clone(),
                h5_info: Some(H5Info {
                    kind: h5.kind.clone(),
                    ..H5Info::default()
                }),
                ..PrepaySceneInfo::default()
            }),
            ..PrepayBody::default()
        }
    }
}
