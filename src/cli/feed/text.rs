//! A feed's text: writing it to a file, and checking it or how it is served.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use url::Url;

use super::{Context, find_live, output};
use crate::app::{Installation, StartError};
use crate::outbound::https;
use crate::store::Feed;
use crate::views::count;
use crate::views::feed::lint::{self, Answers, Finding};
use crate::views::feed::render;

async fn text_of(installation: &Installation, feed: &Feed) -> anyhow::Result<Vec<u8>> {
    let now = installation.clock.now();
    Ok(render(&installation.store, &installation.id, feed, now).await?.body)
}

pub(super) async fn export(installation: &Installation, feed: &str, file: Option<PathBuf>) -> anyhow::Result<()> {
    let text = text_of(installation, &find_live(installation, feed).await?).await?;
    if let Some(file) = file {
        tokio::fs::write(&file, text).await.with_context(|| format!("{} can't be written", file.display()))?;
    } else {
        output::bytes(&text)?;
    }
    Ok(())
}

/// The text of a feed or a file. A file can be read without an installation, too.
async fn feed_or_file(context: &Context, target: &str) -> anyhow::Result<Vec<u8>> {
    let installation = match context.open().await {
        Err(error) if matches!(error.downcast_ref(), Some(StartError::NoInstallation(_))) => {
            return tokio::fs::read(target).await.map_err(|_| error);
        }
        opened => opened?,
    };
    match installation.store.feed(target).await? {
        Some(feed) if feed.revoked_at.is_some() => bail!("the feed “{}” was revoked: it has no text", feed.wish.name),
        Some(feed) => text_of(&installation, &feed).await,
        None => tokio::fs::read(target)
            .await
            .with_context(|| format!("{target} is neither a feed nor a file that can be read")),
    }
}

pub(super) async fn lint(context: &Context, target: &str) -> anyhow::Result<ExitCode> {
    let (text, findings) = if target.starts_with("http://") || target.starts_with("https://") {
        served(target).await?
    } else {
        let text = feed_or_file(context, target).await?;
        let findings = lint::lint(&text);
        (text, findings)
    };
    for finding in &findings {
        output::line(finding);
    }
    if findings.is_empty() {
        output::note(format_args!("{target}: nothing wrong in {} bytes", text.len()));
        return Ok(ExitCode::SUCCESS);
    }
    let number = i64::try_from(findings.len()).unwrap_or(i64::MAX);
    output::note(format_args!("{target}: {}", count(number, "finding", "findings")));
    Ok(ExitCode::FAILURE)
}

/// Asks for the feed as calendar programs do, and judges the answers.
async fn served(address: &str) -> anyhow::Result<(Vec<u8>, Vec<Finding>)> {
    let url = Url::parse(address)?;
    let local = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if !local {
        bail!(
            "only addresses on this machine are fetched: put the server's --listen address in place of {}, or save the feed to a \
             file and check that",
            url.host_str().unwrap_or("the host")
        );
    }
    let (status, headers, body) = ask(&url, Method::GET, &[]).await?;
    if !status.is_success() {
        bail!("{address} answered {status}");
    }
    let mut findings = lint::lint(&body);
    let (_, head, _) = ask(&url, Method::HEAD, &[]).await?;
    let again = async |condition: &str, validator: &str| match headers.get(validator) {
        Some(value) => Ok::<_, anyhow::Error>(Some(ask(&url, Method::GET, &[(condition, value.to_str()?)]).await?.0)),
        None => Ok(None),
    };
    let by_tag = again("if-none-match", "etag").await?;
    let by_date = again("if-modified-since", "last-modified").await?;
    findings.extend(lint::answers(&Answers {
        address,
        headers: &headers,
        octets: body.len(),
        head: &head,
        by_tag,
        by_date,
    }));
    Ok((body, findings))
}

async fn ask(url: &Url, method: Method, headers: &[(&str, &str)]) -> anyhow::Result<(StatusCode, HeaderMap, Vec<u8>)> {
    let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(https::connector()?);
    let mut request = Request::builder().method(method).uri(url.as_str());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = client.request(request.body(Full::default())?).await;
    let answer = answer.with_context(|| format!("{url} can't be reached"))?;
    let (parts, body) = answer.into_parts();
    Ok((parts.status, parts.headers, body.collect().await?.to_bytes().into()))
}
