//! From where the public address can be reached, judged by its host alone. A link with a private host is the commonest
//! reason why a subscription stays empty.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Who can reach an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// This machine only.
    ThisMachine,
    /// Machines in the same network only.
    ThisNetwork,
    /// Everybody, as far as one can tell.
    Everywhere,
}

impl Reach {
    /// Judges the base of every link.
    pub(super) fn of(public_url: &str) -> Self {
        let Ok(url) = Url::parse(public_url) else { return Self::Everywhere };
        match url.host() {
            Some(Host::Ipv4(address)) => of_v4(address),
            Some(Host::Ipv6(address)) => of_v6(address),
            Some(Host::Domain(name)) => of_name(name),
            None => Self::Everywhere,
        }
    }

    /// What that means for a person who wants to subscribe; nothing when all is well.
    pub(super) fn warning(self) -> Option<&'static str> {
        match self {
            Self::ThisMachine => Some(
                "Links work on the machine that runs the service only: Google, Outlook and phones can't reach them.",
            ),
            Self::ThisNetwork => Some(
                "Links work inside this network only: Google Calendar and Outlook on the web fetch from outside and can't reach them.",
            ),
            Self::Everywhere => None,
        }
    }
}

fn of_v4(address: Ipv4Addr) -> Reach {
    // 100.64.0.0/10 is shared address space (RFC 6598).
    let shared = address.octets()[0] == 100 && (64..128).contains(&address.octets()[1]);
    if address.is_loopback() || address.is_unspecified() {
        Reach::ThisMachine
    } else if address.is_private() || address.is_link_local() || shared {
        Reach::ThisNetwork
    } else {
        Reach::Everywhere
    }
}

fn of_v6(address: Ipv6Addr) -> Reach {
    if let Some(address) = address.to_ipv4_mapped() {
        return of_v4(address);
    }
    if IpAddr::V6(address).is_loopback() || address.is_unspecified() {
        Reach::ThisMachine
    } else if address.is_unique_local() || address.is_unicast_link_local() {
        Reach::ThisNetwork
    } else {
        Reach::Everywhere
    }
}

fn of_name(name: &str) -> Reach {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    if name == "localhost" || ends(&[".localhost"]) {
        Reach::ThisMachine
    } else if !name.contains('.') || ends(&[".local", ".lan", ".internal", ".home.arpa", ".localdomain"]) {
        Reach::ThisNetwork
    } else {
        Reach::Everywhere
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_apart() {
        for (url, reach) in [
            ("http://127.0.0.1:8080", Reach::ThisMachine),
            ("http://0.0.0.0:8080", Reach::ThisMachine),
            ("http://[::1]:8080", Reach::ThisMachine),
            ("http://[::ffff:127.0.0.1]", Reach::ThisMachine),
            ("http://localhost:8080", Reach::ThisMachine),
            ("http://192.168.1.20", Reach::ThisNetwork),
            ("http://100.100.1.2", Reach::ThisNetwork),
            ("http://[fd00::1]", Reach::ThisNetwork),
            ("http://mirror", Reach::ThisNetwork),
            ("https://mirror.corp.internal/", Reach::ThisNetwork),
            ("https://mirror.example.com", Reach::Everywhere),
            ("https://203.0.113.7", Reach::Everywhere),
        ] {
            assert_eq!(Reach::of(url), reach, "{url}");
        }
    }
}
