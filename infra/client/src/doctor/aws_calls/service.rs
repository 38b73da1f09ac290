//! AWS's services: their addresses and protocols.

/// A service, by the first part of its address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    host: &'static str,
    /// The name that signatures are made for.
    pub(super) signed_as: &'static str,
    pub(super) protocol: Protocol,
    /// One for all Regions of a partition.
    is_global: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Protocol {
    /// The operation is named by a header, after this prefix.
    Json {
        target: &'static str,
        version: &'static str,
    },
    /// The operation is a method and a path.
    Rest,
    /// The same, signed as S3 has it: with the body's hash, and the path as it is sent.
    S3,
    /// The operation is a field of a form; the answer is XML.
    Query { version: &'static str },
}

impl Service {
    /// Its address in a Region.
    pub(super) fn address(self, region: &str) -> String {
        match (region.starts_with("cn-"), self.is_global) {
            (false, false) => format!("https://{}.{region}.amazonaws.com", self.host),
            (false, true) => format!("https://{}.amazonaws.com", self.host),
            (true, false) => format!("https://{}.{region}.amazonaws.com.cn", self.host),
            (true, true) => format!("https://{}.cn-north-1.amazonaws.com.cn", self.host),
        }
    }

    /// The Region that a signature names. A global service takes signatures for one Region only.
    pub(super) fn signed_for(self, region: &str) -> &str {
        match (self.is_global, region.starts_with("cn-")) {
            (false, _) => region,
            (true, false) => "us-east-1",
            (true, true) => "cn-north-1",
        }
    }
}

const fn json(host: &'static str, target: &'static str, version: &'static str) -> Service {
    Service {
        host,
        signed_as: host,
        protocol: Protocol::Json { target, version },
        is_global: false,
    }
}

const fn rest(host: &'static str) -> Service {
    Service {
        host,
        signed_as: host,
        protocol: Protocol::Rest,
        is_global: false,
    }
}

const fn query(host: &'static str, version: &'static str) -> Service {
    Service {
        host,
        signed_as: host,
        protocol: Protocol::Query { version },
        is_global: false,
    }
}

pub(crate) const KMS: Service = json("kms", "TrentService", "1.1");
pub(crate) const DYNAMODB: Service = json("dynamodb", "DynamoDB_20120810", "1.0");
pub(crate) const SQS: Service = json("sqs", "AmazonSQS", "1.0");
pub(crate) const CLOUDWATCH: Service = json("monitoring", "GraniteServiceVersion20100801", "1.0");
pub(crate) const EVENTS: Service = json("events", "AWSEvents", "1.1");
pub(crate) const LAMBDA: Service = rest("lambda");
pub(crate) const SCHEDULER: Service = rest("scheduler");
pub(crate) const PIPES: Service = rest("pipes");
pub(crate) const ACM: Service = json("acm", "CertificateManager", "1.1");
pub(crate) const EC2: Service = query("ec2", "2016-11-15");
pub(crate) const CLOUDFORMATION: Service = query("cloudformation", "2010-05-15");
pub(crate) const SNS: Service = query("sns", "2010-03-31");
pub(crate) const STS: Service = query("sts", "2011-06-15");
pub(crate) const QUOTAS: Service = json("servicequotas", "ServiceQuotasV20190624", "1.1");
pub(crate) const S3: Service = Service {
    protocol: Protocol::S3,
    ..rest("s3")
};
pub(crate) const IAM: Service = Service {
    is_global: true,
    ..query("iam", "2010-05-08")
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_china_s_regions_end_in_their_own_domain() {
        for (region, service, url, signed_for) in [
            (
                "ap-east-1",
                KMS,
                "https://kms.ap-east-1.amazonaws.com",
                "ap-east-1",
            ),
            (
                "cn-northwest-1",
                KMS,
                "https://kms.cn-northwest-1.amazonaws.com.cn",
                "cn-northwest-1",
            ),
            ("ap-east-1", IAM, "https://iam.amazonaws.com", "us-east-1"),
            (
                "cn-northwest-1",
                IAM,
                "https://iam.cn-north-1.amazonaws.com.cn",
                "cn-north-1",
            ),
        ] {
            assert_eq!(service.address(region), url);
            assert_eq!(service.signed_for(region), signed_for);
        }
    }
}
