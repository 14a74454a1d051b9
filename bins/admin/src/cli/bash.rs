//! Completions for bash, which has many commands of one name: `tenant list`, `key list`. (argh_complete 0.1.19 takes each for the
//! first of that name there; its scripts for zsh and fish are right.)

use std::fmt::Write;

use argh::CommandInfoWithArgs;

/// A script by which bash completes the commands and options of `program`.
pub(super) fn bash(program: &str, command: &CommandInfoWithArgs) -> String {
    let mut commands = Vec::new();
    collect(String::new(), command, &mut commands);
    let function = format!("_{}", program.replace('-', "_"));
    let mut text = format!(
        "{function}() {{\n    local current=${{COMP_WORDS[COMP_CWORD]}} command= word words=\n    \
         for word in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do\n        case \"$command $word\" in\n"
    );
    let names: Vec<_> = commands
        .iter()
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, _)| format!("'{name}'"))
        .collect();
    // Writing into a string has no way to fail.
    writeln!(
        text,
        "            {}) command+=\" $word\" ;;\n        esac\n    done\n    case $command in",
        names.join(" | ")
    )
    .ok();
    for (name, words) in &commands {
        writeln!(text, "        '{name}') words='{}' ;;", words.join(" ")).ok();
    }
    writeln!(
        text,
        "    esac\n    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n}}\n\
         complete -o bashdefault -o default -F {function} {program}"
    )
    .ok();
    text
}

/// Every command by its words, each with a blank before it, and what may follow.
fn collect(name: String, command: &CommandInfoWithArgs, commands: &mut Vec<(String, Vec<String>)>) {
    let options = command.flags.iter().map(|flag| flag.long.to_owned());
    let words = command.commands.iter().map(|inner| inner.name.to_owned()).chain(options).collect();
    commands.push((name.clone(), words));
    for inner in &command.commands {
        collect(format!("{name} {}", inner.name), &inner.command, commands);
    }
}
