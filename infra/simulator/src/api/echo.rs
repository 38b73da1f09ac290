//! `POST /v3/security/echo`: signing, verification, OAEP both ways and the callback in one call.

use serde_json::{Map, json};

use super::{
    call::{Reply, VerifiedCall},
    notify_url::check_notify_url,
};
use crate::{
    callbacks::{CallbackContent, NoticeFormat},
    refusal::Refusal,
    schema::{self, Field, ValueKind, optional, required},
    sim::{MutableState, Shared},
};

const ECHO: &[Field] = &[
    required("echo_message", ValueKind::Text(1024)),
    optional("encrypted_echo_message", ValueKind::Text(1024)),
    optional("notify_url", ValueKind::Text(255)),
];

pub(super) fn echo(
    sim: &Shared,
    world: &mut MutableState,
    call: &VerifiedCall<'_>,
) -> Result<Reply, Refusal> {
    let request = schema::read(call.body, ECHO)?;
    check_notify_url(&request)?;
    let key = call.serial.and_then(|serial| world.keys.find(serial)).ok_or_else(|| {
        Refusal::header(
            "Http头缺少Wechatpay-Serial",
            "The header Wechatpay-Serial is required here: a public key id or a platform certificate's serial",
        )
    })?;
    let message = schema::text(&request, "/echo_message");
    let mut answer = Map::new();
    answer.insert("echo_message".to_owned(), json!(message));
    let mut notice = answer.clone();
    if let Some(sealed) = schema::optional_text(&request, "/encrypted_echo_message") {
        let wrong = |issue| Refusal::field("/encrypted_echo_message", None, issue);
        let plain = key.open(&sealed).ok_or_else(|| {
            wrong("平台私钥解密失败 (not encrypted with OAEP and SHA-1 to the key in Wechatpay-Serial)")
        })?;
        let credentials = sim.credentials();
        let newest = credentials.certificates.last();
        let back = newest
            .and_then(|certificate| certificate.key.encrypt(&plain))
            .ok_or_else(|| wrong("内容过长 (longer than 214 bytes)"))?;
        answer.insert("encrypted_echo_message".to_owned(), json!(back));
        notice.insert("encrypt_echo_message".to_owned(), json!(back));
    }
    if let Some(url) = schema::optional_text(&request, "/notify_url") {
        let (books, mut tools) = world.parts(&sim.clock);
        let news = CallbackContent {
            about: message,
            event: ("SECURITY_ECHO.SUCCESS", "security", "安全回显"),
            url: &url,
            plaintext: notice.into(),
            format: NoticeFormat::V3,
        };
        books.send_notice(news, &mut tools);
    }
    Ok(Reply::Json(answer.into()))
}
