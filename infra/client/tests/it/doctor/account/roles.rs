//! Roles that may not do what the template lets them.

use super::breaks;
use crate::doctor::front::Change;
use crate::doctor::stage::{stage, with_parameter};

#[test]
fn roles_that_may_not_do_what_they_live_on_are_found() {
    let stage = stage();
    for (role, action) in [
        ("ReceiveCallbackRole", "sqs:"),
        ("CreateOrderRole", "dynamodb:Put"),
        ("ReconcileRole", "dynamodb:Query"),
        ("OrderEventsPipeRole", "dynamodb:GetRecords"),
        ("OrderEventsPipeRole", "events:"),
        ("SweepScheduleRole", "lambda:"),
        ("CreateOrderRole", "kms:GenerateDataKey"),
        ("ReceiveCallbackRole", "kms:EncryptionContext:purpose"),
        ("SendWebhookRole", "webhook-secret"),
        ("ReconcileRole", "s3:Abort"),
        ("ReconcileRole", "s3:List"),
        ("ProcessPaymentRole", "merchant-key"),
        ("ProcessPaymentRole", "refund#"),
    ] {
        let read = format!(
            "import json\ni = c('iam')\n\
             r = [r['RoleName'] for r in i.list_roles(MaxItems=1000)['Roles'] if '{role}' in r['RoleName']][0]\n\
             y = i.list_role_policies(RoleName=r)['PolicyNames'][0]\n\
             d = i.get_role_policy(RoleName=r, PolicyName=y)['PolicyDocument']\n"
        );
        let kept = stage.aws(&format!("{read}print(json.dumps(d))"));
        let put = "i.put_role_policy(RoleName=r, PolicyName=y, PolicyDocument=";
        breaks(
            &stage,
            "role-may-not",
            &format!("{read}{put}json.dumps(d).replace('{action}', 'none:'))"),
            &format!("{read}{put}'''{}''')", kept.trim()),
        );
    }
    // A key that signs is among it where one does: these roles were deployed beside a sealed
    // signer.
    let by_kms = with_parameter("OtherSigner", &stage.own_key("MerchantSigningKeyId"));
    stage.doctor_where(&[by_kms]).is_only("role-may-not");
    let gone = Change::refuse(
        &["Action=SimulatePrincipalPolicy", "SendWebhookRole"],
        404,
        "NoSuchEntity",
    );
    stage.doctor_where(&[gone]).is_only("role-gone");
    let denied = Change::refuse(&["Action=SimulatePrincipalPolicy"], 403, "AccessDenied");
    stage.doctor_where(&[denied]).is_only("not-examined");
}

/// The role of `notify-operators`, which is there with channels alone: as the template has it.
const NOTIFIER: &str = "
import json
allow = lambda action, resource, condition={}: {
    'Effect': 'Allow', 'Action': action, 'Resource': resource, 'Condition': condition}
items = lambda key: {'ForAllValues:StringLike': {'dynamodb:LeadingKeys': key}}
table = 'arn:aws:dynamodb:us-east-1:000000000000:table/tea-'
policy = {'Version': '2012-10-17', 'Statement': [
    allow('dynamodb:GetItem', table + 'keys', items('channels#' + mchid)),
    allow(['dynamodb:PutItem', 'dynamodb:UpdateItem', 'dynamodb:DeleteItem'], table + 'guards', items('notified#' + mchid + '#*')),
    allow(['dynamodb:GetItem', 'dynamodb:PutItem'], table + 'guards', items('channel-rate#' + mchid + '#*')),
    allow('kms:Decrypt', secrets_key, {'StringEquals': {
        'kms:EncryptionContext:purpose': 'operator-channel', 'kms:EncryptionContext:mchid': mchid}}),
    allow('sns:Publish', topic),
]}
trust = {'Version': '2012-10-17', 'Statement': [
    {'Effect': 'Allow', 'Principal': {'Service': 'lambda.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]}
if 'tea-notifier' not in [r['RoleName'] for r in c('iam').list_roles(MaxItems=1000)['Roles']]:
    c('iam').create_role(RoleName='tea-notifier', AssumeRolePolicyDocument=json.dumps(trust))
def put(policy):
    c('iam').put_role_policy(RoleName='tea-notifier', PolicyName='notify', PolicyDocument=policy)
";

#[test]
fn the_role_that_tells_people_on_call_is_asked_about_where_it_is_there() {
    let stage = stage();
    let topic = "arn:aws:sns:us-east-1:000000000000:on-call";
    let given = format!(
        "mchid, secrets_key, topic = '{}', '{}', '{topic}'\n{NOTIFIER}",
        stage.wechat.details.mchid,
        stage.own_key("SecretsKeyId")
    );
    let head = "<StackResourceSummaries>";
    let there = [
        with_parameter("OperatorsTopicArn", topic),
        Change::replace(
            &["Action=ListStackResources"],
            head,
            &format!(
                "{head}<member><LogicalResourceId>NotifyOperatorsRole</LogicalResourceId>\
                 <PhysicalResourceId>tea-notifier</PhysicalResourceId><ResourceType>AWS::IAM::Role</ResourceType>\
                 <ResourceStatus>CREATE_COMPLETE</ResourceStatus></member>"
            ),
        ),
    ];
    stage.aws(&format!("{given}put(json.dumps(policy))"));
    stage.doctor_where(&there).is_well();
    for action in [
        "channels#",
        "DeleteItem",
        "channel-rate#",
        "kms:Decrypt",
        "operator-channel",
        "sns:Publish",
    ] {
        stage.aws(&format!(
            "{given}put(json.dumps(policy).replace('{action}', 'none:none'))"
        ));
        stage.doctor_where(&there).is_only("role-may-not");
    }
}
