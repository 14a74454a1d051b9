//! Tables of several widths, and what they never do.

use serde_json::json;

use super::*;

fn keys() -> Value {
    json!({"api_keys": [
        {"id": "k3v9abcdefghijkl", "name": "Web site", "status": "active", "scopes": ["a", "b"],
         "last_used_at": "2026-11-22T10:00:00.123456Z", "created_at": null, "expires_at": null,
         "revoked_at": null, "tenant_name": "Acme", "workspace_name": "Default",
         "workspace_id": "1", "tenant_id": "1"},
        {"id": "k3v9abcdefghijkm", "name": "A key of a name with many words in it", "status": "revoked",
         "scopes": [], "last_used_at": null, "created_at": null, "expires_at": null,
         "revoked_at": null, "tenant_name": "Acme", "workspace_name": "Test",
         "workspace_id": "2", "tenant_id": "1"},
    ]})
}

fn look(width: usize) -> Look<'static> {
    Look { layout: Layout::of("key list"), width: Some(width), ..Look::default() }
}

fn plain(result: &Value) -> String {
    Look::default().render(result)
}

fn words(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn list_becomes_a_table_with_plain_headings() {
    let text = plain(&json!({"tenants": [
        {"id": "1", "name": "Acme", "limits": {}, "created_at": "2026-11-22T10:00:00.123456Z"},
        {"id": "10", "name": "漢字", "limits": null, "created_at": null},
    ]}));
    let expected =
        "ID  Name  Limits  Created at\n1   Acme  –       2026-11-22T10:00:00Z\n10  漢字  –       –";
    assert_eq!(text, expected);
    assert_eq!(plain(&json!({"api_keys": []})), "no api keys");
}

#[test]
fn numbers_are_aligned_to_the_right() {
    let text = plain(&json!({"workspaces": [
        {"name": "A", "events": 7}, {"name": "B", "events": 12345}, {"name": "C", "events": null},
    ]}));
    assert_eq!(text, "Name  Events\nA          7\nB      12345\nC          –");
}

#[test]
fn table_takes_as_many_columns_as_fit() {
    for (width, columns) in [(70, 5), (80, 5), (120, 6), (140, 8)] {
        let text = look(width).render(&keys());
        let heading = text.lines().next().unwrap();
        let count = heading.split("  ").filter(|name| !name.trim().is_empty()).count();
        assert_eq!(count, columns, "{width}\n{text}");
        assert!(text.lines().all(|line| crate::text::width(line) <= width), "{width}\n{text}");
    }
    // Narrower than its words: ids and times are never broken.
    let text = look(20).render(&keys());
    assert!(text.contains("k3v9abcdefghijkl") && text.contains("2026-11-22T10:00:00Z"), "{text}");
}

#[test]
fn long_text_is_wrapped_below_its_column() {
    let text = look(80).render(&keys());
    let column = text.lines().next().unwrap().find("Name").unwrap();
    let (first, second) = (text.lines().nth(2).unwrap(), text.lines().nth(3).unwrap());
    assert!(first[column..].starts_with("A key of a"), "{text}");
    assert!(second[..column].trim().is_empty() && !second[column..].starts_with(' '), "{text}");
}

#[test]
fn very_long_word_is_broken_to_fit() {
    let result = json!({"api_keys": [{"id": "k3v9abcdefghijkl", "name": "x".repeat(100)}]});
    let text = Look { columns: &["id", "name"], ..look(60) }.render(&result);
    assert_eq!(text.lines().map(|line| line.matches('x').count()).sum::<usize>(), 100);
    assert!(text.lines().all(|line| width(line) <= 60), "{text}");
}

#[test]
fn chosen_columns_and_wide_show_what_was_asked() {
    let chosen = Look { columns: &["name", "tenant_id"], ..look(30) }.render(&keys());
    assert!(chosen.starts_with("Name"), "{chosen}");
    assert_eq!(words(&chosen)[0], ["Name", "Tenant", "ID"]);
    let wide = Look { wide: true, width: None, ..look(0) }.render(&keys());
    assert!(wide.contains("2026-11-22T10:00:00.123456Z"), "{wide}");
    assert_eq!(wide.lines().count(), 3, "{wide}");
    assert!(wide.lines().next().unwrap().ends_with("Workspace ID"), "{wide}");
}

#[test]
fn colours_mark_headings_and_states_alone() {
    let text = Look { colours: true, ..look(80) }.render(&keys());
    assert!(text.starts_with("\u{1b}[1mID"), "{text:?}");
    assert!(text.contains("\u{1b}[32mactive"), "{text:?}");
    assert!(text.contains("\u{1b}[31mrevoked"), "{text:?}");
    assert_eq!(text.matches("\u{1b}[0m").count(), 3, "{text:?}");
    let text = Look { colours: true, ..Look::default() }.render(&json!({"status": "active"}));
    assert_eq!(text, "Status  \u{1b}[32mactive\u{1b}[0m");
}

#[test]
fn text_of_clients_cannot_control_the_terminal() {
    let text = plain(&json!({
        "title": "\u{9b}2J",
        "events": [{"event_id": "a\n\u{1b}[1A\u{202e}b", "properties": {"p": "\u{9d}0;x\u{7f}"}}],
    }));
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "Title  \\u009b2J");
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[3].starts_with("a\\u000a\\u001b[1A\\u202eb  "), "{text}");
    assert!(lines[3].ends_with("{\"p\":\"\\u009d0;x\\u007f\"}"), "{text}");
}

#[test]
fn object_becomes_names_and_values() {
    let text = plain(&json!({
        "id": "1", "tenant": {"id": "1", "name": "Acme"}, "scopes": ["a", "b"],
        "limits": {"events_burst": 5}, "usage": {"month": "2026-11", "events": 3}, "key": null,
        "is_secret": true,
    }));
    let expected = "ID         1\nTenant     Acme (id 1)\nScopes     a b\nKey        –\nIs secret  yes\n\n\
                    Limits\n  events_burst  5\n\nUsage\n  Month   2026-11\n  Events  3";
    assert_eq!(text, expected);
}

#[test]
fn long_value_is_wrapped_but_a_key_is_not() {
    let key = "mk_".to_owned() + &"x".repeat(60);
    let advice = "one two three four five six seven eight nine ten";
    let text =
        Look { width: Some(40), ..Look::default() }.render(&json!({"key": key, "advice": advice}));
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], format!("Key     {key}"));
    assert_eq!(lines[1], "Advice  one two three four five six");
    assert_eq!(lines[2], "        seven eight nine ten");
}
