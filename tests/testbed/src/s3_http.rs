//! S3's requests and answers on the wire.

use std::collections::BTreeMap;

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What the metadata of an object are called on the wire.
pub(crate) const META: &str = "x-amz-meta-";
/// The longest key, in bytes of UTF-8.
const KEY_MAX: usize = 1024;
/// All names and values of an object's metadata, in bytes.
pub(crate) const METADATA_MAX: usize = 2048;
/// What the checksums on the wire begin with; what follows is the algorithm.
const CHECKSUM: &str = "x-amz-checksum-";
/// The only algorithm that this engine has, which is the SDK's own choice.
pub(crate) const CRC32: &str = "crc32";

/// A request, taken apart.
#[derive(Clone, Debug)]
pub struct S3Request<'a> {
    /// `PUT`, say.
    pub method: &'a str,
    /// Everything behind the host.
    pub path_and_query: &'a str,
    /// Names in lower case, and values.
    pub headers: Vec<(&'a str, &'a str)>,
    pub body: &'a [u8],
}

/// An answer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct S3Reply {
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl S3Request<'_> {
    /// The operation that it is, by S3's name; `None` for one that the bundle does not use.
    pub fn operation(&self) -> Option<&'static str> {
        let upload = self.query("uploadId").is_some();
        match self.method {
            "PUT" if upload => Some("UploadPart"),
            "PUT" => Some("PutObject"),
            "GET" => Some("GetObject"),
            "HEAD" => Some("HeadObject"),
            "POST" if upload => Some("CompleteMultipartUpload"),
            "POST" if self.query("uploads").is_some() => Some("CreateMultipartUpload"),
            "DELETE" if upload => Some("AbortMultipartUpload"),
            _ => None,
        }
    }

    /// Bucket and key: `/bucket/key`.
    pub fn path(&self) -> &str {
        let path = self.path_and_query.split('?').next();
        path.unwrap_or_default()
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.path_and_query.split_once('?')?;
        query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then_some(value)
        })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find_map(|(found, value)| (*found == name).then_some(*value))
    }

    pub(crate) fn metadata(&self) -> BTreeMap<String, String> {
        let named = self.headers.iter().filter_map(|(name, value)| {
            let name = name.strip_prefix(META)?;
            Some((name.to_owned(), (*value).to_owned()))
        });
        named.collect()
    }

    /// What is wrong with the request's key or metadata.
    pub(crate) fn malformed(&self) -> Option<S3Reply> {
        let key = self.path().splitn(3, '/').nth(2).unwrap_or_default();
        if key.is_empty() || key.len() > KEY_MAX {
            return Some(S3Reply::bad(400, "KeyTooLongError"));
        }
        let metadata = self.metadata();
        let length: usize = metadata
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        (length > METADATA_MAX).then(|| S3Reply::bad(400, "MetadataTooLarge"))
    }

    /// The checksum of the body, if it is the one that the request says.
    pub(crate) fn checksum(&self) -> Result<String, S3Reply> {
        let said = self.headers.iter().find_map(|(name, value)| {
            let algorithm = name.strip_prefix(CHECKSUM)?;
            let about_it = matches!(algorithm, "algorithm" | "type" | "mode");
            (!about_it).then_some((algorithm, *value))
        });
        match said {
            Some((CRC32, said)) if said == crc32(self.body) => Ok(said.to_owned()),
            Some((CRC32, _)) => Err(S3Reply::bad(400, "BadDigest")),
            // None, which a bucket with Object Lock refuses; or one that this engine cannot
            // compute.
            Some(_) | None => Err(S3Reply::bad(400, "InvalidRequest")),
        }
    }

    /// Whether the write may go over what is there.
    pub(crate) fn only_if_new(&self) -> bool {
        self.header("if-none-match") == Some("*")
    }
}

impl S3Reply {
    pub(crate) fn good() -> Self {
        Self {
            status: 200,
            ..Self::default()
        }
    }

    pub(crate) fn xml(body: &str) -> Self {
        Self {
            body: body.as_bytes().to_vec(),
            ..Self::good().with("content-type", "application/xml")
        }
    }

    /// An error, as S3 says it.
    pub fn bad(status: u16, code: &str) -> Self {
        let body = format!("<Error><Code>{code}</Code><Message>by the test</Message></Error>");
        Self {
            status,
            ..Self::xml(&body)
        }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The answer as the SDK takes it.
    ///
    /// # Errors
    /// An invalid status.
    pub fn into_response(self) -> Result<HttpResponse, ConnectorError> {
        let status = self
            .status
            .try_into()
            .map_err(|error| ConnectorError::other(Box::new(error), None))?;
        let mut response = HttpResponse::new(status, SdkBody::from(self.body));
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        Ok(response)
    }
}

/// A checksum as it is sent.
pub(crate) fn crc32(bytes: &[u8]) -> String {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    STANDARD.encode(crc.sum().to_be_bytes())
}

/// A request of the SDK's, taken apart.
///
/// # Errors
/// A body that is not in memory: this project sends none.
pub(crate) fn s3_request(request: &HttpRequest) -> Result<S3Request<'_>, ConnectorError> {
    let uri = request.uri();
    let path = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let path_and_query = path
        .find('/')
        .and_then(|at| path.get(at..))
        .unwrap_or_default();
    let body = request
        .body()
        .bytes()
        .ok_or_else(|| ConnectorError::user("a body that is a stream".into()))?;
    Ok(S3Request {
        method: request.method(),
        path_and_query,
        headers: request.headers().iter().collect(),
        body,
    })
}
