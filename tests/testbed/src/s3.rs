//! S3 in this process, as far as the bundle uses it: objects and their uploads in parts,
//! conditional on nothing being there.
//!
//! It answers requests as the real SDK makes them, with the bucket in the path; buckets need not be
//! made. It checks what S3 checks of them: the order of parts and their tags, the smallest size of
//! a part, `If-None-Match: *`, the length of keys and metadata, and checksums. Its buckets are as
//! those with Object Lock: what is written has a checksum.
//!
//! Checksums of multipart uploads need care. An upload that names no algorithm at its start may
//! still send parts with checksums and gets them back; but completing the upload with them is
//! refused (`InvalidPart`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use runtime::aws::{Aws, AwsSettings};
use runtime::clock::Clock;

use crate::s3_http::{CRC32, META, S3Reply, S3Request, s3_request};
use crate::wire::FaultyTransport;

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
    /// What its parts are checked by, in lower case; `None` for one that was begun without.
    algorithm: Option<String>,
    /// By their numbers.
    parts: BTreeMap<u32, UploadPart>,
}

struct UploadPart {
    tag: String,
    checksum: String,
    bytes: Vec<u8>,
}

/// A part, as the request that completes an upload names it.
struct NamedPart {
    number: u32,
    tag: String,
    checksum: Option<String>,
}

impl S3Engine {
    /// An engine with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// A client for it whose calls go over a wire, and the wire.
    pub fn client(&self, clock: &Clock) -> (aws_sdk_s3::Client, FaultyTransport) {
        let wire = FaultyTransport::around(self.http_client(), clock.clone());
        let settings = AwsSettings::local("http://127.0.0.1:1");
        let aws = Aws::with_http_client(&settings, clock, wire.http_client());
        (aws.s3(), wire)
    }

    /// The client to give to [`Aws::with_http_client`], where no wire is wanted.
    pub fn http_client(&self) -> SharedHttpClient {
        SharedHttpClient::new(self.clone())
    }

    pub fn object(&self, bucket: &str, key: &str) -> Option<S3Object> {
        self.store()
            .objects
            .get(&format!("/{bucket}/{key}"))
            .cloned()
    }

    /// The keys of a bucket's objects, sorted.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        let folder = format!("/{bucket}/");
        let store = self.store();
        let keys = store.objects.keys();
        keys.filter_map(|path| path.strip_prefix(&folder).map(str::to_owned))
            .collect()
    }

    /// Stores an object, replacing any earlier one.
    pub fn put(&self, bucket: &str, key: &str, object: S3Object) {
        let path = format!("/{bucket}/{key}");
        self.store().objects.insert(path, object);
    }

    /// Number of uploads that were started and neither finished nor removed.
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

impl Store {
    fn answer(&mut self, request: &S3Request<'_>) -> S3Reply {
        let path = request.path().to_owned();
        if let Some(refusal) = request.malformed() {
            return refusal;
        }
        match request.operation() {
            Some("PutObject") => {
                let checksum = match request.checksum() {
                    Ok(checksum) => checksum,
                    Err(refusal) => return refusal,
                };
                if request.only_if_new() && self.objects.contains_key(&path) {
                    return there_already();
                }
                let object = S3Object {
                    body: request.body.to_vec(),
                    metadata: request.metadata(),
                    parts: 0,
                };
                self.objects.insert(path, object);
                S3Reply::good()
                    .with("etag", self.tag())
                    .with("x-amz-checksum-crc32", checksum)
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
            Some("CreateMultipartUpload") => self.begin_upload(request, path),
            Some("UploadPart") => self.upload_part(request),
            Some("CompleteMultipartUpload") => self.complete(request, &path),
            Some("AbortMultipartUpload") => {
                let id = request.query("uploadId").unwrap_or_default();
                if self.upload(id, &path).is_none() {
                    return S3Reply::bad(404, "NoSuchUpload");
                }
                self.uploads.remove(id);
                S3Reply {
                    status: 204,
                    ..S3Reply::default()
                }
            }
            Some(_) | None => S3Reply::bad(501, "NotImplemented"),
        }
    }

    fn begin_upload(&mut self, request: &S3Request<'_>, path: String) -> S3Reply {
        let algorithm = request.header("x-amz-checksum-algorithm");
        let algorithm = algorithm.map(str::to_ascii_lowercase);
        let kind = request.header("x-amz-checksum-type");
        match (algorithm.as_deref(), kind) {
            // By default the checksum of an upload with CRC32 is that of its parts' checksums.
            (None, None) | (Some(CRC32), None | Some("COMPOSITE")) => {}
            _ => return S3Reply::bad(400, "InvalidRequest"),
        }
        self.made += 1;
        let id = format!("upload-{}", self.made);
        let upload = Upload {
            path,
            metadata: request.metadata(),
            algorithm,
            parts: BTreeMap::new(),
        };
        self.uploads.insert(id.clone(), upload);
        S3Reply::xml(&format!(
            "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
        ))
    }

    fn upload_part(&mut self, request: &S3Request<'_>) -> S3Reply {
        let tag = self.tag();
        let id = request.query("uploadId").unwrap_or_default();
        let number = request
            .query("partNumber")
            .and_then(|number| number.parse().ok());
        let Some(upload) = self
            .uploads
            .get_mut(id)
            .filter(|upload| upload.path == request.path())
        else {
            return S3Reply::bad(404, "NoSuchUpload");
        };
        let Some(number @ 1..=10_000) = number else {
            return S3Reply::bad(400, "InvalidArgument");
        };
        let checksum = match request.checksum() {
            Ok(checksum) => checksum,
            Err(refusal) => return refusal,
        };
        let part = UploadPart {
            tag: tag.clone(),
            checksum: checksum.clone(),
            bytes: request.body.to_vec(),
        };
        upload.parts.insert(number, part);
        S3Reply::good()
            .with("etag", tag)
            .with("x-amz-checksum-crc32", checksum)
    }

    fn complete(&mut self, request: &S3Request<'_>, path: &str) -> S3Reply {
        let id = request.query("uploadId").unwrap_or_default();
        let Some(upload) = self.upload(id, path) else {
            return S3Reply::bad(404, "NoSuchUpload");
        };
        if request.only_if_new() && self.objects.contains_key(path) {
            return there_already();
        }
        let named = named_parts(&String::from_utf8_lossy(request.body));
        let whole = match upload.joined(&named, request.header("x-amz-checksum-type")) {
            Ok(whole) => whole,
            Err(code) => return S3Reply::bad(400, code),
        };
        let object = S3Object {
            body: whole,
            metadata: upload.metadata.clone(),
            parts: named.len(),
        };
        self.objects.insert(path.to_owned(), object);
        self.uploads.remove(id);
        S3Reply::xml("<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
    }

    /// An upload is known by its key and its id together.
    fn upload(&self, id: &str, path: &str) -> Option<&Upload> {
        self.uploads.get(id).filter(|upload| upload.path == path)
    }

    fn tag(&mut self) -> String {
        self.made += 1;
        format!("\"tag-{}\"", self.made)
    }
}

impl Upload {
    /// All parts that were named, one behind the other; or the code of S3's refusal.
    fn joined(&self, named: &[NamedPart], kind: Option<&str>) -> Result<Vec<u8>, &'static str> {
        if named.is_empty() {
            return Err("MalformedXML");
        }
        if kind.is_some() && self.algorithm.is_none() {
            return Err("InvalidRequest");
        }
        let (mut whole, mut before) = (Vec::new(), 0);
        for (
            place,
            NamedPart {
                number,
                tag,
                checksum,
            },
        ) in named.iter().enumerate()
        {
            let part = self.parts.get(number).ok_or("InvalidPart")?;
            // Where parts have checksums, their numbers have no gaps.
            let next = before + 1;
            let in_order = match &self.algorithm {
                Some(_) => *number == next,
                None => *number >= next,
            };
            if !in_order {
                return Err("InvalidPartOrder");
            }
            let same_checksum = match (&self.algorithm, checksum) {
                (Some(_), Some(named)) => *named == part.checksum,
                (Some(_), None) => return Err("InvalidRequest"),
                (None, Some(_)) => false,
                (None, None) => true,
            };
            if *tag != part.tag || !same_checksum {
                return Err("InvalidPart");
            }
            if part.bytes.len() < PART_MIN && place + 1 < named.len() {
                return Err("EntityTooSmall");
            }
            before = *number;
            whole.extend_from_slice(&part.bytes);
        }
        Ok(whole)
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

/// What the request that completes an upload lists.
fn named_parts(body: &str) -> Vec<NamedPart> {
    let parts = body.split("<Part>").skip(1).filter_map(|part| {
        Some(NamedPart {
            number: between(part, "<PartNumber>", "</PartNumber>")?
                .parse()
                .ok()?,
            tag: between(part, "<ETag>", "</ETag>")?.replace("&quot;", "\""),
            checksum: between(part, "<ChecksumCRC32>", "</ChecksumCRC32>").map(str::to_owned),
        })
    });
    parts.collect()
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(begin)?;
    rest.split_once(end).map(|(inner, _)| inner)
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
