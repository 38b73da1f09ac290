//! Settings of `console` from its environment.

use flows::sandbox::FunctionSettings;
use payments::reconcile::difference::SoloExplainLimit;
use runtime::{
    aws::{AwsSettings, cloudwatch_endpoint},
    env::SettingsReader,
};
use service_map::metric::StackNames;
use stores::settings::{
    mchid, notices_table, orders_table, reconcile_work_url, reconciliation_table,
};

use crate::daily_run::DailyRun;

/// The settings, read once per sandbox.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `WECHATPAY_MCHID`.
    pub mchid: String,
    /// `RECONCILIATION_TABLE`.
    pub reconciliation_table: String,
    /// `ORDERS_TABLE`, whose journals are shown beside differences.
    pub orders_table: String,
    /// `NOTICES_TABLE`, whose notices are closed by decisions.
    pub notices_table: String,
    /// `RECONCILE_WORK_QUEUE_URL`.
    pub work_url: String,
    /// `RECONCILE_TODAY`: whether the day that is not over yet may be reconciled. WeChat Pay has no
    /// bill of it; its simulator has.
    pub today_too: bool,
    /// `RECONCILE_REPAIRS`: whether the daily run repairs, or only reports, so that its previews
    /// count.
    pub repairs: bool,
    /// `RECONCILE_AT`: when the daily run begins, as its schedule says it.
    pub daily_run: DailyRun,
    /// `EXPLAIN_ALONE_MAX_FEN`: the largest difference, in fen, that one person alone may explain.
    pub explain_alone: SoloExplainLimit,
    /// `CONSOLE_AUTH`, with what belongs to it.
    pub auth: Auth,
    /// `METRICS_NAMESPACE`, which is the stack's name, and `API_ID`: what the service map's metrics
    /// are named after.
    pub names: StackNames,
    /// `AWS_ENDPOINT_URL_CLOUDWATCH`, where CloudWatch is not where the rest of AWS is.
    pub cloudwatch_endpoint: Option<String>,
}

/// How a request says who asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Auth {
    /// By a token that the API's JWT authorizer has verified.
    Jwt(Claims),
    /// By the typed name: only on a developer's own machine, which others cannot reach.
    Loopback,
}

/// What is read from a verified token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claims {
    /// `CONSOLE_PERSON_CLAIM`: the claim that names the person. There is no fallback to another
    /// claim: a person with two tokens, one with this claim and one without, would count as two
    /// persons, and could approve a refund alone.
    pub person: String,
    /// `CONSOLE_GROUP`: the group that a person must be in. It is required: a token of the
    /// company's own provider proves who a person is, but not that this person may approve refunds.
    pub group: String,
    /// `CONSOLE_GROUPS_CLAIM`: the claim that lists the groups.
    pub groups: String,
}

impl FunctionSettings for Settings {
    fn read(reader: &mut SettingsReader<'_>, aws: Option<&AwsSettings>) -> Option<Self> {
        let mchid = mchid(reader);
        let reconciliation_table = reconciliation_table(reader);
        let orders_table = orders_table(reader);
        let notices_table = notices_table(reader);
        let work_url = reconcile_work_url(reader);
        let today_too = yes_or_no(reader, "RECONCILE_TODAY", false);
        let repairs = yes_or_no(reader, "RECONCILE_REPAIRS", true);
        let daily_run = reader.parsed_or(
            "RECONCILE_AT",
            "a schedule with one hour, such as cron(30 10 * * ? *)",
            DailyRun::default(),
            DailyRun::parse,
        );
        let explain_alone = reader.parsed_or(
            "EXPLAIN_ALONE_MAX_FEN",
            "a whole number of fen, 0 or more",
            SoloExplainLimit::default(),
            |text| {
                let max_fen = text.parse().ok().filter(|fen: &i64| *fen >= 0)?;
                Some(SoloExplainLimit { max_fen })
            },
        );
        let auth = auth(reader, aws);
        let stack = reader.required("METRICS_NAMESPACE", "the name of the stack");
        let api_id = reader.required("API_ID", "the id of the stack's HTTP API");
        let cloudwatch_endpoint = cloudwatch_endpoint(reader);
        let mchid = mchid?;
        Some(Self {
            names: StackNames {
                stack: stack?,
                mchid: mchid.clone(),
                api_id: api_id?,
            },
            cloudwatch_endpoint: cloudwatch_endpoint?,
            mchid,
            reconciliation_table: reconciliation_table?,
            orders_table: orders_table?,
            notices_table: notices_table?,
            work_url: work_url?,
            today_too: today_too?,
            repairs: repairs?,
            daily_run: daily_run?,
            explain_alone: explain_alone?,
            auth: auth?,
        })
    }
}

fn yes_or_no(reader: &mut SettingsReader<'_>, name: &'static str, otherwise: bool) -> Option<bool> {
    reader.parsed_or(name, "`true` or `false`", otherwise, |text| match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    })
}

fn auth(reader: &mut SettingsReader<'_>, aws: Option<&AwsSettings>) -> Option<Auth> {
    const NAME: &str = "CONSOLE_AUTH";
    let by_token = reader.choice(
        NAME,
        "`jwt` (or `loopback` on a developer's machine)",
        &[("jwt", true), ("loopback", false)],
    )?;
    if by_token {
        return Some(Auth::Jwt(Claims {
            person: claim(reader, "CONSOLE_PERSON_CLAIM", "email")?,
            group: group(reader)?,
            groups: claim(reader, "CONSOLE_GROUPS_CLAIM", "cognito:groups")?,
        }));
    }
    if aws.is_some_and(AwsSettings::is_on_this_machine) {
        return Some(Auth::Loopback);
    }
    reader.malformed(
        NAME,
        "`jwt`: `loopback` accepts any name that is typed in, so it needs AWS_ENDPOINT_URL to point to an engine on this machine",
    );
    None
}

/// A group whose name can be separated from others in a list that is one text.
fn group(reader: &mut SettingsReader<'_>) -> Option<String> {
    reader.parsed(
        "CONSOLE_GROUP",
        "the name of the group that may use the console, without blanks, commas, brackets and quotation marks, since lists of groups are written with them: rename the group at the identity provider",
        |text| {
            let parts = |letter: char| letter.is_whitespace() || "[](){},;\"".contains(letter);
            (!text.contains(parts)).then(|| text.to_owned())
        },
    )
}

fn claim(reader: &mut SettingsReader<'_>, name: &'static str, default: &str) -> Option<String> {
    reader.parsed_or(
        name,
        "the name of a claim, at most 128 characters",
        default.to_owned(),
        |text| (text.len() <= 128).then(|| text.to_owned()),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use runtime::env::{SettingsError, Vars};

    use super::*;

    fn read(vars: &dyn Vars) -> Result<Settings, SettingsError> {
        flows::sandbox::read(vars).map(|(_, settings)| settings)
    }

    fn vars() -> BTreeMap<&'static str, &'static str> {
        BTreeMap::from([
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("WECHATPAY_MCHID", "1900000001"),
            ("RECONCILIATION_TABLE", "reconciliation"),
            ("ORDERS_TABLE", "orders"),
            ("NOTICES_TABLE", "notices"),
            ("RECONCILE_WORK_QUEUE_URL", "https://sqs.example/q"),
            ("CONSOLE_AUTH", "jwt"),
            ("CONSOLE_GROUP", "finance"),
            ("METRICS_NAMESPACE", "wechatpay"),
            ("API_ID", "a1b2c3"),
        ])
    }

    #[test]
    fn names_that_are_typed_in_are_believed_on_this_machine_only() {
        let mut vars = vars();
        vars.insert("CONSOLE_AUTH", "loopback");
        for elsewhere in [
            "",
            "https://dynamodb.eu-central-1.amazonaws.com",
            "http://10.0.0.7:4566",
            "https://127.0.0.1.example.com",
        ] {
            vars.insert("AWS_ENDPOINT_URL", elsewhere);
            let error = read(&vars).unwrap_err();
            assert_eq!(error.names(), ["CONSOLE_AUTH"], "{elsewhere}");
        }
        for here in [
            "http://127.0.0.1:4566",
            "http://localhost:4566",
            "http://[::1]:4566/",
            "http://host.docker.internal:4566",
            "http://172.17.0.1:4566",
        ] {
            vars.insert("AWS_ENDPOINT_URL", here);
            assert_eq!(read(&vars).unwrap().auth, Auth::Loopback, "{here}");
        }
    }

    #[test]
    fn cloudwatch_may_be_elsewhere_and_over_plain_http_only_nearby() {
        let mut vars = vars();
        assert_eq!(read(&vars).unwrap().cloudwatch_endpoint, None);
        let here = "http://127.0.0.1:8080/cloudwatch";
        vars.insert("AWS_ENDPOINT_URL_CLOUDWATCH", here);
        let endpoint = read(&vars).unwrap().cloudwatch_endpoint;
        assert_eq!(endpoint.as_deref(), Some(here));
        vars.insert("AWS_ENDPOINT_URL_CLOUDWATCH", "http://example.com");
        let error = read(&vars).unwrap_err();
        assert_eq!(error.names(), ["AWS_ENDPOINT_URL_CLOUDWATCH"]);
    }

    #[test]
    fn without_a_choice_of_sign_in_all_access_is_refused() {
        let mut vars = vars();
        vars.remove("CONSOLE_AUTH");
        assert_eq!(read(&vars).unwrap_err().names(), ["CONSOLE_AUTH"]);
        vars.insert("CONSOLE_AUTH", "none");
        assert_eq!(read(&vars).unwrap_err().names(), ["CONSOLE_AUTH"]);
    }

    #[test]
    fn a_group_whose_name_could_be_two_in_a_list_is_refused_at_the_start() {
        for name in [
            "finance readers",
            "finance,readers",
            "[finance]",
            "finance]",
            "\"finance\"",
            "finance\treaders",
        ] {
            let mut vars = vars();
            vars.insert("CONSOLE_GROUP", name);
            let error = read(&vars).unwrap_err();
            assert_eq!(error.names(), ["CONSOLE_GROUP"], "{name}");
        }
        let mut vars = vars();
        vars.insert("CONSOLE_GROUP", "acme:finance-1");
        let Auth::Jwt(claims) = read(&vars).unwrap().auth else {
            panic!("by token")
        };
        assert_eq!(claims.group, "acme:finance-1");
    }

    #[test]
    fn a_console_without_a_group_does_not_open_but_on_this_machine() {
        let mut vars = vars();
        for group in [None, Some("")] {
            match group {
                None => vars.remove("CONSOLE_GROUP"),
                Some(empty) => vars.insert("CONSOLE_GROUP", empty),
            };
            let error = read(&vars).unwrap_err();
            assert_eq!(error.names(), ["CONSOLE_GROUP"], "{group:?}");
        }
        vars.insert("CONSOLE_AUTH", "loopback");
        vars.insert("AWS_ENDPOINT_URL", "http://127.0.0.1:4566");
        assert_eq!(read(&vars).unwrap().auth, Auth::Loopback);
    }

    #[test]
    fn one_person_alone_explains_up_to_1000_yuan_unless_set_otherwise() {
        let mut vars = vars();
        let max_fen = |vars: &BTreeMap<_, _>| {
            let settings = read(vars);
            settings.map(|settings| settings.explain_alone.max_fen)
        };
        assert_eq!(max_fen(&vars).unwrap(), 100_000);
        for (value, expected) in [("0", 0), ("5000000", 5_000_000)] {
            vars.insert("EXPLAIN_ALONE_MAX_FEN", value);
            assert_eq!(max_fen(&vars).unwrap(), expected);
        }
        for wrong in ["-1", "1.5", "a lot"] {
            vars.insert("EXPLAIN_ALONE_MAX_FEN", wrong);
            let error = max_fen(&vars).unwrap_err();
            assert_eq!(error.names(), ["EXPLAIN_ALONE_MAX_FEN"], "{wrong}");
        }
    }

    #[test]
    fn the_daily_run_repairs_unless_it_is_set_to_report_only() {
        let mut vars = vars();
        assert!(read(&vars).unwrap().repairs);
        for (value, expected) in [("true", true), ("false", false)] {
            vars.insert("RECONCILE_REPAIRS", value);
            assert_eq!(read(&vars).unwrap().repairs, expected);
        }
        vars.insert("RECONCILE_REPAIRS", "no");
        let error = read(&vars).unwrap_err();
        assert_eq!(error.names(), ["RECONCILE_REPAIRS"]);
    }

    #[test]
    fn the_daily_run_is_due_at_1030_unless_another_schedule_is_set() {
        let mut vars = vars();
        let at = |vars: &BTreeMap<_, _>| read(vars).map(|settings| settings.daily_run.to_string());
        assert_eq!(at(&vars).unwrap(), "10:30");
        vars.insert("RECONCILE_AT", "cron(0 12 * * ? *)");
        assert_eq!(at(&vars).unwrap(), "12:00");
        vars.insert("RECONCILE_AT", "rate(1 day)");
        assert_eq!(at(&vars).unwrap_err().names(), ["RECONCILE_AT"]);
    }

    #[test]
    fn a_token_names_the_person_by_email_unless_set_otherwise() {
        let settings = read(&vars()).unwrap();
        let Auth::Jwt(claims) = settings.auth else {
            panic!("{:?}", settings.auth)
        };
        assert_eq!(claims.person, "email");
        assert!(!settings.today_too);
    }
}
