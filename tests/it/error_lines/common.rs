//! What several stages share.

use std::time::Duration;

use serde_json::Value;
use wechatpay_simulator::{Endpoint, Fault, Rule};

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn always(fault: Fault, at: Endpoint) -> Rule {
    Rule::always(fault).at(at)
}

pub(super) fn refuse(status: u16, code: &str) -> Fault {
    Fault::Refuse {
        status,
        code: code.to_owned(),
    }
}

pub(super) fn named<'a>(lines: &'a [Value], message: &str) -> Vec<&'a Value> {
    let lines = lines.iter();
    lines.filter(|line| line["message"] == message).collect()
}
