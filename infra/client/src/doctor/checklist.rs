//! What no program on a developer's machine can prove: an operator ticks it.

/// In the order in which it is best done.
pub(crate) const ONLY_BY_HAND: [&str; 7] = [
    "A payment of one yuan was made, seen as paid, and given back in full (README.md, A payment by hand).",
    "An alarm reaches a person: `aws cloudwatch set-alarm-state --state-value ALARM --state-reason test` on one of them.",
    "The notify URL is reached from mainland China, not only from here; its domain has an ICP filing where one is asked for.",
    "A member of the console's group gets in, and a colleague who is none does not.",
    "What stands before the API lets WeChat Pay's addresses through, and never takes them in place of a signature.",
    "The quotas of KMS (asymmetric requests), Lambda and API Gateway fit the parameters (infra/sizing.md).",
    "A table was restored to a point in time once, by the people who would have to do it.",
];
