//! What no program on a developer's machine can prove: an operator ticks it. infra/DEPLOY.md prints
//! the same.

/// In the order in which it is best done.
pub(crate) const ONLY_BY_HAND: [&str; 20] = [
    "The product is granted, the appid is bound, and what the product asks for is registered: payment directory (JSAPI), request domain (mini program), application (APP), H5 domain with redirect_url.",
    "The merchant platform took the certificate request of `keys csr`, and the certificate that came back is the one in use; where it refused it, another key signs (infra/DEPLOY.md, Keys).",
    "A first deployment that failed was taken away and made again under its name, once, on a test stack: with a DomainCertificateArn that does not exist it ends in ROLLBACK_COMPLETE and leaves no table and no queue, and after the stack is deleted the same command without it ends in CREATE_COMPLETE (infra/DEPLOY.md, Deploy).",
    "Functions that were built for arm64 on x86-64 run: minutes after the deployment the log of reconcile has `sweep done`, and no function's log has `Runtime exited` or `exec format error` (infra/runbooks/functions.md).",
    "The notify URL is reached from mainland China, not only from here; its domain has an ICP filing where one is asked for.",
    "What stands before the API lets WeChat Pay's addresses through, and never takes them in place of a signature.",
    "Refunds from listed addresses only is off on the merchant platform, or a refund of one fen arrived through the stack's fixed addresses.",
    "Where a stack has left its VPC: 20 minutes after the versions with it were deleted no network interface of theirs is left, and the network's stack can be deleted (infra/DEPLOY.md, Fixed addresses).",
    "A payment of one yuan was made, seen as paid within seconds, and given back in full.",
    "An alarm reaches a person: one was set to ALARM by hand (aws cloudwatch set-alarm-state).",
    "A member of the console's group gets in (doctor --console-token-file), and a colleague who is none does not.",
    "`doctor` ran with a profile of SSO; the operator's role is refused to a user who signed in without MFA, and `redrive` of an empty queue ran with the role after MFA (infra/runbooks/README.md, Credentials).",
    "A message that a person without the operator's role sends to a queue is refused, and one with it is taken.",
    "A release went out by a tenth of the calls (two versions at the alias, then one), one that panics in its handler was taken back by its alarms and ended in UPDATE_ROLLBACK_COMPLETE, and one was stopped by the page's command, once, on a test stack (infra/DEPLOY.md, A new release).",
    "What was changed by hand was put back, once, on a test stack: a queue's visibility timeout, a queue's policy, the sweep's schedule switched off and an alarm deleted; the change set shows all but the policy as drift and no table or key, and `doctor` finds none of them afterwards (infra/runbooks/doctor.md, Put back what was changed by hand).",
    "The tables were restored by the page, once, on a test stack, by the people who would have to do it, and the stack was deployed after it.",
    "Where there are backups: one and its copy in the other Region ended COMPLETED, the keys are replicated there, and a test stack was brought back from both.",
    "Where there is a trail or a budget: its alarm or mail came, for a key's policy that was changed on a test stack.",
    "Where the API has a domain of its own: a callback and a signed request come through it, and the address that API Gateway gave answers no more (infra/DEPLOY.md, A domain).",
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
