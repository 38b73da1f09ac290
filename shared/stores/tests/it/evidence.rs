//! Keeping bills in S3 by the real SDK: small and large, once and twice, with answers lost on the
//! way.

use runtime::clock::Clock;
use stores::evidence::{Evidence, EvidenceError, EvidenceUpload, StoreOutcome};
use testbed::{Fault, FaultyTransport, Match, S3Engine, S3Object, Service};

use testbed::{NOW, chain};

const BUCKET: &str = "evidence";
const KEY: &str = "2026-08-01/trade.csv.gz";
const SHA1: &str = "79bb0f45fc4c42234a918000b2668d689e2bde04";

struct Bench {
    engine: S3Engine,
    wire: FaultyTransport,
    evidence: Evidence,
}

impl Bench {
    fn new() -> Self {
        let engine = S3Engine::new();
        let (client, wire) = engine.client(&Clock::manual(NOW));
        Self {
            evidence: Evidence::new(client, BUCKET, "bills/"),
            engine,
            wire,
        }
    }

    /// An upload in progress, all of it written in pieces of `size` bytes.
    async fn written(&self, file: &[u8], size: usize) -> EvidenceUpload {
        let mut keeping = self.evidence.begin(KEY, SHA1);
        for piece in file.chunks(size) {
            keeping.write(piece).await.expect("written");
        }
        keeping
    }

    async fn kept(&self, file: &[u8]) -> StoreOutcome {
        let keeping = self.written(file, 100_000).await;
        keeping.keep().await.expect("kept")
    }

    fn object(&self) -> Option<S3Object> {
        self.engine.object(BUCKET, &format!("bills/{KEY}"))
    }

    async fn read(&self) -> Option<(Vec<u8>, Option<String>)> {
        let mut bytes = self.evidence.open(KEY).await.expect("an answer")?;
        let sha1 = bytes.sha1().map(str::to_owned);
        let mut file = Vec::new();
        while let Some(chunk) = bytes.chunk().await.expect("whole") {
            file.extend_from_slice(&chunk);
        }
        Some((file, sha1))
    }

    fn sent(&self) -> Vec<String> {
        let calls = self.wire.calls();
        calls.into_iter().map(|call| call.operation).collect()
    }
}

/// Bytes without two equal blocks.
fn file(length: usize) -> Vec<u8> {
    let mut file = vec![7; length];
    for (number, block) in file.chunks_mut(4096).enumerate() {
        if let Some(head) = block.first_chunk_mut() {
            *head = number.to_be_bytes();
        }
    }
    file
}

fn large() -> Vec<u8> {
    file(2 * Evidence::PART + 1)
}

fn calls(operation: &str) -> Match {
    Match::operation(Service::S3, operation)
}

#[tokio::test]
async fn a_small_file_goes_by_one_request_with_its_hash_and_comes_back_byte_for_byte() {
    let bench = Bench::new();
    let small = file(300_000);
    let keeping = bench.written(&small, 7_777).await;
    assert_eq!(
        bench.sent(),
        Vec::<String>::new(),
        "its hash is not known yet"
    );
    assert_eq!(keeping.keep().await.expect("kept"), StoreOutcome::Stored);
    assert_eq!(bench.sent(), ["PutObject"]);
    let found = bench.read().await;
    assert!(found == Some((small, Some(SHA1.to_owned()))));
}

#[tokio::test]
async fn a_large_file_goes_in_parts_as_it_comes_and_is_there_only_when_it_is_kept() {
    let bench = Bench::new();
    let large = large();
    let keeping = bench.written(&large, 1_000_003).await;
    assert_eq!(
        bench.sent(),
        ["CreateMultipartUpload", "UploadPart", "UploadPart"],
        "what came so far"
    );
    assert!(bench.read().await.is_none(), "nobody has verified it");
    assert_eq!(keeping.keep().await.expect("kept"), StoreOutcome::Stored);
    let object = bench.object().expect("an object");
    assert!(object.body == large);
    assert_eq!(object.parts, 3);
    assert_eq!(object.metadata.get("sha1").map(String::as_str), Some(SHA1));
    assert_eq!(bench.engine.open_uploads(), 0);
}

#[tokio::test]
async fn the_border_between_small_and_large_is_one_full_part() {
    for (length, parts) in [
        (0, 0),
        (1, 0),
        (Evidence::PART - 1, 0),
        (Evidence::PART, 0),
        (Evidence::PART + 1, 2),
        (2 * Evidence::PART, 2),
    ] {
        let bench = Bench::new();
        let file = file(length);
        assert_eq!(bench.kept(&file).await, StoreOutcome::Stored);
        let object = bench.object().expect("an object");
        assert!(object.body == file, "{length}");
        assert_eq!(object.parts, parts, "{length}");
    }
}

#[tokio::test]
async fn a_file_that_is_given_up_leaves_nothing() {
    let bench = Bench::new();
    bench.written(&large(), 1_000_000).await.give_up().await;
    bench.written(&file(10), 10).await.give_up().await;
    assert_eq!((bench.object(), bench.engine.open_uploads()), (None, 0));
    assert_eq!(
        bench.sent().last().map(String::as_str),
        Some("AbortMultipartUpload")
    );
}

#[tokio::test]
async fn what_is_kept_is_never_written_over() {
    for second in [file(100), large()] {
        let bench = Bench::new();
        let first = file(50);
        assert_eq!(bench.kept(&first).await, StoreOutcome::Stored);
        assert_eq!(bench.kept(&second).await, StoreOutcome::AlreadyThere);
        assert!(bench.object().expect("an object").body == first);
        assert_eq!(bench.engine.open_uploads(), 0, "its parts were taken away");
    }
}

#[tokio::test]
async fn one_of_two_processes_that_store_the_same_file_at_once_does() {
    let bench = Bench::new();
    let (one, other) = futures_util::future::join(
        bench.written(&large(), 1_000_000),
        bench.written(&large(), 2_000_000),
    )
    .await;
    let (one, other) = futures_util::future::join(one.keep(), other.keep()).await;
    let mut kept = [one.expect("kept"), other.expect("kept")];
    kept.sort_unstable_by_key(|kept| *kept == StoreOutcome::AlreadyThere);
    assert_eq!(kept, [StoreOutcome::Stored, StoreOutcome::AlreadyThere]);
    assert_eq!(bench.engine.open_uploads(), 0);
}

#[tokio::test]
async fn answers_that_are_lost_lose_no_file() {
    for operation in [
        "PutObject",
        "CreateMultipartUpload",
        "UploadPart",
        "CompleteMultipartUpload",
    ] {
        let bench = Bench::new();
        let file = if operation == "PutObject" {
            file(100)
        } else {
            large()
        };
        bench.wire.break_next(calls(operation), Fault::LostAnswer);
        let kept = bench.kept(&file).await;
        // If only the name is known, the owner of the file is unknown.
        let expected = if operation == "PutObject" {
            StoreOutcome::AlreadyThere
        } else {
            StoreOutcome::Stored
        };
        assert_eq!(kept, expected, "{operation}");
        assert!(bench.object().expect("an object").body == file);
    }
}

#[tokio::test]
async fn when_s3_is_away_it_is_an_error_that_passes_and_nothing_is_left() {
    for operation in ["CreateMultipartUpload", "UploadPart"] {
        let bench = Bench::new();
        bench.wire.break_all(calls(operation), Fault::Throttled);
        let mut keeping = bench.evidence.begin(KEY, SHA1);
        let error = keeping.write(&large()).await.expect_err("away");
        assert!(error.is_transient(), "{}", chain(&error));
        keeping.give_up().await;
        assert_eq!((bench.object(), bench.engine.open_uploads()), (None, 0));
    }
    for operation in ["PutObject", "CompleteMultipartUpload"] {
        let bench = Bench::new();
        bench.wire.break_all(calls(operation), Fault::ServiceFault);
        let file = if operation == "PutObject" {
            file(100)
        } else {
            large()
        };
        let keeping = bench.written(&file, 1_000_000).await;
        let error = keeping.keep().await.expect_err("away");
        assert!(matches!(error, EvidenceError::Unavailable(_)), "{error:?}");
        assert_eq!((bench.object(), bench.engine.open_uploads()), (None, 0));
    }
}

#[tokio::test]
async fn two_writes_that_meet_are_a_conflict_to_be_tried_again_and_a_denial_is_not() {
    let bench = Bench::new();
    bench.wire.break_all(calls("PutObject"), Fault::Conflict);
    let error = bench.written(&file(9), 9).await.keep().await;
    let error = error.expect_err("a conflict");
    assert!(matches!(error, EvidenceError::Conflict) && error.is_transient());
    bench.wire.mend();
    bench.wire.break_all(calls("PutObject"), Fault::Denied);
    let error = bench.written(&file(9), 9).await.keep().await;
    let error = error.expect_err("denied");
    assert!(!error.is_transient());
    assert!(chain(&error).contains("AccessDenied"), "{}", chain(&error));
}

#[tokio::test]
async fn a_file_that_is_not_there_is_no_error_and_one_that_may_not_be_read_is() {
    let bench = Bench::new();
    assert!(bench.read().await.is_none());
    bench.wire.break_all(calls("GetObject"), Fault::Denied);
    let error = bench.evidence.open(KEY).await.expect_err("denied");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_file_that_lies_there_without_a_hash_can_be_read_too() {
    let bench = Bench::new();
    let object = S3Object {
        body: b"by hand".to_vec(),
        ..S3Object::default()
    };
    bench.engine.put(BUCKET, &format!("bills/{KEY}"), object);
    assert_eq!(bench.read().await, Some((b"by hand".to_vec(), None)));
}

/// The engine's own refusals, asked for by the real SDK: what S3 refuses, nothing here may forgive.
mod refused_as_by_s3 {
    use aws_sdk_s3::error::ProvideErrorMetadata;
    use aws_sdk_s3::primitives::ByteStream;
    use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
    use testbed::S3Engine;

    use super::*;

    /// What a part is completed with.
    #[derive(Clone, Copy)]
    enum Names {
        Nothing,
        ItsChecksum,
        AnotherChecksum,
    }

    struct Sent {
        client: aws_sdk_s3::Client,
        id: String,
        parts: Vec<CompletedPart>,
    }

    /// An upload whose parts have these numbers and lengths.
    async fn sent(
        algorithm: Option<ChecksumAlgorithm>,
        names: Names,
        parts: &[(i32, usize)],
    ) -> Sent {
        let (client, _) = S3Engine::new().client(&Clock::manual(NOW));
        let upload = client.create_multipart_upload().bucket(BUCKET).key(KEY);
        let upload = upload.set_checksum_algorithm(algorithm).send().await;
        let id = upload.expect("begun").upload_id.expect("an id");
        let mut completed = Vec::new();
        for &(number, length) in parts {
            let part = client
                .upload_part()
                .bucket(BUCKET)
                .key(KEY)
                .upload_id(&id)
                .part_number(number)
                .body(ByteStream::from(file(length)))
                .send()
                .await
                .expect("sent");
            let checksum = match names {
                Names::Nothing => None,
                Names::ItsChecksum => part.checksum_crc32,
                Names::AnotherChecksum => Some("AAAAAA==".to_owned()),
            };
            let part = CompletedPart::builder()
                .part_number(number)
                .set_e_tag(part.e_tag)
                .set_checksum_crc32(checksum);
            completed.push(part.build());
        }
        Sent {
            client,
            id,
            parts: completed,
        }
    }

    /// The code of S3's refusal of an upload; `None` if it is accepted.
    async fn completed(sent: Sent) -> Option<String> {
        let whole = CompletedMultipartUpload::builder().set_parts(Some(sent.parts));
        let done = sent
            .client
            .complete_multipart_upload()
            .bucket(BUCKET)
            .key(KEY)
            .upload_id(sent.id)
            .multipart_upload(whole.build())
            .send()
            .await;
        done.err().and_then(|error| error.code().map(str::to_owned))
    }

    const FULL: usize = 5 * 1024 * 1024;

    #[tokio::test]
    async fn an_upload_is_completed_with_the_checksums_that_it_was_begun_for() {
        let crc32 = || Some(ChecksumAlgorithm::Crc32);
        for (begun, names, refused) in [
            (crc32(), Names::ItsChecksum, None),
            (crc32(), Names::AnotherChecksum, Some("InvalidPart")),
            (crc32(), Names::Nothing, Some("InvalidRequest")),
            (None, Names::Nothing, None),
            (None, Names::ItsChecksum, Some("InvalidPart")),
        ] {
            let sent = sent(begun.clone(), names, &[(1, FULL), (2, 1)]).await;
            assert_eq!(completed(sent).await.as_deref(), refused, "{begun:?}");
        }
    }

    #[tokio::test]
    async fn parts_are_large_enough_in_order_without_gaps_and_there() {
        for (parts, refused) in [
            (&[(1, FULL), (2, 1)][..], None),
            (&[(1, FULL - 1), (2, 1)], Some("EntityTooSmall")),
            (&[(2, FULL), (1, 1)], Some("InvalidPartOrder")),
            (&[(1, FULL), (3, 1)], Some("InvalidPartOrder")),
            (&[], Some("MalformedXML")),
        ] {
            let sent = sent(Some(ChecksumAlgorithm::Crc32), Names::ItsChecksum, parts).await;
            assert_eq!(completed(sent).await.as_deref(), refused, "{parts:?}");
        }
        let mut sent = sent(
            Some(ChecksumAlgorithm::Crc32),
            Names::ItsChecksum,
            &[(1, 9)],
        )
        .await;
        sent.parts = vec![CompletedPart::builder().part_number(2).e_tag("x").build()];
        assert_eq!(completed(sent).await.as_deref(), Some("InvalidPart"));
    }

    #[tokio::test]
    async fn a_wrong_checksum_and_a_key_or_metadata_too_long_are_refused() {
        let (client, _) = S3Engine::new().client(&Clock::manual(NOW));
        let put = || {
            client
                .put_object()
                .bucket(BUCKET)
                .body(ByteStream::from(file(9)))
        };
        let damaged = put().key(KEY).checksum_crc32("AAAAAA==").send().await;
        let too_long = put().key("k".repeat(1025)).send().await;
        let too_much = put()
            .key(KEY)
            .metadata("sha1", "x".repeat(2045))
            .send()
            .await;
        let codes = [damaged, too_long, too_much].map(|put| {
            let error = put.expect_err("a refusal");
            error.code().map(str::to_owned)
        });
        let codes: Vec<_> = codes.iter().map(Option::as_deref).collect();
        let refused = ["BadDigest", "KeyTooLongError", "MetadataTooLarge"].map(Some);
        assert_eq!(codes, refused);
    }
}
