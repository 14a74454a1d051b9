//! Generates the completion script for bash.
//!
//! argh_complete 0.1.19 cannot: its bash script confuses commands that share a name, such as `tenant list` and `key list`.
//! Its scripts for zsh and fish are correct.

use std::fmt::Write;

use argh::CommandInfoWithArgs;

struct CompletedCommand {
    /// The words of the command, each after a space: ` tenant list`. Empty for the program itself.
    path: String,
    /// Subcommands and options of the command.
    words: Vec<String>,
}

/// Returns a script that completes the commands and options of `program`.
pub(super) fn script(program: &str, root: &CommandInfoWithArgs) -> String {
    let mut commands = Vec::new();
    collect(String::new(), root, &mut commands);
    let paths: Vec<_> = commands
        .iter()
        // The program itself is not a word to match.
        .filter(|command| !command.path.is_empty())
        .map(|command| format!("'{}'", command.path))
        .collect();
    let function = format!("_{}", program.replace('-', "_"));
    // The script first walks the words before the cursor to find the command, then offers that
    // command's words.
    let mut text = format!(
        "{function}() {{\n    local current=${{COMP_WORDS[COMP_CWORD]}} command= word words=\n    \
         for word in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do\n        case \"$command $word\" in\n"
    );
    // Writing to a string cannot fail.
    writeln!(
        text,
        "            {}) command+=\" $word\" ;;\n        esac\n    done\n    case $command in",
        paths.join(" | ")
    )
    .ok();
    for CompletedCommand { path, words } in &commands {
        writeln!(text, "        '{path}') words='{}' ;;", words.join(" ")).ok();
    }
    // Without a match, bash completes file names.
    writeln!(
        text,
        "    esac\n    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n}}\n\
         complete -o bashdefault -o default -F {function} {program}"
    )
    .ok();
    text
}

fn collect(path: String, info: &CommandInfoWithArgs, commands: &mut Vec<CompletedCommand>) {
    let options = info.flags.iter().map(|flag| flag.long.to_owned());
    let words = info.commands.iter().map(|inner| inner.name.to_owned()).chain(options).collect();
    commands.push(CompletedCommand { path: path.clone(), words });
    for inner in &info.commands {
        collect(format!("{path} {}", inner.name), &inner.command, commands);
    }
}
