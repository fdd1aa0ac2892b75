//! The command line as people and scripts use it: the built program, its output, its exit codes, its effect on a server.
//! Must not look into the database for what a command can tell.

mod audit;
mod calendars;
mod database;
mod deliveries;
mod feed_changes;
mod feeds;
mod help;
mod installation;
mod settings;
mod upkeep;

use std::path::Path;

use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

use crate::process_support::Machine;

/// Does to the database what no command does.
async fn sql(machine: &Machine, statements: &'static str) {
    let database: &Path = &machine.data("meeting-mirror.db");
    let mut connection = SqliteConnectOptions::new().filename(database).connect().await.unwrap();
    sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
}
