//! Reads the members of an event's `context` that enrichment uses, without building a tree.
//!
//! A member of another type than expected counts as absent. The last of repeated names counts, as in PostgreSQL's `jsonb`
//! and in every browser.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of a context that enrichment uses.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Context<'a> {
    /// `user_agent`, if it is a string.
    pub(crate) user_agent: Option<Cow<'a, str>>,
    /// `page.url`, if it is a string.
    pub(crate) page_url: Option<Cow<'a, str>>,
    /// Whether `page.path` is a string.
    pub(crate) has_path: bool,
    /// Whether `campaign` is an object with at least one member.
    pub(crate) has_campaign: bool,
}

impl<'a> Context<'a> {
    /// Reads a context. Text other than a JSON object has no members.
    pub(crate) fn read(json: &'a str) -> Self {
        // A substring search is much cheaper than a parse.
        if !may_have_members(json) {
            return Self::default();
        }
        let [user_agent, page, campaign] = members(json, ["user_agent", "page", "campaign"]);
        let [page_url, path] = page.map_or([None; 2], |page| members(page, ["url", "path"]));
        Self {
            user_agent: user_agent.and_then(text),
            page_url: page_url.and_then(text),
            has_path: path.is_some_and(|path| path.starts_with('"')),
            has_campaign: campaign.is_some_and(has_members),
        }
    }

    pub(crate) fn into_owned(self) -> Context<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Context {
            user_agent: self.user_agent.map(owned),
            page_url: self.page_url.map(owned),
            ..self
        }
    }
}

/// Returns whether the text can have a member to read. Most contexts from servers have none and need no parsing.
fn may_have_members(json: &str) -> bool {
    // Not "campaign": alone it adds nothing, and with a page it is read.
    static NEEDLES: LazyLock<[Finder<'static>; 3]> = LazyLock::new(|| {
        // A name can be written with escapes; those of letters begin with `\u`.
        ["\"page\"", "\"user_agent\"", "\\u"].map(Finder::new)
    });
    NEEDLES.iter().any(|needle| needle.find(json.as_bytes()).is_some())
}

fn text(json: &str) -> Option<Cow<'_, str>> {
    // serde borrows a `Cow` only as the field of a struct.
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'_>>(json).ok().map(|text| text.0)
}

fn has_members(json: &str) -> bool {
    // `RawValue` has no white space around it.
    json.strip_prefix('{').is_some_and(|rest| !rest.trim_start().starts_with('}'))
}

/// Returns the values of these members of an object, as slices.
fn members<'a, const N: usize>(json: &'a str, names: [&str; N]) -> [Option<&'a str>; N] {
    struct Members<'n, const N: usize>([&'n str; N]);

    impl<'de, const N: usize> Visitor<'de> for Members<'_, N> {
        type Value = [Option<&'de str>; N];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = [None; N];
            while let Some(Key(key)) = map.next_key()? {
                match self.0.iter().position(|name| *name == key) {
                    Some(index) => found[index] = Some(map.next_value::<&RawValue>()?.get()),
                    None => drop(map.next_value::<IgnoredAny>()?),
                }
            }
            Ok(found)
        }
    }

    #[derive(Deserialize)]
    struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

    // A context is valid JSON, and another value than an object has no members.
    let mut deserializer = serde_json::Deserializer::from_str(json);
    deserializer.deserialize_map(Members(names)).unwrap_or([None; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: Context<'_>) {
        assert_eq!(Context::read(json), expected, "{json}");
    }

    #[test]
    fn used_members_are_read_and_others_skipped() {
        check(
            r#"{"a":[{"page":1}],"page":{"title":"t","url":"https://a.example/","path":"/"},"user_agent":"curl/8","campaign":{"name":"n"}}"#,
            Context {
                user_agent: Some("curl/8".into()),
                page_url: Some("https://a.example/".into()),
                has_path: true,
                has_campaign: true,
            },
        );
        check(r#"{"library":{"name":"x"}}"#, Context::default());
        check("{}", Context::default());
    }

    #[test]
    fn value_of_another_type_counts_as_absent() {
        check(
            r#"{"page":"https://a.example/","user_agent":["curl"],"campaign":"c"}"#,
            Context::default(),
        );
        check(
            r#"{"page":{"url":{"href":"x"},"path":7},"user_agent":null,"campaign":null}"#,
            Context::default(),
        );
        check(r#"{"page":[],"campaign":{ }}"#, Context::default());
        check(r#"["page"]"#, Context::default());
        // Not JSON: the domain refuses it earlier.
        check(r#"{"page":"#, Context::default());
    }

    #[test]
    fn escapes_are_read_in_names_and_in_values() {
        let url = Some(Cow::Borrowed("https://a.example/é"));
        check(
            r#"{"p\u0061ge":{"url":"https:\/\/a.example\/\u00e9"}}"#,
            Context { page_url: url, ..Context::default() },
        );
    }

    #[test]
    fn last_of_repeated_names_counts() {
        check(
            r#"{"user_agent":"a","page":{"url":"u"},"user_agent":"b","page":{}}"#,
            Context { user_agent: Some("b".into()), ..Context::default() },
        );
    }

    #[test]
    fn text_without_escapes_is_borrowed() {
        let context = Context::read(r#"{"page":{"url":"https://a.example/"}}"#);
        assert!(matches!(context.page_url, Some(Cow::Borrowed(_))));
    }
}
