//! `events …` on the command line.

use std::time::Duration;

use argh::{ArgsInfo, FromArgs};
use mercurio_domain::Timestamp;
use mercurio_domain::limits::{MAX_PAGE_EVENTS, MAX_PERSON_ID_CHARS};
use mercurio_domain::store::{EventQuery, Person, TenantRef};
use mercurio_domain::tenant::Name;

use super::key::duration;
use super::{required, tenant_ref};
use crate::config::name;

/// Events that `list` shows where nobody says how many.
const LISTED: usize = 20;

/// What to do with events.
#[derive(Debug, PartialEq, Eq)]
pub enum EventsCommand {
    /// Tell how many there are.
    Count(Selection),
    /// Show the newest.
    List(Selection),
    /// Write all of them to stdout.
    Export {
        /// Which.
        selection: Selection,
        /// How.
        format: ExportFormat,
    },
    /// Remove those of one person.
    Erase {
        /// Whose person it is.
        tenant: TenantRef,
        /// The person.
        person: Person,
        /// Whether not to ask.
        yes: bool,
    },
    /// Remove old ones.
    Purge {
        /// Of which tenant; `None`: of all.
        tenant: Option<TenantRef>,
        /// How long ago they were received.
        older_than: Duration,
        /// Whether not to ask.
        yes: bool,
    },
}

/// Some events of a tenant.
#[derive(Debug, PartialEq, Eq)]
pub struct Selection {
    /// Whose.
    pub tenant: TenantRef,
    /// Of which workspace; `None`: of all.
    pub workspace: Option<Name>,
    /// Which of them.
    pub query: EventQuery,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// An object of JSON a line.
    Ndjson,
    /// Comma-separated values, with a line of names above. (RFC 4180)
    Csv,
}

/// Count events, show them, export them, erase those of a person, and remove old ones.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "events", help_triggers("-h", "--help", "help"))]
pub(super) struct Words {
    #[argh(subcommand)]
    command: CommandWords,
}

#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand)]
enum CommandWords {
    Count(CountWords),
    List(ListWords),
    Export(ExportWords),
    Erase(EraseWords),
    Purge(PurgeWords),
}

/// Tell how many events a tenant has.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "count", help_triggers("-h", "--help", "help"))]
struct CountWords {
    /// the tenant
    #[argh(option, arg_name = "name")]
    tenant: Option<String>,
    /// one of its workspaces; default: all
    #[argh(option, arg_name = "name")]
    workspace: Option<String>,
}

/// Show the newest events of a tenant.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "list", help_triggers("-h", "--help", "help"))]
struct ListWords {
    /// the tenant
    #[argh(option, arg_name = "name")]
    tenant: Option<String>,
    /// one of its workspaces; default: all, one after the other
    #[argh(option, arg_name = "name")]
    workspace: Option<String>,
    /// how many of each workspace: 1 to 1000; default: 20
    #[argh(option, arg_name = "number")]
    limit: Option<String>,
    /// only those of this user_id
    #[argh(option, arg_name = "id")]
    user_id: Option<String>,
    /// only those of this anonymous_id
    #[argh(option, arg_name = "id")]
    anonymous_id: Option<String>,
}

/// Write all events of a tenant to stdout, newest first. Every event that was stored at the beginning comes exactly once,
/// whatever arrives meanwhile.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "export",
    help_triggers("-h", "--help", "help"),
    example = "{command_name} --tenant Acme --format csv --from 2026-11-01T00:00:00Z > events.csv"
)]
struct ExportWords {
    /// the tenant
    #[argh(option, arg_name = "name")]
    tenant: Option<String>,
    /// one of its workspaces; default: all, one after the other
    #[argh(option, arg_name = "name")]
    workspace: Option<String>,
    /// ndjson (default): an object a line; or csv
    #[argh(option, arg_name = "format")]
    format: Option<String>,
    /// only events that happened then or later: RFC 3339
    #[argh(option, arg_name = "time")]
    from: Option<String>,
    /// only events that happened before: RFC 3339
    #[argh(option, arg_name = "time")]
    to: Option<String>,
    /// only those of this user_id
    #[argh(option, arg_name = "id")]
    user_id: Option<String>,
    /// only those of this anonymous_id
    #[argh(option, arg_name = "id")]
    anonymous_id: Option<String>,
}

/// Remove all events of one person of a tenant, and tell how many they were. Their ids stay known: what is sent again is a
/// duplicate.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "erase", help_triggers("-h", "--help", "help"))]
struct EraseWords {
    /// the tenant
    #[argh(option, arg_name = "name")]
    tenant: Option<String>,
    /// the person, by user_id
    #[argh(option, arg_name = "id")]
    user_id: Option<String>,
    /// the person, by anonymous_id
    #[argh(option, arg_name = "id")]
    anonymous_id: Option<String>,
    /// do not ask
    #[argh(switch)]
    yes: bool,
}

/// Remove the events that were received so long ago, of all tenants by whole days in UTC, and tell how many they were. Their ids
/// stay known for 30 more days.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "purge",
    help_triggers("-h", "--help", "help"),
    example = "{command_name} --older-than 400d --yes"
)]
struct PurgeWords {
    /// the tenant; default: all
    #[argh(option, arg_name = "name")]
    tenant: Option<String>,
    /// the age: a number with s, m, h or d
    #[argh(option, arg_name = "age")]
    older_than: Option<String>,
    /// do not ask
    #[argh(switch)]
    yes: bool,
}

impl Words {
    /// The command; what is wrong goes to `invalid`.
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        match self.command {
            CommandWords::Count(words) => {
                let query = EventQuery::default();
                selection(words.tenant, words.workspace, query, invalid).map(EventsCommand::Count)
            }
            CommandWords::List(ListWords { tenant, workspace, limit, user_id, anonymous_id }) => {
                let limit = number(limit.as_deref(), invalid);
                let query = EventQuery {
                    user_id,
                    anonymous_id,
                    limit: limit.unwrap_or(LISTED),
                    ..EventQuery::default()
                };
                selection(tenant, workspace, query, invalid).map(EventsCommand::List)
            }
            CommandWords::Export(words) => words.read(invalid),
            CommandWords::Erase(words) => words.read(invalid),
            CommandWords::Purge(words) => words.read(invalid),
        }
    }
}

impl ExportWords {
    fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        let Self { tenant, workspace, format, from, to, user_id, anonymous_id } = self;
        let (from, to) =
            (time("--from", from.as_deref(), invalid), time("--to", to.as_deref(), invalid));
        let format = match format.as_deref() {
            None | Some("ndjson") => Some(ExportFormat::Ndjson),
            Some("csv") => Some(ExportFormat::Csv),
            Some(other) => {
                invalid.push(format!("--format: {other:?} is neither ndjson nor csv"));
                None
            }
        };
        let query = EventQuery {
            user_id,
            anonymous_id,
            from,
            to,
            limit: MAX_PAGE_EVENTS,
            ..EventQuery::default()
        };
        let selection = selection(tenant, workspace, query, invalid);
        Some(EventsCommand::Export { selection: selection?, format: format? })
    }
}

impl EraseWords {
    fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        let tenant = tenant_ref(self.tenant.as_deref(), invalid);
        let person = match (self.user_id, self.anonymous_id) {
            (Some(id), None) => person("--user-id", id, invalid).map(Person::User),
            (None, Some(id)) => person("--anonymous-id", id, invalid).map(Person::Anonymous),
            _ => {
                invalid.push(
                    "one of --user-id and --anonymous-id is required: the person whose events go"
                        .to_owned(),
                );
                None
            }
        };
        Some(EventsCommand::Erase { tenant: tenant?, person: person?, yes: self.yes })
    }
}

impl PurgeWords {
    fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        let tenant = match &self.tenant {
            None => Some(None),
            Some(text) => tenant_ref(Some(text), invalid).map(Some),
        };
        let meaning = "the age of the events that go, such as 400d";
        let age = required("--older-than", self.older_than.as_deref(), meaning, invalid);
        let older_than = age.and_then(|age| duration("--older-than", age, invalid));
        Some(EventsCommand::Purge { tenant: tenant?, older_than: older_than?, yes: self.yes })
    }
}

fn selection(
    tenant: Option<String>,
    workspace: Option<String>,
    query: EventQuery,
    invalid: &mut Vec<String>,
) -> Option<Selection> {
    let tenant = tenant_ref(tenant.as_deref(), invalid);
    let workspace = match workspace {
        None => Some(None),
        Some(text) => name("--workspace", &text, invalid).map(Some),
    };
    Some(Selection { tenant: tenant?, workspace: workspace?, query })
}

fn person(option: &str, id: String, invalid: &mut Vec<String>) -> Option<String> {
    let chars = id.chars().count();
    if (1..=MAX_PERSON_ID_CHARS).contains(&chars) {
        return Some(id);
    }
    invalid.push(format!(
        "{option}: it has {chars} characters; 1 to {MAX_PERSON_ID_CHARS} are possible"
    ));
    None
}

fn number(text: Option<&str>, invalid: &mut Vec<String>) -> Option<usize> {
    let text = text?;
    let number = text.parse().ok().filter(|number| (1..=MAX_PAGE_EVENTS).contains(number));
    if number.is_none() {
        invalid
            .push(format!("--limit: {text:?} is not a whole number from 1 to {MAX_PAGE_EVENTS}"));
    }
    number
}

fn time(option: &str, text: Option<&str>, invalid: &mut Vec<String>) -> Option<Timestamp> {
    let text = text?;
    Timestamp::parse(text)
        .map_err(|error| invalid.push(format!("{option}: {text:?}: {error}")))
        .ok()
}
