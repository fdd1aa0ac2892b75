//! `check`: whether settings, database and credentials are fine, and what to do if not.

use std::process::ExitCode;

use super::{Context, explain, output};
use crate::app::Installation;

pub(super) async fn run(context: &Context) -> anyhow::Result<ExitCode> {
    let settings = &context.settings;
    let mut fine = true;
    let mut tell = |what: &str, result: Result<String, String>| {
        let (mark, text) = match result {
            Ok(text) => ("ok     ", text),
            Err(text) => {
                fine = false;
                ("PROBLEM", text)
            }
        };
        output::line(format_args!("{mark}  {what}: {text}"));
    };

    tell(
        "signing keys",
        match settings.signing_keys() {
            Ok(keys) if keys.is_empty() => Ok("none; deliveries are taken unsigned, on this machine only".to_owned()),
            Ok(keys) => Ok(format!("{} active", keys.len())),
            Err(error) => Err(error.to_string()),
        },
    );
    tell(
        "admin password",
        match settings.admin_password() {
            Ok(Some(_)) => Ok("set".to_owned()),
            Ok(None) => Ok("made at first start, or kept from before".to_owned()),
            Err(error) => Err(error.to_string()),
        },
    );
    tell(
        "audit log",
        match settings.audit_log.push_target() {
            Ok(None) => Ok("kept here only".to_owned()),
            Ok(Some(target)) => Ok(format!("sent on to {}", target.host())),
            Err(error) => Err(error.to_string()),
        },
    );
    tell(
        "alerts",
        match settings.alerts.target() {
            Ok(None) => Ok("no message is sent; the pages tell what is wrong".to_owned()),
            Ok(Some(to)) => Ok(format!(
                "sent to {} as {}; try it with: meeting-mirror alert test",
                to.target.host(),
                to.format.as_str()
            )),
            Err(error) => Err(error.to_string()),
        },
    );
    match context.open().await {
        Err(error) => tell("data directory", Err(explain(&error))),
        Ok(installation) => {
            tell("data directory", Ok(settings.data_dir.display().to_string()));
            let store = &installation.store;
            let sound = store.integrity_check().await.map(|()| "sound".to_owned());
            tell("database", sound.map_err(|error| error.to_string()));
            let written = store.check_writing().await.map(|()| "done".to_owned());
            tell("writing to the database", written.map_err(|error| explain(&error.into())));
            tell("public address", public_address(context, &installation).await);
            tell("google", google(context, &installation).await);
        }
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn public_address(context: &Context, installation: &Installation) -> Result<String, String> {
    let links = installation.links(&context.settings).await.map_err(|error| error.to_string())?;
    let url = links.public_url();
    if url.starts_with("https://") {
        Ok(url.to_owned())
    } else {
        Ok(format!("{url} (Cirrus Insight needs https: put a TLS proxy in front and set --public-url)"))
    }
}

async fn google(context: &Context, installation: &Installation) -> Result<String, String> {
    match installation.google(&context.settings).await {
        Ok(None) => Ok("no credentials; nothing is mirrored".to_owned()),
        Ok(Some(access)) => Ok(format!(
            "{}; for sharing and writing see: meeting-mirror calendar check",
            access.current().await.0.account()
        )),
        Err(error) => Err(error.to_string()),
    }
}
