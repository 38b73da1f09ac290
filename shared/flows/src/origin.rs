//! What a change comes from.

use payments::model::journal::{Cause, ChangeContext};
use wechatpay::UnixSeconds;

use crate::trace::Trace;

/// Why something is done, and under which trace. The events of all its changes record both.
#[derive(Clone, Debug)]
pub struct Origin {
    pub cause: Cause,
    pub trace: Trace,
}

impl Origin {
    /// What all events of a change that is decided at this time share.
    pub fn change_context(&self, at: UnixSeconds) -> ChangeContext {
        ChangeContext {
            cause: self.cause.clone(),
            trace: self.trace.id().to_owned(),
            at,
            request_id: None,
        }
    }
}
