//! The commands and options as argh's definitions describe them. Parsing, help, completion and the
//! manual pages share them, so that none can differ.

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality, PositionalInfo};

use crate::output::Layout;
use crate::terminal::PROGRAM;

/// Short names of commands.
pub(super) const ALIASES: [Alias; 2] =
    [Alias { short: "ls", name: "list" }, Alias { short: "rm", name: "delete" }];

/// Commands without a result for `--output`: they print texts, or have formats of their own.
const WITHOUT_RESULT: [&str; 5] =
    ["completion", "man", "events tail", "events export", "rejections export"];

pub(super) struct Alias {
    pub(super) short: &'static str,
    pub(super) name: &'static str,
}

pub(crate) type Flag = &'static FlagInfo<'static>;
pub(crate) type Positional = &'static PositionalInfo<'static>;

/// A command, or a group of commands.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    root: &'a CommandInfoWithArgs,
    pub(crate) info: &'a CommandInfoWithArgs,
    /// The words that lead here, without the program's name.
    words: Vec<&'static str>,
}

impl<'a> Node<'a> {
    pub(crate) fn program(root: &'a CommandInfoWithArgs) -> Self {
        Self { root, info: root, words: Vec::new() }
    }

    /// The words of the command: `tenant list`; empty for the program.
    pub(crate) fn name(&self) -> String {
        self.words.join(" ")
    }

    pub(crate) fn words(&self) -> &[&'static str] {
        &self.words
    }

    /// The words with the program in front, as a person types them.
    pub(crate) fn call(&self) -> String {
        let mut words = vec![PROGRAM];
        words.extend(&self.words);
        words.join(" ")
    }

    pub(crate) fn is_program(&self) -> bool {
        self.words.is_empty()
    }

    /// Whether a command follows, as after `tenant`.
    pub(crate) fn is_group(&self) -> bool {
        !self.info.commands.is_empty()
    }

    /// Returns the command behind `word`, a name or an alias.
    pub(crate) fn find(&self, word: &str) -> Option<Self> {
        let alias = ALIASES.iter().find(|alias| alias.short == word);
        let name = alias.map_or(word, |alias| alias.name);
        self.children().find(|child| child.info.name == name)
    }

    /// The commands behind this one, in their order.
    pub(crate) fn children(&self) -> impl Iterator<Item = Self> {
        self.info.commands.iter().map(|inner| {
            let mut words = self.words.clone();
            words.push(inner.name);
            Self { root: self.root, info: &inner.command, words }
        })
    }

    /// This command and all behind it.
    pub(crate) fn all(&self) -> Vec<Self> {
        let mut nodes = vec![self.clone()];
        for child in self.children() {
            nodes.extend(child.all());
        }
        nodes
    }

    /// Options of this command alone, without `--help`.
    pub(crate) fn own_flags(&self) -> impl Iterator<Item = Flag> + use<> {
        self.info.flags.iter().filter(|flag| {
            // Options of the program about the result are those of each command that has one.
            !flag.hidden && flag.long != "--help" && !RESULT_FLAGS.contains(&flag.long)
        })
    }

    /// Options of the program that this command takes, at any place of the line.
    pub(crate) fn result_flags(&self) -> impl Iterator<Item = Flag> {
        let flags = self.root.flags.iter();
        flags.filter(|flag| RESULT_FLAGS.contains(&flag.long) && self.takes(flag.long))
    }

    /// All options of this command.
    pub(crate) fn flags(&self) -> impl Iterator<Item = Flag> {
        self.own_flags().chain(self.result_flags())
    }

    fn takes(&self, result_flag: &str) -> bool {
        let name = self.name();
        match result_flag {
            // Before the command is known, any may follow.
            _ if self.is_group() => true,
            "--output" => !WITHOUT_RESULT.contains(&&*name),
            _ => Layout::of(&name).is_some(),
        }
    }

    /// Returns the option with this long or short name.
    pub(crate) fn flag(&self, word: &str) -> Option<Flag> {
        self.flags().find(|flag| {
            let short = flag.short.map(|short| format!("-{short}"));
            flag.long == word || short.as_deref() == Some(word)
        })
    }

    /// Arguments without an option, in their order.
    pub(crate) fn positionals(&self) -> &'static [PositionalInfo<'static>] {
        self.info.positionals
    }
}

/// Options that say how a result is printed.
pub(super) const RESULT_FLAGS: [&str; 3] = ["--output", "--columns", "--wide"];

pub(crate) fn is_required(optionality: &Optionality) -> bool {
    matches!(optionality, Optionality::Required)
}

/// Whether an option or argument may be given several times.
pub(crate) fn is_repeated(optionality: &Optionality) -> bool {
    matches!(optionality, Optionality::Repeating | Optionality::Greedy)
}

/// The name of an option's value; `None` for a switch.
pub(crate) fn value_name(flag: Flag) -> Option<&'static str> {
    match flag.kind {
        FlagInfoKind::Option { arg_name } => Some(arg_name),
        FlagInfoKind::Switch => None,
    }
}

/// The option as it is typed: `--tenant <tenant>`.
pub(super) fn with_value(flag: Flag) -> String {
    match value_name(flag) {
        Some(value) => format!("{} {}", flag.long, placeholder(value)),
        None => flag.long.to_owned(),
    }
}

/// The values to choose from, in a name such as `ndjson|csv`; empty if there are none.
pub(crate) fn choices(value_name: &str) -> Vec<&str> {
    if value_name.contains('|') { value_name.split('|').collect() } else { Vec::new() }
}

/// The name of a value in a usage line: `<tenant>`, or the choices themselves.
pub(crate) fn placeholder(value_name: &str) -> String {
    if choices(value_name).is_empty() { format!("<{value_name}>") } else { value_name.to_owned() }
}
