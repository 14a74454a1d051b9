//! Paths that protocols share: the shape of the body decides.

use mercurio_domain::payload::{Scanner, scan_members};

use crate::{Form, Head, mixpanel};

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
            Self::Posthog(_) => has_member(body, "batch"),
            Self::Amplitude(_) => has_member(body, "events"),
            Self::Mixpanel(_) => mixpanel::has_shape(head, body),
            _ => false,
        }
    }
}

/// Returns whether a body is an object with this member.
pub(crate) fn has_member(body: &[u8], name: &str) -> bool {
    let Ok(text) = std::str::from_utf8(body) else { return false };
    let mut found = false;
    // A body with an error after the member has it too.
    let _ = scan_members(text, &mut Scanner::new(text), |member, _| found |= member == name);
    found
}
