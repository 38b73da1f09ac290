//! What no program on a developer's machine can prove: an operator ticks it. infra/DEPLOY.md prints
//! the same.

/// In the order in which it is best done.
pub(crate) const ONLY_BY_HAND: [&str; 13] = [
    "The product is granted, the appid is bound, and what the product asks for is registered: payment directory (JSAPI), request domain (mini program), application (APP), H5 domain with redirect_url.",
    "The notify URL is reached from mainland China, not only from here; its domain has an ICP filing where one is asked for.",
    "What stands before the API lets WeChat Pay's addresses through, and never takes them in place of a signature.",
    "Refunds from listed addresses only is off on the merchant platform, or a refund of one fen arrived through the stack's fixed addresses.",
    "A payment of one yuan was made, seen as paid within seconds, and given back in full.",
    "An alarm reaches a person: one was set to ALARM by hand (aws cloudwatch set-alarm-state).",
    "A member of the console's group gets in (doctor --console-token-file), and a colleague who is none does not.",
    "A message that a person without the operator's role sends to a queue is refused, and one with it is taken.",
    "A release whose version fails was taken back by its alarms, once, on a test stack.",
    "The tables were restored by the page, once, on a test stack, by the people who would have to do it, and the stack was deployed after it.",
    "Where there are backups: one and its copy in the other Region ended COMPLETED, the keys are replicated there, and a test stack was brought back from both.",
    "Where there is a trail or a budget: its alarm or mail came, for a key's policy that was changed on a test stack.",
    "Where CloudFront is in front: a callback and a signed request come through it, and nothing comes past it.",
];

#[cfg(test)]
mod tests {
    use super::ONLY_BY_HAND;

    #[test]
    fn the_page_on_deployments_has_the_same_list() {
        let page = include_str!("../../../DEPLOY.md");
        let printed: Vec<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix("- [ ] "))
            .collect();
        assert_eq!(printed, ONLY_BY_HAND);
    }
}
