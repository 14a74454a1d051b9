//! The words that can follow on a command line.

use argh::CommandInfoWithArgs;
use mercurio_domain::api_key::Scope;
use mercurio_domain::limits::LimitName;
use mercurio_domain::text::is_unprintable;
use mercurio_domain::verdict::FieldErrorCode;

use super::candidate::Candidate;
use super::database_names::{Names, fetch};
use crate::cli::grammar::{Flag, Node, choices, is_repeated, is_required, value_name};
use crate::cli::help::first_sentence;
use crate::cli::line::Line;
use crate::machine::Machine;
use crate::output::Layout;

/// What to offer for a word.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offer {
    Words(Vec<Candidate>),
    /// The shell knows them better.
    Folders,
    /// Files and folders, by the shell.
    Files,
}

/// Completes `current`, the word at the cursor, behind `words`.
pub(super) fn complete(
    definitions: &CommandInfoWithArgs,
    words: &[String],
    current: &str,
    machine: &Machine<'_>,
) -> Offer {
    let mut line = Line::new(Node::program(definitions));
    for word in words {
        if !line.word(word) {
            return Offer::Words(Vec::new());
        }
    }
    let mut candidates = match (Request { line, machine }).offer(current) {
        Offer::Words(candidates) => candidates,
        paths => return paths,
    };
    // Names ignore case.
    let typed = current.to_lowercase();
    candidates.retain(|candidate| {
        candidate.value.to_lowercase().starts_with(&typed)
            && !candidate.value.contains(is_unprintable)
    });
    for candidate in &mut candidates {
        candidate.description.retain(|character| !is_unprintable(character));
    }
    Offer::Words(candidates)
}

struct Request<'a> {
    line: Line<'a>,
    machine: &'a Machine<'a>,
}

impl Request<'_> {
    fn offer(&self, current: &str) -> Offer {
        let Line { node, pending, options_ended, .. } = &self.line;
        if let Some(flag) = pending {
            return self.values(value_name(flag).unwrap_or_default(), current);
        }
        if !options_ended && current.starts_with('-') {
            return match current.split_once('=') {
                Some((option, value)) => self.attached_value(option, value),
                None => Offer::Words(self.options()),
            };
        }
        if node.is_group() {
            return Offer::Words(node.children().map(|child| command(&child)).collect());
        }
        let position = self.line.positionals.len();
        let positional = node
            .positionals()
            .get(position)
            .or_else(|| node.positionals().last().filter(|last| is_repeated(&last.optionality)));
        let Some(positional) = positional else { return Offer::Words(self.options()) };
        match self.values(positional.name, current) {
            // Nothing is known about a free text: the options may be of use.
            Offer::Words(candidates)
                if candidates.is_empty() && !is_required(&positional.optionality) =>
            {
                Offer::Words(self.options())
            }
            offer => offer,
        }
    }

    /// Completes `--tenant=…`.
    fn attached_value(&self, option: &str, value: &str) -> Offer {
        let name = self.line.node.flag(option).and_then(value_name);
        match name.map(|name| self.values(name, value)) {
            Some(Offer::Words(mut candidates)) => {
                for candidate in &mut candidates {
                    candidate.value.insert_str(0, &format!("{option}="));
                }
                Offer::Words(candidates)
            }
            // A shell that completes paths would not find the start of this one.
            Some(Offer::Folders | Offer::Files) | None => Offer::Words(Vec::new()),
        }
    }

    /// Options that may still be given, the required ones first.
    fn options(&self) -> Vec<Candidate> {
        let node = &self.line.node;
        if self.line.options_ended {
            return Vec::new();
        }
        let mut flags: Vec<_> = node.flags().filter(|flag| self.may_be_given(flag)).collect();
        flags.sort_by_key(|flag| !is_required(&flag.optionality));
        let mut options: Vec<_> =
            flags.iter().map(|flag| Candidate::new(flag.long, flag.description)).collect();
        options.push(Candidate::new("--help", "show this help"));
        options
    }

    fn may_be_given(&self, flag: Flag) -> bool {
        let mut given = self.line.options.iter();
        is_repeated(&flag.optionality) || given.all(|given| given.flag.long != flag.long)
    }

    /// Values of an option or argument, by the name of the value.
    fn values(&self, name: &str, current: &str) -> Offer {
        let choices = choices(name);
        if !choices.is_empty() {
            return words(choices);
        }
        let tenant = self.line.value_of("tenant").map(str::to_owned);
        let names = match Kind::of(name) {
            Some(Kind::Directory) => return Offer::Folders,
            Some(Kind::File) => return Offer::Files,
            // Or a cursor.
            Some(Kind::Start) => return words(["oldest", "now"]),
            Some(Kind::Scopes) => return list(Scope::ALL.map(Scope::as_str), current),
            Some(Kind::Columns) => {
                let columns = Layout::of(&self.line.node.name()).map(Layout::columns);
                return list(columns.into_iter().flatten(), current);
            }
            Some(Kind::Limit) => return words(LimitName::ALL.map(LimitName::as_str)),
            Some(Kind::ErrorCode) => return words(FieldErrorCode::ALL.map(FieldErrorCode::as_str)),
            Some(Kind::LimitValue) => {
                return words(LimitName::ALL.map(|name| format!("{name}=")));
            }
            Some(Kind::Tenant) if current.starts_with("id:") => Some(Names::TenantIds),
            Some(Kind::Tenant) => Some(Names::Tenants),
            Some(Kind::Workspace) => Some(Names::Workspaces { tenant }),
            Some(Kind::Key) => {
                // An ended key can be neither rotated nor revoked.
                let only_usable = ["key rotate", "key revoke"].contains(&&*self.line.node.name());
                Some(Names::Keys { tenant, only_usable })
            }
            Some(Kind::Free) | None => None,
        };
        Offer::Words(names.map(|names| fetch(names, self.machine)).unwrap_or_default())
    }
}

/// What a value is. Its name in argh's definitions says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tenant,
    Workspace,
    Key,
    Scopes,
    Columns,
    Limit,
    LimitValue,
    ErrorCode,
    Directory,
    File,
    Start,
    /// A new name, a time, a number.
    Free,
}

impl Kind {
    /// `None` for a name without choices that nobody listed here. A test looks for such names.
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "tenant" => Self::Tenant,
            "workspace" => Self::Workspace,
            "key" => Self::Key,
            "scopes" => Self::Scopes,
            "columns" => Self::Columns,
            "limit" => Self::Limit,
            "code" => Self::ErrorCode,
            "limit=value" => Self::LimitValue,
            "directory" => Self::Directory,
            "file" => Self::File,
            "url" => Self::Free,
            "start" => Self::Start,
            "name" | "origins" | "id" | "event_id" | "time" | "duration" | "age" | "number" => {
                Self::Free
            }
            _ => return None,
        })
    }
}

fn command(node: &Node<'_>) -> Candidate {
    Candidate::new(node.info.name, first_sentence(node.info.description))
}

fn words<T: Into<String>>(words: impl IntoIterator<Item = T>) -> Offer {
    Offer::Words(words.into_iter().map(|word| Candidate::new(word, "")).collect())
}

/// Completes the last element of a list with commas. No element is offered twice.
fn list(elements: impl IntoIterator<Item = &'static str>, current: &str) -> Offer {
    let (head, _) = current.rsplit_once(',').unwrap_or_default();
    let head = if current.contains(',') { format!("{head},") } else { String::new() };
    let is_new = |element: &&str| !head.split(',').any(|given| given == *element);
    words(elements.into_iter().filter(is_new).map(|element| format!("{head}{element}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    #[test]
    fn every_value_of_the_definitions_has_a_kind() {
        let definitions = cli::definitions();
        for node in Node::program(&definitions).all() {
            let positionals = node.positionals().iter().map(|positional| positional.name);
            for name in node.flags().filter_map(value_name).chain(positionals) {
                let is_known = Kind::of(name).is_some() || !choices(name).is_empty();
                assert!(is_known, "<{name}> of `{}`", node.name());
            }
        }
    }

    fn offered(current: &str) -> Vec<String> {
        match list(["events:write", "events:read"], current) {
            Offer::Words(words) => words.into_iter().map(|candidate| candidate.value).collect(),
            Offer::Folders | Offer::Files => panic!("no paths"),
        }
    }

    #[test]
    fn list_completes_its_last_element() {
        assert_eq!(offered(""), ["events:write", "events:read"]);
        assert_eq!(offered("ev"), ["events:write", "events:read"]);
        assert_eq!(offered("events:write,"), ["events:write,events:read"]);
        assert_eq!(offered("events:write,events:read,e"), [""; 0]);
    }
}
