//! A signature for a call that no SDK makes here.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::identity::Identity;

/// What is signed: a POST of `body` to `url` with these headers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsigned<'a> {
    /// The name that the service's signatures are made for.
    pub(super) service: &'static str,
    pub(super) region: &'a str,
    pub(super) url: &'a str,
    pub(super) headers: &'a [(&'static str, &'a str)],
    pub(super) body: &'a [u8],
}

/// The headers that the signed call has more: names and values.
pub(super) fn signature(
    unsigned: Unsigned<'_>,
    credentials: Credentials,
    at: SystemTime,
) -> Result<Vec<(String, String)>, BoxError> {
    let identity = Identity::from(credentials);
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(unsigned.region)
        .name(unsigned.service)
        .time(at)
        .settings(SigningSettings::default())
        .build()?
        .into();
    let headers = unsigned.headers.iter().copied();
    let body = SignableBody::Bytes(unsigned.body);
    let request = SignableRequest::new("POST", unsigned.url, headers, body)?;
    let (instructions, _signature) = sign(request, &parameters)?.into_parts();
    Ok(instructions
        .headers()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}
