//! The commands of infra/DEPLOY.md for a domain, and for CloudFront before it.

use super::{CommandRun, DEPLOY};

pub(super) fn run_commands(testbed: &mut CommandRun) {
    let domain = testbed.run(DEPLOY, "aws acm request-certificate", &[]);
    let domain = [("CERTIFICATE_ARN", domain.trim())];
    let printed = testbed.run(DEPLOY, "aws acm describe-certificate", &domain);
    assert!(printed.contains("CNAME"), "{printed}");
    testbed.run(DEPLOY, "aws acm wait certificate-validated", &domain);

    // The certificate by which CloudFront shows who it is.
    testbed.run(DEPLOY, "openssl req", &[]);
    let proof = "openssl verify -purpose sslclient -CAfile edge-ca.pem edge.pem";
    let printed = testbed.shell.run(proof, "").expect("a certificate");
    assert!(printed.contains("edge.pem: OK"), "{printed}");
    let in_us_east_1 = [(
        " --create-bucket-configuration \"LocationConstraint=$AWS_REGION\"",
        "",
    )];
    testbed.run(DEPLOY, "export EDGE_BUCKET", &in_us_east_1);
    let edge = "arn:aws:acm:us-east-1:000000000000:certificate/edge";
    let topic = "arn:aws:sns:us-east-1:000000000000:wechatpay-alarms";
    let alarm = [
        ("EDGE_CERTIFICATE_ARN", edge),
        ("TOPIC_ARN_IN_US_EAST_1", topic),
    ];
    testbed.run(DEPLOY, "aws cloudwatch put-metric-alarm", &alarm);
}
