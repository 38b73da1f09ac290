//! Which addresses a webhook may be sent to: those that the internet routes, and no others. The
//! ranges are those of IANA's registries of special-purpose addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far webhooks may go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    /// To public addresses, over HTTPS.
    Public,
    /// To this very machine too, over HTTP if need be: for the local stack and for tests.
    PublicAndLoopback,
}

/// Whether a webhook that goes so far may connect to this address.
pub fn is_allowed(address: IpAddr, reach: Reach) -> bool {
    let is_public = match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    };
    match reach {
        Reach::Public => is_public,
        Reach::PublicAndLoopback => is_public || address.is_loopback(),
    }
}

/// Whether the host is this very machine. `sam local` runs functions in containers, which reach
/// their own host at these addresses.
pub fn is_this_machine(host: &str) -> bool {
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "172.17.0.1",
        "host.docker.internal",
    ]
    .contains(&host)
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let is_special = match address.octets() {
        // this network; private; loopback; reserved, with the broadcast address; multicast
        [0 | 10 | 127 | 224..=255, ..] => true,
        // shared by carriers for their customers (CGNAT)
        [100, second, ..] => (64..128).contains(&second),
        // link-local: where clouds serve credentials
        [169, 254, ..] => true,
        // private
        [172, second, ..] => (16..32).contains(&second),
        [192, 168, ..] => true,
        // protocol assignments; documentation; relays of 6to4
        [192, 0, 0 | 2, _] | [192, 88, 99, _] => true,
        // benchmarks; documentation
        [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        [_, ..] => false,
    };
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // An IPv4 address in IPv6's clothes leads where the IPv4 address leads: mapped, or through a
    // translator (NAT64).
    let embedded = match address.segments() {
        [0, 0, 0, 0, 0, 0xFFFF, high, low] | [0x64, 0xFF9B, 0, 0, 0, 0, high, low] => {
            Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
        }
        [_, ..] => None,
    };
    if let Some(address) = embedded {
        return is_public_v4(address);
    }
    match address.segments() {
        // protocol assignments, with Teredo's tunnels; documentation
        [0x2001, second, ..] => second >= 0x200 && second != 0xDB8,
        // tunnels of 6to4, given up long ago, to any IPv4 address
        [0x2002, ..] => false,
        // documentation
        [0x3FFF, second, ..] => second >= 0x1000,
        // the range assigned as global unicast: everything local, multicast and unspecified is
        // outside
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(text: &str, reach: Reach) -> bool {
        is_allowed(text.parse().unwrap(), reach)
    }

    #[test]
    fn addresses_of_the_internet_are_allowed() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "203.0.112.255",
            "223.255.255.255",
            "2000::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:4700:4700::1111",
            "3fff:1000::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
        ] {
            assert!(allowed(text, Reach::Public), "{text}");
        }
    }

    #[test]
    fn every_other_address_is_refused() {
        for text in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.0.0",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.0",
            "192.0.0.170",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::2",
            "::8.8.8.8",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:8.8.8.8",
            "64:ff9b::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::8.8.8.8",
            "100::1",
            "2001::1",
            "2001:10::1",
            "2001:1ff::1",
            "2001:db8::1",
            "2002:a00:1::1",
            "2002:808:808::1",
            "3fff::1",
            "3fff:fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!allowed(text, Reach::Public), "{text}");
        }
    }

    #[test]
    fn loopback_is_reached_only_where_that_was_asked_for() {
        for text in ["127.0.0.1", "127.1.2.3", "::1", "8.8.8.8"] {
            assert!(allowed(text, Reach::PublicAndLoopback), "{text}");
        }
        for text in ["10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "fd00::1"] {
            assert!(!allowed(text, Reach::PublicAndLoopback), "{text}");
        }
    }
}
