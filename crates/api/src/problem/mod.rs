//! Errors as clients see them: `application/problem+json` (RFC 9457), one [`Problem`] for each
//! code.
//!
//! Handlers return `Result<_, Problem>`. The middleware turns an error of the framework into a
//! problem with [`Problem::from_framework`]. [`Problem::parts`] decides the response of each. Not
//! here: causes (the code that knows a cause logs it), the rules for events.

mod code;
mod page;
mod parts;
mod response;
#[cfg(test)]
pub(crate) mod tests;
mod types;

pub use code::{Description, ProblemCode};
pub use page::problem_page;
pub use parts::{Header, MemberValue, ProblemMember, ResponseParts};
pub(crate) use response::PROBLEM_JSON;
pub(crate) use types::excerpt;
pub use types::{EventErrors, Problem, QueryError, ReadLimit, UnauthorizedReason};
