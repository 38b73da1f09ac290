use std::path::PathBuf;

use super::*;
use crate::http::Http;
use browser::{Browser, Screen};
use http::Request;
use serde_json::json;

struct TestReceiver {
    receiver: Receiver,
    http: Http,
    path: PathBuf,
}

impl TestReceiver {
    async fn open(name: &str) -> Self {
        let id = std::process::id();
        let path = std::env::temp_dir().join(format!("local-receiver-test-{id}-{name}"));
        Self {
            receiver: open(&path).await,
            http: Http::new(),
            path,
        }
    }

    async fn post(&self, version: u64, secret: &Secret) -> StatusCode {
        let body = json!({
            "type": "order.changed",
            "timestamp": "2026-08-01T12:00:01+08:00",
            "data": {
                "order_no": "ORDER-1",
                "version": version,
                "subject": "order",
                "subject_id": "ORDER-1",
                "from": "awaiting_payment",
                "to": "paid",
                "amount_fen": 100,
            },
        })
        .to_string();
        let id = format!("ORDER-1_{version}");
        let now_s = Clock::system().now().0;
        let secrets = std::slice::from_ref(secret);
        let signed = standard_webhooks::sign(&id, now_s, body.as_bytes(), secrets).unwrap();
        let request = Request::post(self.receiver.url());
        let request = signed.iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        });
        self.send(request.body(Bytes::from(body)).unwrap()).await.0
    }

    async fn send(&self, request: Request<Bytes>) -> (StatusCode, Value) {
        let answer = self.http.send(request).await.unwrap();
        let body = serde_json::from_slice(answer.body()).unwrap_or_default();
        (answer.status(), body)
    }

    fn secret(&self) -> &Secret {
        &self.receiver.inbox.secret
    }

    async fn end(self) {
        self.receiver.stop().await;
        std::fs::remove_dir_all(self.path).unwrap();
    }
}

async fn open(path: &std::path::Path) -> Receiver {
    let state = StateDir::take(path, false).unwrap();
    let shown = Arc::default();
    Receiver::open(&state, Clock::system(), &Random::system(), shown)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_webhook_signed_with_the_secret_is_kept_once_however_often_it_comes() {
    let test = TestReceiver::open("kept").await;
    for version in [3, 3, 4] {
        let status = test.post(version, test.secret()).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
    }
    let delivery = test.receiver.delivery_of("ORDER-1", "paid").unwrap();
    assert_eq!(delivery.webhook_id, "ORDER-1_4");
    assert_eq!(test.receiver.delivery_of("ORDER-1", "closed"), None);
    assert_eq!(test.receiver.delivery_of("ORDER-2", "paid"), None);
    let asked = Request::get(test.receiver.url());
    let (_, listed) = test.send(asked.body(Bytes::new()).unwrap()).await;
    let of = |name: &str| -> Vec<Value> {
        let listed = listed.as_array().unwrap();
        listed.iter().map(|webhook| webhook[name].clone()).collect()
    };
    assert_eq!(of("webhook_id"), ["ORDER-1_4", "ORDER-1_3"]);
    assert_eq!(of("times"), [1, 2]);
    assert_eq!(test.receiver.counts().verified, 3);
    test.end().await;
}

#[tokio::test]
async fn a_person_sees_on_the_page_what_comes_as_it_comes_in_chinese_and_english() {
    let Some(mut browser) = Browser::start_or_skip(Screen::DESKTOP).await else {
        return;
    };
    let test = TestReceiver::open("page").await;
    browser
        .open(&format!("{}?lang=en", test.receiver.url()))
        .await;
    browser
        .wait("document.getElementById('nothing').checkVisibility()")
        .await;
    let rows = "document.getElementById('rows').innerText";
    for version in [3, 4] {
        test.post(version, test.secret()).await;
    }
    browser
        .wait(&format!(
            "{rows}.includes('ORDER-1_4') && {rows}.includes('awaiting_payment')"
        ))
        .await;
    let first = "document.querySelector('#rows tr').innerText.includes('ORDER-1_4')";
    assert_eq!(browser.value(first).await, json!(true), "the newest first");
    test.post(5, &Secret::new(&[7; 32]).unwrap()).await;
    browser
        .wait("document.getElementById('counts').innerText === '2 verified, 1 refused'")
        .await;
    browser
        .wait("document.getElementById('refused').checkVisibility()")
        .await;

    browser.click("#language").await;
    browser
        .wait(&format!(
            "{rows}.includes('待支付') && {rows}.includes('已支付')"
        ))
        .await;
    browser
        .wait("document.documentElement.lang === 'zh-CN' && document.title.includes('通知')")
        .await;
    let left = "document.body.innerText.match(/undefined|verified|Nothing came/)";
    assert_eq!(browser.value(left).await, Value::Null);
    browser.set_screen(Screen::PHONE).await;
    let width = "document.documentElement.scrollWidth";
    assert_eq!(browser.value(width).await, json!(390), "nothing sticks out");
    let names = browser.names().await;
    assert!(names.iter().all(|(_, name)| !name.is_empty()), "{names:?}");

    test.end().await;
    browser
        .wait("document.getElementById('lost').checkVisibility()")
        .await;
}

#[tokio::test]
async fn a_webhook_not_signed_with_the_secret_is_refused_and_not_kept() {
    let test = TestReceiver::open("refused").await;
    let foreign = Secret::new(&[7; 32]).unwrap();
    assert_eq!(test.post(3, &foreign).await, StatusCode::UNAUTHORIZED);
    let bare = Request::post(test.receiver.url());
    let (status, _) = test.send(bare.body(Bytes::from("{}")).unwrap()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(test.receiver.delivery_of("ORDER-1", "paid"), None);
    let counts = test.receiver.counts();
    assert_eq!((counts.verified, counts.refused), (0, 2));
    assert!(counts.last_refusal.unwrap().contains("header"));
    test.end().await;
}

#[tokio::test]
async fn only_the_newest_are_kept() {
    let test = TestReceiver::open("newest").await;
    let change = OrderEvent {
        order_no: "ORDER-1".to_owned(),
        version: 1,
        subject: "order".to_owned(),
        subject_id: "ORDER-1".to_owned(),
        from: None,
        to: "reserved".to_owned(),
    };
    for n in 0..KEPT_MAX + 5 {
        test.receiver.inbox.keep(&n.to_string(), change.clone());
    }
    let newest_first: Vec<String> = {
        let kept = test.receiver.inbox.kept();
        let ids = kept.webhooks.iter().map(|kept| kept.webhook_id.clone());
        ids.collect()
    };
    assert_eq!(newest_first.len(), KEPT_MAX);
    assert_eq!(newest_first[0], (KEPT_MAX + 4).to_string());
    test.end().await;
}

#[tokio::test]
async fn address_and_secret_are_those_of_the_last_run() {
    let test = TestReceiver::open("again").await;
    let url = test.receiver.url().to_owned();
    let secret = test.secret().to_text();
    test.receiver.stop().await;
    let again = open(&test.path).await;
    assert_eq!(again.url(), url);
    assert_eq!(again.inbox.secret.to_text(), secret);
    assert_eq!(again.inbox.kept().webhooks.len(), 0);
    again.stop().await;
    std::fs::remove_dir_all(test.path).unwrap();
}
