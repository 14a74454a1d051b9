//! Events counted, shown, exported and removed, and tenants with all that is theirs.

use std::ffi::OsString;

use mercurio_admin::{Exit, run};
use mercurio_domain::store::Removal;
use mercurio_domain::testing::FixedClock;
use mercurio_storage::testing::TestDatabase;
use serde_json::{Value, json};

use crate::bench::{Bench, json_of};

/// A tenant with samples, in SQLite: the settings that lead to it and the folder that must outlive it.
fn with_samples() -> (Bench, TestDatabase, u64) {
    let database = TestDatabase::sqlite();
    let bench = Bench { settings: vec![("DATABASE_URL", database.url_text())], ..Bench::default() };
    let (code, out, err) = bench.run(&["provision", "--tenant", "Acme", "--samples"]);
    assert_eq!(code, 0, "{err}");
    let printed: Value = serde_json::from_str(&out).expect("JSON");
    (bench, database, printed["samples"]["events"].as_u64().expect("a number"))
}

#[test]
fn events_are_counted_listed_and_exported() {
    let (bench, _database, samples) = with_samples();
    assert!(samples >= 3);
    let counted = json_of(&bench.run(&["events", "count", "--tenant", "acme"]));
    assert_eq!(
        (&counted["events"], &counted["workspaces"][0]["events"]),
        (&json!(samples), &json!(samples))
    );
    let listed = json_of(&bench.run(&["events", "list", "--tenant", "acme", "--limit", "2"]));
    assert_eq!(listed["events"].as_array().unwrap().len(), 2);
    let (code, out, err) = bench.run(&["events", "export", "--tenant", "acme"]);
    assert_eq!((code, err), (0, format!("mercurio-admin: {samples} events\n")));
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len() as u64, samples);
    assert_eq!(lines[..2], listed["events"].as_array().unwrap()[..]);
    let (_, out, _) = bench.run(&["events", "export", "--tenant", "acme", "--format", "csv"]);
    let mut reader = csv::Reader::from_reader(out.as_bytes());
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let members: Vec<String> = lines[0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, members);
    for (record, line) in reader.records().zip(&lines) {
        for (cell, member) in record.unwrap().iter().zip(line.as_object().unwrap().values()) {
            match member {
                Value::Null => assert_eq!(cell, ""),
                Value::String(text) => assert_eq!(cell, text),
                other => assert_eq!(&serde_json::from_str::<Value>(cell).unwrap(), other),
            }
        }
    }
    let (code, _, err) =
        bench.run(&["events", "count", "--tenant", "acme", "--workspace", "nowhere"]);
    assert_eq!(code, 4, "{err}");
    let (code, _, err) = bench.run(&[
        "events",
        "export",
        "--tenant",
        "acme",
        "--format",
        "xml",
        "--from",
        "yesterday",
    ]);
    assert_eq!((code, err.lines().count()), (64, 2), "{err}");
}

/// Takes so many bytes, and then is gone.
struct ClosedPipe(usize);

impl std::io::Write for ClosedPipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0 == 0 {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_export_into_a_closed_pipe_ends_and_says_so() {
    let (bench, _database, _) = with_samples();
    let mut err = Vec::new();
    let words = ["events", "export", "--tenant", "acme"].map(OsString::from).into();
    let exit = bench.on_machine(|machine| run(words, machine, &mut ClosedPipe(100), &mut err));
    assert_eq!(exit, Exit::Failed);
    let err = String::from_utf8(err).unwrap();
    assert!(err.contains("the export ended after") && err.lines().count() == 1, "{err}");
}

#[test]
fn a_persons_events_are_erased_once_somebody_said_yes() {
    let (mut bench, _database, samples) = with_samples();
    let listed = json_of(&bench.run(&["events", "list", "--tenant", "acme", "--limit", "1000"]));
    let events = listed["events"].as_array().unwrap();
    let user = events.iter().find_map(|event| event["user_id"].as_str()).unwrap();
    let of_user = events.iter().filter(|event| event["user_id"] == user).count() as u64;
    let line = ["events", "erase", "--tenant", "acme", "--user-id", user];
    assert_eq!(bench.run(&line).0, 64, "nobody to ask");
    bench.answer = Some("no\n");
    let (code, out, err) = bench.run(&line);
    assert_eq!((code, &*out), (1, ""), "{err}");
    bench.answer = Some("Yes\n");
    let receipt = json_of(&bench.run(&line));
    assert_eq!(
        (&receipt["removed"]["events"], &receipt["erased_by"]),
        (&json!(of_user), &json!("user_id"))
    );
    assert!(!receipt.to_string().contains(user), "{receipt}");
    let counted = json_of(&bench.run(&["events", "count", "--tenant", "acme"]));
    assert_eq!(counted["events"], json!(samples - of_user));
    let again = json_of(&bench.run(&[&line[..], &["--yes"]].concat()));
    assert_eq!(again["removed"]["events"], 0);
    for line in [
        &["events", "erase", "--tenant", "acme"][..],
        &[&line[..], &["--anonymous-id", "a"]].concat(),
    ] {
        assert_eq!(bench.run(line).0, 64, "{line:?}");
    }
}

#[test]
fn a_tenant_is_deleted_with_everything_and_its_name_is_free_again() {
    let (mut bench, database, samples) = with_samples();
    bench.run(&["provision", "--tenant", "Other", "--samples"]);
    bench.answer = Some("Acne\n");
    assert_eq!(bench.run(&["tenant", "delete", "--tenant", "acme"]).0, 1);
    bench.answer = Some("acme\n");
    // As if a first try had been cut off after its first step, which removed events: the receipt tells of those too.
    let tenant_id = json_of(&bench.run(&["tenant", "show", "--tenant", "acme"]))["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let store = database.store();
    let (tenant_id, began_at) =
        (tenant_id.parse().unwrap(), mercurio_domain::testing::at("2026-11-22T09:00:00Z"));
    store.begin_deletion(tenant_id, began_at).unwrap();
    assert!(store.remove_events(&Removal::Tenant(tenant_id), began_at, None).unwrap().events > 0);
    assert_eq!(json_of(&bench.run(&["tenant", "show", "--tenant", "acme"]))["status"], "deleting");
    let (code, out, err) = bench.run(&["tenant", "delete", "--tenant", "acme"]);
    let receipt = json_of(&(code, out, err.clone()));
    let removed = json!({"events": samples, "event_keys": samples, "workspaces": 1, "api_keys": 1});
    assert_eq!(receipt["removed"], removed);
    assert_eq!(receipt["deleted_at"], "2026-11-22T09:00:00.000000Z");
    assert!(err.contains("begun before"), "{err}");
    assert_eq!(bench.run(&["tenant", "delete", "--tenant", "acme", "--yes"]).0, 4);
    assert_eq!(bench.run(&["provision", "--tenant", "ACME"]).0, 0);
    assert_eq!(
        json_of(&bench.run(&["events", "count", "--tenant", "other"]))["events"],
        json!(samples)
    );
    assert_eq!(json_of(&bench.run(&["events", "count", "--tenant", "acme"]))["events"], 0);
}

#[test]
fn old_events_are_purged_of_a_tenant_or_of_all() {
    let (mut bench, _database, samples) = with_samples();
    bench.run(&["provision", "--tenant", "Other", "--samples"]);
    bench.clock = FixedClock::at("2027-02-01T12:00:00Z");
    assert_eq!(bench.run(&["events", "purge", "--older-than", "90d", "--yes"]).0, 0);
    assert_eq!(
        json_of(&bench.run(&["events", "count", "--tenant", "acme"]))["events"],
        json!(samples),
        "not so old"
    );
    assert_eq!(bench.run(&["events", "purge", "--older-than", "30d"]).0, 64, "nobody to ask");
    let purged = json_of(&bench.run(&[
        "events",
        "purge",
        "--tenant",
        "acme",
        "--older-than",
        "60d",
        "--yes",
    ]));
    assert_eq!(purged["removed"], json!({"events": samples, "event_keys": 0}));
    assert_eq!(
        json_of(&bench.run(&["events", "count", "--tenant", "other"]))["events"],
        json!(samples)
    );
    let purged = json_of(&bench.run(&["events", "purge", "--older-than", "1d", "--yes"]));
    assert_eq!(purged["received_before"], "2027-01-31T00:00:00.000000Z");
    assert_eq!(purged["removed"], json!({"events": samples, "event_keys": 2 * samples}));
    for (line, invalid) in
        [(&["events", "purge"][..], 1), (&["events", "purge", "--older-than", "old"], 1)]
    {
        let (code, _, err) = bench.run(line);
        assert_eq!((code, err.lines().count()), (64, invalid), "{err}");
    }
}

#[test]
fn a_deletion_that_was_ended_at_any_step_is_finished_by_the_same_command() {
    // The store in memory takes two events a step.
    for steps in 0..5 {
        let bench = Bench::default();
        let made = bench.perform(&["provision", "--tenant", "Acme", "--samples"]).unwrap();
        let samples = made["samples"]["events"].as_u64().unwrap();
        bench.steps_left.set(Some(steps));
        let delete = ["tenant", "delete", "--tenant", "acme", "--yes"];
        let error = bench.perform(&delete).unwrap_err();
        assert_eq!((error.exit(), error.exit().code()), (Exit::Partly, 2), "{steps}: {error}");
        let left = u64::try_from(bench.store.event_count()).unwrap();
        let removed = format!("ended with {} events removed", samples - left);
        assert!(error.to_string().starts_with(&removed), "{steps}: {error} {left}");
        assert_eq!(
            bench.perform(&["tenant", "show", "--tenant", "acme"]).unwrap()["status"],
            "deleting"
        );
        bench.steps_left.set(None);
        assert_eq!(
            bench.perform(&delete).unwrap()["removed"]["events"],
            json!(samples),
            "of both runs"
        );
        assert_eq!(bench.store.event_count(), 0);
    }
}
