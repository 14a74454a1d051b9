//! The path of an event: [`parse`] bytes to drafts, [`mod@validate`] drafts to valid events or
//! rejections, enrich them (crate `mercurio-enrichment`), and submit them to the [`writer`], which
//! commits many requests in one transaction.
//!
//! The pipeline uses the store traits of the domain. It contains no HTTP, SQL or clock.

pub mod parse;
mod sync;
pub mod validate;
pub mod writer;

pub use validate::{IdSource, ValidatedBatch, validate};
pub use writer::{GroupWriter, GroupWriterHandle, SubmitError, WriterObserver, WriterOptions};
