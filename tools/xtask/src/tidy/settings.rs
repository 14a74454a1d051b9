//! Rules for settings: what the code reads from the environment and what .env.example tells is the same list.

use std::collections::BTreeSet;

use crate::source::Source;

/// Names of settings that a source mentions outside of comments and tests.
pub(crate) fn settings_of(text: &str) -> BTreeSet<String> {
    let code = Source::read(text).code_and_literals();
    let words = code.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    let mut settings: BTreeSet<String> =
        words.filter(|word| is_setting(word)).map(str::to_owned).collect();
    // What a build script hands to the code is set by no person.
    for rest in code.split("env!(").skip(1) {
        settings.remove(rest.split('"').nth(1).unwrap_or_default());
    }
    settings
}

/// A prefix alone is no name, and MERCURIO_TEST_… is for the tests, not for who runs a server.
fn is_setting(word: &str) -> bool {
    let own = word.strip_prefix("MERCURIO_").is_some_and(|rest| {
        !rest.is_empty()
            && !rest.ends_with('_')
            && !rest.starts_with("TEST_")
            && !rest.contains(|char: char| char.is_ascii_lowercase())
    });
    own || word.starts_with("OTEL_") || ["DATABASE_URL", "DATABASE_URL_FILE"].contains(&word)
}

/// Settings of an example file, and those of them without a comment above.
fn told(example: &str) -> (BTreeSet<String>, Vec<String>) {
    let (mut names, mut bare) = (BTreeSet::new(), Vec::new());
    let mut described = false;
    for line in example.lines().map(str::trim) {
        let stated = line.trim_start_matches(['#', ' ']);
        match stated.split_once('=') {
            Some((name, _)) if is_setting(name.trim()) => {
                names.insert(name.trim().to_owned());
                if !described {
                    bare.push(name.trim().to_owned());
                }
                described = false;
            }
            _ => described = line.starts_with('#'),
        }
    }
    (names, bare)
}

/// Faults of the example file, held against the settings that the code reads.
pub(crate) fn example_faults(read: &BTreeSet<String>, example: &str) -> Vec<String> {
    let (told, bare) = told(example);
    let mut faults: Vec<String> =
        bare.iter().map(|name| format!("{name} has no comment above it")).collect();
    faults.extend(
        read.difference(&told).map(|name| format!("{name} is read by the code and not told")),
    );
    faults.extend(told.difference(read).map(|name| format!("{name} is told and read by no code")));
    faults
}

#[test]
fn a_setting_is_found_in_code_and_literals_but_not_in_comments_and_tests() {
    let check = |text: &str, expected: &[&str]| {
        assert_eq!(
            settings_of(text).iter().map(String::as_str).collect::<Vec<_>>(),
            expected,
            "{text}"
        );
    };
    check("get(\"MERCURIO_ADDR\")", &["MERCURIO_ADDR"]);
    check(
        "get(\"DATABASE_URL\"); format!(\"set MERCURIO_B2_MS=1\")",
        &["DATABASE_URL", "MERCURIO_B2_MS"],
    );
    check("// MERCURIO_ADDR\n#[cfg(test)] mod tests { const A: &str = \"MERCURIO_B\"; }", &[]);
    check(
        "concat!(\"a\", env!(\"MERCURIO_BUILD_HASH\")); get(\"MERCURIO_ADDR\")",
        &["MERCURIO_ADDR"],
    );
    check(
        "starts_with(\"MERCURIO_\"); \"MERCURIO_RATE_\"; \"MERCURIO_TEST_POSTGRES_URL\"; MERCURIO_Odd",
        &[],
    );
}

#[test]
fn the_example_is_faulted_for_what_it_lacks_invents_or_leaves_undescribed() {
    let check = |example: &str, expected: &[&str]| {
        let read = ["DATABASE_URL", "MERCURIO_ADDR"].map(str::to_owned).into();
        assert_eq!(example_faults(&read, example), expected, "{example}");
    };
    check("# Where.\nDATABASE_URL=a\n\n# Listen.\n# MERCURIO_ADDR=b\n", &[]);
    check("# Where.\nDATABASE_URL=a\n", &["MERCURIO_ADDR is read by the code and not told"]);
    check(
        "# Where.\nDATABASE_URL=a\nMERCURIO_ADDR=b\n",
        &["MERCURIO_ADDR has no comment above it"],
    );
    check(
        "# Where.\nDATABASE_URL=a\n# Listen.\nMERCURIO_ADDR=b\n# Odd.\n# MERCURIO_ODD=\n",
        &["MERCURIO_ODD is told and read by no code"],
    );
}
