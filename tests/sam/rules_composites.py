"""Who is notified: composite alarms, each for one cause or one thing to do, so that one cause calls once; and that each alarm
says what to do first, is listed for on-call, and is brought about by a test."""

import re
from functools import cache
from pathlib import Path

from reading import of_type, text_of
from rules_channels import DIRECT, DIRECT_ACTION

ROOT = Path(__file__).resolve().parents[2]
RUNBOOKS = ROOT / "infra" / "runbooks"
METRICS = {"Ref": "AWS::StackName"}

ACTION = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
# The alarms that take a release back. CodeDeploy reads their state.
OF_A_RELEASE = re.compile("Release(Errors|ErrorLines)Alarm$")
# Alarms on something new. Their end does not mean that the cause is gone, so they do not notify of it.
OF_EVENTS = {"NewErrorsAlarm", "DifferencesOpenedAlarm", "MoneyParkedAlarm"}
# Alarms that nothing else comes with, or that a stranger can keep on: they notify by themselves. All others do so by a
# composite alarm.
BY_THEMSELVES = {
    "CallbacksThrottledAlarm",
    "EarlierDayMissingAlarm",
    "DifferencesOpenedAlarm",
    "MoneyParkedAlarm",
    "MerchantCertificateEndsAlarm",
    "PlatformCertificateEndsAlarm",
}
# Its state only keeps others from notifying.
SILENT = "CauseKnownAlarm"
# What can wait for the next working day. Its description begins with this mark; all else wakes somebody
# (`operator_channels::Severity`).
TICKETS = {
    "MerchantCertificateEndsAlarm",
    "PlatformCertificateEndsAlarm",
    "ConsoleFailingAlarm",
    "ForwardErrorsFailingAlarm",
    "WebhookReceiversAlarm",
    "WaitsForAPersonAlarm",
}
TICKET_MARK = "[ticket]"
# What CloudWatch takes of a description and of a composite alarm's rule.
DESCRIPTION_MAX = 1024
RULE_MAX = 10240
# An alarm's texts and actions, which are checked separately.
TEXTS_AND_ACTIONS = {"AlarmName", "AlarmDescription", "AlarmActions", "OKActions"}


def is_named(alarm, page):
    """Whether a page names an alarm, or all alarms with the same ending (`...-errors`)."""
    return f"`{alarm}`" in page or f"`...-{alarm.rsplit('-', 1)[-1]}`" in page


def all_alarms(resources):
    yield from of_type(resources, "AWS::CloudWatch::Alarm")
    yield from of_type(resources, "AWS::CloudWatch::CompositeAlarm")


def is_composite(resource):
    return resource["Type"] == "AWS::CloudWatch::CompositeAlarm"


def violations(_parameters, resources):
    """Each composite alarm, and that every alarm is notified of by itself or by exactly one of them."""
    yield from each(_parameters, resources)
    yield from unanswered(resources)
    found = {name: resource["Properties"] for name, resource in of_type(resources, "AWS::CloudWatch::CompositeAlarm")}
    wanted = expected_composites()
    for name in sorted(found.keys() | wanted.keys()):
        properties = {key: value for key, value in found.get(name, {}).items() if key not in TEXTS_AND_ACTIONS}
        if name not in found:
            yield f"there is no {name}"
        elif properties != wanted.get(name):
            yield f"{name} does not stand for the alarms that it is named for"
        elif len(text_of(properties["AlarmRule"])) > RULE_MAX:
            yield f"{name} has a longer rule than CloudWatch takes"
    stood_for = [
        child
        for name, properties in found.items()
        if name != SILENT
        for child in set(re.findall(r"\$\{(\w+)\}", str(text_of(properties.get("AlarmRule")))))
    ]
    for name, _ in of_type(resources, "AWS::CloudWatch::Alarm"):
        times = stood_for.count(name) + (name in BY_THEMSELVES | DIRECT)
        if times != (0 if OF_A_RELEASE.search(name) else 1):
            yield f"{name} is notified of {times} times"

def each(_parameters, resources):
    """What holds for each alarm, whatever it watches: its name, its texts, its actions, its page and its proof."""
    for name, resource in all_alarms(resources):
        properties = resource["Properties"]
        notifies = name in BY_THEMSELVES or (is_composite(resource) and name != SILENT)
        is_on = DIRECT_ACTION if name in DIRECT else ACTION if notifies else None
        is_over = None if name in OF_EVENTS else is_on
        if properties.get("AlarmActions") != is_on or properties.get("OKActions") != is_over:
            yield f"{name} notifies no one, or notifies of an end that is none, or for a second time"
        description = properties.get("AlarmDescription", "")
        if len(description) > DESCRIPTION_MAX:
            yield f"{name} has a longer description than CloudWatch takes"
        if description.startswith(TICKET_MARK) != (name in TICKETS) or TICKET_MARK in description[1:]:
            yield f"{name} wakes somebody for what can wait, or does not"
        if not OF_A_RELEASE.search(name) and name != SILENT and ". First " not in description:
            yield f"{name} does not say what to do first"
        page = re.search(r"\(infra/runbooks/([A-Za-z-]+\.md)\)$", description)
        if not page or not (RUNBOOKS / page[1]).is_file():
            yield f"{name} names no page of infra/runbooks"
        called = str(text_of(properties.get("AlarmName")))
        if not called.startswith("${AWS::StackName}-"):
            yield f"{name} is not named after the stack"
        if called.endswith("-${Release}") != bool(OF_A_RELEASE.search(name)):
            yield f"{name} does not start again with each release, or does and watches more than a release"
        called = called.removeprefix("${AWS::StackName}-").removesuffix("-${Release}")
        if page and not is_named(called, (RUNBOOKS / page[1]).read_text()):
            yield f"the page of {name} does not say what it means"
        if f"| `{called}` |" not in listed_pages():
            yield f"infra/runbooks/README.md does not list {name}"
        if called not in proved():
            yield f"no test of tests/it/alarms brings about {name}, or sees it end"


def expected_composites():
    """What each composite alarm stands for, and which one it waits for, by its logical id."""

    def of(*children):
        return " OR ".join(f'ALARM("${{{child}}}")' for child in children)

    def both(*names):
        return [f"{name}{kind}Alarm" for name in names for kind in ("Errors", "Throttles")]

    def burning(what):
        fast = f'ALARM("${{{what}BurnOneHourAlarm}}") AND ALARM("${{{what}BurnFiveMinutesAlarm}}")'
        slow = f'ALARM("${{{what}BurnSixHoursAlarm}}") AND ALARM("${{{what}BurnHalfAnHourAlarm}}")'
        return f"({fast}) OR ({slow})"

    in_front = both("CreateOrder", "ManageOrder", "ReceiveCallback", "ProcessPayment", "Reconcile")
    found = {}
    for name, rule, suppressor in (
        ("KeysUnverified", of("CallbacksUnverifiedAlarm", "AnswersUnverifiedAlarm"), None),
        (
            "WechatPayFailing",
            of("WechatUnreachableAlarm", "MerchantRefusedAlarm", "PrepaysPutOffAlarm"),
            ("AnswersUnverified", 60, 300),
        ),
        (
            "PaymentsFailing",
            of(*in_front, "ApiFailuresAlarm", "SweepMissingAlarm"),
            None,
        ),
        ("CauseKnown", of("KeysUnverifiedAlarm", "WechatPayFailingAlarm", "PaymentsFailingAlarm"), None),
        (
            "PaymentsLate",
            of("PaymentRequestsAgeAlarm", "PaymentResultsAgeAlarm", "SweepBehindAlarm", "SettlementLateAlarm"),
            ("CauseKnown", 180, 900),
        ),
        ("DeadLetters", of("PaymentRequestsDlqAlarm", "PaymentResultsDlqAlarm"), ("CauseKnown", 180, 600)),
        (
            "WebhooksFailing",
            of(
                *both("SendWebhook"),
                "WebhooksAgeAlarm",
                "WebhooksRuleAlarm",
                "WebhooksRuleGaveUpAlarm",
                "OrderEventsPipeAlarm",
                "OrderEventsDlqAlarm",
            ),
            ("PaymentsFailing", 180, 600),
        ),
        ("WebhookReceivers", of("WebhookReceiverDownAlarm", "WebhookReceiverGoneAlarm", "WebhooksDlqAlarm"), None),
        ("ConsoleFailing", of(*both("Console")), ("PaymentsFailing", 120, 300)),
        ("ForwardErrorsFailing", of(*both("ForwardErrors"), "ForwardErrorsDlqAlarm", "ForwardErrorsDeadLetterErrorsAlarm"), None),
        # A bill is asked for each half hour, so a day that WeChat Pay held up is done within an hour of its return.
        (
            "DayNotReconciled",
            of(
                "ReconciliationMissingAlarm",
                "DayFailedAlarm",
                "FundSideFailedAlarm",
                "BillLateAlarm",
                "ReconcileWorkAgeAlarm",
                "ReconcileWorkDlqAlarm",
            ),
            ("CauseKnown", 180, 3600),
        ),
        # The slow pair's short window has half an hour.
        ("CallbacksBurning", burning("Callbacks"), ("CauseKnown", 120, 2400)),
        ("OrdersBurning", burning("Orders"), ("CauseKnown", 120, 2400)),
        ("NewErrors", of("NewErrorLinesAlarm"), ("PaymentsFailing", 120, 300)),
        (
            "WaitsForAPerson",
            of("ErrorLinesAlarm", "NoticesParkedAlarm", "OpenDifferencesAlarm", "MoneyUnexplainedAlarm"),
            None,
        ),
    ):
        found[f"{name}Alarm"] = {"AlarmRule": {"Fn::Sub": rule}}
        if suppressor:
            alarm, wait_s, extension_s = suppressor
            found[f"{name}Alarm"] |= {
                "ActionsSuppressor": {"Ref": f"{alarm}Alarm"},
                "ActionsSuppressorWaitPeriod": wait_s,
                "ActionsSuppressorExtensionPeriod": extension_s,
            }
    return found


def burn_alarms():
    """Burn rates of the objectives, each over a long window and a short one. Without the zeros CloudWatch uses older points
    where nothing comes, and an alarm would outlast its cause."""
    budget = "0.0005"
    for what, metric in (("Callbacks", "CallbacksGood"), ("Orders", "OrdersAnswered")):
        for window, period, burn, failures in (
            ("OneHour", 3600, 14.4, 3),
            ("FiveMinutes", 300, 14.4, 1),
            ("SixHours", 21600, 6, 5),
            ("HalfAnHour", 1800, 6, 1),
        ):
            burns = f"bad / IF(total > 0, total, 1) / {budget}"
            yield (
                f"{what}Burn{window}Alarm",
                {
                    "Metrics": [
                        query("good", metric, "Sum", period),
                        query("events", metric, "SampleCount", period),
                        math("bad", "FILL(events, 0) - FILL(good, 0)", False),
                        math("total", "FILL(events, 0)", False),
                        math("burn", f"IF(bad >= {failures}, {burns}, 0)", True),
                    ],
                    "EvaluationPeriods": 1,
                    "DatapointsToAlarm": 1,
                    "ComparisonOperator": "GreaterThanThreshold",
                    "Threshold": burn,
                    "TreatMissingData": "notBreaching",
                },
            )


def unanswered(resources):
    """What the API answers in a function's place has a message of the API's own, and no line of the function: it counts as 0."""
    callbacks = '($.route = "POST /v1/callbacks/wechatpay") && ($.status = "5*")'
    creates = '($.route = "POST /v1/orders") && ($.status = "5*")'
    for name, metric, pattern in (
        ("CallbacksUnanswered", "CallbacksGood", callbacks),
        ("CreatesUnanswered", "OrdersAnswered", creates),
    ):
        if resources.get(name, {}).get("Properties") != {
            "LogGroupName": {"Ref": "ApiLogs"},
            "FilterPattern": f'{{ {pattern} && ($.error != "-") }}',
            "MetricTransformations": [{"MetricNamespace": METRICS, "MetricName": metric, "MetricValue": "0"}],
        }:
            yield f"what the API answers in a function's place does not count as 0 of {metric}"


def money_alarm():
    """The share of a day's fen that was not explained in time, in 100,000ths."""
    return {
        "Metrics": [
            query("fen", "DayFen", "Sum", 86400),
            query("open", "DayFenOpen", "Sum", 86400),
            math("total", "FILL(fen, 0)", False),
            math("unexplained", "100000 * FILL(open, 0) / IF(total > 0, total, 1)", True),
        ],
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 1,
        "TreatMissingData": "notBreaching",
    }


def query(name, metric, statistic, period_s, dimensions=None):
    watched = {"Namespace": METRICS, "MetricName": metric, **({"Dimensions": dimensions} if dimensions else {})}
    stat = {"Metric": watched, "Stat": statistic, "Period": period_s}
    return {"Id": name, "ReturnData": False, "MetricStat": stat}


def math(name, expression, is_watched):
    return {"Id": name, "Expression": expression, "ReturnData": is_watched}


@cache
def listed_pages():
    return (RUNBOOKS / "README.md").read_text()


@cache
def proved():
    """The alarms that a test of tests/it/alarms brings about and sees end: `goes_on` and `goes_off` stand in the test that is
    named beside the alarm (tests/it/alarms/proofs.rs)."""
    folder = ROOT / "tests" / "it" / "alarms"
    tests = {}
    for path in [ROOT / "tests" / "it" / "alarms.rs", *sorted(folder.rglob("*.rs"))]:
        for body in re.split(r"\n(?:#\[tokio::test|#\[test\])", path.read_text())[1:]:
            if (name := re.search(r"fn (\w+)\(", body)) is not None:
                tests[name[1]] = body
    rows = re.findall(r'\(\s*"([a-z0-9-]+)",\s*"(\w+)",?\s*\)', (folder / "proofs.rs").read_text())
    return {alarm for alarm, test in rows if "goes_on(" in tests.get(test, "") and "goes_off(" in tests.get(test, "")}
