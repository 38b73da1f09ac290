//! WeChat Pay's refusal of an order, in its words. Beside `order`, since events have it too, and an
//! order has its latest event.

use wechatpay::api::Refusal;

/// WeChat Pay's final refusal of an order, as the client got it first. Only for the order's own
/// client: the free text may repeat what a payer or client wrote.
#[derive(Clone, Eq, PartialEq)]
pub struct OrderRefusal {
    /// Its code, as it came.
    pub code: String,
    pub message: String,
}

impl OrderRefusal {
    /// The text for the client, the same every time.
    pub fn detail(&self) -> String {
        format!(
            "WeChat Pay refused the order with {}: {}. Correct the cause and use a new order number.",
            self.code, self.message
        )
    }
}

impl From<&Refusal> for OrderRefusal {
    fn from(refusal: &Refusal) -> Self {
        Self {
            code: refusal.raw_code.clone(),
            message: refusal.message.clone(),
        }
    }
}

/// Shows the code only.
impl std::fmt::Debug for OrderRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrderRefusal")
            .field("code", &self.code)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_its_client_the_code_the_text_and_what_to_do_and_a_log_only_the_code() {
        let refusal = OrderRefusal {
            code: "PARAM_ERROR".to_owned(),
            message: "payer of the order unknown".to_owned(),
        };
        assert_eq!(
            refusal.detail(),
            "WeChat Pay refused the order with PARAM_ERROR: payer of the order unknown. Correct the cause and use a new order number."
        );
        assert_eq!(
            format!("{refusal:?}"),
            "OrderRefusal { code: \"PARAM_ERROR\", .. }"
        );
    }
}
