//! Reads the words of a command line by the grammar: finds the command, and every word that does not
//! fit. argh then parses the words in an order that it accepts.

use super::grammar::{
    Flag, Node, RESULT_FLAGS, choices, is_repeated, is_required, placeholder, value_name,
    with_value,
};
use crate::suggest::closest;

/// A command line, as far as it was read.
pub(crate) struct Line<'a> {
    /// The command; a group or the program if more words are needed.
    pub(crate) node: Node<'a>,
    pub(crate) options: Vec<Given>,
    pub(crate) positionals: Vec<String>,
    /// The option whose value is the next word.
    pub(crate) pending: Option<Flag>,
    /// `--` was read: no word is an option any more.
    pub(crate) options_ended: bool,
    pub(crate) wants_help: bool,
    pub(crate) errors: Vec<String>,
}

/// An option on the line.
pub(crate) struct Given {
    pub(crate) flag: Flag,
    /// `None` for a switch.
    pub(crate) value: Option<String>,
}

impl<'a> Line<'a> {
    pub(crate) fn new(program: Node<'a>) -> Self {
        Self {
            node: program,
            options: Vec::new(),
            positionals: Vec::new(),
            pending: None,
            options_ended: false,
            wants_help: false,
            errors: Vec::new(),
        }
    }

    /// Reads a whole line, and checks that nothing is missing.
    pub(crate) fn read(program: Node<'a>, words: &[String]) -> Self {
        let mut line = Self::new(program);
        for word in words {
            // Behind an unknown command, nothing is known.
            if !line.word(word) {
                return line;
            }
        }
        line.finish();
        line
    }

    /// Reads one word. Returns whether the next one can be read.
    pub(crate) fn word(&mut self, word: &str) -> bool {
        if let Some(flag) = self.pending.take() {
            // `--tenant --yes`: the value was forgotten. `--tenant=--yes` gives that value.
            if self.node.flag(word).is_none() || word == "-" {
                self.give(flag, Some(word.to_owned()));
                return true;
            }
            self.errors.push(missing_value(flag));
        }
        if self.options_ended || word == "-" || !word.starts_with('-') {
            return self.plain(word);
        }
        match word {
            "--" => self.options_ended = true,
            "--help" | "-h" => self.wants_help = true,
            word => self.option(word),
        }
        true
    }

    fn plain(&mut self, word: &str) -> bool {
        if !self.node.is_group() {
            self.positionals.push(word.to_owned());
            return true;
        }
        if word == "help" {
            self.wants_help = true;
            return true;
        }
        match self.node.find(word) {
            Some(node) => self.node = node,
            None => {
                // Behind an unknown option, the word may be its value.
                if self.errors.is_empty() {
                    self.errors.push(unknown_command(&self.node, word));
                }
                return false;
            }
        }
        true
    }

    fn option(&mut self, word: &str) {
        // Only the first `=` separates: a value may contain more of them.
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word, None),
        };
        let Some(flag) = self.node.flag(name) else {
            self.errors.push(unknown_option(&self.node, name));
            return;
        };
        match (value_name(flag), value) {
            (Some(_), None) => self.pending = Some(flag),
            (None, Some(_)) => self.errors.push(format!("{} takes no value", flag.long)),
            (_, value) => self.give(flag, value),
        }
    }

    fn give(&mut self, flag: Flag, value: Option<String>) {
        let is_given = self.options.iter().any(|given| given.flag.long == flag.long);
        // A switch may be repeated: it says the same.
        if is_given && value.is_some() && !is_repeated(&flag.optionality) {
            self.errors.push(format!("{} is given twice: give it once", flag.long));
        } else {
            self.options.push(Given { flag, value });
        }
    }

    fn finish(&mut self) {
        if let Some(flag) = self.pending {
            self.errors.push(missing_value(flag));
        }
        if self.wants_help || self.node.is_group() {
            return;
        }
        // An option of the program may precede a command without that option.
        for given in &self.options {
            if self.node.flag(given.flag.long).is_none() {
                self.errors.push(unknown_option(&self.node, given.flag.long));
            }
        }
        let positionals = self.node.positionals();
        let is_open = positionals.last().is_some_and(|last| is_repeated(&last.optionality));
        // The value of an unknown option is not superfluous.
        let is_checked = !is_open && self.errors.is_empty();
        if let Some(word) = self.positionals.get(positionals.len()).filter(|_| is_checked) {
            self.errors.push(superfluous(&self.node, word));
        }
        for positional in positionals.iter().skip(self.positionals.len()) {
            if is_required(&positional.optionality) {
                let name = placeholder(positional.name);
                self.errors.push(format!("{name} is missing: {}", positional.description));
            }
        }
        for flag in self.node.own_flags().filter(|flag| is_required(&flag.optionality)) {
            let is_given = |long| self.options.iter().any(|given| given.flag.long == long);
            // A missing value was reported already.
            if !is_given(flag.long) && self.pending.is_none_or(|pending| pending.long != flag.long)
            {
                self.errors.push(format!("{} is missing: {}", with_value(flag), flag.description));
            }
        }
    }

    /// Returns the value of the option or argument with this name.
    pub(crate) fn value_of(&self, name: &str) -> Option<&str> {
        let option =
            self.options.iter().find(|given| given.flag.long.trim_start_matches('-') == name);
        let position =
            self.node.positionals().iter().position(|positional| positional.name == name);
        let positional = position.and_then(|position| self.positionals.get(position));
        option.and_then(|given| given.value.as_deref()).or(positional.map(String::as_str))
    }

    /// Returns the words in the order argh reads them: options of the program, the command, its
    /// options, and its arguments.
    pub(crate) fn for_argh(&self) -> Vec<&str> {
        let mut words = Vec::new();
        let mut own = Vec::new();
        for Given { flag, value } in &self.options {
            // Options of the program alone, such as `--version`, precede it too.
            let is_result = RESULT_FLAGS.contains(&flag.long) || self.node.is_program();
            let place = if is_result { &mut words } else { &mut own };
            place.push(flag.long);
            place.extend(value.as_deref());
        }
        words.extend(self.node.words());
        words.extend(own);
        if !self.positionals.is_empty() {
            // A name may begin with `-`, or be `help`.
            words.push("--");
            words.extend(self.positionals.iter().map(String::as_str));
        }
        words
    }
}

fn missing_value(flag: Flag) -> String {
    format!("{} needs a value: {}", flag.long, with_value(flag))
}

fn unknown_command(group: &Node<'_>, word: &str) -> String {
    let called = [group.name(), word.to_owned()].join(" ");
    let message = format!("there is no command {:?}", called.trim_start());
    let names: Vec<_> = group.children().map(|child| child.info.name).collect();
    if let Some(meant) = closest(word, names.iter().copied()) {
        let meant = [group.name(), meant.to_owned()].join(" ");
        return format!("{message}: did you mean `{}`?", meant.trim_start());
    }
    // `rotate` in place of `key rotate`.
    let elsewhere: Vec<_> = group
        .all()
        .into_iter()
        .filter(|node| node.info.name == word && !node.is_group())
        .map(|node| format!("`{}`", node.name()))
        .collect();
    if elsewhere.is_empty() {
        message
    } else {
        format!("{message}: did you mean {}?", elsewhere.join(", "))
    }
}

fn unknown_option(node: &Node<'_>, name: &str) -> String {
    let message = match node.name() {
        program if program.is_empty() => format!("there is no option {name}"),
        command => format!("`{command}` has no option {name}"),
    };
    let bare = name.trim_start_matches('-');
    if let Some(positional) = node.positionals().iter().find(|positional| positional.name == bare) {
        return format!("{message}: give {} without it", placeholder(positional.name));
    }
    // `--json` in place of `--output json`.
    let with_choice = node.flags().find(|flag| {
        value_name(flag).is_some_and(|value_name| choices(value_name).contains(&bare))
    });
    if let Some(flag) = with_choice {
        return format!("{message}: did you mean {} {bare}?", flag.long);
    }
    match closest(name, node.flags().map(|flag| flag.long).chain(["--help"])) {
        Some(meant) => format!("{message}: did you mean {meant}?"),
        None => message,
    }
}

fn superfluous(node: &Node<'_>, word: &str) -> String {
    let message = format!("{word:?} is one word too many for `{}`", node.name());
    match node.positionals().last() {
        Some(last) => format!("{message}: put {} with blanks into quotes", placeholder(last.name)),
        None => message,
    }
}
