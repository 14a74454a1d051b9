//! The recorder: what it keeps and counts, its bounds, an absent database, the end of a server.

use mercurio_domain::store::{
    Catalog, RejectionCountQuery, RejectionKind::*, RejectionQuery, RejectionTotal,
};
use mercurio_domain::testing::{CountingIds, MemoryStore, at, provisioning};
use mercurio_domain::verdict::{FieldError, FieldErrorCode};
use mercurio_domain::{ApiKeyId, TenantId, WorkspaceId};
use uuid::Uuid;

use super::shared::MAX_EVENTS;
use super::*;

const NOW: &str = "2026-11-22T10:20:30Z";
const WAIT: Duration = Duration::from_secs(30);

fn owner(tenant: i64) -> Owner {
    Owner { tenant_id: TenantId(tenant), workspace_id: WorkspaceId(tenant) }
}

struct TestRecorder {
    store: Arc<MemoryStore>,
    recorder: RejectionRecorder,
}

impl TestRecorder {
    fn new(bounds: RejectionBounds) -> Self {
        let store = Arc::new(MemoryStore::default());
        // The tenants 1 to 3, each with one workspace.
        for seed in 1..=3 {
            let (request, _) = provisioning(&format!("tenant {seed}"), seed, at(NOW));
            assert_eq!(store.provision(&request).unwrap().api_key.owner, owner(i64::from(seed)));
        }
        let pauses = Pauses { between: Duration::ZERO, retry: Duration::from_millis(1) };
        let recorder = RejectionRecorder::start_with(
            Arc::clone(&store) as Arc<dyn Rejections>,
            Some(bounds),
            Arc::new(CountingIds::default()),
            Logger::root(slog::Discard, slog::o!()),
            pauses,
        );
        Self { store, recorder: recorder.unwrap() }
    }

    /// Records events of a request with one error each. Returns the number of kept ones.
    fn reject(&self, tenant: i64, names: &[&str]) -> usize {
        self.reject_as(tenant, names, FieldErrorCode::Required, Instant::now())
    }

    fn reject_as(&self, tenant: i64, names: &[&str], code: FieldErrorCode, now: Instant) -> usize {
        let errors = [FieldError::new("/events/3/user_id", code, "m")];
        let mut counted = Vec::new();
        for name in names {
            counted.push(CountedRejection {
                errors: &errors,
                pointer: "/events/3",
                event_name: Some(name),
                bytes: 100,
            });
        }
        let shared = &self.recorder.handle.0;
        let kept = shared.count_events(owner(tenant), at(NOW), &counted, now);
        let events = kept.iter().map(|kept| event(tenant, kept.id, names[kept.index]));
        shared.keep(&kept, events.collect());
        kept.len()
    }

    fn totals(&self, tenant: i64) -> Vec<RejectionTotal> {
        let query = RejectionCountQuery {
            from: at("2026-11-22T00:00:00Z"),
            to: at("2026-11-23T00:00:00Z"),
            limit: 10_000,
        };
        self.store.rejection_totals(owner(tenant), &query).unwrap()
    }

    fn stored(&self, tenant: i64) -> usize {
        let query = RejectionQuery { limit: 1_000, ..RejectionQuery::default() };
        self.store.rejections(owner(tenant), &query).unwrap().events.len()
    }

    /// Number of counted events.
    fn counted(&self, tenant: i64) -> u64 {
        let totals = self.totals(tenant);
        totals.iter().filter(|total| total.kind == Event).map(|total| total.rejected).sum()
    }

    fn close(&self) {
        assert!(self.recorder.close(WAIT));
    }
}

fn event(tenant: i64, id: Uuid, name: &str) -> RejectedEvent {
    RejectedEvent {
        id,
        owner: owner(tenant),
        received_at: at(NOW),
        event_id: None,
        event_name: Some(name.to_owned()),
        user_id: None,
        anonymous_id: None,
        errors: vec![FieldError::new("/events/3/user_id", FieldErrorCode::Required, "m")],
        event: "{}".to_owned(),
        is_cut: false,
        request_id: "r".to_owned(),
        api_key_id: ApiKeyId::new("k"),
        protocol: "mercurio".to_owned(),
        sdk: None,
        user_agent: None,
    }
}

#[test]
fn events_are_kept_and_counted_by_error_and_name() {
    let test = TestRecorder::new(RejectionBounds::default());
    assert_eq!(test.reject(1, &["a", "b", "a"]), 3);
    test.recorder.handle().count_request(owner(1), at(NOW), "malformed_json");
    test.close();
    let totals = test.totals(1);
    let found: Vec<_> = totals
        .iter()
        .map(|total| {
            (total.kind, &*total.code, &*total.pointer, &*total.event_name, total.rejected)
        })
        .collect();
    // Pointers are relative to the event: its index is of no use for a count.
    assert_eq!(
        found,
        [
            (Event, "", "", "", 3),
            (Error, "required", "/user_id", "a", 2),
            (Error, "required", "/user_id", "b", 1),
            (Request, "malformed_json", "", "", 1),
        ]
    );
    assert_eq!(totals[0].last_hour, at("2026-11-22T10:00:00Z"));
    let example = totals[2].example.as_ref().and_then(|example| example.event_name.as_deref());
    assert_eq!((example, test.stored(1)), (Some("b"), 3));
    let read = test.recorder.handle().read();
    assert_eq!(read, RejectionsReading { kept: 3, ..RejectionsReading::default() });
}

#[test]
fn flood_is_counted_and_sampled() {
    let test =
        TestRecorder::new(RejectionBounds { events_per_second: 10, bytes_per_second: 1 << 20 });
    let start = Instant::now();
    let mut kept = 0;
    for millis in 0..2_000 {
        let now = start + Duration::from_millis(millis);
        kept += test.reject_as(1, &["a"; 50], FieldErrorCode::Required, now);
        if millis == 1_000 {
            // The first one of another kind, and another tenant.
            assert_eq!(test.reject_as(1, &["a"], FieldErrorCode::TooLong, now), 1);
            assert_eq!(test.reject_as(2, &["b"], FieldErrorCode::Required, now), 1);
        }
    }
    // 8 of 10 at the start, then 10 a second, of which the other error took one.
    assert!((26..=27).contains(&kept), "{kept}");
    test.close();
    assert_eq!((test.counted(1), test.stored(1)), (100_001, kept + 1));
    let read = test.recorder.handle().read();
    assert_eq!((read.kept, read.counted), (kept as u64 + 2, 100_000 - kept as u64));
}

#[test]
fn sample_is_spread_over_the_events_of_a_batch() {
    let test =
        TestRecorder::new(RejectionBounds { events_per_second: 1, bytes_per_second: 1 << 20 });
    let start = Instant::now();
    let mut names = std::collections::BTreeSet::new();
    for second in 0..6 {
        let now = start + Duration::from_secs(2 * second);
        assert_eq!(test.reject_as(1, &["a", "b", "c"], FieldErrorCode::Required, now), 1);
    }
    test.close();
    for event in test.store.rejections(owner(1), &RejectionQuery::default()).unwrap().events {
        names.insert(event.event_name);
    }
    assert_eq!(names.len(), 3);
}

#[test]
fn hostile_names_share_a_group_above_the_bound() {
    let test = TestRecorder::new(RejectionBounds::default());
    let names: Vec<String> = (0..3_000).map(|index| format!("n{index}")).collect();
    for names in names.chunks(50) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        test.reject(1, &names);
    }
    test.reject(2, &["other"]);
    test.close();
    let totals = test.totals(1);
    let errors: Vec<_> = totals.iter().filter(|total| total.kind == Error).collect();
    assert_eq!(errors.len(), counts::MAX_TENANT_GROUPS + 1);
    assert_eq!(
        (&*errors[0].event_name, &*errors[0].pointer, errors[0].rejected),
        ("*", "*", 2_000)
    );
    assert_eq!(test.counted(1), 3_000);
    assert!(test.totals(2).iter().any(|total| total.event_name == "other"));
}

#[test]
fn key_in_a_name_is_not_counted() {
    let test = TestRecorder::new(RejectionBounds::default());
    let (_, key) = provisioning("acme", 1, at(NOW));
    test.reject(1, &[key.expose()]);
    test.close();
    let totals = test.totals(1);
    let name = &totals[1].event_name;
    assert!(name.starts_with("mk_") && name.ends_with("***") && name.len() < 40, "{name}");
}

#[test]
fn absent_database_costs_events_but_no_counts() {
    let test = TestRecorder::new(RejectionBounds::default());
    test.store.rejections_gate.close();
    test.store.set_unavailable(true);
    test.reject(1, &["a"]);
    test.store.rejections_gate.wait_for_arrivals(1);
    // Waits behind the first write.
    test.reject(1, &["b"]);
    test.store.rejections_gate.let_through(1);
    test.store.rejections_gate.wait_for_arrivals(2);
    // Counted only: the first write has failed.
    assert_eq!(test.reject(1, &["c"; 3]), 0);
    test.store.set_unavailable(false);
    test.store.rejections_gate.open();
    test.close();
    assert_eq!((test.counted(1), test.stored(1)), (5, 0));
    let read = test.recorder.handle().read();
    let expected = RejectionsReading {
        counted: 3,
        dropped: 2,
        write_failures: 1,
        ..RejectionsReading::default()
    };
    assert_eq!(read, expected);
}

#[test]
fn unstorable_event_costs_no_other_tenant_anything() {
    let test = TestRecorder::new(RejectionBounds::default());
    test.store.refuse_event_name("bad");
    test.store.rejections_gate.close();
    test.reject(1, &["a"]);
    test.store.rejections_gate.wait_for_arrivals(1);
    test.reject(2, &["bad", "good"]);
    test.reject(3, &["c"]);
    test.store.rejections_gate.open();
    test.close();
    assert_eq!([1, 2, 3].map(|tenant| test.stored(tenant)), [1, 0, 1]);
    assert_eq!([1, 2, 3].map(|tenant| test.counted(tenant)), [1, 2, 1]);
    let read = test.recorder.handle().read();
    assert_eq!((read.dropped, read.dropped_counts, read.write_failures), (2, 0, 2));
}

#[test]
fn recorder_never_waits_for_the_database() {
    let test = TestRecorder::new(RejectionBounds {
        events_per_second: 10_000,
        bytes_per_second: u64::MAX,
    });
    test.store.rejections_gate.close();
    test.reject(1, &["a"]);
    test.store.rejections_gate.wait_for_arrivals(1);
    let kept: usize = (0..3_000).map(|_| test.reject(1, &["a"])).sum();
    assert_eq!(kept, MAX_EVENTS);
    assert!(!test.recorder.close(Duration::from_millis(1)), "the database holds the thread");
    test.store.rejections_gate.open();
    test.close();
    assert_eq!(test.counted(1), 3_001);
    // Over a thousand events: several transactions.
    assert!(test.store.rejections_gate.arrivals() > 5);
}

#[test]
fn end_does_not_wait_for_an_absent_database() {
    let test = TestRecorder::new(RejectionBounds::default());
    test.store.set_unavailable(true);
    test.reject(1, &["a"]);
    test.close();
    assert_eq!(test.reject(1, &["a"]), 0);
}

#[test]
fn disabled_recorder_records_nothing() {
    let store = Arc::new(MemoryStore::default());
    let ids = Arc::new(CountingIds::default());
    let log = Logger::root(slog::Discard, slog::o!());
    let recorder = RejectionRecorder::start(store.clone(), None, ids, log).unwrap();
    let handle = recorder.handle();
    handle.count_request(owner(1), at(NOW), "malformed_json");
    assert!(!handle.is_enabled() && recorder.close(WAIT));
    assert_eq!(store.rejections_gate.arrivals(), 0);
}
