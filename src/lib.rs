pub mod audit;
pub mod clock;
pub mod config;
pub mod inbound;
pub mod meeting;
pub mod outbound;
pub mod store;
pub mod web;
