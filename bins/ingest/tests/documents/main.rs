//! The shell blocks of README.md and docs/quickstart.md, run as they stand, with the answers that the pages show for them.
//!
//! Each page gets an empty folder, where bash runs its blocks with real programs, real HTTP and a real database. Two things
//! stand in for what a test can't have. `cargo` on PATH is a script that puts the programs of this test's own build in
//! the place of a release build, which takes minutes, and refuses every other command line than those of the pages. A
//! `.curlrc` sends connections for port 8080, which another process may hold, to a port that is free.

#[cfg(test)]
mod page;
#[cfg(test)]
mod shell;

use mercurio_storage::testing::TestDatabase;

use page::{Block, Page};
use shell::Shell;

#[test]
fn the_quickstart_runs_as_it_stands_and_answers_what_it_shows() {
    let page = Page::read("docs/quickstart.md");
    assert!(page.blocks.len() >= 8, "the page has its blocks");
    let shell = Shell::new();
    let outputs = shell.run(&page.blocks);
    page.expect_answers(&outputs);
}

#[test]
fn the_readme_runs_as_it_stands_and_answers_what_it_shows() {
    let page = Page::read("README.md");
    let [start, send, gate, postgres] = &page.blocks[..] else {
        panic!("README.md has four blocks of shell: {:#?}", page.blocks);
    };

    // The first start holds the terminal and greets with a key; the reader sets it and goes on in another.
    let shell = Shell::new();
    let mut server = shell.start(start, &[]);
    let key = server.greeted_key();
    let outputs = shell.run_with(std::slice::from_ref(send), &[("MERCURIO_API_KEY", &key)]);
    page.expect_answers(&outputs);
    server.stop();

    // This test is a part of what that block runs.
    assert_eq!(gate.text.trim(), "scripts/check");
    assert!(page::root().join("scripts/check").is_file());

    let database = TestDatabase::empty_postgres();
    let shell = Shell::new();
    let server = shell.start(postgres, &[("DATABASE_URL", &database.url_text())]);
    assert!(database.store().has_tenants().expect("the schema is there"));
    server.stop();
}

#[test]
fn a_page_is_read_as_blocks_with_the_answer_that_follows_them() {
    let text = "a\n```sh\none \\\n  two\n```\n```json\n{\"a\":\"…\"}\n```\n\nb\n```toml\nx\n```\n```sh\nthree\n```\n";
    let blocks = page::blocks(text);
    let texts: Vec<(&str, bool)> =
        blocks.iter().map(|Block { text, answer }| (text.as_str(), answer.is_some())).collect();
    assert_eq!(texts, [("one \\\n  two\n", true), ("three\n", false)]);
}

#[test]
fn an_answer_is_held_against_the_page_but_for_what_the_page_leaves_open() {
    let check = |shown: &str, real: &str, same: bool| {
        let [shown, real] = [shown, real].map(|text| serde_json::from_str(text).expect("JSON"));
        assert_eq!(page::difference("", &shown, &real).is_none(), same, "{shown} {real}");
    };
    check(r#"{"a":"…","b":1}"#, r#"{"a":{"c":2},"b":1}"#, true);
    check(r#"{"b":1}"#, r#"{"b":2}"#, false);
    check(r#"{"b":1}"#, r#"{"b":1,"c":2}"#, false);
    check(r#"{"b":1,"c":"…"}"#, r#"{"b":1}"#, false);
    check(r#"[1,"…"]"#, r#"[1,2]"#, true);
    check(r#"[1]"#, r#"[1,2]"#, false);
}
