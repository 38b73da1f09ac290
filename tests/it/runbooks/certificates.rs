//! Failed verifications and certificates, as keys.md describes them.

use super::*;

/// The lines at ERROR of one check of WeChat Pay's certificates.
async fn certificates_fail(testbed: &Testbed, lines: &Lines) -> Value {
    let refreshed = lines.of(testbed.certificates()).await;
    assert_eq!(refreshed, reconcile::RefreshOutcome::Failed);
    let mut errors = lines.take("ERROR");
    let message = "WeChat Pay's certificates were not refreshed";
    errors.retain(|line| line["message"] == message);
    let [line] = &errors[..] else {
        panic!("one line: {errors:?}");
    };
    assert!(page("keys.md").contains(&format!("`{message}`")));
    assert!(
        line["what_to_do"]
            .as_str()
            .expect("words")
            .contains("keys.md")
    );
    line.clone()
}

/// Something else answers in WeChat Pay's place, and signs nothing.
async fn an_impostor_answers(testbed: &mut Testbed) {
    let address = testbed.wechat.addr;
    testbed.wechat = start_wechat(testbed.clock.now(), 0);
    // The one before is still being shut down.
    let free = async {
        loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let listener = tokio::time::timeout(Duration::from_secs(20), free).await;
    let listener = listener.expect("the address");
    let other = Router::new().fallback(async || "{}");
    tokio::spawn(async move { axum::serve(listener, other).await });
}

/// A merchant who verifies by platform certificate alone.
async fn by_certificate() -> Testbed {
    Testbed::with(TestbedOptions {
        by_certificate: true,
        ..TestbedOptions::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn cause_and_error_of_a_failed_verification_name_the_row_of_the_page() {
    // A key of WeChat Pay's that is not here, until it is added or fetched.
    for (mut testbed, mode, begins, words) in [
        (
            Testbed::start().await,
            SigningMode::PublicKey,
            "`unknown_serial`, `PUB_KEY_ID_...`",
            "`setup add-wechat-key`",
        ),
        (
            by_certificate().await,
            SigningMode::Certificate,
            "`unknown_serial`, 40 hexadecimal digits",
            "`reconcile` fetches it within a quarter of an hour",
        ),
    ] {
        let lines = Lines::default();
        testbed.post_order(&native("ORDER-1")).await;
        let admin = testbed.wechat.admin();
        admin.pay("ORDER-1", &PayOptions::default()).unwrap();
        let id = admin.rotate(mode).unwrap();
        let callback = admin.signed_callback("ORDER-1", &Damage::None).unwrap();
        lines.of(testbed.receive(&callback)).await;
        let of_callback = the_line(&lines, REFUSED);
        lines.of(testbed.post_order(&native("ORDER-2"))).await;
        for line in [of_callback, the_line(&lines, NOT_BELIEVED)] {
            assert_eq!(line["cause"], "unknown_serial");
            let error = line["error"].as_str().expect("words");
            assert!(error.contains(&id), "{error}");
        }
        row_says("keys.md", begins, &[words]);
        if mode == SigningMode::Certificate {
            assert_eq!(
                testbed.certificates().await,
                reconcile::RefreshOutcome::Changed
            );
            testbed.advance(Duration::from_secs(61)).await;
            assert_eq!(testbed.post_order(&native("ORDER-3")).await.status, 201);
        }
        an_impostor_answers(&mut testbed).await;
        lines.of(testbed.post_order(&native("ORDER-4"))).await;
        assert_eq!(the_line(&lines, NOT_BELIEVED)["cause"], "missing_header");
        row_says(
            "keys.md",
            "`missing_header` of answers",
            &["answers in WeChat Pay's place"],
        );
    }

    let (testbed, lines) = (Testbed::start().await, Lines::default());
    testbed.post_order(&native("ORDER-1")).await;
    let admin = testbed.wechat.admin();
    admin.pay("ORDER-1", &PayOptions::default()).unwrap();
    let damage = Damage::WrongSignature;
    let callback = admin.signed_callback("ORDER-1", &damage).unwrap();
    lines.of(testbed.receive(&callback)).await;
    assert_eq!(the_line(&lines, REFUSED)["cause"], "wrong_signature");
    row_says(
        "keys.md",
        "`wrong_signature` of some callbacks only",
        &["they are refused"],
    );

    // Our clock is wrong: WeChat Pay says so before its answers could count as old.
    testbed.clock.advance(Duration::from_secs(600));
    lines.of(testbed.post_order(&native("ORDER-2"))).await;
    let message = "WeChat Pay refuses the merchant, and not this request alone";
    let refused = the_line(&lines, message)["refusal"].to_string();
    assert!(refused.contains("SIGN_ERROR"), "{refused}");
    let row = row("keys.md", "`stale`, `from_the_future` of answers");
    assert!(row.contains("refuses with `SIGN_ERROR`"), "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_do_not_open_or_are_not_wechat_pays_say_so_and_are_fetched_once_that_is_mended()
 {
    let testbed = by_certificate().await;
    let other_key = "another-key-of-32-bytes-and-more".as_bytes();
    let right_key = "0123456789abcdefghijklmnopqrstuv".as_bytes();
    let change = async |from: u32, to: &[u8]| {
        let added = [AddedApiV3Key {
            version: None,
            bytes: to.to_vec().into(),
        }];
        let add = MerchantChange {
            add_apiv3: &added,
            ..MerchantChange::default()
        };
        testbed.keys.change_merchant(&add).await.expect("written");
        let remove = MerchantChange {
            remove_apiv3: Some(from),
            ..MerchantChange::default()
        };
        let removed = testbed.keys.change_merchant(&remove).await;
        removed.expect("written");
    };
    change(1, other_key).await;
    let line = certificates_fail(&testbed, &Lines::default()).await;
    let error = line["error"].as_str().expect("words");
    assert!(error.contains("does not open"), "{error}");
    row_says(
        "keys.md",
        "`does not open`",
        &["`setup merchant --apiv3-key-file new.txt`"],
    );
    change(2, right_key).await;
    for hours in [11, 1] {
        testbed.advance(Duration::from_secs(hours * 3600)).await;
        let expected = match hours {
            11 => reconcile::RefreshOutcome::NotDue,
            _ => reconcile::RefreshOutcome::Unchanged,
        };
        assert_eq!(testbed.certificates().await, expected, "{hours} hours more");
    }
    assert!(page("keys.md").contains("twelve hours\nafter the failure at the latest"));

    let mut testbed = by_certificate().await;
    an_impostor_answers(&mut testbed).await;
    let line = certificates_fail(&testbed, &Lines::default()).await;
    let error = line["error"].as_str().expect("words");
    assert!(
        error.contains("cannot be taken for WeChat Pay's"),
        "{error}"
    );
    row_says(
        "keys.md",
        "`cannot be taken for WeChat Pay's`",
        &["somebody else answers in WeChat Pay's place"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_are_not_refreshed_say_by_their_error_which_row_of_the_page_it_is() {
    for (status, code, begins, says, words) in [
        (
            401,
            "SIGN_ERROR",
            "`refused`, `SIGN_ERROR`",
            ["refused", "SIGN_ERROR"],
            "the merchant's certificate or its serial",
        ),
        (
            403,
            "NOT_ENOUGH",
            "`NOT_ENOUGH`",
            ["refused", "NOT_ENOUGH"],
            "`setup add-wechat-key`",
        ),
    ] {
        let testbed = by_certificate().await;
        let refuse = Fault::Refuse {
            status,
            code: code.to_owned(),
        };
        testbed
            .wechat
            .admin()
            .add_fault(Rule::always(refuse))
            .unwrap();
        let line = certificates_fail(&testbed, &Lines::default()).await;
        let error = line["error"].as_str().expect("words");
        assert!(says.iter().all(|word| error.contains(word)), "{error}");
        row_says("keys.md", begins, &[words]);
    }
}
