//! Checks of a PostgreSQL server: clock, durability, replication, language, pooler, privileges, row
//! security and partitions.

use mercurio_domain::store::RowSecurity;
use mercurio_storage::{MissingRights, Replication, ServerDiagnostics, ServerSetting};

use super::check::Check;

/// Tolerated difference between the clocks, in microseconds.
// One second. Events may be 5 minutes ahead by default, so this difference rejects none.
const CLOCK_MICROS: i64 = 1_000_000;

/// `has_tables`: without them, there are no privileges and no partitions to check.
pub(super) fn check(server: &ServerDiagnostics, has_tables: bool) -> Vec<Check> {
    let mut checks = vec![
        server_clock(server),
        durability(server),
        replication(server),
        language(server),
        pooler(server),
    ];
    if has_tables {
        checks.extend([privileges(server), row_security(server), partitions(server)]);
    }
    checks
}

fn server_clock(server: &ServerDiagnostics) -> Check {
    const CHECK: &str = "clock";
    let ahead = server.clock_ahead_micros;
    let relation = if ahead < 0 { "behind" } else { "ahead of" };
    let milliseconds = ahead.unsigned_abs() as f64 / 1e3;
    let text = format!("the database's clock is {milliseconds:.1} ms {relation} this machine's");
    if ahead.abs() > CLOCK_MICROS {
        let advice = "synchronize both clocks with NTP: servers check the times of events against \
                      their own clock";
        return Check::warning(CHECK, text, advice);
    }
    Check::ok(CHECK, text)
}

fn durability(server: &ServerDiagnostics) -> Check {
    const CHECK: &str = "durability";
    let mut settings = Vec::new();
    let mut off = Vec::new();
    for ServerSetting { name, value } in &server.settings {
        settings.push(format!("{name} {value}"));
        // Any other value of `synchronous_commit` flushes the local disk (PostgreSQL manual, 20.5).
        if value == "off" {
            off.push(name.as_str());
        }
    }
    let settings = settings.join(", ");
    // First: a standby refuses writes whatever its settings are.
    if server.is_standby {
        let text = format!("a standby, which accepts no writes; {settings}");
        return Check::failed(CHECK, text, "set DATABASE_URL to the primary");
    }
    if off.is_empty() {
        return Check::ok(CHECK, settings);
    }
    let advice = format!(
        "set to on in postgresql.conf: {}; otherwise a crash of its machine can lose acknowledged \
         events",
        off.join(", ")
    );
    Check::failed(CHECK, settings, advice)
}

/// A role needs the privileges of one purpose: of a server, or of an operator with `mercurio-admin`.
fn privileges(server: &ServerDiagnostics) -> Check {
    const CHECK: &str = "rights";
    let MissingRights { server: of_server, operator, owner } = &server.missing_rights;
    let of_server_text = of_server.join(", ");
    let of_admin = [&operator[..], owner].concat().join(", ");
    match (of_server.is_empty(), operator.is_empty()) {
        (true, true) if owner.is_empty() => {
            Check::ok(CHECK, "the role has every privilege a server and mercurio-admin need")
        }
        (true, _) => Check::warning(
            CHECK,
            format!(
                "the role has every privilege a server needs; for mercurio-admin and retention it lacks {of_admin}"
            ),
            "use mercurio-admin with another role, and run `events purge` and `rejections purge` once a day as \
             the owner of the tables in place of retention",
        ),
        (false, true) => Check::warning(
            CHECK,
            format!(
                "the role may manage tenants, workspaces, keys and limits; for a server it lacks {of_server_text}"
            ),
            "use this role for mercurio-admin alone, and another one for servers",
        ),
        (false, false) => Check::failed(
            CHECK,
            format!(
                "the role lacks {of_server_text} for a server, and {of_admin} for mercurio-admin"
            ),
            "grant what it lacks, as in \"Roles in PostgreSQL\" in docs/OPERATIONS.md, or use another \
             role in DATABASE_URL",
        ),
    }
}

fn row_security(server: &ServerDiagnostics) -> Check {
    const CHECK: &str = "row security";
    let state = server.row_security;
    if state == RowSecurity::InForce {
        return Check::ok(CHECK, state.describe());
    }
    let text = format!("not in force: {}. Only the code separates tenants", state.describe());
    Check::warning(CHECK, text, state.advice())
}

/// Standbys that must confirm each commit.
fn replication(server: &ServerDiagnostics) -> Check {
    const CHECK: &str = "replication";
    let Replication { synchronous_names, streaming } = &server.replication;
    if synchronous_names.is_empty() {
        return Check::ok(CHECK, "commits wait for no standby");
    }
    // Commits with one of these values return without the standby (PostgreSQL manual, 20.5).
    let waits = server.settings.iter().all(|setting| {
        setting.name != "synchronous_commit" || !["off", "local"].contains(&&*setting.value)
    });
    let setting = format!("synchronous_standby_names is {synchronous_names:?}");
    if !waits {
        let text = format!("{setting}, and synchronous_commit lets commits return before it");
        return Check::warning(CHECK, text, "set synchronous_commit to on");
    }
    let required = required_standbys(synchronous_names);
    match streaming {
        None => Check::warning(
            CHECK,
            format!("{setting}; the role may not see its standbys"),
            "grant pg_read_all_stats to the role, or look at pg_stat_replication as a superuser",
        ),
        Some(count) if *count < required => Check::failed(
            CHECK,
            format!("{setting}, and {count} of {required} synchronous standbys stream"),
            "start the standby: until then every commit waits, and writes get 503",
        ),
        Some(count) => Check::ok(CHECK, format!("{setting}; {count} synchronous standbys stream")),
    }
}

/// The number in `FIRST 2 (a, b)`, `ANY 2 (a, b)` or `2 (a, b)`; a list of names means one.
fn required_standbys(synchronous_names: &str) -> u32 {
    let Some((method, _)) = synchronous_names.split_once('(') else { return 1 };
    let number = method.split_whitespace().last();
    number.and_then(|number| number.parse().ok()).unwrap_or(1)
}

fn language(server: &ServerDiagnostics) -> Check {
    const CHECK: &str = "language";
    let language = &server.language;
    // Without a locale, messages are English too.
    let is_english = ["C", "POSIX", ""].contains(&&**language)
        || ["C.", "en_"].iter().any(|start| language.starts_with(start));
    if is_english {
        return Check::ok(CHECK, "messages of the database are English");
    }
    Check::warning(
        CHECK,
        format!("messages of the database are in {language:?}, and the role may not change that"),
        "run `ALTER ROLE … SET lc_messages = 'C'` as a superuser: servers recognise some errors by \
         their English text",
    )
}

fn pooler(server: &ServerDiagnostics) -> Check {
    const CHECK: &str = "pooler";
    if !server.is_pooled {
        return Check::ok(CHECK, "each connection has a session of its own");
    }
    Check::failed(
        CHECK,
        "a pooler runs transactions of several connections in one session",
        "set its pool_mode to session for this database, or connect to PostgreSQL itself: servers \
         listen, hold locks and prepare statements in their sessions",
    )
}

fn partitions(server: &ServerDiagnostics) -> Check {
    const CHECK: &str = "partitions";
    const ADVICE: &str = "run `mercurio-admin migrate` once a day as the owner of the tables";
    /// With fewer days ahead, one missed run of `migrate` stops the writes.
    const MIN_DAYS: u32 = 2;
    let text = match server.days_ahead {
        None => "none for today".to_owned(),
        Some(days) => format!("present for today and {days} days ahead"),
    };
    if server.may_make_partitions {
        return Check::ok(CHECK, format!("{text}; servers create them"));
    }
    let text = format!("{text}; the role may not create them");
    match server.days_ahead {
        Some(days) if days >= MIN_DAYS => Check::warning(CHECK, text, ADVICE),
        _ => Check::failed(CHECK, text, ADVICE),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::CheckState;
    use super::*;

    /// A server without findings.
    fn server() -> ServerDiagnostics {
        ServerDiagnostics {
            clock_ahead_micros: 0,
            days_ahead: Some(7),
            settings: vec![setting("synchronous_commit", "on")],
            is_standby: false,
            missing_rights: MissingRights::default(),
            may_make_partitions: true,
            replication: Replication { synchronous_names: String::new(), streaming: Some(0) },
            language: "C".to_owned(),
            row_security: RowSecurity::InForce,
            is_pooled: false,
        }
    }

    fn setting(name: &str, value: &str) -> ServerSetting {
        ServerSetting { name: name.to_owned(), value: value.to_owned() }
    }

    #[track_caller]
    fn check_state(server: ServerDiagnostics, name: &str, expected: CheckState) {
        for found in check(&server, true) {
            let state = if found.check == name { expected } else { CheckState::Ok };
            assert!(found.state == state, "{}: {}", found.check, found.found);
        }
    }

    #[test]
    fn replication_needs_as_many_standbys_as_the_setting() {
        for (names, streaming, expected) in [
            ("", Some(0), CheckState::Ok),
            ("a, b", Some(1), CheckState::Ok),
            ("a", Some(0), CheckState::Failed),
            ("FIRST 2 (a, b)", Some(1), CheckState::Failed),
            ("ANY 2 (a, b)", Some(3), CheckState::Ok),
            ("2 (a, b)", Some(1), CheckState::Failed),
            ("*", None, CheckState::Warning),
        ] {
            let replication = Replication { synchronous_names: names.to_owned(), streaming };
            check_state(ServerDiagnostics { replication, ..server() }, "replication", expected);
        }
        let replication = Replication { synchronous_names: "a".to_owned(), streaming: Some(1) };
        let settings = vec![setting("synchronous_commit", "local")];
        let local = ServerDiagnostics { replication, settings, ..server() };
        check_state(local, "replication", CheckState::Warning);
    }

    #[test]
    fn language_other_than_english_is_a_warning() {
        for (language, expected) in [
            ("C.UTF-8", CheckState::Ok),
            ("", CheckState::Ok),
            ("en_GB.UTF-8", CheckState::Ok),
            ("de_DE.UTF-8", CheckState::Warning),
            ("Chinese", CheckState::Warning),
        ] {
            let language = language.to_owned();
            check_state(ServerDiagnostics { language, ..server() }, "language", expected);
        }
    }

    #[test]
    fn pooler_in_transaction_mode_fails() {
        let pooled = ServerDiagnostics { is_pooled: true, ..server() };
        check_state(pooled, "pooler", CheckState::Failed);
    }

    #[test]
    fn row_security_out_of_force_is_a_warning() {
        for row_security in [
            RowSecurity::NoReader,
            RowSecurity::NotGranted,
            RowSecurity::MayNotRead,
            RowSecurity::Bypassed,
        ] {
            let server = ServerDiagnostics { row_security, ..server() };
            check_state(server, "row security", CheckState::Warning);
        }
    }

    #[test]
    fn role_without_the_rights_of_any_purpose_fails() {
        let rights = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        for (of_server, operator, owner, expected) in [
            (&[][..], &[][..], &[][..], CheckState::Ok),
            (&[], &[], &["c"][..], CheckState::Warning),
            (&[], &["b"][..], &["c"][..], CheckState::Warning),
            (&["a"][..], &[], &["c"][..], CheckState::Warning),
            (&["a"][..], &["b"][..], &["c"][..], CheckState::Failed),
        ] {
            let missing_rights = MissingRights {
                server: rights(of_server),
                operator: rights(operator),
                owner: rights(owner),
            };
            check_state(ServerDiagnostics { missing_rights, ..server() }, "rights", expected);
        }
    }
}
