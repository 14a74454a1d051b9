//! Parsing, rejecting and printing URLs.

use super::*;

fn parse(text: &str) -> Result<DatabaseUrl, DatabaseUrlError> {
    DatabaseUrl::parse(text)
}

fn parameters(text: &str) -> Parameters {
    Parameters::parse(text.strip_prefix("postgres://").unwrap()).unwrap()
}

#[test]
fn sqlite_path_may_be_relative_or_absolute() {
    for (text, path) in [
        ("sqlite://data/mercurio.db", "data/mercurio.db"),
        ("sqlite:///var/lib/mercurio.db", "/var/lib/mercurio.db"),
        ("sqlite://mercurio.db", "mercurio.db"),
        // A percent sign stays: SQLite paths are not decoded.
        ("sqlite://a b/100%.db", "a b/100%.db"),
    ] {
        let url = parse(text).unwrap();
        assert!(
            matches!(url.target(), Target::Sqlite(found) if found.as_path() == Path::new(path)),
            "{text}"
        );
        assert_eq!(url.to_string(), text);
    }
    assert_eq!(DatabaseUrl::default(), parse("sqlite://data/mercurio.db").unwrap());
}

#[test]
fn sqlite_url_without_a_file_is_refused() {
    for text in [
        "sqlite::memory:",
        "sqlite://:memory:",
        "sqlite://",
        "sqlite:///var/",
        "sqlite://x.db?mode=ro",
        "sqlite:x.db",
    ] {
        assert!(matches!(parse(text), Err(DatabaseUrlError::NoFile(_))), "{text}");
    }
    for text in [
        "",
        "mysql://localhost/x",
        "postgres:localhost",
        "host=localhost dbname=x",
        "/var/lib/x.db",
    ] {
        assert_eq!(parse(text), Err(DatabaseUrlError::UnknownScheme), "{text}");
    }
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let conninfo = parameters(text).to_conninfo();
    let (given, defaults) =
        conninfo.split_at(conninfo.find(" application_name='mercurio'").unwrap());
    assert_eq!(given, expected, "{text}");
    for name in ["connect_timeout", "keepalives_idle", "tcp_user_timeout"] {
        assert!(defaults.contains(&format!(" {name}='")), "{defaults}");
    }
}

#[test]
fn postgres_url_is_converted_to_conninfo() {
    check("postgres://localhost", "host='localhost'");
    check(
        "postgres://me:se%3Acret@127.0.0.1:5433/db",
        "user='me' password='se:cret' host='127.0.0.1' port='5433' dbname='db'",
    );
    check("postgres://me@[::1]:5433/db", "user='me' host='::1' port='5433' dbname='db'");
    check("postgres:///db?host=/run/postgresql", "dbname='db' host='/run/postgresql'");
    check("postgres://%2Frun%2Fpostgresql/db", "host='/run/postgresql' dbname='db'");
    check(
        // The empty port of the first host keeps its place in the list.
        "postgres://a,b:1/db?target_session_attrs=rw",
        "host='a,b' port=',1' dbname='db' target_session_attrs='rw'",
    );
    check("postgres://a/db?ssl=true", "host='a' dbname='db' sslmode='require'");
    check("postgres://a/db?dbname=other&password=p%20q", "host='a' dbname='other' password='p q'");
    // libpq escapes a quote and a backslash with a backslash.
    check(r"postgres://me:it's\@a/db", r"user='me' password='it\'s\\' host='a' dbname='db'");
    let own = parameters("postgres://a/db?application_name=mine&connect_timeout=9").to_conninfo();
    assert!(
        own.contains("application_name='mine'") && own.contains("connect_timeout='9'"),
        "{own}"
    );
    assert_eq!(
        (own.matches("application_name").count(), own.matches("connect_timeout").count()),
        (1, 1)
    );
}

#[test]
fn malformed_url_is_refused_without_its_password() {
    for text in [
        // An unescaped slash ends the hosts, so the password would become a port.
        "postgres://me:se/cret@localhost/db",
        "postgres://me:se?cret@localhost/db",
        "postgres://me:secret@localhost:54x/db",
        "postgres://me:secret%zz@localhost/db",
        "postgres://me:secret%0@localhost/db",
        "postgres://me:secret%00@localhost/db",
        "postgres://me:secret%ff@localhost/db",
        "postgres://me:secret@[::1/db",
        "postgres://me:secret@localhost/db?secret",
        // The digits before the slash look like a port, and the rest like a database.
        "postgres://me:12/secret@localhost/db",
    ] {
        let error = parse(text).unwrap_err();
        let message = format!("{error} {error:?}");
        assert!(matches!(error, DatabaseUrlError::Malformed(_)), "{text}: {message}");
        // Half of the password is a leak too.
        assert!(!message.contains("cret"), "{text}: {message}");
    }
}

#[test]
fn parameter_unknown_to_libpq_is_refused_unnamed() {
    for text in [
        "postgres://me@localhost/db?secret=1",
        "postgres://me@localhost/db?sslmode=disable&pass=secret",
        // An unescaped & in the value of a known parameter.
        "postgres://me@localhost/db?password=a&secret=b",
        // Names are not quoted for libpq.
        "postgres://me@localhost/db?sslmode%3D'disable'%20host=secret",
        "postgres://me@localhost/db?=secret",
        "postgres://me@localhost/db?SSLMODE=secret",
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error, DatabaseUrlError::UnknownParameter, "{text}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{text}: {error}");
    }
}

#[test]
fn password_is_never_shown() {
    for (text, shown) in [
        ("postgres://me:secret@localhost:5433/db", "postgres://me:***@localhost:5433/db"),
        ("postgres://me@localhost/db?password=secret", "postgres://me:***@localhost/db"),
        ("postgres://:secret@localhost/db", "postgres://:***@localhost/db"),
        (
            "postgres://localhost/db?sslpassword=secret&sslmode=disable",
            "postgres://localhost/db?sslpassword=***&sslmode=disable",
        ),
        (
            "postgresql://a%20b@[::1]:1,localhost:2/d%2Fb?sslmode=disable",
            "postgres://a%20b@[::1]:1,localhost:2/d%2Fb?sslmode=disable",
        ),
        ("postgres:///db?host=/run/postgresql", "postgres://%2Frun%2Fpostgresql/db"),
        (
            "postgres://localhost/db?options=-c%20app.token%3Dsecret&application_name=a%26b",
            "postgres://localhost/db?options=***&application_name=a%26b",
        ),
        (
            "postgres://localhost/db?scram_client_key=secret&oauth_client_secret=secret",
            "postgres://localhost/db?scram_client_key=***&oauth_client_secret=***",
        ),
    ] {
        let url = parse(text).unwrap();
        assert_eq!(url.to_string(), shown);
        assert_eq!(format!("{url:?}"), shown);
        // The text with the password must survive a round trip.
        assert_eq!(parse(&url.to_text()).unwrap().to_text(), url.to_text(), "{text}");
    }
}

#[test]
fn build_without_tls_refuses_unencrypted_network_urls() {
    let check = |text: &str| parameters(text).check_encryption(false);
    for text in [
        "postgres://localhost/db",
        "postgres://LOCALHOST/db?sslmode=prefer",
        "postgres://127.0.0.1/db",
        "postgres://127.8.9.1:1/db",
        "postgres://[::1]/db",
        "postgres:///db?host=/var/run/postgresql",
        "postgres:///db?host=@abstract",
        "postgres:///db?hostaddr=127.0.0.1",
        "postgres://db.example/db?sslmode=disable",
        "postgres://localhost,127.0.0.1/db",
    ] {
        assert_eq!(check(text), Ok(()), "{text}");
    }
    for (text, host) in [
        ("postgres://db.example/db", "db.example"),
        ("postgres://10.0.0.1/db?sslmode=prefer", "10.0.0.1"),
        ("postgres://10.0.0.1/db?sslmode=allow", "10.0.0.1"),
        ("postgres://localhost/db?host=db.example", "db.example"),
        ("postgres://localhost/db?hostaddr=10.0.0.1", "10.0.0.1"),
        ("postgres://localhost,db.example/db", "db.example"),
        // Not localhost, though it begins like it.
        ("postgres://localhost.example/db", "localhost.example"),
        ("postgres://[2001:db8::1]/db", "2001:db8::1"),
        // Some resolvers accept this short form; Rust does not, so it counts as remote.
        ("postgres://127.1/db", "127.1"),
    ] {
        assert_eq!(
            check(text),
            Err(DatabaseUrlError::Unencrypted { host: host.to_owned() }),
            "{text}"
        );
    }
    for sslmode in ["require", "verify-ca", "verify-full"] {
        let text = format!("postgres://localhost/db?sslmode={sslmode}");
        assert_eq!(check(&text), Err(DatabaseUrlError::NoTls { sslmode: sslmode.to_owned() }));
    }
    assert_eq!(
        parameters("postgres://db.example/db?sslmode=verify-full").check_encryption(true),
        Ok(())
    );
}

#[test]
fn url_without_host_is_refused() {
    for text in [
        "postgres:///db",
        "postgres://",
        "postgres://me:secret@/db",
        "postgres:///db?sslmode=disable",
    ] {
        assert_eq!(parse(text), Err(DatabaseUrlError::NoHost), "{text}");
    }
}
