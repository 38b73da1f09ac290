//! How much of everything is read. The limits are far above what an honest client sends; they keep
//! the work that an unauthenticated request can cause small and known. Lengths are in bytes.

/// `Signature-Input`, `Signature` and `Content-Digest`, each with all its lines joined.
pub const FIELD_MAX: usize = 4096;
/// Labels in `Signature-Input` or `Signature`: a client's own, and a few that proxies on the way
/// may add.
pub const LABELS_MAX: usize = 8;
/// Components that one signature covers.
pub const COMPONENTS_MAX: usize = 32;
/// A component's name.
pub const COMPONENT_NAME_MAX: usize = 128;
/// A component's value: a path, a query, or a header field with its lines joined.
pub const COMPONENT_VALUE_MAX: usize = 8192;
/// The parameters `keyid`, `nonce`, `alg` and `tag`.
pub const PARAMETER_MAX: usize = 128;
/// An HMAC secret is at least as long as SHA-256's output, as RFC 2104 advises.
pub const SECRET_MIN: usize = 32;
/// An HMAC secret beyond this is a mistake, say a whole key file.
pub const SECRET_MAX: usize = 1024;
