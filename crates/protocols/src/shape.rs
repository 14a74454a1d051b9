//! Paths that protocols share: the shape of the body decides.

use crate::envelope::has_member;
use crate::{Form, Head, mixpanel, posthog};

/// Returns the form of a request among those of its path. The first one answers if no shape fits.
#[must_use]
pub fn form_of(forms: &[Form], head: &Head<'_>, body: &[u8]) -> Option<Form> {
    let &first = forms.first()?;
    if forms.len() == 1 {
        return Some(first);
    }
    Some(forms.iter().copied().find(|form| form.has_shape(head, body)).unwrap_or(first))
}

impl Form {
    /// Returns whether a body on a shared path has the shape of this form.
    fn has_shape(self, head: &Head<'_>, body: &[u8]) -> bool {
        match self {
            // `/batch` of PostHog and Amplitude, `/track` of PostHog and Mixpanel.
            Self::Posthog(_) => posthog::has_shape(body),
            Self::Amplitude(_) => has_member(body, "events"),
            Self::Mixpanel(_) => mixpanel::has_shape(head, body),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Header, Protocol, Protocols, foreign_paths};

    #[test]
    fn body_on_a_shared_path_leads_to_its_protocol() {
        use Protocol::{Amplitude, Mixpanel, Posthog};
        let paths = foreign_paths(Protocols::default());
        let form = [Header { name: "content-type", value: b"application/x-www-form-urlencoded" }];
        let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
        let deep = format!(r#"[{{"event":"e","properties":{{"deep":{deep},"token":"k"}}}},{{}}]"#);
        for (path, headers, body, expected) in [
            ("/batch", &[][..], r#"{"api_key":"k","batch":[{"event":"e"}]}"#, Posthog),
            ("/batch", &[], r#"{"event":"e","token":"k"}"#, Posthog),
            ("/batch", &[], r#"{"api_key":"k","events":[{"event_type":"batch"}]}"#, Amplitude),
            ("/track", &[], r#"{"api_key":"k","event":"e","properties":{"token":"k"}}"#, Posthog),
            ("/track", &[], r#"{"event":"e","properties":{"token":"k"}}"#, Mixpanel),
            ("/track", &[], r#"[{"event":"e","properties":{"token":"k"}}]"#, Mixpanel),
            ("/track", &form, r#"data={"event":"e","properties":{"token":"k"}}&ip=0"#, Mixpanel),
            ("/track", &[], &deep, Mixpanel),
            // Of no shape: the first one answers.
            ("/batch", &[], "{", Posthog),
            ("/track", &[], "", Posthog),
        ] {
            let path = paths.iter().find(|known| known.path == path).unwrap();
            let head = Head { headers, ..Head::default() };
            let found = form_of(&path.post, &head, body.as_bytes()).map(Form::protocol);
            assert_eq!(found, Some(expected), "{body}");
        }
    }
}
