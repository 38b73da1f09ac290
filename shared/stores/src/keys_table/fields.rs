//! Reads an item's attributes.

use wechatpay::UnixSeconds;

use crate::attributes::{Item, bytes_of, number_of, text_of};

/// A text attribute; an empty one counts as none.
pub(super) fn text(item: &Item, name: &str) -> Option<String> {
    text_of(item, name)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

/// A binary attribute.
pub(super) fn bytes(item: &Item, name: &str) -> Option<Vec<u8>> {
    bytes_of(item, name).map(<[u8]>::to_vec)
}

/// A time in Unix seconds.
pub(super) fn time(item: &Item, name: &str) -> Option<UnixSeconds> {
    number_of(item, name).map(UnixSeconds)
}
