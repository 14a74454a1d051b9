//! Completion: the hidden command `__complete`, and the scripts by which shells ask it.
//!
//! It never fails and never creates a database. An error would land in the middle of a line being
//! typed, so the answer is empty instead.

pub(crate) mod bash_line;
mod candidate;
mod candidates;
mod database_names;

use std::io::Write;

use argh::CommandInfoWithArgs;

use crate::machine::Machine;
use bash_line::BashLine;
use candidate::Candidate;
use candidates::{Offer, complete};

/// First word of a command line that asks for completion.
pub(crate) const COMMAND: &str = "__complete";

/// Answers a script with one candidate per line. Its description follows a tab.
pub(crate) fn answer(
    definitions: &CommandInfoWithArgs,
    arguments: &[String],
    machine: &Machine<'_>,
    out: &mut dyn Write,
) {
    let lines = match arguments {
        [shell, breaks, line] if shell == "bash" => match BashLine::read(line, breaks) {
            Some(line) => {
                for_bash(&line, complete(definitions, &line.words, &line.current, machine))
            }
            None => Vec::new(),
        },
        [shell, words @ .., current] if shell == "zsh" => {
            described(complete(definitions, words, current, machine))
        }
        // fish passes the last word as it was typed, with its quotes.
        [shell, words @ .., current] if shell == "fish" => {
            let current = bash_line::without_quotes(current);
            described(complete(definitions, words, &current, machine))
        }
        _ => Vec::new(),
    };
    for line in lines {
        writeln!(out, "{line}").ok();
    }
    out.flush().ok();
}

/// Returns the script for a shell: `bash`, `zsh` or `fish`.
pub(crate) fn script(shell: &str) -> &'static str {
    match shell {
        "bash" => include_str!("scripts/mercurio-admin.bash"),
        "zsh" => include_str!("scripts/mercurio-admin.zsh"),
        _ => include_str!("scripts/mercurio-admin.fish"),
    }
}

/// No word begins with a blank, so this one asks the script for folders.
const FOLDERS: &str = " folders";
/// Like [`FOLDERS`], for files too.
const FILES: &str = " files";

fn for_bash(line: &BashLine, offer: Offer) -> Vec<String> {
    match offer {
        Offer::Folders => vec![FOLDERS.to_owned()],
        Offer::Files => vec![FILES.to_owned()],
        Offer::Words(candidates) => {
            candidates.iter().filter_map(|candidate| line.insertion(&candidate.value)).collect()
        }
    }
}

/// zsh and fish quote what they insert, and show descriptions.
fn described(offer: Offer) -> Vec<String> {
    let candidates = match offer {
        Offer::Folders => return vec![FOLDERS.to_owned()],
        Offer::Files => return vec![FILES.to_owned()],
        Offer::Words(candidates) => candidates,
    };
    let mut lines = Vec::with_capacity(candidates.len());
    for Candidate { value, description } in candidates {
        lines.push(if description.is_empty() { value } else { format!("{value}\t{description}") });
    }
    lines
}
