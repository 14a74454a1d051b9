//! Conversion of rejected events to rows and back. Both databases have the same columns.

use std::fmt::Write;

use diesel::prelude::Queryable;
use mercurio_domain::store::RejectedEvent;
use mercurio_domain::verdict::{FieldError, FieldErrorCode};
use mercurio_domain::{ApiKeyId, Owner, TenantId, WorkspaceId};
use serde_json::Value;

use crate::error::{Error, ErrorKind};
use crate::rows::{JsonText, Micros, RowId, timestamp};

/// A row of `rejections`.
#[derive(Debug, Queryable)]
pub(crate) struct RejectionRow {
    id: RowId,
    tenant_id: i64,
    workspace_id: i64,
    received_at: Micros,
    event_id: Option<String>,
    event_name: Option<String>,
    user_id: Option<String>,
    anonymous_id: Option<String>,
    errors: JsonText,
    event: String,
    is_cut: bool,
    request_id: String,
    api_key_id: String,
    protocol: String,
    sdk: Option<String>,
    user_agent: Option<String>,
}

impl RejectionRow {
    pub(crate) fn into_event(self) -> Result<RejectedEvent, Error> {
        Ok(RejectedEvent {
            id: self.id.0,
            owner: Owner {
                tenant_id: TenantId(self.tenant_id),
                workspace_id: WorkspaceId(self.workspace_id),
            },
            received_at: timestamp(self.received_at),
            event_id: self.event_id,
            event_name: self.event_name,
            user_id: self.user_id,
            anonymous_id: self.anonymous_id,
            errors: errors_from(&self.errors.0)
                .ok_or_else(|| Error::unreadable("the errors of a rejection"))?,
            event: self.event,
            is_cut: self.is_cut,
            request_id: self.request_id,
            api_key_id: ApiKeyId::new(self.api_key_id),
            protocol: self.protocol,
            sdk: self.sdk,
            user_agent: self.user_agent,
        })
    }
}

/// The codes of the errors, each once, between commas: `,required,too_long,`. A search for
/// [`code_pattern`] finds one.
pub(crate) fn codes_of(errors: &[FieldError]) -> String {
    let mut codes = String::from(",");
    for (index, error) in errors.iter().enumerate() {
        if errors[..index].iter().all(|before| before.code != error.code) {
            // Writing to a string cannot fail.
            write!(codes, "{},", error.code).ok();
        }
    }
    codes
}

/// The pattern of `LIKE` for a code in `codes`. An underscore matches any character, and no two
/// codes differ in one alone.
pub(crate) fn code_pattern(code: FieldErrorCode) -> String {
    format!("%,{code},%")
}

pub(crate) fn errors_json(errors: &[FieldError]) -> Result<String, Error> {
    serde_json::to_string(errors).map_err(|error| Error::new(ErrorKind::Refused, error))
}

fn errors_from(json: &str) -> Option<Vec<FieldError>> {
    let Value::Array(values) = serde_json::from_str(json).ok()? else { return None };
    let mut errors = Vec::with_capacity(values.len());
    for value in values {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        // A newer release may have stored a new code. Its message still gives the reason.
        let code = FieldErrorCode::from_text(text("code")?);
        let code = code.unwrap_or(FieldErrorCode::InvalidValue);
        errors.push(FieldError::new(text("pointer")?, code, text("message")?.to_owned()));
    }
    Some(errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: FieldErrorCode) -> FieldError {
        FieldError::new("/a\n\u{0}\"é", code, "message \\ \u{1f}")
    }

    #[test]
    fn errors_round_trip_with_any_text() {
        let errors = FieldErrorCode::ALL.map(error);
        assert_eq!(errors_from(&errors_json(&errors).unwrap()).unwrap(), errors);
    }

    #[test]
    fn unknown_code_keeps_its_message() {
        let json = r#"[{"pointer":"/a","code":"of_tomorrow","message":"m"}]"#;
        let expected = FieldError::new("/a", FieldErrorCode::InvalidValue, "m");
        assert_eq!(errors_from(json).unwrap(), [expected]);
        for json in ["", "{}", "[1]", r#"[{"code":"required"}]"#] {
            assert_eq!(errors_from(json), None, "{json}");
        }
    }

    #[test]
    fn codes_are_listed_once_between_commas() {
        use FieldErrorCode::{Required, TooLong};
        assert_eq!(codes_of(&[Required, TooLong, Required].map(error)), ",required,too_long,");
        assert_eq!(code_pattern(TooLong), "%,too_long,%");
    }

    #[test]
    fn no_two_codes_match_one_pattern() {
        for code in FieldErrorCode::ALL {
            let same = FieldErrorCode::ALL.into_iter().filter(|other| {
                let (one, other) = (code.as_str(), other.as_str());
                let mut pairs = one.chars().zip(other.chars());
                one.len() == other.len() && pairs.all(|(a, b)| a == '_' || a == b)
            });
            assert_eq!(same.count(), 1, "{code}");
        }
    }
}
