//! Arguments of `events forward`.

use std::path::PathBuf;
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};
use mercurio_domain::limits::{DEFAULT_PAGE_EVENTS, MAX_PAGE_EVENTS};
use mercurio_domain::store::TenantRef;
use mercurio_domain::tenant::Name;
use mercurio_forwarding::{BatchFormat, ForwardStart, Target};

use super::times::duration;
use super::values::{choice, name, number, optional, tenant_ref, workspace_name};

/// Default of `--name`.
const DEFAULT_NAME: &str = "default";
/// Default of `--timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);
/// Maximum of `--timeout`: a receiver that hangs delays all events behind a batch.
const MAX_TIMEOUT: Duration = Duration::from_mins(10);

/// A valid `events forward`.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ForwardCommand {
    pub tenant: TenantRef,
    pub workspace: Name,
    pub target: Target,
    /// The consumer under which the cursor is stored.
    pub name: Name,
    pub format: BatchFormat,
    /// `None`: the setting has the secrets, if any.
    pub secret_file: Option<PathBuf>,
    pub batch_events: usize,
    pub start: ForwardStart,
    pub once: bool,
    pub timeout: Duration,
    /// `None`: never, or with `once` at the first failure.
    pub give_up_after: Option<Duration>,
}

/// Post the events of a workspace to a URL, in the order of their storage, until SIGINT or SIGTERM. Each is delivered at
/// least once: a batch is sent until the answer is a 2xx, and its place is stored after that.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "forward",
    example = "{command_name} --tenant Acme --to https://example.com/events --secret-file webhook.secret",
    example = "{command_name} --tenant Acme --to http://127.0.0.1:9000 --name warehouse --once",
    note = "A batch that fails is sent again after a pause of up to 1 s, then 2 s, 4 s, up to 5 min, or as long as Retry-After says. 410 Gone ends the command. Redirects are not followed.",
    note = "The setting MERCURIO_WEBHOOK_SECRET may have the secrets, in place of --secret-file. A secret is whsec_ and the Base64 of 24 to 64 bytes; several, separated by spaces, sign each request."
)]
pub(super) struct EventsForwardArgs {
    /// the tenant's name, or id:42
    #[argh(option, arg_name = "tenant")]
    tenant: String,
    /// one of its workspaces; default: Default
    #[argh(option, arg_name = "workspace")]
    workspace: Option<String>,
    /// the receiver, http:// or https://; credentials in it are sent as Basic authorization
    #[argh(option, arg_name = "url")]
    to: String,
    /// the name under which the place in the feed is stored, one per receiver; default: default
    #[argh(option, arg_name = "name")]
    name: Option<String>,
    /// an object with an array of events, or a batch of CloudEvents 1.0; default: json
    #[argh(option, arg_name = "json|cloudevents")]
    format: Option<String>,
    /// a file with the secrets that sign each request (Standard Webhooks)
    #[argh(option, arg_name = "file")]
    secret_file: Option<String>,
    /// maximum events of a request, 1 to 1000; default: 100
    #[argh(option, arg_name = "number")]
    batch: Option<String>,
    /// where a new name starts; default: oldest
    #[argh(option, arg_name = "oldest|now")]
    from: Option<String>,
    /// stop at the newest event, or at the first failure
    #[argh(switch)]
    once: bool,
    /// time limit of a request with its answer, such as 30s, up to 10m; default: 15s
    #[argh(option, arg_name = "duration")]
    timeout: Option<String>,
    /// stop with an error after this time without a success; default: never
    #[argh(option, arg_name = "duration")]
    give_up_after: Option<String>,
}

impl EventsForwardArgs {
    pub(super) fn read(self, invalid: &mut Vec<String>) -> Option<ForwardCommand> {
        let tenant = tenant_ref("--tenant", &self.tenant, invalid);
        let workspace = workspace_name(self.workspace.as_deref(), invalid);
        // The URL may have a secret: the message does not quote it.
        let target =
            Target::parse(&self.to).map_err(|error| invalid.push(format!("--to: {error}")));
        let consumer = name("--name", self.name.as_deref().unwrap_or(DEFAULT_NAME), invalid);
        let format = self.format.as_deref().unwrap_or("json");
        let format = match choice("--format", format, &["json", "cloudevents"], invalid) {
            Some("cloudevents") => Some(BatchFormat::CloudEvents),
            json => json.map(|_| BatchFormat::Json),
        };
        let batch_events = match self.batch.as_deref() {
            None => Some(DEFAULT_PAGE_EVENTS),
            Some(text) => number("--batch", text, MAX_PAGE_EVENTS, invalid),
        };
        let from = self.from.as_deref().unwrap_or("oldest");
        let start = match choice("--from", from, &["oldest", "now"], invalid) {
            Some("now") => Some(ForwardStart::Now),
            oldest => oldest.map(|_| ForwardStart::Oldest),
        };
        let timeout = match self.timeout.as_deref() {
            None => Some(DEFAULT_TIMEOUT),
            Some(text) => timeout(text, invalid),
        };
        let give_up_after = optional(self.give_up_after.as_deref(), |text| {
            duration("--give-up-after", text, invalid)
        });
        Some(ForwardCommand {
            tenant: tenant?,
            workspace: workspace?,
            target: target.ok()?,
            name: consumer?,
            format: format?,
            secret_file: self.secret_file.map(PathBuf::from),
            batch_events: batch_events?,
            start: start?,
            once: self.once,
            timeout: timeout?,
            give_up_after: give_up_after?,
        })
    }
}

fn timeout(text: &str, invalid: &mut Vec<String>) -> Option<Duration> {
    let timeout = duration("--timeout", text, invalid)?;
    if (Duration::from_secs(1)..=MAX_TIMEOUT).contains(&timeout) {
        return Some(timeout);
    }
    invalid.push(format!("--timeout: {text:?} is not a time from 1s to 10m"));
    None
}
