//! Reads the few members of an event's `context` that enrichment looks at, without building a tree.
//!
//! Tolerant: a member of another type than expected counts as absent. Of a name that stands twice the last one counts,
//! as in PostgreSQL's `jsonb` and in every browser.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What enrichment reads of a context.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Context<'a> {
    /// `user_agent`, where it is a text.
    pub(crate) user_agent: Option<Cow<'a, str>>,
    /// `page.url`, where it is a text.
    pub(crate) page_url: Option<Cow<'a, str>>,
    /// Whether `page.path` is a text.
    pub(crate) has_path: bool,
    /// Whether `campaign` is an object with at least one member.
    pub(crate) has_campaign: bool,
}

impl<'a> Context<'a> {
    /// Reads a context; one that is no JSON object has nothing.
    pub(crate) fn read(json: &'a str) -> Self {
        if !may_matter(json) {
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

    /// The same, with copies of what was borrowed.
    pub(crate) fn into_owned(self) -> Context<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Context {
            user_agent: self.user_agent.map(owned),
            page_url: self.page_url.map(owned),
            ..self
        }
    }
}

/// Whether the text can hold a member that matters: most contexts of servers do not, and are then not parsed at all.
fn may_matter(json: &str) -> bool {
    static NEEDLES: LazyLock<[Finder<'static>; 3]> = LazyLock::new(|| {
        // A name may be written with escapes; any letter has only the one of this form.
        ["\"page\"", "\"user_agent\"", "\\u"].map(Finder::new)
    });
    NEEDLES.iter().any(|needle| needle.find(json.as_bytes()).is_some())
}

fn text(json: &str) -> Option<Cow<'_, str>> {
    // A `Cow` inside a struct is borrowed where it can be; on its own it is always copied.
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'_>>(json).ok().map(|text| text.0)
}

fn has_members(json: &str) -> bool {
    json.strip_prefix('{').is_some_and(|rest| !rest.trim_start().starts_with('}'))
}

/// The values of these members, as they stand in the text of an object.
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
                    Some(place) => found[place] = Some(map.next_value::<&RawValue>()?.get()),
                    None => drop(map.next_value::<IgnoredAny>()?),
                }
            }
            Ok(found)
        }
    }

    #[derive(Deserialize)]
    struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

    let read = |json| -> Result<_, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_str(json);
        reader.deserialize_map(Members(names))
    };
    read(json).unwrap_or([None; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: Context<'_>) {
        assert_eq!(Context::read(json), expected, "{json}");
    }

    #[test]
    fn the_members_that_matter_are_read_and_the_others_passed_over() {
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
    fn a_value_of_another_type_counts_as_absent() {
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
    fn of_a_name_that_stands_twice_the_last_one_counts() {
        check(
            r#"{"user_agent":"a","page":{"url":"u"},"user_agent":"b","page":{}}"#,
            Context { user_agent: Some("b".into()), ..Context::default() },
        );
    }

    #[test]
    fn a_text_without_escapes_is_borrowed() {
        let context = Context::read(r#"{"page":{"url":"https://a.example/"}}"#);
        assert!(matches!(context.page_url, Some(Cow::Borrowed(_))));
    }
}
