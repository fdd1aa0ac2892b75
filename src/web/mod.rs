//! What handlers share: the site they serve, who is signed in, links, headers and errors of the API.

pub mod audit_export;
pub mod client_address;
pub mod counts;
pub mod csrf;
pub mod csv_text;
pub mod data_dir;
pub mod layers;
pub mod links;
pub mod password;
pub mod problem;
pub mod secret_key;
pub mod server;
pub mod session;
pub mod site;
