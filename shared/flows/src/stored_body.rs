//! WeChat Pay's request bodies as they are stored with their orders: encrypted, since they name
//! payers.

use payments::model::{ids::OrderNo, order::Order};
use stores::fields::{FieldError, FieldSeal};

/// Seals and opens the bodies of orders.
#[derive(Clone, Debug)]
pub struct StoredBodies {
    fields: FieldSeal,
}

impl StoredBodies {
    /// Bodies are sealed under the key of `fields`.
    pub fn new(fields: FieldSeal) -> Self {
        Self { fields }
    }

    /// Seals the body of an order.
    ///
    /// # Errors
    /// [`FieldError`].
    pub async fn seal(&self, order_no: &OrderNo, body: &[u8]) -> Result<Vec<u8>, FieldError> {
        self.fields.seal(&context(order_no), body).await
    }

    /// Opens the body that is stored with an order.
    ///
    /// # Errors
    /// [`FieldError`].
    pub async fn open(&self, order: &Order) -> Result<Vec<u8>, FieldError> {
        let opened = self
            .fields
            .open(&context(&order.order_no), &order.sealed_body)
            .await?;
        Ok(opened.to_vec())
    }
}

/// The encryption context of an order's body: a body that is moved to another order does not
/// decrypt.
fn context(order_no: &OrderNo) -> String {
    format!("orders/{order_no}/wechat_body")
}
