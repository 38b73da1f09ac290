//! The merchant's own key and certificate: read, sealed, imported into KMS, certified.

use runtime::kms::Kms;
use runtime::signer::SignWith;
use serde_json::json;
use wechatpay::merchant_files::{MerchantCertificate, MerchantKey, MerchantPublicKey};
use wechatpay::sign::Signer;
use x509_cert::der::{DecodePem, Encode};
use x509_cert::request::CertReq;

use crate::cloud::{Cloud, MCHID, printed};
use crate::policies::{are_those_of, run_all};

const KEY: &str =
    include_str!("../../../../shared/wechatpay/tests/merchant_files/apiclient_key.pem");
const CERTIFICATE: &str =
    include_str!("../../../../shared/wechatpay/tests/merchant_files/apiclient_cert.pem");
const PKCS1: &str = include_str!("../../../../shared/wechatpay/tests/merchant_files/pkcs1.pem");
const ENCRYPTED: &str =
    include_str!("../../../../shared/wechatpay/tests/merchant_files/encrypted.pem");
const RENEWED_KEY: &str =
    include_str!("../../../../shared/wechatpay/tests/merchant_files/renewed_key.pem");
const RENEWED_CERTIFICATE: &str =
    include_str!("../../../../shared/wechatpay/tests/merchant_files/renewed_cert.pem");
const STRANGER: &str = include_str!("../../../../shared/wechatpay/vectors/keys/stranger.pem");
const STRANGER_S_CERTIFICATE: &str =
    include_str!("../../../../shared/wechatpay/vectors/keys/platform-certificate.pem");
const PUBLIC_KEY: &str =
    include_str!("../../../../shared/wechatpay/vectors/keys/platform-public.pem");
const SERIAL: &str = "5F0000000000000000000000000000000000A10D";
const RENEWED_SERIAL: &str = "6A0000000000000000000000000000000000B20E";

/// A merchant's files, as options of a command.
struct Files {
    key: String,
    certificate: String,
}

impl Files {
    fn of(cloud: &Cloud, name: &str, key: impl AsRef<[u8]>, certificate: &str) -> Self {
        Self {
            key: cloud.write_bytes(&format!("{name}_key.pem"), key.as_ref()),
            certificate: cloud.write(&format!("{name}_cert.pem"), certificate),
        }
    }

    fn options(&self) -> [&str; 4] {
        [
            "--merchant-key-file",
            &self.key,
            "--merchant-certificate-file",
            &self.certificate,
        ]
    }

    fn import(&self, cloud: &Cloud, key_id: &str, more: &[&str]) -> std::process::Output {
        let signing_key = ["--signing-key-id", key_id];
        cloud.keys_command(&[&["import"], &self.options()[..], &signing_key, more].concat())
    }
}

/// What it says, without a line of a private key.
#[track_caller]
fn well(output: &std::process::Output) -> String {
    let printed = printed(output);
    assert!(output.status.success(), "{printed}");
    holds_no_key(&printed);
    printed
}

#[track_caller]
fn refused(output: &std::process::Output, reason: &str) {
    let printed = printed(output);
    assert!(!output.status.success(), "{printed}");
    assert!(printed.contains(reason), "{reason}: {printed}");
    holds_no_key(&printed);
}

#[track_caller]
fn holds_no_key(printed: &str) {
    let keys = [KEY, PKCS1, ENCRYPTED, RENEWED_KEY, STRANGER];
    for line in keys.iter().flat_map(|key| key.lines()) {
        assert!(
            line.starts_with("-----") || !printed.contains(line),
            "{printed}"
        );
    }
}

/// A merchant who has all but a certificate of these.
fn set_up_merchant(cloud: &Cloud, more: &[&str]) {
    let apiv3 = cloud.write("apiv3", "0123456789abcdef0123456789abcdef");
    let public = format!("PUB_KEY_ID_01={}", cloud.write("pub.pem", PUBLIC_KEY));
    let needed = [
        "merchant",
        "--apiv3-key-file",
        &apiv3,
        "--wechatpay-public-key",
        &public,
    ];
    well(&cloud.setup(&[&needed[..], more].concat()));
}

async fn signing_key(cloud: &Cloud, origin: &str, spec: &str) -> String {
    let create = cloud
        .aws()
        .kms()
        .create_key()
        .key_usage("SIGN_VERIFY".into());
    let made = create
        .origin(origin.into())
        .key_spec(spec.into())
        .send()
        .await;
    made.unwrap().key_metadata.unwrap().key_id
}

async fn state(cloud: &Cloud, key_id: &str) -> String {
    let kms = Kms::new(cloud.aws().kms());
    kms.describe_key(key_id).await.unwrap().state
}

#[tokio::test]
async fn a_certificate_says_its_serial_and_goes_with_its_own_key_only() {
    let cloud = Cloud::start("pair").await;
    let pair = Files::of(&cloud, "pair", PKCS1.replace('\n', " \r\n"), CERTIFICATE);
    set_up_merchant(&cloud, &pair.options());
    let merchant = cloud.keys().merchant().await.unwrap();
    let signer = merchant.signer(&SignWith::Sealed).await.unwrap();
    assert_eq!(signer.serial_no(), SERIAL);
    let signature = signer.sign(b"text").await.unwrap();
    let certificate = MerchantCertificate::read(CERTIFICATE.as_bytes()).unwrap();
    assert!(certificate.public_key().verifies(b"text", &signature));

    let der = MerchantKey::read(KEY.as_bytes()).unwrap();
    for (key, certificate, reason) in [
        (
            STRANGER.as_bytes(),
            CERTIFICATE,
            "does not belong to this key",
        ),
        (
            KEY.as_bytes(),
            STRANGER_S_CERTIFICATE,
            "not of merchant 1900000109",
        ),
        (ENCRYPTED.as_bytes(), CERTIFICATE, "encrypted private key"),
        (der.pkcs8_der(), CERTIFICATE, "as DER"),
        (KEY.as_bytes(), KEY, "not the merchant's certificate"),
        (
            CERTIFICATE.as_bytes(),
            CERTIFICATE,
            "not the merchant's private key",
        ),
    ] {
        let files = Files::of(&cloud, "wrong", key, certificate);
        let named = [&["merchant"], &files.options()[..]].concat();
        refused(&cloud.setup(&named), reason);
        refused(
            &cloud.keys_command(&[&["seal"], &files.options()[..]].concat()),
            reason,
        );
    }
    let twice = ["merchant", "--merchant-serial", SERIAL];
    let twice = cloud.setup(&[&twice[..], &pair.options()].concat());
    assert_eq!(twice.status.code(), Some(2), "{}", printed(&twice));

    let renewed = Files::of(&cloud, "renewed", RENEWED_KEY, RENEWED_CERTIFICATE);
    let said = well(&cloud.keys_command(&[&["seal"], &renewed.options()[..]].concat()));
    assert!(
        said.contains("Only signatures by its own key name this certificate"),
        "{said}"
    );
    let merchant = cloud.keys().merchant().await.unwrap();
    let signer = merchant.signer(&SignWith::Sealed).await.unwrap();
    assert_eq!(signer.serial_no(), RENEWED_SERIAL);
    let signature = signer.sign(b"text").await.unwrap();
    assert!(!certificate.public_key().verifies(b"text", &signature));
}

#[tokio::test]
async fn a_private_key_is_imported_proved_and_registered_and_all_of_it_may_be_repeated() {
    let cloud = Cloud::start_with_kms("import").await;
    let key_id = signing_key(&cloud, "EXTERNAL", "RSA_2048").await;
    let files = Files::of(&cloud, "first", KEY, CERTIFICATE);

    // A merchant that is not set up yet: the next steps are printed.
    let said = well(&files.import(&cloud, &key_id, &[]));
    assert!(said.contains("was imported"), "{said}");
    assert!(
        said.contains("setup merchant --merchant-certificate-file"),
        "{said}"
    );
    set_up_merchant(&cloud, &["--merchant-serial", "AAAA"]);

    let again = well(&files.import(&cloud, &key_id, &[]));
    assert!(again.contains("holds this private key already"), "{again}");
    assert!(again.contains(SERIAL), "{again}");
    let in_kms = SignWith::Kms {
        key_id: key_id.clone(),
    };
    let merchant = cloud.keys().merchant().await.unwrap();
    let signer = merchant.signer(&in_kms).await.unwrap();
    assert_eq!(signer.serial_no(), SERIAL);
    let signature = signer.sign(b"text").await.unwrap();
    let certificate = MerchantCertificate::read(CERTIFICATE.as_bytes()).unwrap();
    assert!(certificate.public_key().verifies(b"text", &signature));

    let shown = well(&cloud.setup(&["show", "--signing-key-id", &key_id]));
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        shown["merchant"]["merchant_certificates"],
        json!([{ "key": key_id, "serial": SERIAL, "ends": shown["merchant"]["merchant_certificates"][0]["ends"] }])
    );
    assert!(shown["merchant"]["merchant_certificates"][0]["ends"].is_string());
    assert_eq!(
        shown["merchant"]["merchant_serial"], "AAAA",
        "it was there before"
    );
    let kms_key = &shown["merchant_kms_key"];
    assert_eq!(
        (&kms_key["origin"], &kms_key["state"]),
        (&json!("EXTERNAL"), &json!("Enabled"))
    );
    assert!(kms_key["made"].is_string(), "{shown}");

    let renewed = Files::of(&cloud, "renewed", RENEWED_KEY, RENEWED_CERTIFICATE);
    refused(
        &renewed.import(&cloud, &key_id, &[]),
        "holds another private key",
    );
    let certified = |files: &Files| {
        let kms_key = ["merchant", "--signing-key-id", &key_id];
        cloud.setup(&[&kms_key[..], &files.options()[2..]].concat())
    };
    refused(&certified(&renewed), "does not belong to this key");
    well(&certified(&files));
    let kms = cloud.aws().kms();
    kms.disable_key().key_id(&key_id).send().await.unwrap();
    refused(
        &files.import(&cloud, &key_id, &[]),
        "is in the state Disabled",
    );
    kms.enable_key().key_id(&key_id).send().await.unwrap();
    // Its material can be deleted, and then only the same be imported.
    kms.delete_imported_key_material()
        .key_id(&key_id)
        .send()
        .await
        .unwrap();
    refused(
        &renewed.import(&cloud, &key_id, &[]),
        "has had another private key",
    );
    assert_eq!(state(&cloud, &key_id).await, "PendingImport");
    well(&files.import(&cloud, &key_id, &[]));
    let merchant = cloud.keys().merchant().await.unwrap();
    assert_eq!(merchant.certificate(&in_kms).unwrap().serial_no, SERIAL);
}

#[tokio::test]
async fn into_a_replica_the_material_alone_is_imported_and_nothing_is_registered() {
    let cloud = Cloud::start_with_kms("replica").await;
    let key_id = signing_key(&cloud, "EXTERNAL", "RSA_2048").await;
    let files = Files::of(&cloud, "first", KEY, CERTIFICATE);
    set_up_merchant(&cloud, &["--merchant-serial", "AAAA"]);
    for printed in ["was imported", "holds this private key already"] {
        let said = well(&files.import(&cloud, &key_id, &["--only-material"]));
        assert!(said.contains(printed), "{said}");
        assert!(said.contains("No certificate was registered"), "{said}");
    }
    let signs = SignWith::Kms {
        key_id: key_id.clone(),
    };
    let merchant = cloud.keys().merchant().await.unwrap();
    assert_eq!(merchant.certificate(&signs).unwrap().serial_no, "AAAA");
    refused(
        &files.import(&cloud, &key_id, &["--only-material", "--remove-sealed-key"]),
        "not both",
    );
}

#[tokio::test]
async fn a_signing_key_is_not_named_by_an_alias_since_functions_do_not_know_it_by_that() {
    let cloud = Cloud::start_with_kms("alias").await;
    let files = Files::of(&cloud, "first", KEY, CERTIFICATE);
    let reason = "takes the id or the ARN of a key";
    let arn = "arn:aws:kms:us-east-1:000000000000:alias/tea";
    for alias in ["alias/tea", arn] {
        refused(&files.import(&cloud, alias, &[]), reason);
        let named = ["--signing-key-id", alias];
        let certified = [&["merchant"][..], &files.options()[2..], &named].concat();
        refused(&cloud.setup(&certified), reason);
        let removed = ["--serial", SERIAL, "--merchant-signer", "kms"];
        let removed = [&["remove-merchant-certificate"][..], &removed, &named].concat();
        refused(&cloud.setup(&removed), reason);
    }
}

#[tokio::test]
async fn a_command_that_comes_too_early_names_the_one_that_comes_first() {
    let cloud = Cloud::start_with_kms("early").await;
    let files = Files::of(&cloud, "first", KEY, CERTIFICATE);
    // Sealed into the record of a merchant that is not set up.
    let seal = cloud.keys_command(&[&["seal"], &files.options()[..]].concat());
    refused(&seal, "nothing was sealed");
    refused(&seal, "`cargo client setup merchant --merchant-key-file");
    set_up_merchant(&cloud, &files.options());
    let merchant = cloud.keys().merchant().await.unwrap();
    assert!(merchant.signer(&SignWith::Sealed).await.is_ok());

    // A certificate of a KMS key that has no private key yet.
    let key_id = signing_key(&cloud, "EXTERNAL", "RSA_2048").await;
    let named = ["merchant", "--signing-key-id", &key_id];
    let early = cloud.setup(&[&named[..], &files.options()[2..]].concat());
    refused(&early, "waits for its private key");
    refused(&early, "`cargo client keys import");
}

#[tokio::test]
async fn an_import_whose_answers_get_lost_ends_well() {
    let cloud = Cloud::start_with_kms("lost").await;
    for operation in [
        "DescribeKey",
        "GetParametersForImport",
        "ImportKeyMaterial",
        "GetPublicKey",
        "Sign",
    ] {
        let key_id = signing_key(&cloud, "EXTERNAL", "RSA_2048").await;
        let files = Files::of(&cloud, "first", KEY, CERTIFICATE);
        cloud.lose_answer(operation);
        let said = well(&files.import(&cloud, &key_id, &[]));
        assert!(said.contains("was imported"), "{operation}: {said}");
        assert_eq!(state(&cloud, &key_id).await, "Enabled", "{operation}");
    }
}

#[tokio::test]
async fn a_key_that_cannot_take_the_import_is_named_and_nothing_is_imported() {
    let cloud = Cloud::start_with_kms("kinds").await;
    let files = Files::of(&cloud, "first", KEY, CERTIFICATE);
    for (origin, spec, reason) in [
        (
            "AWS_KMS",
            "RSA_2048",
            "MerchantSigningKeyOrigin counts for a new stack only",
        ),
        ("EXTERNAL", "RSA_3072", "of the kind RSA_3072"),
        ("EXTERNAL", "ECC_NIST_P256", "of the kind ECC_NIST_P256"),
    ] {
        let key_id = signing_key(&cloud, origin, spec).await;
        let before = state(&cloud, &key_id).await;
        refused(&files.import(&cloud, &key_id, &[]), reason);
        assert_eq!(state(&cloud, &key_id).await, before);
    }
    let key_id = signing_key(&cloud, "EXTERNAL", "RSA_2048").await;
    let mixed = Files::of(&cloud, "mixed", RENEWED_KEY, CERTIFICATE);
    refused(
        &mixed.import(&cloud, &key_id, &[]),
        "does not belong to this key",
    );
    assert_eq!(state(&cloud, &key_id).await, "PendingImport");
    refused(
        &files.import(&cloud, "no-such-key", &[]),
        "NotFoundException",
    );
    let missing = cloud.keys_command(&[&["import"], &files.options()[..]].concat());
    refused(
        &missing,
        "--signing-key-id (or the variable MERCHANT_SIGNING_KEY_ID)",
    );

    // The engine refuses what KMS refuses: RSA alone wraps no private RSA key.
    let kms = cloud.aws().kms();
    let parameters = kms.get_parameters_for_import().key_id(&key_id);
    let parameters = parameters
        .wrapping_algorithm("RSAES_OAEP_SHA_256".into())
        .wrapping_key_spec("RSA_4096".into());
    assert!(parameters.send().await.is_err());
}

#[tokio::test]
async fn a_key_that_lies_sealed_goes_on_beside_one_in_kms_until_its_certificate_is_taken_out() {
    let cloud = Cloud::start_with_kms("sealed").await;
    let renewed = Files::of(&cloud, "renewed", RENEWED_KEY, RENEWED_CERTIFICATE);
    set_up_merchant(&cloud, &renewed.options());
    let key_id = signing_key(&cloud, "EXTERNAL", "RSA_2048").await;
    let files = Files::of(&cloud, "first", KEY, CERTIFICATE);
    let said = well(&files.import(&cloud, &key_id, &[]));
    assert!(said.contains("Only signatures by its own key"), "{said}");
    let in_kms = SignWith::Kms {
        key_id: key_id.clone(),
    };
    let merchant = cloud.keys().merchant().await.unwrap();
    let number = |signs: &SignWith| &merchant.certificate(signs).unwrap().serial_no;
    assert_eq!(number(&in_kms), SERIAL);
    assert_eq!(number(&SignWith::Sealed), RENEWED_SERIAL);
    assert!(merchant.signer(&SignWith::Sealed).await.is_ok());

    let remove = |serial_no: &str, signer: &[&str]| {
        let removal = ["remove-merchant-certificate", "--serial", serial_no];
        cloud.setup(&[&removal[..], &["--merchant-signer"], signer].concat())
    };
    let by_kms = ["kms", "--signing-key-id", &key_id];
    refused(&remove(SERIAL, &by_kms), "another key has to sign");
    refused(
        &remove(RENEWED_SERIAL, &["sealed"]),
        "another key has to sign",
    );
    refused(
        &remove("AAAA", &by_kms),
        "no key of the merchant's has certificate AAAA",
    );
    let none = ["kms", "--signing-key-id", "mrk-2"];
    refused(&remove(SERIAL, &none), "has no certificate of its own here");
    refused(
        &remove(SERIAL, &["kms"]),
        "--signing-key-id (or the variable",
    );
    refused(&remove(SERIAL, &["hsm"]), "is kms or sealed");
    well(&remove(RENEWED_SERIAL, &by_kms));
    let merchant = cloud.keys().merchant().await.unwrap();
    assert!(merchant.signer(&SignWith::Sealed).await.is_err());
    let of_earlier = merchant.certificates.of_earlier_versions();
    assert_eq!(of_earlier.unwrap().serial_no, SERIAL);
}

#[tokio::test]
async fn a_certificate_request_is_signed_by_kms_and_names_the_merchant() {
    let cloud = Cloud::start_with_kms("csr").await;
    let key_id = signing_key(&cloud, "AWS_KMS", "RSA_2048").await;
    let csr = |key_id: &str, name: &str| {
        let options = ["--mchid", MCHID, "--signing-key-id", key_id];
        cloud.run(&[&["keys", "csr", "--merchant-name", name], &options[..]].concat())
    };
    let output = csr(&key_id, "茶叶店, 有限公司");
    well(&output);
    let request = CertReq::from_pem(&output.stdout).unwrap();
    let kms = Kms::new(cloud.aws().kms());
    let public_key = kms.public_key(&key_id).await.unwrap();
    assert_eq!(request.info.public_key.to_der().unwrap(), public_key);
    let signed = request.info.to_der().unwrap();
    let public_key = MerchantPublicKey::from_der(&public_key).unwrap();
    assert!(public_key.verifies(&signed, request.signature.raw_bytes()));
    assert_eq!(request.algorithm.oid.to_string(), "1.2.840.113549.1.1.11");
    assert!(request.info.attributes.is_empty());

    // The subject of the certificates that WeChat Pay makes.
    let certificate = x509_cert::Certificate::from_pem(CERTIFICATE).unwrap();
    let named = |name: &x509_cert::name::Name| {
        let parts = name
            .iter()
            .map(|part| (part.oid, part.value.value().to_vec()));
        parts.collect::<Vec<_>>()
    };
    assert_eq!(
        named(&request.info.subject),
        named(certificate.tbs_certificate().subject())
    );

    for (key_id, name, reason) in [
        (
            key_id.as_str(),
            "",
            "--merchant-name is the merchant's name",
        ),
        (&key_id, " blank", "--merchant-name is the merchant's name"),
        (
            &signing_key(&cloud, "AWS_KMS", "RSA_4096").await,
            "a",
            "of the kind RSA_4096",
        ),
        (
            &signing_key(&cloud, "EXTERNAL", "RSA_2048").await,
            "a",
            "waits for its private key",
        ),
    ] {
        let output = csr(key_id, name);
        refused(&output, reason);
        assert!(output.stdout.is_empty(), "{reason}");
    }
}

#[tokio::test]
async fn the_policy_for_keys_has_the_calls_of_setup_and_keys_and_no_other() {
    let cloud = Cloud::start_with_kms("policy").await;
    let key_id = signing_key(&cloud, "EXTERNAL", "RSA_2048").await;
    cloud.take_calls();
    let files = Files::of(&cloud, "policy", KEY, CERTIFICATE);
    let apiv3 = cloud.write("apiv3", "0123456789abcdef0123456789abcdef");
    let second = cloud.write("second", &"2".repeat(32));
    let public = format!("PUB_KEY_ID_01={}", cloud.write("pub.pem", PUBLIC_KEY));
    let platform = cloud.write("platform.pem", STRANGER_S_CERTIFICATE);
    let (settings, secret) = (cloud.path("shop.json"), cloud.path("webhook.secret"));
    let signing_key = ["--signing-key-id", key_id.as_str()];
    let pair = files.options();
    let import = [
        &["import"],
        &pair[..],
        &signing_key,
        &["--remove-sealed-key"],
    ]
    .concat();
    let seal = [&["seal"], &pair[..]].concat();
    let first = [
        &["merchant", "--wechatpay-public-key", &public][..],
        &["--apiv3-key-file", &apiv3],
        &pair[..],
    ]
    .concat();
    let certified = [&["merchant"], &pair[2..], &signing_key].concat();
    let csr = [
        &["csr", "--merchant-name", "Tea", "--mchid", MCHID],
        &signing_key[..],
    ]
    .concat();
    let show = [&["show"], &signing_key[..]].concat();
    let client = ["client", "--keyid", "shop-1", "--client-id", "shop"];
    let api = ["--api-url", "https://api.example.com"];
    let client = [&client[..], &api, &["--settings", &settings]].concat();
    let webhook = ["webhook", "--client", "shop"];
    let made = [
        "--url",
        "https://shop.example/hooks",
        "--secret-to",
        &secret,
    ];
    let made = [&webhook[..], &made].concat();
    // What is there already is compared.
    let again = [&webhook[..], &["--secret-file", &secret]].concat();
    let off = [&webhook[..], &["--off"]].concat();
    let setup: [&[&str]; 9] = [
        &first,
        &["merchant", "--apiv3-key-file", &apiv3],
        &["merchant", "--apiv3-key-file", &second],
        &["add-wechat-key", "--platform-certificate", &platform],
        &[
            "remove-wechat-key",
            "--id",
            "5157F09EFDC096DE15EBE81A47057A72A4D0E1B2",
        ],
        &["remove-apiv3-key", "--version", "1"],
        &client,
        &["limit", "--keyid", "shop-1", "--requests-per-s", "5"],
        &["scopes", "--keyid", "shop-1", "--scopes", "create,read"],
    ];
    let mut of_setup = Vec::from(setup.map(|arguments| (arguments, cloud.setup(arguments))));
    let keys: [&[&str]; 2] = [&seal, &import];
    let mut of_keys = Vec::from(keys.map(|arguments| (arguments, cloud.keys_command(arguments))));
    of_keys.push((&csr[..], cloud.run(&[&["keys"], &csr[..]].concat())));
    let another = [
        "merchant",
        "--merchant-serial",
        "AAAA",
        "--signing-key-id",
        "mrk-2",
    ];
    let removal = [
        &[
            "remove-merchant-certificate",
            "--serial",
            "AAAA",
            "--merchant-signer",
            "kms",
        ][..],
        &signing_key,
    ]
    .concat();
    let channel = ["channel", "add", "--name", "mail", "--kind", "sns"];
    let channel = [&channel[..], &["--page", "1"]].concat();
    let sink = ["log-sink", "add", "--kind", "loki"];
    let sink = [&sink[..], &["--address", "https://loki.example"]].concat();
    let rest: [&[&str]; 14] = [
        &sink,
        &["log-sink", "list"],
        &["log-sink", "remove", "--kind", "loki"],
        &channel,
        &["channel", "list"],
        &["channel", "remove", "--name", "mail"],
        &certified,
        &another,
        &removal,
        &show,
        &made,
        &again,
        &off,
        &["revoke", "--keyid", "shop-1"],
    ];
    of_setup.extend(rest.map(|arguments| (arguments, cloud.setup(arguments))));
    run_all(&cloud, "setup", &[], of_setup);
    // Their ages are `doctor`'s to read.
    run_all(&cloud, "keys", &["status"], of_keys);
    are_those_of("SetUpPolicy", cloud.take_calls());
}
