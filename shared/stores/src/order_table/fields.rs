//! Reads an item of the orders table attribute by attribute.

use payments::model::{ids::RefundId, money::Fen};
use wechatpay::UnixSeconds;

use super::error::TableError;
use crate::attributes::{Item, bytes_of, number_of, text_of};

/// An item's attributes by name and type; what is missing or of another type is named in the error.
pub(super) struct Fields<'a> {
    pub(super) item: &'a Item,
}

impl<'a> Fields<'a> {
    pub(super) fn damaged(&self, attribute: &'static str) -> TableError {
        TableError::Damaged {
            order_no: self.optional("order_no").unwrap_or("?").to_owned(),
            attribute,
        }
    }

    pub(super) fn optional(&self, name: &str) -> Option<&'a str> {
        text_of(self.item, name)
    }

    pub(super) fn text(&self, name: &'static str) -> Result<&'a str, TableError> {
        self.optional(name).ok_or_else(|| self.damaged(name))
    }

    pub(super) fn parsed<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, TableError> {
        parse(self.text(name)?).ok_or_else(|| self.damaged(name))
    }

    pub(super) fn number<T: std::str::FromStr>(&self, name: &'static str) -> Result<T, TableError> {
        number_of(self.item, name).ok_or_else(|| self.damaged(name))
    }

    pub(super) fn bytes(&self, name: &'static str) -> Result<&'a [u8], TableError> {
        bytes_of(self.item, name).ok_or_else(|| self.damaged(name))
    }

    pub(super) fn optional_bytes(&self, name: &str) -> Option<&'a [u8]> {
        bytes_of(self.item, name)
    }

    /// WeChat Pay's number of a refund, which it has once WeChat Pay has answered.
    pub(super) fn refund_id(&self) -> Result<Option<RefundId>, TableError> {
        self.optional("refund_id")
            .map(|id| RefundId::parse(id).map_err(|_| self.damaged("refund_id")))
            .transpose()
    }

    /// A time that may not be there.
    pub(super) fn optional_seconds(
        &self,
        name: &'static str,
    ) -> Result<Option<UnixSeconds>, TableError> {
        self.item
            .get(name)
            .map(|_| self.number(name).map(UnixSeconds))
            .transpose()
    }

    pub(super) fn fen(&self, name: &'static str) -> Result<Fen, TableError> {
        Fen::new(self.number(name)?).ok_or_else(|| self.damaged(name))
    }
}
