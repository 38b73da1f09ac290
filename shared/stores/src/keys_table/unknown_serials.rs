//! Reports to `reconcile` that WeChat Pay signs with a platform certificate that is not stored
//! here.

use tracing::{info, warn};
use wechatpay::UnixSeconds;
use wechatpay::certificates::is_serial;

use crate::guards::{Guards, Lease};

/// How an unknown serial is reported: by a mark in the guards table, which `reconcile` checks
/// before it fetches WeChat Pay's certificates ahead of time. Messages with a known serial are not
/// affected, and one mark is for all sandboxes: anyone can send an unknown serial.
#[derive(Clone, Debug)]
pub struct UnknownSerials {
    guards: Guards,
}

impl UnknownSerials {
    /// In this table.
    pub fn new(guards: Guards) -> Self {
        Self { guards }
    }

    /// Sets the mark, if `serial` has the form of a platform certificate's. That it cannot be set
    /// changes nothing for the message: WeChat Pay sends it again, and then it is tried again.
    pub(super) async fn report(&self, serial: &str, mchid: &str, now: UnixSeconds) {
        if !is_serial(serial) {
            return;
        }
        match self.guards.mark_unknown_serial(mchid, serial, now).await {
            Ok(Lease::Acquired) => info!(
                serial,
                "a platform certificate is not known: reconcile fetches what WeChat Pay has"
            ),
            Ok(Lease::Held { .. }) => {}
            Err(error) => {
                let cause: &dyn std::error::Error = &error;
                warn!(
                    serial,
                    cause, "an unknown certificate could not be reported to reconcile"
                );
            }
        }
    }
}
