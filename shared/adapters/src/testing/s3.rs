//! S3 in this process, as far as the bundle uses it: objects and their uploads in parts, conditional on nothing being there.
//!
//! It answers requests as the real SDK makes them, with the bucket in the path; buckets need not be made. It checks what S3
//! checks of them: the order of parts and their tags, the smallest size of a part, and `If-None-Match: *`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;

use crate::aws::{Aws, AwsSettings};
use crate::clock::Clock;
use crate::testing::Wire;

/// What the metadata of an object are called on the wire.
const META: &str = "x-amz-meta-";
/// The smallest part but the last, in bytes.
const PART_MIN: usize = 5 * 1024 * 1024;

/// An S3 of one's own. Clones share everything.
#[derive(Clone, Default)]
pub struct S3Engine(Arc<Mutex<Store>>);

#[derive(Default)]
struct Store {
    /// By bucket and key, as in the path: `/bucket/key`.
    objects: BTreeMap<String, S3Object>,
    uploads: BTreeMap<String, Upload>,
    made: u64,
}

/// A kept object.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct S3Object {
    /// Its bytes.
    pub body: Vec<u8>,
    /// Its metadata, by their names without `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
    /// In how many parts it came; 0 for one that came by one request.
    pub parts: usize,
}

struct Upload {
    path: String,
    metadata: BTreeMap<String, String>,
    /// By their numbers, with their tags.
    parts: BTreeMap<u32, (String, Vec<u8>)>,
}

/// A request, taken apart.
#[derive(Clone, Debug)]
pub struct S3Request<'a> {
    /// `PUT`, say.
    pub method: &'a str,
    /// Everything behind the host.
    pub path_and_query: &'a str,
    /// Names in lower case, and values.
    pub headers: Vec<(&'a str, &'a str)>,
    /// The body.
    pub body: &'a [u8],
}

/// An answer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct S3Reply {
    /// The status.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl S3Engine {
    /// An engine with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// A client for it whose calls go over a wire, and the wire.
    pub fn client(&self, clock: &Clock) -> (aws_sdk_s3::Client, Wire) {
        let wire = Wire::around(self.http_client(), clock.clone());
        let settings = AwsSettings::local("http://127.0.0.1:1");
        let aws = Aws::with_http_client(&settings, clock, wire.http_client());
        (aws.s3(), wire)
    }

    /// The client to give to [`Aws::with_http_client`], where no wire is wanted.
    pub fn http_client(&self) -> SharedHttpClient {
        SharedHttpClient::new(self.clone())
    }

    /// An object by its bucket and key.
    pub fn object(&self, bucket: &str, key: &str) -> Option<S3Object> {
        self.store()
            .objects
            .get(&format!("/{bucket}/{key}"))
            .cloned()
    }

    /// Puts an object there, whatever was there.
    pub fn put(&self, bucket: &str, key: &str, object: S3Object) {
        let path = format!("/{bucket}/{key}");
        self.store().objects.insert(path, object);
    }

    /// How many uploads were begun and neither finished nor taken away.
    pub fn open_uploads(&self) -> usize {
        self.store().uploads.len()
    }

    /// Does what a request asks for.
    pub fn answer(&self, request: &S3Request<'_>) -> S3Reply {
        self.store().answer(request)
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

    fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.path_and_query.split_once('?')?;
        query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then_some(value)
        })
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find_map(|(found, value)| (*found == name).then_some(*value))
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        let named = self.headers.iter().filter_map(|(name, value)| {
            let name = name.strip_prefix(META)?;
            Some((name.to_owned(), (*value).to_owned()))
        });
        named.collect()
    }

    /// Whether the write may go over what is there.
    fn only_if_new(&self) -> bool {
        self.header("if-none-match") == Some("*")
    }
}

impl Store {
    fn answer(&mut self, request: &S3Request<'_>) -> S3Reply {
        let path = request.path().to_owned();
        match request.operation() {
            Some("PutObject") => {
                if request.only_if_new() && self.objects.contains_key(&path) {
                    return there_already();
                }
                let object = S3Object {
                    body: request.body.to_vec(),
                    metadata: request.metadata(),
                    parts: 0,
                };
                self.objects.insert(path, object);
                S3Reply::good().with("etag", self.tag())
            }
            Some("GetObject") => match self.objects.get(&path) {
                Some(object) => S3Reply {
                    body: object.body.clone(),
                    ..described(object)
                },
                None => S3Reply::bad(404, "NoSuchKey"),
            },
            Some("HeadObject") => match self.objects.get(&path) {
                Some(object) => described(object),
                None => S3Reply {
                    status: 404,
                    ..S3Reply::default()
                },
            },
            Some("CreateMultipartUpload") => {
                self.made += 1;
                let id = format!("upload-{}", self.made);
                let upload = Upload {
                    path,
                    metadata: request.metadata(),
                    parts: BTreeMap::new(),
                };
                self.uploads.insert(id.clone(), upload);
                S3Reply::xml(&format!(
                    "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                ))
            }
            Some("UploadPart") => self.upload_part(request),
            Some("CompleteMultipartUpload") => self.complete(request, &path),
            Some("AbortMultipartUpload") => {
                let id = request.query("uploadId").unwrap_or_default();
                match self.uploads.remove(id) {
                    Some(_) => S3Reply {
                        status: 204,
                        ..S3Reply::default()
                    },
                    None => S3Reply::bad(404, "NoSuchUpload"),
                }
            }
            Some(_) | None => S3Reply::bad(501, "NotImplemented"),
        }
    }

    fn upload_part(&mut self, request: &S3Request<'_>) -> S3Reply {
        let tag = self.tag();
        let id = request.query("uploadId").unwrap_or_default();
        let number = request
            .query("partNumber")
            .and_then(|number| number.parse().ok());
        match (self.uploads.get_mut(id), number) {
            (Some(upload), Some(number @ 1..=10_000)) => {
                let part = (tag.clone(), request.body.to_vec());
                upload.parts.insert(number, part);
                S3Reply::good().with("etag", tag)
            }
            (Some(_), _) => S3Reply::bad(400, "InvalidArgument"),
            (None, _) => S3Reply::bad(404, "NoSuchUpload"),
        }
    }

    fn complete(&mut self, request: &S3Request<'_>, path: &str) -> S3Reply {
        let id = request.query("uploadId").unwrap_or_default();
        let Some(upload) = self.uploads.get(id).filter(|upload| upload.path == path) else {
            return S3Reply::bad(404, "NoSuchUpload");
        };
        if request.only_if_new() && self.objects.contains_key(path) {
            return there_already();
        }
        let body = String::from_utf8_lossy(request.body);
        let named: Vec<(u32, String)> = body
            .split("<Part>")
            .skip(1)
            .filter_map(|part| {
                let number = between(part, "<PartNumber>", "</PartNumber>")?;
                let tag = between(part, "<ETag>", "</ETag>")?.replace("&quot;", "\"");
                Some((number.parse().ok()?, tag))
            })
            .collect();
        let (mut whole, mut before) = (Vec::new(), 0);
        for (place, (number, tag)) in named.iter().enumerate() {
            let Some((_, part)) = upload.parts.get(number).filter(|(sent, _)| sent == tag) else {
                return S3Reply::bad(400, "InvalidPart");
            };
            if *number <= before {
                return S3Reply::bad(400, "InvalidPartOrder");
            }
            if part.len() < PART_MIN && place + 1 < named.len() {
                return S3Reply::bad(400, "EntityTooSmall");
            }
            before = *number;
            whole.extend_from_slice(part);
        }
        if named.is_empty() {
            return S3Reply::bad(400, "MalformedXML");
        }
        let object = S3Object {
            body: whole,
            metadata: upload.metadata.clone(),
            parts: named.len(),
        };
        self.objects.insert(path.to_owned(), object);
        self.uploads.remove(id);
        S3Reply::xml("<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
    }

    fn tag(&mut self) -> String {
        self.made += 1;
        format!("\"tag-{}\"", self.made)
    }
}

impl S3Reply {
    fn good() -> Self {
        Self {
            status: 200,
            ..Self::default()
        }
    }

    fn xml(body: &str) -> Self {
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

    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The answer as the SDK takes it.
    ///
    /// # Errors
    /// A status that is none.
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

fn described(object: &S3Object) -> S3Reply {
    let length = object.body.len().to_string();
    object.metadata.iter().fold(
        S3Reply::good().with("content-length", length),
        |reply, (name, value)| reply.with(&format!("{META}{name}"), value),
    )
}

fn there_already() -> S3Reply {
    S3Reply::bad(412, "PreconditionFailed")
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(begin)?;
    rest.split_once(end).map(|(inner, _)| inner)
}

/// A request of the SDK's, taken apart.
///
/// # Errors
/// A body that is not in memory: the bundle sends none.
pub fn s3_request(request: &HttpRequest) -> Result<S3Request<'_>, ConnectorError> {
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

impl fmt::Debug for S3Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Engine").finish_non_exhaustive()
    }
}

impl HttpClient for S3Engine {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _parts: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for S3Engine {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answered =
            s3_request(&request).and_then(|request| self.answer(&request).into_response());
        HttpConnectorFuture::ready(answered)
    }
}
