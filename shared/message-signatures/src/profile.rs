//! What a signature must cover, and how old it may be.

use crate::component::Component;
use crate::refusal::Refusal;
use crate::request::Request;

/// What a server requires of a signature. RFC 9421 section 1.4 leaves this to each application.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// Components that every signature covers. `@target-uri` covers `@authority`, `@path` and
    /// `@query`.
    pub always: &'static [&'static str],
    /// Header fields (lower case) that are covered whenever the request has them: those that change
    /// what it does.
    pub when_present: &'static [&'static str],
    /// Methods whose signature has a `nonce`: those that change something.
    pub nonce_methods: &'static [&'static str],
    /// Seconds that `created` may be away from our clock, either way. A wider window only lengthens
    /// the time in which nonces must be remembered.
    pub window_s: i64,
}

impl Profile {
    /// What the merchant API of this bundle requires. `content-digest` besides, as every profile,
    /// if there is a body.
    pub const MERCHANT_API: Self = Self {
        always: &["@method", "@authority", "@path", "@query"],
        when_present: &["idempotency-key", "prefer"],
        nonce_methods: &["POST"],
        window_s: 300,
    };

    /// Names of the components that this request's signature must cover, in the order in which
    /// [`sign()`](crate::sign()) covers them.
    pub fn required(&self, request: &Request<'_>) -> impl Iterator<Item = &'static str> {
        let always = self.always.iter().copied();
        let fields = self
            .when_present
            .iter()
            .copied()
            .filter(|name| request.has(name));
        let digest = (!request.body.is_empty()).then_some("content-digest");
        always.chain(fields).chain(digest)
    }

    /// Whether this request's signature must have a nonce.
    #[must_use]
    pub fn needs_nonce(&self, request: &Request<'_>) -> bool {
        self.nonce_methods.contains(&request.method)
    }

    /// Refuses a signature that leaves out what this profile requires.
    pub(crate) fn check_coverage(
        &self,
        request: &Request<'_>,
        covered: &[Component],
    ) -> Result<(), Refusal> {
        match self
            .required(request)
            .find(|name| !covered.iter().any(|component| component.covers(name)))
        {
            None => Ok(()),
            Some(name) => Err(Refusal::NotCovered {
                component: name.to_owned(),
            }),
        }
    }
}
