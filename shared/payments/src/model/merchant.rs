//! Facts about the merchant that are fixed for a deployment.

/// Values that are fixed for a deployment and go into every order.
#[derive(Clone, Debug)]
pub struct MerchantProfile {
    /// The merchant number.
    pub mchid: String,
    /// The appids that orders may be made for; the first is the default.
    pub appids: Vec<String>,
    /// Where WeChat Pay sends its callbacks. From the settings only, never from a request.
    pub notify_url: String,
}

/// Values that are fixed for a deployment and needed for decisions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MerchantFacts {
    /// The merchant number.
    pub mchid: String,
    /// Where WeChat Pay sends its callbacks, also for refunds.
    pub notify_url: String,
}
