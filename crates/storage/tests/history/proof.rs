//! One test per kind of violation, and the store itself without any.

use mercurio_domain::store::Store;
use mercurio_domain::tenant::Name;
use mercurio_domain::testing::at;
use mercurio_domain::{Owner, TenantId};
use mercurio_history::Answer::{Accepted, Duplicate};
use mercurio_history::{History, Report, Violation, check};
use mercurio_storage::testing::TestDatabase;

use crate::client::{Client, owner};
use crate::faulty::{Fault, FaultyStore};

/// The kinds of all violations, sorted, without repetitions.
fn kinds(report: &Report) -> Vec<&'static str> {
    let mut kinds: Vec<_> = report.violations.iter().map(kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

fn kind(violation: &Violation) -> &'static str {
    match violation {
        Violation::Lost { .. } => "lost",
        Violation::StoredTwice { .. } => "stored twice",
        Violation::AcceptedTwice { .. } => "accepted twice",
        Violation::Forgotten { .. } => "forgotten",
        Violation::NeverAccepted { .. } => "never accepted",
        Violation::StoredThoughRejected { .. } => "stored though rejected",
        Violation::Altered { .. } => "altered",
        Violation::Unsent { .. } => "unsent",
        Violation::KeyWithoutEvent { .. } => "key without event",
        Violation::EventWithoutKey { .. } => "event without key",
        Violation::Miscounted { .. } => "miscounted",
        Violation::MiscountedUsage { .. } => "miscounted usage",
    }
}

/// A workspace besides the first one of its tenant.
fn second_workspace(store: &dyn Store, tenant_id: TenantId) -> Owner {
    let (name, now) = (Name::parse("Second").unwrap(), at("2026-11-22T10:00:00Z"));
    Owner { tenant_id, workspace_id: store.create_workspace(tenant_id, &name, now).unwrap().id }
}

/// What clients do in each test: new events, a repetition with another payload, a batch that names
/// an id twice, an answer that gets lost, and a second workspace.
fn send_all(faulty: &FaultyStore<'_>) -> History {
    let store = faulty.database.store();
    let first = owner(&*store, 1);
    let mut client = Client::new(faulty, first);
    client.send(&["a", "b", "c"], "1");
    client.send(&["d", "c", "e", "d"], "22");
    client.send_unheard(&["f", "g"], "3");
    client.send(&["f", "h"], "3");
    client.send(&["a", "b"], "1");
    let mut history = client.history;
    let mut other = Client::new(faulty, second_workspace(&*store, first.tenant_id));
    other.send(&["a", "i"], "4");
    history.merge(other.history);
    history
}

#[track_caller]
fn expect(database: &TestDatabase, fault: Fault, expected: &[&str]) -> Report {
    let history = send_all(&FaultyStore::new(database, fault));
    let report = check(&history, &database.url_text()).unwrap();
    assert_eq!(kinds(&report), expected, "{report}");
    report
}

fn both() -> [TestDatabase; 2] {
    [TestDatabase::sqlite(), TestDatabase::postgres()]
}

#[test]
fn store_itself_passes_the_check() {
    for database in both() {
        let report = expect(&database, Fault::None, &[]);
        assert_eq!((report.rows, report.figures.events), (9, 9));
        let figures = report.figures;
        assert_eq!((figures.requests, figures.unanswered_requests), (6, 1));
        assert_eq!((figures.accepted, figures.duplicates, figures.rejected), (7, 6, 0));
        // The same after the counts have moved from the log into the tables.
        database.store().sum_counts().unwrap();
        let none = check(&History::default(), &database.url_text()).unwrap();
        assert_eq!(kinds(&none), ["unsent"], "the counts agree, and nobody sent the events");
    }
}

#[test]
fn concurrent_clients_of_one_store_pass_the_check() {
    for database in both() {
        let store = database.store();
        let owner = owner(&*store, 1);
        let mut history = History::default();
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..4)
                .map(|number| {
                    let store = &store;
                    scope.spawn(move || {
                        let mut client = Client::new(&**store, owner);
                        for batch in 0..20 {
                            // Each id is sent by two clients, with different payloads.
                            let ids: Vec<_> =
                                (0..9).map(|it| format!("{}-{batch}-{it}", number / 2)).collect();
                            let ids: Vec<_> = ids.iter().map(String::as_str).collect();
                            client.send(&ids, &number.to_string());
                        }
                        client.history
                    })
                })
                .collect();
            for client in clients {
                history.merge(client.join().unwrap());
            }
        });
        let report = check(&history, &database.url_text()).unwrap();
        assert!(report.is_clean(), "{report}");
        let figures = report.figures;
        assert_eq!((report.rows, figures.accepted, figures.duplicates), (360, 360, 360));
    }
}

#[test]
fn answer_before_the_commit_is_found() {
    for database in both() {
        let faulty = FaultyStore::new(&database, Fault::AnswersBeforeCommit);
        let mut client = Client::new(&faulty, owner(&*database.store(), 1));
        assert_eq!(client.send(&["a", "b"], "1"), [Accepted, Accepted]);
        assert_eq!(client.send(&["c"], "1"), [Accepted]);
        // The server is killed here: `faulty` commits nothing more.
        let report = check(&client.history, &database.url_text()).unwrap();
        assert_eq!(kinds(&report), ["lost"], "{report}");
        assert!(report.to_string().contains("lost: event \"c\" of tenant 1"), "{report}");
        assert_eq!(report.violations.len(), 1, "a and b were committed: {report}");
    }
}

#[test]
fn duplicate_answered_as_accepted_is_found() {
    for database in both() {
        let report = expect(
            &database,
            Fault::LooksForNoDuplicates,
            // The last request finds "a" taken by another one, whose payload is stored.
            &["accepted twice"],
        );
        // a in two workspaces, b, c, d within one batch.
        assert_eq!(report.violations.len(), 4, "{report}");
    }
}

#[test]
fn duplicate_of_nothing_is_found() {
    for database in both() {
        // f and g may have been stored by the request without an answer.
        let report = expect(&database, Fault::AcceptsNothing, &["never accepted"]);
        assert_eq!(report.violations.len(), 7, "{report}");
    }
}

#[test]
fn event_stored_though_rejected_is_found() {
    for database in both() {
        let report = expect(&database, Fault::StoresRefused, &["stored though rejected"]);
        assert_eq!(report.violations.len(), 7, "{report}");
    }
}

#[test]
fn event_stored_twice_is_found() {
    // Without keys, the real store finds no duplicate.
    let expected = ["accepted twice", "event without key", "stored twice"];
    expect(&TestDatabase::postgres(), Fault::RunsBefore("TRUNCATE event_keys"), &expected);
}

#[test]
fn swapped_payload_is_found() {
    for database in both() {
        let report = expect(&database, Fault::SwapsPayloads, &["altered"]);
        assert_eq!(report.violations.len(), 9, "{report}");
    }
}

#[test]
fn altered_payload_is_found() {
    for database in both() {
        let fault = Fault::RunsAfter("UPDATE events SET properties = '{}' WHERE event_id = 'e'");
        let report = expect(&database, fault, &["altered"]);
        assert_eq!(report.violations.len(), 1, "{report}");
    }
}

#[test]
fn event_in_another_workspace_is_found() {
    for database in both() {
        expect(&database, Fault::MixesWorkspaces, &["altered"]);
    }
}

#[test]
fn lost_group_is_found() {
    for database in both() {
        // A lost group answers `accepted` for its duplicates too.
        let expected = ["accepted twice", "forgotten", "lost"];
        let report = expect(&database, Fault::LosesGroups, &expected);
        assert!(report.to_string().contains("lost: event \"i\""), "{report}");
    }
}

#[test]
fn event_lost_after_a_duplicate_was_answered_is_found() {
    // Like a failover to a standby that has received nothing.
    let sqlite = "DELETE FROM events; DELETE FROM event_counts; DELETE FROM tenant_usage";
    let postgres = "TRUNCATE events, event_keys, count_log, event_counts, tenant_usage";
    for (database, forget) in both().into_iter().zip([sqlite, postgres]) {
        let store = database.store();
        let mut client = Client::new(&*store, owner(&*store, 1));
        client.send_unheard(&["a"], "1");
        assert_eq!(client.send(&["a"], "1"), [Duplicate]);
        database.execute(forget);
        assert_eq!(client.send(&["a"], "1"), [Accepted]);
        let report = check(&client.history, &database.url_text()).unwrap();
        assert_eq!(kinds(&report), ["forgotten"], "{report}");
    }
}

#[test]
fn key_without_its_event_is_found() {
    let fault = Fault::RunsAfter("DELETE FROM events WHERE event_id = 'b'");
    let expected = ["key without event", "lost", "miscounted", "miscounted usage"];
    expect(&TestDatabase::postgres(), fault, &expected);
}

#[test]
fn event_without_its_key_is_found() {
    let fault = Fault::RunsAfter(
        "DELETE FROM event_keys USING events
         WHERE event_keys.key = events.key AND events.event_id = 'h'",
    );
    expect(&TestDatabase::postgres(), fault, &["event without key"]);
}

#[test]
fn wrong_counts_are_found() {
    let postgres = TestDatabase::postgres();
    expect(
        &postgres,
        Fault::RunsAfter("DELETE FROM count_log"),
        &["miscounted", "miscounted usage"],
    );
    let sqlite = TestDatabase::sqlite();
    let fault = Fault::RunsAfter("UPDATE event_counts SET accepted = accepted + 1");
    expect(&sqlite, fault, &["miscounted"]);
    let sqlite = TestDatabase::sqlite();
    expect(
        &sqlite,
        Fault::RunsAfter("UPDATE tenant_usage SET used = used + 1"),
        &["miscounted usage"],
    );
}
