//! Success, or the reason for another attempt.

use std::time::Duration;

/// The receiver's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The pause it asks for.
    pub retry_after: Option<Duration>,
    /// Host of `Location`.
    pub location_host: Option<String>,
}

/// Why a batch is not delivered. Has no part of a payload, of the answer's body or of the target's
/// path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// No complete answer in time. The receiver may have processed the batch.
    #[error("no complete answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// No complete answer, because the connection failed or the answer is not HTTP.
    #[error("no complete answer: {0}")]
    NoAnswer(String),
    /// TLS failed: the receiver is not trusted.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The receiver cannot take the batch now: 408, 409, 425, 429, 5xx, or a status without a
    /// meaning here.
    #[error("status {status}")]
    Unavailable {
        /// HTTP status.
        status: u16,
        /// The pause the receiver asks for.
        retry_after: Option<Duration>,
    },
    /// The receiver refuses the batch: any other 4xx.
    #[error("the receiver refuses the batch with status {status}{}", hint(*.status))]
    Refused {
        /// HTTP status.
        status: u16,
        /// The pause the receiver asks for.
        retry_after: Option<Duration>,
    },
    /// A 3xx.
    #[error(
        "status {status}, a redirect{}: redirects are not followed, so use the receiver's final URL",
        match .host { Some(host) => format!(" to {host}"), None => String::new() }
    )]
    Redirect {
        /// HTTP status.
        status: u16,
        /// Host of `Location`.
        host: Option<String>,
    },
    /// 410: the receiver wants no more events.
    #[error("status 410 Gone: the receiver wants no more events")]
    Gone,
}

/// Advice for a status, for the person who can change the target or the options.
fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => ": check the secret and the credentials in the URL",
        404 | 405 => ": check the path of the URL",
        413 => ": send fewer events in a request",
        _ => "",
    }
}

impl DeliveryError {
    /// Whether another attempt is pointless.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Gone)
    }

    /// Returns the pause the receiver asks for.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } | Self::Refused { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }
}

impl Answer {
    /// Returns whether the answer means that the receiver has the batch.
    ///
    /// # Errors
    /// For every status except 2xx. A refused batch is an error like the others, because giving it
    /// up would lose its events silently.
    pub fn outcome(self) -> Result<(), DeliveryError> {
        let Self { status, retry_after, location_host } = self;
        Err(match status {
            200..=299 => return Ok(()),
            300..=399 => DeliveryError::Redirect { status, host: location_host },
            410 => DeliveryError::Gone,
            408 | 409 | 425 | 429 => DeliveryError::Unavailable { status, retry_after },
            400..=499 => DeliveryError::Refused { status, retry_after },
            _ => DeliveryError::Unavailable { status, retry_after },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: u16) -> Result<(), DeliveryError> {
        let host = Some("example.com".to_owned());
        Answer { status, retry_after: Some(Duration::from_secs(9)), location_host: host }.outcome()
    }

    #[test]
    fn every_status_has_one_outcome() {
        for status in 100..=999 {
            let error = match outcome(status) {
                Ok(()) => {
                    assert!((200..300).contains(&status), "{status}");
                    continue;
                }
                Err(error) => error,
            };
            assert_eq!(error.is_final(), status == 410, "{status}");
            let is_refusal =
                (400..500).contains(&status) && ![408, 409, 410, 425, 429].contains(&status);
            assert_eq!(matches!(error, DeliveryError::Refused { .. }), is_refusal, "{status}");
            let is_redirect = (300..400).contains(&status);
            assert_eq!(matches!(error, DeliveryError::Redirect { .. }), is_redirect, "{status}");
            // A receiver that is gone or elsewhere has no say in the pause.
            assert_eq!(error.retry_after().is_none(), is_redirect || status == 410, "{status}");
            assert!(error.to_string().contains(&status.to_string()), "{error}");
        }
    }

    #[test]
    fn redirect_names_the_host() {
        let message = outcome(308).unwrap_err().to_string();
        assert!(message.starts_with("status 308, a redirect to example.com: "), "{message}");
    }
}
