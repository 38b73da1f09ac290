//! WeChat Pay: the self-test that proves the merchant's key, its number, WeChat Pay's own key, the
//! encryption of fields and the callback's whole way; the APIv3 key; the appids.
//!
//! `merchant` is what all of them work with. `record` examines what is stored, `examine` makes the
//! calls: `echo` for the self-test, `appid` for an order of one fen.

mod appid;
mod certificate_ends;
mod echo;
mod examine;
mod merchant;
mod outcome;
mod record;

pub(crate) use certificate_ends::{
    RENEW_BEFORE_DAYS, certificate_end_unknown, certificate_findings, is_superseded,
    own_certificate_ends, wechat_certificate_ends,
};
pub(crate) use merchant::{Merchant, sign_with};
pub(crate) use record::{not_set_up, wechat_key_unusable};
