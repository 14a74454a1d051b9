//! What the database lets a server do: the privileges of its role, and row security.

use serde::Serialize;

/// The privileges of a server's role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Privileges {
    /// Privileges the role lacks although every server needs them, such as `INSERT on events`.
    pub missing: Vec<String>,
    /// Whether row security limits reads of events; `None` for a database without it.
    pub row_security: Option<RowSecurity>,
}

impl Privileges {
    /// Returns the finding about row security, unless it is in force or the database has none.
    #[must_use]
    pub fn row_security_finding(&self) -> Option<RowSecurity> {
        self.row_security.filter(|state| *state != RowSecurity::InForce)
    }
}

/// Whether row security limits a server's reads of events to one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RowSecurity {
    /// Each read sees one tenant.
    InForce,
    /// The role `mercurio_reader` does not exist.
    NoReader,
    /// The server's role may not switch to `mercurio_reader`.
    NotGranted,
    /// `mercurio_reader` may not read events.
    MayNotRead,
    /// `mercurio_reader` is exempt from the policies, or a table has none.
    Bypassed,
}

impl RowSecurity {
    /// The name in JSON and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InForce => "in_force",
            Self::NoReader => "no_reader",
            Self::NotGranted => "not_granted",
            Self::MayNotRead => "may_not_read",
            Self::Bypassed => "bypassed",
        }
    }

    /// Describes the state, for a person.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::InForce => "in force for reads of events",
            Self::NoReader => "the role mercurio_reader does not exist",
            Self::NotGranted => "the server's role may not switch to mercurio_reader",
            Self::MayNotRead => "mercurio_reader may not read all tables it needs",
            Self::Bypassed => {
                "mercurio_reader is exempt from the policies, or the tables have none"
            }
        }
    }

    /// Says how to bring row security into force; empty if it is.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::InForce => "",
            Self::NoReader => {
                "run as a superuser: CREATE ROLE mercurio_reader NOLOGIN; \
                 GRANT SELECT ON events, event_keys, rejections, rejection_counts TO mercurio_reader; \
                 GRANT mercurio_reader TO the role in DATABASE_URL"
            }
            Self::NotGranted => {
                "run as a superuser: GRANT mercurio_reader TO the role in DATABASE_URL"
            }
            Self::MayNotRead => {
                "run as the owner of the tables: GRANT SELECT ON events, event_keys, rejections, rejection_counts TO mercurio_reader"
            }
            Self::Bypassed => {
                "run as a superuser: ALTER ROLE mercurio_reader NOSUPERUSER NOBYPASSRLS; \
                 ALTER TABLE events ENABLE ROW LEVEL SECURITY; \
                 ALTER TABLE event_keys ENABLE ROW LEVEL SECURITY"
            }
        }
    }
}
