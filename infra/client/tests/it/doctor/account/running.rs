//! What keeps a stack from running or from being watched: quotas, functions, schedules, alarms and
//! addresses.

use std::path::Path;

use super::{PARAMETERS, breaks, breaks_and_is_mended_as_it_says};
use crate::doctor::front::Change;
use crate::doctor::receiver::Answers;
use crate::doctor::stage::{
    ACCOUNT_SETTINGS, stage, where_roles_may, with_channels, with_forwarding, with_parameter,
};

/// What puts back what was deleted.
const PUT_BACK: &str = "infra/runbooks/doctor.md, Put back what was changed by hand";

#[test]
fn quotas_below_what_the_parameters_let_through_are_found() {
    let stage = stage();
    let asked = |code: &'static str| ["ServiceQuotasV20190624.GetServiceQuota", code];
    let is = |code: &'static str, value: &str| {
        Change::answer(&asked(code), &format!(r#"{{"Quota":{{"Value":{value}}}}}"#))
    };
    let all = |rate: &str, burst: &str| [is("L-8A5B8E43", rate), is("L-CDF5615A", burst)];
    stage.doctor_where(&all("10000.0", "5000.0")).is_well();
    stage
        .doctor_where(&all("699.0", "5000.0"))
        .is_only("quota-low");
    stage
        .doctor_where(&all("10000.0", "1399.0"))
        .is_only("quota-low");
    // Where nobody asked for more the account has no value of its own.
    let by_default = [
        Change::refuse(&asked("L-8A5B8E43"), 400, "NoSuchResourceException"),
        Change::answer(
            &["GetAWSDefaultServiceQuota", "L-8A5B8E43"],
            r#"{"Quota":{"Value":500.0}}"#,
        ),
        is("L-CDF5615A", "5000.0"),
    ];
    stage.doctor_where(&by_default).is_only("quota-low");
    // KMS is asked for nothing where a sealed key signs.
    let by_kms = Change::replace(
        &[PARAMETERS],
        "<ParameterValue>sealed</ParameterValue>",
        "<ParameterValue>kms</ParameterValue>",
    );
    let [rate, burst] = all("10000.0", "5000.0");
    let rsa = is("L-2AC98190", "499.0");
    let run = stage.doctor_where(&[by_kms, where_roles_may("kms:Sign"), rate, burst, rsa]);
    // The key in KMS is not the one that WeChat Pay knows.
    assert_eq!(
        run.ids(),
        ["signature-refused", "quota-low"],
        "{:#}",
        run.report
    );
}

#[test]
fn limits_that_do_not_go_together_are_found() {
    let stage = stage();
    for (parameter, last_in, first_out) in [
        ("ClientRateLimit", "100", "101"),
        ("CallsPerSecond", "50", "51"),
        ("RefundsPerSecond", "25", "26"),
    ] {
        let run = |value: &str| stage.doctor_where(&[with_parameter(parameter, value)]);
        run(last_in).is_well();
        run(first_out).is_only("limits-inconsistent");
        let run = run(first_out);
        let evidence = run.report["findings"][0]["evidence"].to_string();
        assert!(evidence.contains(parameter), "{evidence}");
    }
}

#[test]
fn a_stack_whose_releases_are_never_gradual_is_found() {
    let stage = stage();
    let off = with_parameter("GradualRelease", "off");
    let run = stage.doctor_where(&[off]);
    run.is_only("gradual-release-off");
    assert_eq!(run.report["worst"], "warning");
    stage
        .doctor_where(&[with_parameter("GradualRelease", "on")])
        .is_well();
}

#[test]
fn functions_that_do_not_run_or_have_no_room_are_found() {
    let stage = stage();
    let source = |is_on: &str| {
        format!(
            "l = c('lambda')\n\
             u = l.list_event_source_mappings(FunctionName='tea-send-webhook')['EventSourceMappings'][0]['UUID']\n\
             l.update_event_source_mapping(UUID=u, Enabled={is_on})"
        )
    };
    let id = "queue-not-read";
    breaks_and_is_mended_as_it_says(&stage, id, &source("False"), &source("True"));
    // A deleted one takes no update.
    let deleted = Change::refuse(
        &["/2015-03-31/event-source-mappings/"],
        404,
        "ResourceNotFoundException",
    );
    let run = stage.doctor_where(&[deleted]);
    run.is_only(id);
    for finding in run.report["findings"].as_array().unwrap() {
        let next_step = finding["next_step"].as_str().unwrap();
        assert!(next_step.contains(PUT_BACK), "{finding:#}");
        assert!(!next_step.contains("aws lambda"), "{finding:#}");
    }

    let configuration = ["/functions/tea-console/configuration"];
    let gone = Change::refuse(&configuration, 404, "ResourceNotFoundException");
    stage.doctor_where(&[gone]).is_only("function-gone");
    let failed = Change::replace(
        &configuration,
        r#""State": "Active""#,
        r#""State": "Failed""#,
    );
    stage.doctor_where(&[failed]).is_only("function-not-ready");
    // One that nobody called for weeks is asleep, and no finding.
    let asleep = Change::replace(
        &configuration,
        r#""State": "Active""#,
        r#""State": "Inactive""#,
    );
    stage.doctor_where(&[asleep]).is_well();

    // A parameter that was deployed under the name of the release before, and a release that goes
    // on.
    let of_console = ["/functions/tea-console/configuration?Qualifier=live"];
    let stale = Change::replace(
        &of_console,
        r#""LOG_LEVEL": "info""#,
        r#""LOG_LEVEL": "warn""#,
    );
    stage.doctor_where(&[stale]).is_only("not-released");
    let alias = ["/functions/tea-console/aliases/live"];
    let gone = Change::refuse(&alias, 404, "ResourceNotFoundException");
    stage.doctor_where(&[gone]).is_only("alias-gone");
    let two = r#"{"FunctionVersion":"7","RoutingConfig":{"AdditionalVersionWeights":{"8":0.1}}}"#;
    let two = Change::answer(&alias, two);
    stage.doctor_where(&[two]).is_only("release-under-way");

    let limited = Change::answer(
        &ACCOUNT_SETTINGS,
        r#"{"AccountLimit":{"ConcurrentExecutions":10}}"#,
    );
    stage
        .doctor_where(&[limited])
        .is_only("concurrency-limit-low");
    let reserves = Change::replace(
        &[PARAMETERS],
        "<ParameterKey>ReserveConcurrency</ParameterKey><ParameterValue>false<",
        "<ParameterKey>ReserveConcurrency</ParameterKey><ParameterValue>true<",
    );
    stage
        .doctor_where(std::slice::from_ref(&reserves))
        .is_only("concurrency-not-reserved");
    let share = |function: &str| format!("/functions/tea-{function}/concurrency");
    let has = |function: &str, count: u32| {
        let body = format!(r#"{{"ReservedConcurrentExecutions":{count}}}"#);
        Change::answer(&[&share(function)], &body)
    };
    let shares = |last: u32| {
        [
            reserves.clone(),
            has("create-order", 50),
            has("manage-order", 50),
            has("receive-callback", 20),
            has("process-payment", last),
        ]
    };
    stage.doctor_where(&shares(20)).is_well();
    // Its two queues ask for 20 together.
    let mut few = shares(19).to_vec();
    few.push(with_parameter("ProcessPaymentConcurrency", "19"));
    stage.doctor_where(&few).is_only("limits-inconsistent");
    stage
        .doctor_where(&shares(0))
        .is_only("function-switched-off");
    // Also where nothing is reserved.
    breaks_and_is_mended_as_it_says(
        &stage,
        "function-switched-off",
        "c('lambda').put_function_concurrency(FunctionName='tea-console', ReservedConcurrentExecutions=0)",
        "c('lambda').delete_function_concurrency(FunctionName='tea-console')",
    );
}

#[test]
fn schedules_pipe_and_rule_that_stand_still_are_found() {
    let stage = stage();
    let schedule = |state: &str| {
        format!(
            "s = c('scheduler').get_schedule(Name='tea-sweep')\n\
             k = {{n: s[n] for n in ['Name', 'ScheduleExpression', 'FlexibleTimeWindow', 'Target']}}\n\
             c('scheduler').update_schedule(State='{state}', **k)"
        )
    };
    breaks(
        &stage,
        "schedule-off",
        &schedule("DISABLED"),
        &schedule("ENABLED"),
    );
    breaks_and_is_mended_as_it_says(
        &stage,
        "pipe-stopped",
        "c('pipes').stop_pipe(Name='tea-order-events')",
        "c('pipes').start_pipe(Name='tea-order-events')",
    );
    breaks_and_is_mended_as_it_says(
        &stage,
        "rule-off",
        "c('events').disable_rule(Name='tea-webhooks', EventBusName='tea-orders')",
        "c('events').enable_rule(Name='tea-webhooks', EventBusName='tea-orders')",
    );
    let old = Change::replace(
        &["/v1/pipes/tea-order-events"],
        "/stream/",
        "/stream/of-before-",
    );
    stage
        .doctor_where(&[old])
        .is_only("pipe-reads-another-stream");
    for (id, asked) in [
        ("schedule-off", "/schedules/tea-daily"),
        ("pipe-stopped", "/v1/pipes/tea-order-events"),
        ("rule-off", "AWSEvents.DescribeRule"),
    ] {
        let gone = Change::refuse(&[asked], 404, "ResourceNotFoundException");
        stage.doctor_where(&[gone]).is_only(id);
    }
}

#[test]
fn alarms_that_are_on_or_gone_or_reach_no_person_are_found() {
    let stage = stage();
    breaks(
        &stage,
        "alarm-on",
        "c('cloudwatch').set_alarm_state(AlarmName='tea-sweep-behind', StateValue='ALARM', StateReason='test')",
        "c('cloudwatch').set_alarm_state(AlarmName='tea-sweep-behind', StateValue='OK', StateReason='test')",
    );
    let two = "names = ['tea-payments-late', 'tea-earlier-day-missing']\n";
    breaks_and_is_mended_as_it_says(
        &stage,
        "alarm-tells-nobody",
        &format!("{two}c('cloudwatch').disable_alarm_actions(AlarmNames=names)"),
        &format!("{two}c('cloudwatch').enable_alarm_actions(AlarmNames=names)"),
    );
    let all = "found = c('cloudwatch').describe_alarms(AlarmTypes=['MetricAlarm', 'CompositeAlarm'], MaxRecords=100)\n\
               names = [a['AlarmName'] for a in found['MetricAlarms'] + found['CompositeAlarms']]\n";
    breaks(
        &stage,
        "alarms-tell-nobody",
        &format!("{all}c('cloudwatch').disable_alarm_actions(AlarmNames=names)"),
        &format!("{all}c('cloudwatch').enable_alarm_actions(AlarmNames=names)"),
    );
    let subscribe = "c('sns').subscribe(TopicArn=t, Protocol='sqs', Endpoint='arn:aws:sqs:us-east-1:000000000000:tea-webhooks')";
    let topic = "t = 'arn:aws:sns:us-east-1:000000000000:alarms'\n";
    breaks(
        &stage,
        "alarm-topic-without-subscriber",
        &format!(
            "{topic}for s in c('sns').list_subscriptions_by_topic(TopicArn=t)['Subscriptions']:\n    \
             c('sns').unsubscribe(SubscriptionArn=s['SubscriptionArn'])"
        ),
        &format!("{topic}{subscribe}"),
    );
    breaks(
        &stage,
        "alarm-topic-gone",
        &format!("{topic}c('sns').delete_topic(TopicArn=t)"),
        &format!("{topic}c('sns').create_topic(Name='alarms'); {subscribe}"),
    );
    let gone = Change::replace(
        &["GraniteServiceVersion20100801.DescribeAlarms"],
        r#""AlarmName": "tea-sweep-behind""#,
        r#""AlarmName": "tea-other""#,
    );
    stage.doctor_where(&[gone]).is_only("alarms-missing");
    stage
        .doctor_where(&[with_channels()])
        .is_only("operators-have-no-channel");
    let mail = [
        "channel", "add", "--name", "mail", "--kind", "sns", "--page", "1",
    ];
    stage.setup(&mail);
    stage.doctor_where(&[with_channels()]).is_well();
    stage.setup(&["channel", "remove", "--name", "mail"]);
}

#[test]
fn lines_that_are_forwarded_and_have_nowhere_to_go_are_found() {
    let stage = stage();
    stage
        .doctor_where(&[with_forwarding()])
        .is_only("log-sinks-missing");
    let loki = ["log-sink", "add", "--kind", "loki"];
    stage.setup(&[&loki[..], &["--address", "https://loki.example"]].concat());
    stage.doctor_where(&[with_forwarding()]).is_well();
    stage.setup(&["log-sink", "remove", "--kind", "loki"]);
}

#[test]
fn an_address_that_leads_elsewhere_and_a_console_without_a_lock_are_found() {
    let stage = stage();
    let answering = |answers: Answers| {
        stage.receiver.answer_as(answers);
        let run = stage.doctor();
        stage.receiver.answer_as(Answers::default());
        run
    };
    // Some web server, not the API.
    answering(Answers {
        no_route: 200,
        ..Answers::default()
    })
    .is_only("notify-url-unreachable");
    for (console, is_open) in [
        ((200, ""), true),
        ((302, "/console/2026-11-29"), true),
        ((302, "https://sign-in.example/"), false),
        ((403, ""), false),
        ((404, ""), false),
    ] {
        let run = answering(Answers {
            console,
            ..Answers::default()
        });
        if is_open {
            run.is_only("console-open");
        } else {
            run.is_well();
        }
    }
    // Who may come in is let in.
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("console-token");
    std::fs::write(&file, "of-a-member\n").unwrap();
    let by_token = ["--console-token-file", file.to_str().unwrap()];
    stage.doctor_with(&[], &by_token).is_well();
    for status in [401, 403, 404] {
        stage.receiver.answer_as(Answers {
            console_with_token: status,
            ..Answers::default()
        });
        let run = stage.doctor_with(&[], &by_token);
        stage.receiver.answer_as(Answers::default());
        run.is_only("console-shut");
    }
    // Nothing listens there.
    let nowhere = Change::replace(&[PARAMETERS], &stage.receiver.base, "http://127.0.0.1:9");
    stage
        .doctor_where(&[nowhere])
        .is_only("notify-url-unreachable");
}
