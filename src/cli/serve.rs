//! `serve`: runs the service.

use std::process::ExitCode;

use anyhow::Context as _;
use tokio::net::TcpListener;

use super::{Context, output};
use crate::app::App;
use crate::lifecycle::{Ending, Lifecycle};

pub(super) async fn run(context: &Context) -> anyhow::Result<ExitCode> {
    let settings = &context.settings;
    // Before anything is opened: a wrong setting should say so and leave no trace.
    settings.signing_keys()?;
    settings.audit_log.push_target()?;
    settings.alerts.target()?;
    let listener = TcpListener::bind(settings.listen).await.with_context(|| {
        format!("can't listen on {}: is another program there? Choose another --listen address", settings.listen)
    })?;
    let bound = listener.local_addr()?;
    let app = App::build(settings, bound, context.clock.clone(), context.randomness.clone(), None).await?;
    if let Some(password) = &app.new_password {
        output::line(format_args!(
            "The admin password, shown this once: {}\nTo set another one, start with --admin-password.",
            password.reveal()
        ));
        app.keep_new_password().await?;
    }
    if settings.signing_keys()?.is_empty() {
        tracing::warn!("deliveries are taken unsigned: anybody on this machine can send them");
    }
    // Before anybody is told that the service runs: from then on it can be stopped in good order.
    let lifecycle = Lifecycle::default();
    lifecycle.stop_at_signals()?;
    let mirror = app.site.google.as_ref().map_or("off", |google| google.account.as_str());
    tracing::info!(address = %bound, public_url = app.site.links.public_url(), mirror, "meeting-mirror is listening");
    let store = app.site.store.clone();
    let _lock = app.start(listener, &lifecycle);
    let ending = lifecycle.ended().await;
    store.close().await;
    tracing::info!("stopped");
    Ok(if ending == Ending::Stopped { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
