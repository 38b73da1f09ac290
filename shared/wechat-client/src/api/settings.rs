//! The settings of the WeChat Pay client.

use super::hosts::{HostChoice, Hosts};
use runtime::{env::SettingsReader, net::address::is_this_machine, signer::SignWith};

/// What one sandbox may use of quotas that all sandboxes share: the quota divided by how many run
/// at once. Two seconds' worth may be used at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// `WECHATPAY_CALLS_PER_S`: calls to WeChat Pay.
    pub calls_per_s: u32,
    /// `WECHATPAY_REFUNDS_PER_S`: those of them that ask for a refund.
    pub refunds_per_s: u32,
    /// `MERCHANT_SIGNATURES_PER_S`: signatures by KMS.
    pub signatures_per_s: u32,
}

/// WeChat Pay: where it is, how we sign, and how often.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WechatSettings {
    /// `WECHATPAY_BASE_URL` and `WECHATPAY_BACKUP_URL`.
    pub hosts: Hosts,
    /// `WECHATPAY_HOST_CHOICE`.
    pub host_choice: HostChoice,
    /// `MERCHANT_SIGNER`, with `MERCHANT_SIGNING_KEY_ID` when it is `kms`.
    pub sign_with: SignWith,
    /// `WECHATPAY_CALLS_PER_S`, `WECHATPAY_REFUNDS_PER_S` and `MERCHANT_SIGNATURES_PER_S`.
    pub limits: Limits,
}

impl WechatSettings {
    /// Reads the group.
    pub fn read(reader: &mut SettingsReader<'_>) -> Option<Self> {
        let expected = "an https URL without a path (http only on loopback, for the simulator)";
        let host = |reader: &mut SettingsReader<'_>, name, default: &str| {
            reader.parsed_or(name, expected, default.to_owned(), |url| {
                let host = url.trim_end_matches('/');
                (secure_or_loopback(host) && host.matches('/').count() == 2)
                    .then(|| host.to_owned())
            })
        };
        let main = host(
            reader,
            "WECHATPAY_BASE_URL",
            "https://api.mch.weixin.qq.com",
        );
        let backup = host(
            reader,
            "WECHATPAY_BACKUP_URL",
            "https://api2.mch.weixin.qq.com",
        );
        let host_choice = host_choice(reader, main.as_deref(), backup.as_deref());
        let by_kms = reader.choice(
            "MERCHANT_SIGNER",
            "`kms` or `sealed`",
            &[("kms", true), ("sealed", false)],
        );
        let sign_with = match by_kms {
            Some(true) => reader
                .required(
                    "MERCHANT_SIGNING_KEY_ID",
                    "the id or ARN of the merchant's RSA key in KMS (MERCHANT_SIGNER is kms)",
                )
                .map(|key_id| SignWith::Kms { key_id }),
            Some(false) => Some(SignWith::Sealed),
            None => None,
        };
        let per_s = |reader: &mut SettingsReader<'_>, name, default| {
            reader.parsed_or(
                name,
                "1 to 10000 a second for each sandbox",
                default,
                |text| {
                    text.parse()
                        .ok()
                        .filter(|per_s| (1..=10_000).contains(per_s))
                },
            )
        };
        let calls_per_s = per_s(reader, "WECHATPAY_CALLS_PER_S", CALLS_PER_S);
        let refunds_per_s = per_s(reader, "WECHATPAY_REFUNDS_PER_S", REFUNDS_PER_S);
        // Each call takes one signature: the default is the same number, so that only the limit on
        // calls matters.
        let default = calls_per_s.unwrap_or(CALLS_PER_S);
        let signatures_per_s = per_s(reader, "MERCHANT_SIGNATURES_PER_S", default);
        Some(Self {
            hosts: Hosts {
                main: main?,
                backup: backup?,
            },
            host_choice: host_choice?,
            sign_with: sign_with?,
            limits: Limits {
                calls_per_s: calls_per_s?,
                refunds_per_s: refunds_per_s?,
                signatures_per_s: signatures_per_s?,
            },
        })
    }
}

/// Default calls to WeChat Pay a second per sandbox: six sandboxes at once (the batches of
/// payment-requests and the sweep) stay within the limit of 300 refund queries a second
/// (shared/wechatpay/PROTOCOL.md, 10), the lowest limit on queries. A sandbox that takes one
/// request at a time stays far below it. With more sandboxes the setting must be lower:
/// `template.yaml` says how. KMS makes 500 to 1,000 signatures a second for a whole account, one
/// for each call; a merchant that needs more uses a sealed key.
const CALLS_PER_S: u32 = 50;
/// Default refund requests a second: WeChat Pay accepts 150. It accepts only 6 failing ones, which
/// no rate limit can ensure beforehand: after the first failure for lack of balance all of the
/// merchant's refunds are paused.
const REFUNDS_PER_S: u32 = 25;

/// Which host is asked. Anything but the default is for `cargo measure availability`, which
/// compares both, and so only for a simulator: no deployment can lose its second host by a setting.
fn host_choice(
    reader: &mut SettingsReader<'_>,
    main: Option<&str>,
    backup: Option<&str>,
) -> Option<HostChoice> {
    let expected = "`by_health`, or `main_always` where both hosts are a simulator on loopback";
    let are_simulated = [main, backup]
        .into_iter()
        .all(|host| host.is_some_and(|host| host.starts_with("http://")));
    reader.parsed_or(
        "WECHATPAY_HOST_CHOICE",
        expected,
        HostChoice::ByHealth,
        |word| match word {
            "by_health" => Some(HostChoice::ByHealth),
            "main_always" => are_simulated.then_some(HostChoice::MainAlways),
            _ => None,
        },
    )
}

/// Plain HTTP is for a simulator on this very machine; money travels by HTTPS.
fn secure_or_loopback(url: &str) -> bool {
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return false;
    }
    if url.contains('@') {
        return false; // some parsers would read the text before it as the host, others as a user
    }
    let Some(rest) = url.strip_prefix("http://") else {
        return url
            .strip_prefix("https://")
            .is_some_and(|rest| !rest.is_empty());
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host);
    is_this_machine(host)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn choice(hosts: [&str; 2], word: &str) -> Option<HostChoice> {
        let [main, backup] = hosts;
        let vars = BTreeMap::from([
            ("WECHATPAY_BASE_URL", main),
            ("WECHATPAY_BACKUP_URL", backup),
            ("MERCHANT_SIGNER", "sealed"),
            ("WECHATPAY_HOST_CHOICE", word),
        ]);
        let mut reader = SettingsReader::new(&vars);
        let settings = WechatSettings::read(&mut reader);
        let settings = reader.finish(|| settings).ok();
        settings.map(|settings| settings.host_choice)
    }

    #[test]
    fn only_a_simulator_on_this_machine_can_be_left_without_its_second_host() {
        let simulator = ["http://127.0.0.1:1", "http://127.0.0.1:2"];
        let real = [
            "https://api.mch.weixin.qq.com",
            "https://api2.mch.weixin.qq.com",
        ];
        let half = ["http://127.0.0.1:1", "https://api2.mch.weixin.qq.com"];
        for (hosts, word, chosen) in [
            (simulator, "", Some(HostChoice::ByHealth)),
            (simulator, "by_health", Some(HostChoice::ByHealth)),
            (simulator, "main_always", Some(HostChoice::MainAlways)),
            (simulator, "never", None),
            (real, "", Some(HostChoice::ByHealth)),
            (real, "by_health", Some(HostChoice::ByHealth)),
            (real, "main_always", None),
            (half, "main_always", None),
        ] {
            assert_eq!(choice(hosts, word), chosen, "{hosts:?} {word}");
        }
    }
}
