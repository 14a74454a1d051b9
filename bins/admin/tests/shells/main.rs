//! Completion in real shells: keys typed at a terminal, and what its screen shows.

mod terminal;

use mercurio_storage::testing::TestDatabase;
use serde_json::Value;

use terminal::{Shell, Terminal};

/// A name that every shell must quote.
const ODD_NAME: &str = "O'Brien & \"Söhne\" $1";

/// A database with two tenants, and a key of the first.
struct Fixture {
    database: TestDatabase,
    key: String,
}

fn fixture() -> Fixture {
    let database = TestDatabase::sqlite();
    let url = database.url_text();
    let provision = ["provision", "--tenant", "Acme Corp", "--workspace", "Production"];
    let printed: Value = serde_json::from_str(&terminal::run(&provision, &url)).expect("a result");
    terminal::run(&["tenant", "create", ODD_NAME], &url);
    let key = printed["api_key"]["id"].as_str().expect("an id").to_owned();
    Fixture { database, key }
}

fn each_shell(work: impl Fn(Shell)) {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        eprintln!("{shell:?}");
        work(shell);
    }
}

#[test]
fn tab_completes_commands_options_and_values() {
    let Fixture { database, key } = fixture();
    let cases = [
        ("ev", "events "),
        ("tenant res", "tenant resume "),
        ("key create --sc", "key create --scopes "),
        ("key create --scopes events:r", "key create --scopes events:read "),
        ("key create --scopes=events:r", "key create --scopes=events:read "),
        ("key create --scopes events:read,", "key create --scopes events:read,events:write "),
        ("tenant list --output y", "tenant list --output yaml "),
        ("tenant list --output=y", "tenant list --output=yaml "),
        ("tenant list --columns id,st", "tenant list --columns id,status "),
        ("completion fi", "completion fish "),
        ("workspace list --tenant id:1", "workspace list --tenant id:1 "),
        (
            "events count --tenant id:1 --workspace p",
            "events count --tenant id:1 --workspace Production ",
        ),
        ("tenant limits id:1 --unset events_p", "tenant limits id:1 --unset events_per_second "),
        // The value follows without a blank.
        ("tenant limits id:1 --set events_p", "tenant limits id:1 --set events_per_second="),
        // The shell completes folders.
        ("man --dir fold", "man --dir folder/"),
        ("events import fil", "events import file.ndjson "),
        // A new name completes to nothing.
        ("tenant create Ac", "tenant create Ac"),
    ];
    let revoke = format!("key revoke {key} ");
    each_shell(|shell| {
        let terminal = Terminal::start(shell, &database.url_text());
        for (typed, expected) in cases.into_iter().chain([("key revoke ", &*revoke)]) {
            terminal.check_completion(typed, expected);
        }
    });
}

#[test]
fn name_with_blanks_and_quotes_reaches_the_program_whole() {
    let Fixture { database, .. } = fixture();
    each_shell(|shell| {
        let terminal = Terminal::start(shell, &database.url_text());
        for typed in ["O", "o", "\"O", "--output json \"O"] {
            terminal.type_line(&format!("mercurio-admin tenant show {typed}"));
            terminal.press("Tab");
            terminal.press("Enter");
            let name = if typed.contains("json") {
                format!("\"name\": {}", Value::from(ODD_NAME))
            } else {
                format!("Name        {ODD_NAME}")
            };
            terminal.wait_for_text(&name);
            terminal.clear();
        }
        // Within a word, and behind an option with `=`.
        terminal.type_line("mercurio-admin workspace list --tenant=Ac");
        terminal.press("Tab");
        terminal.press("Enter");
        terminal.wait_for_text("Production");
    });
}

#[test]
fn zsh_loads_the_script_from_a_folder_of_functions() {
    let Fixture { database, .. } = fixture();
    let terminal = Terminal::start(Shell::Zsh, &database.url_text());
    terminal.type_line(
        "mercurio-admin completion zsh > _mercurio-admin; fpath=($PWD $fpath); \
         unfunction _mercurio_admin; compdef -d mercurio-admin; compinit -u -D; clear",
    );
    terminal.press("Enter");
    terminal.check_completion("tenant res", "tenant resume ");
    terminal.check_completion("tenant sus", "tenant suspend ");
}

#[test]
fn several_candidates_are_listed() {
    let Fixture { database, .. } = fixture();
    each_shell(|shell| {
        let terminal = Terminal::start(shell, &database.url_text());
        terminal.type_line("mercurio-admin tenant ");
        terminal.press("Tab");
        terminal.press("Tab");
        terminal.wait_for_text("suspend");
        if shell != Shell::Bash {
            terminal.wait_for_text("End the suspension of a tenant");
        }
    });
}

#[test]
fn prompt_stays_clean_without_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let missing = format!("sqlite://{}", folder.path().join("new/mercurio.db").display());
    // Refused at once, a server that is no database, and a database without a schema.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("postgres://u@{}/m", listener.local_addr().unwrap());
    let empty = TestDatabase::empty_sqlite();
    for url in [&missing, "mysql://u@h/d", &silent, &empty.url_text()] {
        each_shell(|shell| {
            let terminal = Terminal::start(shell, url);
            terminal.check_completion("tenant show Ac", "tenant show Ac");
            terminal.check_completion("key li", "key list ");
        });
    }
    assert!(!folder.path().join("new").exists());
}
