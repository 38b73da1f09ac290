//! WeChat Pay under strain: hosts that do not answer, limits that hold calls back, and answers
//! after which nothing may be done before WeChat Pay was asked.

use std::{net::TcpListener, time::Duration};

use payments::news::call_outcome::CallOutcome;
use runtime::{random::Random, signer::SignWith};
use testbed::environment::SIGNING_KEY_ID;
use wechat_client::api::{Host, HostChoice, Hosts, Limits, NotSent, WechatApi, WechatSettings};
use wechatpay::{
    Signer,
    api::{CreateRefund, ErrorCode, QueryByOutTradeNo, QueryRefund, RefundBody},
};
use wechatpay_simulator::{Endpoint, Fault, PayOptions, Rule, Running};

use crate::support::{MCHID, Testbed, TestbedOptions, native, start_wechat};

const MAIN_FIRST: [Host; 2] = [Host::Main, Host::Backup];
const BACKUP_FIRST: [Host; 2] = [Host::Backup, Host::Main];
const WITHIN: Duration = Duration::from_secs(4);
const MINUTE: Duration = Duration::from_secs(60);

/// Two hosts with books of their own, and a client of both. The backup is the testbed's own
/// WeChat Pay.
struct TwoHosts {
    testbed: Testbed,
    main_port: u16,
    main: Option<Running>,
    wechat: WechatApi,
}

impl TwoHosts {
    /// Both hosts up.
    async fn start() -> Self {
        let mut hosts = Self::without_main().await;
        hosts.start_main().await;
        hosts
    }

    /// Nothing listens where the main host should be.
    async fn without_main() -> Self {
        Self::without_main_by(HostChoice::ByHealth).await
    }

    async fn without_main_by(host_choice: HostChoice) -> Self {
        let testbed = Testbed::start().await;
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let main_port = free.local_addr().unwrap().port();
        let limits = Limits {
            calls_per_s: 1000,
            refunds_per_s: 1000,
            signatures_per_s: 1000,
        };
        let main = format!("http://127.0.0.1:{main_port}");
        let wechat = client_by(host_choice, &testbed, main, signed_by_kms(), limits);
        Self {
            testbed,
            main_port,
            main: None,
            wechat,
        }
    }

    async fn start_main(&mut self) {
        let now = self.testbed.clock.now();
        self.main = Some(start_wechat(now, self.main_port));
    }

    fn at_main(&self) -> &wechatpay_simulator::Admin {
        self.main.as_ref().unwrap().admin()
    }

    /// Queries an order that neither host has; returns the refusal's code, or the reason why the
    /// result is unknown.
    async fn ask(&self) -> Result<ErrorCode, String> {
        let asked = self.wechat.call_either(&query("ORDER-9"), WITHIN).await;
        match asked.map(|asked| asked.answer) {
            Ok(CallOutcome::Refused(refusal)) => Ok(refusal.code),
            Ok(CallOutcome::Unknown(cause)) => Err(cause),
            other => panic!("{other:?}"),
        }
    }

    /// Questions that came to the main host and to the backup.
    fn asked(&self) -> (u64, u64) {
        let count = |at: &Running| {
            let requests = at.admin().requests();
            requests
                .get(&Endpoint::QueryByOutTradeNo)
                .copied()
                .unwrap_or_default()
        };
        (
            self.main.as_ref().map(count).unwrap_or_default(),
            count(&self.testbed.wechat),
        )
    }
}

fn client(testbed: &Testbed, main: String, sign_with: SignWith, limits: Limits) -> WechatApi {
    client_by(HostChoice::ByHealth, testbed, main, sign_with, limits)
}

fn client_by(
    host_choice: HostChoice,
    testbed: &Testbed,
    main: String,
    sign_with: SignWith,
    limits: Limits,
) -> WechatApi {
    let settings = WechatSettings {
        hosts: Hosts {
            main,
            backup: testbed.wechat.base_url.clone(),
        },
        host_choice,
        sign_with,
        limits,
    };
    WechatApi::new(
        settings,
        MCHID,
        testbed.keys.clone(),
        testbed.clock.clone(),
        Random::seeded(1),
    )
}

fn signed_by_kms() -> SignWith {
    SignWith::Kms {
        key_id: SIGNING_KEY_ID.to_owned(),
    }
}

fn query(order_no: &str) -> QueryByOutTradeNo {
    QueryByOutTradeNo {
        mchid: MCHID.to_owned(),
        out_trade_no: order_no.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_main_host_answers_it_alone_is_asked() {
    let hosts = TwoHosts::start().await;
    for _ in 0..10 {
        assert_eq!(hosts.ask().await, Ok(ErrorCode::OrderNotExist));
    }
    assert_eq!(hosts.asked(), (10, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_three_refused_connections_the_backup_host_is_asked_first() {
    let hosts = TwoHosts::without_main().await;
    for n in 1..=6 {
        let before_ms = hosts.testbed.clock.now_ms();
        let order = hosts.wechat.hosts();
        assert_eq!(
            order,
            if n <= 3 { MAIN_FIRST } else { BACKUP_FIRST },
            "question {n}"
        );
        assert_eq!(
            hosts.ask().await,
            Ok(ErrorCode::OrderNotExist),
            "question {n} is answered all the same"
        );
        let paused_ms = hosts.testbed.clock.now_ms() - before_ms;
        let pause_ms = if n <= 3 { 50..=100 } else { 0..=0 };
        assert!(
            pause_ms.contains(&paused_ms),
            "question {n}: a pause of {paused_ms} ms"
        );
    }
    assert_eq!(hosts.asked(), (0, 6));
    assert!(!hosts.wechat.is_down());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_choice_switched_off_for_a_measurement_the_main_host_alone_is_asked_though_dead() {
    let hosts = TwoHosts::without_main_by(HostChoice::MainAlways).await;
    for _ in 0..6 {
        assert_eq!(hosts.ask().await, Err("no answer".to_owned()));
        assert_eq!(hosts.wechat.hosts(), MAIN_FIRST);
    }
    assert_eq!(hosts.asked(), (0, 0));
    assert!(!hosts.wechat.is_down());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_three_time_outs_the_main_host_is_left_alone() {
    let hosts = TwoHosts::start().await;
    let silence = Fault::SlowAnswer { delay_ms: 60_000 };
    hosts.at_main().add_fault(Rule::always(silence)).unwrap();
    for _ in 0..3 {
        let answer = hosts
            .wechat
            .call(&query("ORDER-9"), Host::Main, Duration::from_millis(300))
            .await;
        let Ok(CallOutcome::Unknown(cause)) = answer.map(|answer| answer.answer) else {
            panic!("it did not answer")
        };
        assert_eq!(cause, "time-out");
    }
    for _ in 0..5 {
        assert_eq!(hosts.ask().await, Ok(ErrorCode::OrderNotExist));
    }
    assert_eq!(hosts.asked(), (3, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_main_host_answers_it_is_not_given_up_for_it() {
    let hosts = TwoHosts::start().await;
    for (fault, asked) in [
        (Fault::ServerErrorBefore { status: 500 }, (5, 5)),
        (Fault::ServerErrorBefore { status: 503 }, (5, 5)),
        (Fault::TooManyRequests, (5, 0)),
        (Fault::ResetBefore, (5, 5)),
    ] {
        hosts.at_main().clear_faults(None);
        hosts.at_main().reset_requests();
        hosts.testbed.wechat.admin().reset_requests();
        hosts
            .at_main()
            .add_fault(Rule::always(fault.clone()))
            .unwrap();
        for _ in 0..5 {
            let asked = hosts.wechat.call_either(&query("ORDER-9"), WITHIN).await;
            assert!(asked.is_ok(), "{fault:?}: {asked:?}");
        }
        assert_eq!(hosts.asked(), asked, "{fault:?}");
        assert_eq!(hosts.wechat.hosts(), MAIN_FIRST, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_main_host_that_came_back_is_tried_after_a_minute_and_then_asked_first_again() {
    let mut hosts = TwoHosts::without_main().await;
    for _ in 0..3 {
        assert_eq!(hosts.ask().await, Ok(ErrorCode::OrderNotExist));
    }
    hosts.start_main().await;
    hosts
        .testbed
        .clock
        .advance(MINUTE - Duration::from_millis(500));
    assert_eq!(hosts.ask().await, Ok(ErrorCode::OrderNotExist));
    assert_eq!(hosts.asked(), (0, 4), "not yet");
    hosts.testbed.clock.advance(Duration::from_millis(500));
    for n in 1..=5 {
        assert_eq!(hosts.ask().await, Ok(ErrorCode::OrderNotExist));
        assert_eq!(hosts.asked(), (n, 4));
    }
    assert_eq!(
        [hosts.wechat.hosts(), hosts.wechat.hosts()],
        [MAIN_FIRST; 2],
        "for everybody, not only for one who tries it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_neither_host_there_the_outcome_is_unknown_and_orders_go_to_the_queue_untried() {
    let testbed = Testbed::with(TestbedOptions {
        main_host_is_down: true,
        prepay_budget_ms: 500,
        ..TestbedOptions::default()
    })
    .await;
    let admin = testbed.wechat.admin();
    assert_eq!(testbed.post_order(&native("WARM-1")).await.status, 201);
    admin
        .add_fault(Rule::always(Fault::SlowAnswer { delay_ms: 60_000 }))
        .unwrap();
    admin.reset_requests();
    for n in 1..=5 {
        let answer = testbed.post_order(&native(&format!("ORDER-{n}"))).await;
        assert_eq!(answer.status, 202, "{answer:?}");
    }
    assert_eq!(
        admin.requests()[&Endpoint::PrepayNative],
        3,
        "then it was known that nobody would answer"
    );
    admin.clear_faults(None);
    testbed.advance(MINUTE).await;
    let answer = testbed.post_order(&native("ORDER-6")).await;
    assert_eq!(answer.status, 201, "tried again: {answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_question_in_a_hundred_goes_to_the_backup_host_first() {
    let hosts = TwoHosts::start().await;
    for _ in 0..400 {
        assert_eq!(hosts.ask().await, Ok(ErrorCode::OrderNotExist));
    }
    let (main, backup) = hosts.asked();
    assert_eq!(main + backup, 400);
    assert!((1..=12).contains(&backup), "{backup} of 400");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_over_the_limit_wait_by_the_clock_and_those_that_cannot_are_not_sent() {
    let testbed = Testbed::start().await;
    let few = Limits {
        calls_per_s: 1,
        refunds_per_s: 1000,
        signatures_per_s: 1000,
    };
    let main = testbed.wechat.base_url.clone();
    let wechat = client(&testbed, main, signed_by_kms(), few);
    let call = async |within_ms| {
        let before_ms = testbed.clock.now_ms();
        let within = Duration::from_millis(within_ms);
        let answer = wechat.call(&query("ORDER-9"), Host::Main, within).await;
        let waited_ms = testbed.clock.now_ms() - before_ms;
        (answer.map(|_| waited_ms), testbed.wechat.admin().requests())
    };
    for (n, within_ms, waited_ms) in [(1, 3000, 0), (2, 3000, 0), (3, 3000, 1000)] {
        let (waited, requests) = call(within_ms).await;
        assert_eq!(waited.unwrap(), waited_ms, "call {n}");
        assert_eq!(requests[&Endpoint::QueryByOutTradeNo], n);
    }
    let (answer, requests) = call(500).await;
    assert!(matches!(answer, Err(NotSent::Busy)), "{answer:?}");
    assert_eq!(
        requests[&Endpoint::QueryByOutTradeNo],
        3,
        "it never left, so nothing happened"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_have_a_limit_of_their_own_and_questions_about_them_have_not() {
    let testbed = Testbed::start().await;
    let few = Limits {
        calls_per_s: 1000,
        refunds_per_s: 1,
        signatures_per_s: 1000,
    };
    let main = testbed.wechat.base_url.clone();
    let wechat = client(&testbed, main, signed_by_kms(), few);
    let refund = CreateRefund::new(&RefundBody {
        transaction_id: Some("4200000001".to_owned()),
        out_refund_no: "R1".to_owned(),
        ..RefundBody::default()
    });
    let question = QueryRefund {
        out_refund_no: "R1".to_owned(),
    };
    for waited_ms in [0, 0, 1000] {
        let before_ms = testbed.clock.now_ms();
        let asked = wechat.call(&question, Host::Main, WITHIN).await;
        assert!(asked.is_ok(), "{asked:?}");
        let sent = wechat.call(&refund, Host::Main, WITHIN).await;
        assert!(sent.is_ok(), "{sent:?}");
        assert_eq!(testbed.clock.now_ms() - before_ms, waited_ms);
    }
    let hasty = Duration::from_millis(500);
    let sent = wechat.call(&refund, Host::Main, hasty).await;
    assert!(matches!(sent, Err(NotSent::Busy)), "{sent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_signatures_by_kms_are_counted() {
    let few = Limits {
        calls_per_s: 1000,
        refunds_per_s: 1000,
        signatures_per_s: 1,
    };
    for (signer, waited_ms) in [("kms", 1000), ("sealed", 0)] {
        let testbed = Testbed::with(TestbedOptions {
            signer,
            ..TestbedOptions::default()
        })
        .await;
        let sign_with = match signer {
            "kms" => signed_by_kms(),
            _ => SignWith::Sealed,
        };
        let wechat = client(&testbed, testbed.wechat.base_url.clone(), sign_with, few);
        let before_ms = testbed.clock.now_ms();
        wechat.signer().await.unwrap().sign(b"text").await.unwrap();
        wechat.signer().await.unwrap().sign(b"text").await.unwrap();
        let called = wechat.call(&query("ORDER-9"), Host::Main, WITHIN).await;
        assert!(called.is_ok(), "{signer}: {called:?}");
        assert_eq!(testbed.clock.now_ms() - before_ms, waited_ms, "{signer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_to_be_believed_is_followed_by_the_same_question_and_by_nothing_else()
{
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    let admin = testbed.wechat.admin();
    admin.add_fault(Rule::always(Fault::LostCallback)).unwrap();
    testbed.pay("ORDER-1").await;
    testbed.advance(MINUTE).await;
    admin.reset_requests();
    admin
        .add_fault(Rule::times(Fault::ProbeResponse, 1))
        .unwrap();
    assert_eq!(testbed.sweep().await.settled, 1);
    assert_eq!(
        admin.requests(),
        [(Endpoint::QueryByOutTradeNo, 2)].into(),
        "asked again, on the other host"
    );
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_question_has_no_answer_nothing_is_done_about_the_order() {
    let testbed = Testbed::start().await;
    assert_eq!(
        testbed.post_order_async(&native("ORDER-1")).await.status,
        202
    );
    let admin = testbed.wechat.admin();
    admin
        .add_fault(Rule::always(Fault::TimeOutAfterOperation { hold_ms: 10 }))
        .unwrap();
    testbed.advance(MINUTE).await;
    let report = testbed.sweep().await;
    assert_eq!((report.failed, report.resumed), (1, 0));
    assert_eq!(
        admin.requests().into_keys().collect::<Vec<_>>(),
        [Endpoint::QueryByOutTradeNo]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_making_was_not_answered_is_asked_about_before_it_is_sent_again() {
    for (fault, exists) in [
        (Fault::ResetBefore, false),
        (Fault::ResetAfter, true),
        (Fault::ServerErrorAfter { status: 500 }, true),
    ] {
        let testbed = Testbed::start().await;
        let admin = testbed.wechat.admin();
        let rule = Rule::always(fault.clone()).at(Endpoint::PrepayNative);
        admin.add_fault(rule).unwrap();
        let accepted = testbed.post_order(&native("ORDER-1")).await;
        assert_eq!(accepted.status, 202, "{fault:?}");
        assert_eq!(admin.orders().len(), usize::from(exists), "{fault:?}");
        admin.clear_faults(None);

        testbed.advance(Duration::from_secs(16)).await;
        let silence = Rule::always(Fault::TimeOutAfterOperation { hold_ms: 10 });
        admin
            .add_fault(silence.at(Endpoint::QueryByOutTradeNo))
            .unwrap();
        admin.reset_requests();
        assert_eq!(testbed.work_off().await, 1, "{fault:?}: no answer, no act");
        assert!(
            !admin.requests().contains_key(&Endpoint::PrepayNative),
            "{fault:?}"
        );
        admin.clear_faults(None);

        testbed.advance(Duration::from_secs(16)).await;
        admin.reset_requests();
        assert_eq!(testbed.work_off().await, 0, "{fault:?}");
        assert_eq!(
            admin.requests(),
            [
                (Endpoint::PrepayNative, 1),
                (Endpoint::QueryByOutTradeNo, 1)
            ]
            .into(),
            "{fault:?}"
        );
        assert_eq!(admin.orders().len(), 1, "{fault:?}");
        let shown = testbed.get_order("ORDER-1").await;
        assert!(
            admin.order(shown.code_url()).unwrap().payable,
            "{fault:?}: the value that is shown is the live one"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_came_for_an_order_whose_making_was_not_answered_is_found_by_the_question() {
    let testbed = Testbed::start().await;
    let admin = testbed.wechat.admin();
    admin.add_fault(Rule::always(Fault::LostCallback)).unwrap();
    let rule = Rule::always(Fault::ResetAfter).at(Endpoint::PrepayNative);
    let id = admin.add_fault(rule).unwrap();
    assert_eq!(testbed.post_order(&native("ORDER-1")).await.status, 202);
    admin.clear_faults(Some(id));
    admin.pay("ORDER-1", &PayOptions::default()).unwrap();
    testbed.advance(Duration::from_secs(16)).await;
    admin.reset_requests();
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(admin.requests(), [(Endpoint::QueryByOutTradeNo, 1)].into());
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "paid");
}
