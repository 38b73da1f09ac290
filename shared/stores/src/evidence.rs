//! The original bills, stored in S3: the basis of a reconciliation can be read again years later.
//!
//! A file is written once and never replaced: each write has `If-None-Match: *`. It counts as
//! written only after [`EvidenceUpload::keep`], which the caller calls when the file's hash is the
//! one that WeChat Pay signed. Small files take one request; larger ones are sent in parts as they
//! arrive, so that only one part is in memory.
//!
//! Parts of an unfinished file are invisible but cost money. [`EvidenceUpload::give_up`] removes
//! them; those of a crashed function, or of an [`EvidenceUpload`] that was only dropped, are
//! removed by the bucket's lifecycle rule (`AbortIncompleteMultipartUpload`). Encryption is the
//! bucket's own default.
//!
//! The role that reads needs `s3:ListBucket` on the bucket: without it S3 answers 403 instead of
//! 404 for a missing file.

use std::time::Duration;

use aws_sdk_s3::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::get_object::GetObjectError,
    primitives::ByteStream,
    types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart},
};
use bytes::Bytes;
use runtime::aws::AwsError;
use tracing::warn;

/// The bucket, or the part of it under one prefix.
#[derive(Clone, Debug)]
pub struct Evidence {
    client: Client,
    bucket: String,
    prefix: String,
}

/// A file that is being stored.
#[derive(Debug)]
pub struct EvidenceUpload {
    evidence: Evidence,
    key: String,
    sha1: String,
    /// What belongs to the next part.
    part: Vec<u8>,
    /// The upload, once the file does not fit one part.
    upload: Option<Upload>,
}

#[derive(Debug)]
struct Upload {
    id: String,
    parts: Vec<CompletedPart>,
}

/// Result of storing a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StoreOutcome {
    /// It is there now.
    Stored,
    /// There was a file of this name, by an earlier run or an earlier try; it stays.
    AlreadyThere,
}

/// A stored file that is being read.
#[derive(Debug)]
pub struct EvidenceBytes {
    body: ByteStream,
    sha1: Option<String>,
}

/// S3 did not do what it was asked. What was asked may have happened.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// S3 did not answer, or refused.
    #[error("the evidence bucket did not do as asked")]
    Unavailable(#[source] AwsError),
    /// Another function is storing a file with the same name at this moment.
    #[error("another process stores the same file at this moment: try again")]
    Conflict,
    /// A file that was being read broke off, or no byte of it came in time.
    #[error("a file from the evidence bucket broke off: read it again")]
    BrokeOff(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl EvidenceError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(error) => error.is_transient(),
            Self::Conflict | Self::BrokeOff(_) => true,
        }
    }
}

/// The metadata with a file's hash: `x-amz-meta-sha1`.
const SHA1: &str = "sha1";

/// The checksum by which S3 verifies each request's bytes. A bucket with Object Lock accepts no
/// object and no part without one. A multipart upload must name it at the start: otherwise S3
/// answers `InvalidPart` when the upload is completed with the checksums of its parts.
const CHECKSUM: ChecksumAlgorithm = ChecksumAlgorithm::Crc32;

impl Evidence {
    /// How large a part is, in bytes. S3 takes 5 MiB to 5 GiB, and 10,000 of them: files to 80 GB,
    /// packed.
    pub const PART: usize = 8 * 1024 * 1024;

    /// How long the next bytes of a file may take.
    const CHUNK_WITHIN: Duration = Duration::from_secs(10);

    /// The bucket by its name. Keys are put behind `prefix`, which is empty or ends in a slash.
    pub fn new(client: Client, bucket: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self {
            client,
            bucket: bucket.into(),
            prefix: prefix.into(),
        }
    }

    /// Starts to store a file under this key. `sha1` is its text's hash as given by WeChat Pay; it
    /// is stored with the file. Makes no call to S3 yet.
    pub fn begin(&self, key: &str, sha1: &str) -> EvidenceUpload {
        EvidenceUpload {
            evidence: self.clone(),
            key: format!("{}{key}", self.prefix),
            sha1: sha1.to_owned(),
            part: Vec::new(),
            upload: None,
        }
    }

    /// Starts to read a file; `None` if there is none under this key.
    ///
    /// # Errors
    /// [`EvidenceError`].
    pub async fn open(&self, key: &str) -> Result<Option<EvidenceBytes>, EvidenceError> {
        let got = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(format!("{}{key}", self.prefix))
            .send()
            .await;
        match got {
            Ok(found) => Ok(Some(EvidenceBytes {
                sha1: found
                    .metadata()
                    .and_then(|metadata| metadata.get(SHA1))
                    .cloned(),
                body: found.body,
            })),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(GetObjectError::is_no_such_key) =>
            {
                Ok(None)
            }
            Err(error) => Err(failed("open a kept bill", error)),
        }
    }
}

impl EvidenceUpload {
    /// The next bytes of the file, as they came. Full parts go to S3 at once.
    ///
    /// # Errors
    /// [`EvidenceError`]; then give it up.
    pub async fn write(&mut self, mut chunk: &[u8]) -> Result<(), EvidenceError> {
        while !chunk.is_empty() {
            // A full part waits for the first byte behind it: a file of just one part needs no
            // upload in parts.
            if self.part.len() == Evidence::PART {
                // A call's future has kilobytes; boxed, it is only there while it is needed.
                Box::pin(self.send_part()).await?;
            }
            let room = Evidence::PART.saturating_sub(self.part.len());
            let (now, later) = chunk.split_at_checked(room).unwrap_or((chunk, &[]));
            self.part.extend_from_slice(now);
            chunk = later;
        }
        Ok(())
    }

    /// Ends the file, whose hash the caller has verified: from now on it can be read. A file that
    /// is there already stays.
    ///
    /// # Errors
    /// [`EvidenceError`]: nothing was stored, or it is unknown. Storing the same file again is
    /// safe.
    pub async fn keep(mut self) -> Result<StoreOutcome, EvidenceError> {
        if self.upload.is_none() {
            return Box::pin(self.put()).await;
        }
        let completed = match Box::pin(self.send_part()).await {
            Ok(()) => Box::pin(self.complete()).await,
            Err(error) => Err(error),
        };
        match &completed {
            Ok(StoreOutcome::Stored) => {}
            Ok(StoreOutcome::AlreadyThere) | Err(_) => Box::pin(self.give_up()).await,
        }
        completed
    }

    /// Takes away what was sent so far. Parts that cannot be removed now are removed by the
    /// bucket's lifecycle rule.
    pub async fn give_up(self) {
        let Some(upload) = self.upload else {
            return;
        };
        let aborted = self
            .evidence
            .client
            .abort_multipart_upload()
            .bucket(&self.evidence.bucket)
            .key(&self.key)
            .upload_id(upload.id)
            .send()
            .await;
        match aborted {
            Ok(_) => {}
            // It is gone already: finished or taken away by the call before, whose answer was lost.
            Err(error) if error.code() == Some(NO_SUCH_UPLOAD) => {}
            Err(error) => {
                let error = AwsError::new("abort an upload", error);
                warn!(%error, key = self.key, "the parts of a bill stay until the bucket's lifecycle rule");
            }
        }
    }

    /// Keeps a file of one part.
    async fn put(self) -> Result<StoreOutcome, EvidenceError> {
        let put = self
            .evidence
            .client
            .put_object()
            .bucket(&self.evidence.bucket)
            .key(&self.key)
            .if_none_match("*")
            .checksum_algorithm(CHECKSUM)
            .metadata(SHA1, &self.sha1)
            .body(ByteStream::from(self.part))
            .send()
            .await;
        match put {
            Ok(_) => Ok(StoreOutcome::Stored),
            Err(error) if error.code() == Some(THERE_ALREADY) => Ok(StoreOutcome::AlreadyThere),
            Err(error) => Err(failed("keep a bill", error)),
        }
    }

    /// Sends the collected bytes as the next part; starts the upload first if necessary.
    async fn send_part(&mut self) -> Result<(), EvidenceError> {
        let Self {
            evidence,
            key,
            sha1,
            part,
            upload,
        } = self;
        let upload = match upload {
            Some(upload) => upload,
            None => upload.insert(begin_upload(evidence, key, sha1).await?),
        };
        let number = i32::try_from(upload.parts.len().saturating_add(1)).unwrap_or(i32::MAX);
        let sent = evidence
            .client
            .upload_part()
            .bucket(&evidence.bucket)
            .key(&*key)
            .upload_id(&upload.id)
            .part_number(number)
            .checksum_algorithm(CHECKSUM)
            .body(ByteStream::from(std::mem::take(part)))
            .send()
            .await
            .map_err(|error| failed("send a part of a bill", error))?;
        upload.parts.push(
            CompletedPart::builder()
                .part_number(number)
                .set_e_tag(sent.e_tag)
                // The part's checksum as sent to S3, to be compared again.
                .set_checksum_crc32(sent.checksum_crc32)
                .build(),
        );
        Ok(())
    }

    async fn complete(&self) -> Result<StoreOutcome, EvidenceError> {
        let Some(upload) = &self.upload else {
            return Ok(StoreOutcome::AlreadyThere);
        };
        let completed = self
            .evidence
            .client
            .complete_multipart_upload()
            .bucket(&self.evidence.bucket)
            .key(&self.key)
            .upload_id(&upload.id)
            .if_none_match("*")
            .checksum_type(ChecksumType::Composite)
            .multipart_upload(
                CompletedMultipartUpload::builder()
                    .set_parts(Some(upload.parts.clone()))
                    .build(),
            )
            .send()
            .await;
        let error = match completed {
            Ok(_) => return Ok(StoreOutcome::Stored),
            Err(error) => error,
        };
        match error.code() {
            Some(THERE_ALREADY) => Ok(StoreOutcome::AlreadyThere),
            // Finished by the call before, whose answer was lost; or the lifecycle rule was faster.
            Some(NO_SUCH_UPLOAD) if self.is_there().await? => Ok(StoreOutcome::Stored),
            _ => Err(failed("finish a bill's upload", error)),
        }
    }

    async fn is_there(&self) -> Result<bool, EvidenceError> {
        let head = self
            .evidence
            .client
            .head_object()
            .bucket(&self.evidence.bucket)
            .key(&self.key)
            .send()
            .await;
        match head {
            Ok(_) => Ok(true),
            Err(error)
                if error.as_service_error().is_some_and(
                    aws_sdk_s3::operation::head_object::HeadObjectError::is_not_found,
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(failed("find a kept bill", error)),
        }
    }
}

impl EvidenceBytes {
    /// The hash that was stored with the file.
    pub fn sha1(&self) -> Option<&str> {
        self.sha1.as_deref()
    }

    /// The next bytes of the file; `None` at its end. Each may take 10 seconds.
    ///
    /// # Errors
    /// [`EvidenceError::BrokeOff`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, EvidenceError> {
        match tokio::time::timeout(Evidence::CHUNK_WITHIN, self.body.try_next()).await {
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(error)) => Err(EvidenceError::BrokeOff(Box::new(error))),
            Err(elapsed) => Err(EvidenceError::BrokeOff(Box::new(elapsed))),
        }
    }
}

/// Begins an upload in parts.
async fn begin_upload(evidence: &Evidence, key: &str, sha1: &str) -> Result<Upload, EvidenceError> {
    let begun = evidence
        .client
        .create_multipart_upload()
        .bucket(&evidence.bucket)
        .key(key)
        .checksum_algorithm(CHECKSUM)
        .checksum_type(ChecksumType::Composite)
        .metadata(SHA1, sha1)
        .send()
        .await
        .map_err(|error| failed("begin a bill's upload", error))?;
    Ok(Upload {
        id: begun.upload_id.unwrap_or_default(),
        parts: Vec::new(),
    })
}

/// What S3 says where `If-None-Match: *` does not hold (412).
const THERE_ALREADY: &str = "PreconditionFailed";
/// What S3 says when two such writes meet, or another operation is under way on the same key (409).
const CONFLICTS: [&str; 2] = ["ConditionalRequestConflict", "OperationAborted"];
const NO_SUCH_UPLOAD: &str = "NoSuchUpload";

fn failed<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> EvidenceError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    if error.code().is_some_and(|code| CONFLICTS.contains(&code)) {
        return EvidenceError::Conflict;
    }
    EvidenceError::Unavailable(AwsError::new(operation, error))
}
