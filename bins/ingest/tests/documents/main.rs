//! Runs the shell blocks of README.md, docs/quickstart.md and docs/importing.md, and compares the
//! output with the pages.
//!
//! Each page gets an empty folder. Bash runs its blocks with real programs, real HTTP and a real
//! database. Two things are replaced. `cargo` on PATH is a script: it links the programs of this
//! build in place of a release build, which takes minutes, and refuses any command line not in the
//! pages. Port 8080, possibly in use, becomes a free port.

#[cfg(test)]
mod page;
#[cfg(test)]
mod shell;

use mercurio_storage::testing::TestDatabase;

use page::{Block, Page};
use shell::Shell;

#[test]
fn quickstart_runs_with_the_output_it_shows() {
    let page = Page::read("docs/quickstart.md");
    assert!(page.blocks.len() >= 8, "the page has too few blocks");
    let shell = Shell::new();
    let outputs = shell.run(&page.blocks);
    page.expect_outputs(&outputs);
}

#[test]
fn readme_runs_with_the_output_it_shows() {
    let page = Page::read("README.md");
    let [start, send, gate, postgres] = &page.blocks[..] else {
        panic!("README.md has four blocks of shell: {:#?}", page.blocks);
    };

    // The first server holds the terminal and prints a key. The reader uses it in a second
    // terminal.
    let shell = Shell::new();
    let mut server = shell.start(start, &[]);
    let key = server.greeted_key();
    let outputs = shell.run_with(std::slice::from_ref(send), &[("MERCURIO_API_KEY", &key)]);
    page.expect_outputs(&outputs);
    server.stop();

    // That block runs this test, so it is not run here.
    assert_eq!(gate.text.trim(), "scripts/check");
    assert!(page::root().join("scripts/check").is_file());

    let database = TestDatabase::empty_postgres();
    let shell = Shell::new();
    let server = shell.start(postgres, &[("DATABASE_URL", &database.url_text())]);
    assert!(database.store().has_tenants().expect("the schema exists"));
    server.stop();
}

#[test]
fn import_moves_events_from_sqlite_to_postgres() {
    let page = Page::read("docs/importing.md");
    let (shell, database) = (Shell::new(), TestDatabase::empty_postgres());
    // The old database, with three events.
    let provision = "mercurio-admin provision --tenant Acme --workspace Production --samples\n";
    let old = Block { text: provision.to_owned(), output: None };
    shell.run_with(&[old], &[("DATABASE_URL", "sqlite://data/mercurio.db")]);

    let outputs = shell.run_with(&page.blocks, &[("DATABASE_URL", &database.url_text())]);
    page.expect_outputs(&outputs);
    // Both counts, of the old and of the new database.
    let counts = outputs.iter().filter(|(_, output)| output.matches("\"events\": 3").count() == 4);
    assert_eq!(counts.count(), 1, "{outputs:#?}");
}

#[test]
fn page_is_read_as_blocks_with_their_output() {
    let text = "a\n```sh\none \\\n  two\n```\n```json\n{\"a\":\"…\"}\n```\n\nb\n```toml\nx\n```\n```sh\nthree\n```\n";
    let blocks = page::blocks(text);
    let [first, second] = &blocks[..] else { panic!("two blocks: {blocks:?}") };
    assert_eq!((first.text.as_str(), first.output.is_some()), ("one \\\n  two\n", true));
    assert_eq!((second.text.as_str(), second.output.is_some()), ("three\n", false));
}

#[test]
fn output_differs_from_the_page_except_at_ellipses() {
    for (shown, real, same) in [
        (r#"{"a":"…","b":1}"#, r#"{"a":{"c":2},"b":1}"#, true),
        (r#"{"b":1}"#, r#"{"b":2}"#, false),
        (r#"{"b":1}"#, r#"{"b":1,"c":2}"#, false),
        (r#"{"b":1,"c":"…"}"#, r#"{"b":1}"#, false),
        (r#"[1,"…"]"#, r#"[1,2]"#, true),
        (r#"[1]"#, r#"[1,2]"#, false),
    ] {
        let [shown, real] = [shown, real].map(|text| serde_json::from_str(text).expect("JSON"));
        assert_eq!(page::difference("", &shown, &real).is_none(), same, "{shown} {real}");
    }
}
