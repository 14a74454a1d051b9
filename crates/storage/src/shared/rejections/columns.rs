//! The columns of rejections in queries.

use super::super::Db;
use super::super::schema::rejections;

/// The columns of a [`RejectionRow`](crate::rejection_rows::RejectionRow).
pub(super) type RejectionColumns = (
    rejections::id,
    rejections::tenant_id,
    rejections::workspace_id,
    rejections::received_at,
    rejections::event_id,
    rejections::event_name,
    rejections::user_id,
    rejections::anonymous_id,
    rejections::errors,
    rejections::event,
    rejections::is_cut,
    rejections::request_id,
    rejections::api_key_id,
    rejections::protocol,
    rejections::sdk,
    rejections::user_agent,
);

pub(super) fn columns() -> RejectionColumns {
    use rejections::*;
    (
        id,
        tenant_id,
        workspace_id,
        received_at,
        event_id,
        event_name,
        user_id,
        anonymous_id,
        errors,
        event,
        is_cut,
        request_id,
        api_key_id,
        protocol,
        sdk,
        user_agent,
    )
}

pub(crate) type RejectionsQuery<'a> =
    diesel::dsl::IntoBoxed<'a, diesel::dsl::Select<rejections::table, RejectionColumns>, Db>;
