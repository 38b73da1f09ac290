//! What the routes under `/admin` share.

use std::sync::Arc;

use crate::{admin::Admin, details::ClientDetails};

/// What the routes share.
#[derive(Clone)]
pub(crate) struct AdminState {
    pub(crate) admin: Admin,
    pub(crate) details: Arc<ClientDetails>,
}
