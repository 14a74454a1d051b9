//! Filters of `events list`, `tail` and `export`: those of `GET /v1/events`, under the same names.

use mercurio_domain::Timestamp;
use mercurio_domain::event::EventType;
use mercurio_domain::store::{EventQuery, TenantRef};
use mercurio_domain::tenant::Name;

use super::times::{TimeArg, past};
use super::values::{choice, name, optional, tenant_ref};
use crate::error::AdminError;

/// Events of one tenant.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Selection {
    pub tenant: TenantRef,
    /// `None`: all workspaces.
    pub workspace: Option<Name>,
    /// Boxed, because other commands need much less memory.
    pub filter: Box<EventFilter>,
}

/// The filters of a command line. An event must match all of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// All filters but the times.
    pub query: EventQuery,
    /// Inclusive lower bound of the event's time.
    pub from: Option<TimeArg>,
    /// Exclusive upper bound of the event's time.
    pub to: Option<TimeArg>,
    /// Inclusive lower bound of the time of receipt.
    pub received_from: Option<TimeArg>,
    /// Exclusive upper bound of the time of receipt.
    pub received_to: Option<TimeArg>,
}

impl EventFilter {
    /// Returns the query at `now`, from which ages are counted.
    pub(crate) fn at(&self, now: Timestamp) -> Result<EventQuery, AdminError> {
        let from = self.from.map(|from| from.before(now));
        let to = self.to.map(|to| to.before(now));
        let received_from = self.received_from.map(|from| from.before(now));
        let received_to = self.received_to.map(|to| to.before(now));
        check_bounds(["--from", "--to"], from, to)?;
        check_bounds(["--received-from", "--received-to"], received_from, received_to)?;
        Ok(EventQuery { from, to, received_from, received_to, ..self.query.clone() })
    }
}

fn check_bounds(
    options: [&str; 2],
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> Result<(), AdminError> {
    let Some((from, to)) = from.zip(to).filter(|(from, to)| from >= to) else { return Ok(()) };
    let [lower, upper] = options;
    let message =
        format!("{lower} ({from}) is not before {upper} ({to}): no event can be in between");
    Err(AdminError::Usage(vec![message]))
}

/// The options as given.
pub(super) struct FilterArgs {
    pub(super) event_name: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) user_id: Option<String>,
    pub(super) anonymous_id: Option<String>,
    pub(super) session_id: Option<String>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) received_from: Option<String>,
    pub(super) received_to: Option<String>,
}

impl FilterArgs {
    pub(super) fn read(self, limit: usize, invalid: &mut Vec<String>) -> Option<EventFilter> {
        let kind = optional(self.kind.as_deref(), |text| event_type(text, invalid));
        let from = optional(self.from.as_deref(), |text| past("--from", text, invalid));
        let to = optional(self.to.as_deref(), |text| past("--to", text, invalid));
        let received_from = self.received_from.as_deref();
        let received_from = optional(received_from, |text| past("--received-from", text, invalid));
        let received_to = self.received_to.as_deref();
        let received_to = optional(received_to, |text| past("--received-to", text, invalid));
        let query = EventQuery {
            event_name: self.event_name,
            kind: kind?,
            user_id: self.user_id,
            anonymous_id: self.anonymous_id,
            session_id: self.session_id,
            limit,
            ..EventQuery::default()
        };
        Some(EventFilter {
            query,
            from: from?,
            to: to?,
            received_from: received_from?,
            received_to: received_to?,
        })
    }
}

fn event_type(text: &str, invalid: &mut Vec<String>) -> Option<EventType> {
    let word = choice("--type", text, &EventType::ALL.map(EventType::as_str), invalid)?;
    EventType::from_text(word)
}

pub(super) fn selection(
    tenant: &str,
    workspace: Option<String>,
    filter: Option<EventFilter>,
    invalid: &mut Vec<String>,
) -> Option<Selection> {
    let tenant = tenant_ref("--tenant", tenant, invalid);
    let workspace = optional(workspace.as_deref(), |text| name("--workspace", text, invalid));
    Some(Selection { tenant: tenant?, workspace: workspace?, filter: filter?.into() })
}
