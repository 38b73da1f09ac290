//! Where spans go.

use url::Url;

use crate::aws::is_endpoint;

/// A collector's address for spans: OTLP over HTTP, protobuf.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OtlpEndpoint {
    pub(super) url: String,
    /// For CloudWatch's: the Region that requests are signed for.
    pub(super) signed_for: Option<String>,
}

impl OtlpEndpoint {
    /// Reads the whole address, with its path. As with AWS itself, only private addresses are
    /// called without TLS.
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok().filter(|_| is_endpoint(text))?;
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !is_plain || url.path() == "/" {
            return None;
        }
        let signed_for = url.host_str().and_then(region_of).map(str::to_owned);
        Some(Self {
            url: url.into(),
            signed_for,
        })
    }
}

/// The Region of one of CloudWatch's endpoints, in China too.
fn region_of(host: &str) -> Option<&str> {
    let rest = host.strip_prefix("xray.")?;
    let region = rest
        .strip_suffix(".amazonaws.com.cn")
        .or_else(|| rest.strip_suffix(".amazonaws.com"))?;
    (!region.is_empty() && !region.contains('.')).then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_to_cloudwatch_alone_are_signed_for_the_region_in_its_name() {
        for (url, region) in [
            (
                "https://xray.eu-central-1.amazonaws.com/v1/traces",
                Some("eu-central-1"),
            ),
            (
                "https://xray.cn-north-1.amazonaws.com.cn/v1/traces",
                Some("cn-north-1"),
            ),
            (
                "https://XRAY.eu-west-1.amazonaws.com/v1/traces",
                Some("eu-west-1"),
            ),
            ("https://collector.example.com/v1/traces", None),
            (
                "https://xray.eu-central-1.amazonaws.com.example.com/v1/traces",
                None,
            ),
            ("https://xray.a.b.amazonaws.com/v1/traces", None),
            ("http://127.0.0.1:4318/v1/traces", None),
            ("http://192.168.255.1/v1", None),
            ("https://203.0.113.7:65535/v1/traces", None),
            ("https://otel:4318/a", None),
        ] {
            let endpoint = OtlpEndpoint::parse(url).unwrap_or_else(|| panic!("{url}"));
            assert_eq!(endpoint.signed_for.as_deref(), region, "{url}");
        }
    }

    #[test]
    fn an_address_without_tls_in_public_without_path_or_with_a_secret_is_none() {
        for url in [
            "",
            "collector.example.com/v1/traces",
            "http://collector.example.com/v1/traces",
            "http://xray.eu-central-1.amazonaws.com/v1/traces",
            "http://10.0.0/v1/traces",
            "http://127.1/v1",
            "http://10.0.0.256/v1/traces",
            "https://c.example.com:70000/v1/traces",
            "https://c.example.com:4318x/v1",
            "https://collector.example.com",
            "https://collector.example.com/",
            "https://key@collector.example.com/v1/traces",
            "https://collector.example.com/v1/traces?key=1",
            "https://collector.example.com/v1/traces#a",
        ] {
            assert_eq!(OtlpEndpoint::parse(url), None, "{url}");
        }
    }
}
