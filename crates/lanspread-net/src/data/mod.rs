//! Data connections: requests and payloads, as a source that serves and as a receiver.

pub mod queue;
pub mod serve;
pub mod source_conn;
