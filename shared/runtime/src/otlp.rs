//! Exports the spans of [`crate::spans`] by OTLP (HTTP, protobuf): to CloudWatch or any collector,
//! after an invocation's answer and before the next event.

mod endpoint;
mod export;
mod layer;
mod losses;

pub use endpoint::OtlpEndpoint;
pub use export::{EXPORT_WITHIN, RecordedInvocation, Spans};
pub use layer::{AndExport, Recording, SpansLayer};
