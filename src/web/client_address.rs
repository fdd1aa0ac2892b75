//! Where a request comes from, for limiting sign-in attempts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;

/// The client's address; an IPv4 address that came over an IPv6 socket is told as IPv4. Behind a proxy on this machine it is the last one of X-Forwarded-For: the one the proxy saw.
/// What a client far away writes there itself is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        if !peer.is_loopback() {
            return Ok(Self(peer));
        }
        let forwarded = parts.headers.get_all("x-forwarded-for").iter().next_back();
        let last = forwarded.and_then(|value| value.to_str().ok()).and_then(|value| value.rsplit(',').next());
        Ok(Self(last.and_then(|text| text.trim().parse().ok()).unwrap_or(peer)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    async fn address(peer: &str, forwarded: &str) -> String {
        let peer: SocketAddr = peer.parse().unwrap();
        let request = Request::get("/").header("x-forwarded-for", forwarded).extension(ConnectInfo(peer));
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let Ok(ClientAddress(address)) = ClientAddress::from_request_parts(&mut parts, &()).await;
        address.to_string()
    }

    #[tokio::test]
    async fn only_a_proxy_on_this_machine_is_believed() {
        let forwarded = "198.51.100.1, 203.0.113.7";
        for proxy in ["127.0.0.1:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            assert_eq!(address(proxy, forwarded).await, "203.0.113.7", "{proxy}");
        }
        assert_eq!(address("192.0.2.9:80", forwarded).await, "192.0.2.9");
        assert_eq!(address("[::ffff:192.0.2.9]:80", forwarded).await, "192.0.2.9");
        assert_eq!(address("127.0.0.1:80", "nonsense").await, "127.0.0.1");
    }
}
