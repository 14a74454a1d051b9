//! Arguments of the commands that delete events: `erase` and `purge`.

use argh::{ArgsInfo, FromArgs};
use mercurio_domain::limits::MAX_PERSON_ID_CHARS;
use mercurio_domain::store::Person;

use super::super::consent::Consent;
use super::super::times::past;
use super::super::values::{optional, tenant_ref};
use super::command::EventsCommand;

/// Delete all events of one person, and print their number. The ids of the events stay known: an event sent again is a
/// duplicate.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "erase", example = "{command_name} --tenant Acme --user-id 4711")]
pub(super) struct EventsEraseArgs {
    /// the tenant's name, or id:42
    #[argh(option, arg_name = "tenant")]
    tenant: String,
    /// the person, by user_id; this or --anonymous-id is required
    #[argh(option, arg_name = "id")]
    user_id: Option<String>,
    /// the person, by anonymous_id; this or --user-id is required
    #[argh(option, arg_name = "id")]
    anonymous_id: Option<String>,
    /// only count what would be deleted
    #[argh(switch)]
    dry_run: bool,
    /// skip the confirmation
    #[argh(switch)]
    yes: bool,
}

/// Delete old events, and print their number. The time of receipt counts; for all tenants, only whole days (UTC) are
/// deleted. The ids of the events stay known for 30 more days.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "purge", example = "{command_name} --older-than 400d --yes")]
pub(super) struct EventsPurgeArgs {
    /// the tenant's name, or id:42; default: all tenants
    #[argh(option, arg_name = "tenant")]
    tenant: Option<String>,
    /// minimum age such as 400d or 1y, or the time before which events were received: 2026-01-01 (UTC), RFC 3339
    #[argh(option, arg_name = "age")]
    older_than: String,
    /// only count what would be deleted
    #[argh(switch)]
    dry_run: bool,
    /// skip the confirmation
    #[argh(switch)]
    yes: bool,
}

impl EventsEraseArgs {
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        let tenant = tenant_ref("--tenant", &self.tenant, invalid);
        let person = match (self.user_id, self.anonymous_id) {
            (Some(id), None) => person_id("--user-id", id, invalid).map(Person::User),
            (None, Some(id)) => person_id("--anonymous-id", id, invalid).map(Person::Anonymous),
            // Erasing by either would be a guess.
            (Some(_), Some(_)) => {
                let message = "--user-id and --anonymous-id cannot be combined: erase by one, then \
                               by the other";
                invalid.push(message.to_owned());
                None
            }
            (None, None) => {
                let message = "one of --user-id and --anonymous-id is required: the person whose \
                               events are erased";
                invalid.push(message.to_owned());
                None
            }
        };
        let consent = Consent::of(self.yes, self.dry_run);
        Some(EventsCommand::Erase { tenant: tenant?, person: person?, consent })
    }
}

impl EventsPurgeArgs {
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<EventsCommand> {
        // `optional` keeps an invalid tenant apart from none: none means all tenants.
        let tenant = optional(self.tenant.as_deref(), |text| tenant_ref("--tenant", text, invalid));
        let older_than = past("--older-than", &self.older_than, invalid);
        let consent = Consent::of(self.yes, self.dry_run);
        Some(EventsCommand::Purge { tenant: tenant?, older_than: older_than?, consent })
    }
}

fn person_id(option: &str, id: String, invalid: &mut Vec<String>) -> Option<String> {
    let chars = id.chars().count();
    if (1..=MAX_PERSON_ID_CHARS).contains(&chars) {
        return Some(id);
    }
    // The id is personal data: the message gives only its length.
    invalid
        .push(format!("{option} has {chars} characters; it must have 1 to {MAX_PERSON_ID_CHARS}"));
    None
}
