#![doc = include_str!("../README.md")]

// In the order in which the data flows.
pub mod cli;
pub mod config;
pub mod app;
pub mod lifecycle;
pub mod telemetry;
pub mod clock;
pub mod inbound;
pub mod meeting;
pub mod audit;
pub mod health;
pub mod store;
pub mod outbound;
pub mod upkeep;
pub mod views;
pub mod web;
pub mod simulated_google;
