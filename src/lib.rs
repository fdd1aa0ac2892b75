pub mod audit;
pub mod clock;
pub mod inbound;
pub mod meeting;
pub mod store;
