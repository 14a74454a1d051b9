//! The hub alone, and two that exchange their texts. Time is passed in.

use std::time::{Duration, Instant};

use mercurio_domain::{TenantId, WorkspaceId};

use super::super::notice::sample;
use super::super::state::ANNOUNCE_EVERY;
use super::*;

const ONE: Owner = Owner { tenant_id: TenantId(1), workspace_id: WorkspaceId(1) };
const SECOND: Owner = Owner { tenant_id: TenantId(1), workspace_id: WorkspaceId(2) };
const OTHER: Owner = Owner { tenant_id: TenantId(2), workspace_id: WorkspaceId(3) };

fn hub(server_id: &str) -> TailHub {
    TailHub::new(server_id.to_owned(), TailOptions::default())
}

/// Sends what a hub has to send to others, as its thread and their listeners do.
fn exchange(from: &TailHub, to: &[&TailHub]) -> usize {
    let outgoing = from.lock().take_outgoing(&from.shared.server_id, Instant::now());
    for (text, hub) in outgoing.texts.iter().flat_map(|text| to.iter().map(move |hub| (text, hub)))
    {
        hub.receive(text);
    }
    outgoing.texts.len()
}

fn report(notices: &[&str]) -> TailReport {
    TailReport {
        has_accepted: true,
        notices: notices.iter().map(|id| sample(id)).collect(),
        missed: Missed::default(),
    }
}

fn ids(delivery: &Delivery) -> Vec<&str> {
    delivery.notices.iter().filter_map(|notice| notice.event_id.as_deref()).collect()
}

#[test]
fn tail_gets_what_happens_to_its_workspace_alone() {
    let hub = hub("one");
    let (tail, other) = (hub.subscribe(ONE).unwrap(), hub.subscribe(SECOND).unwrap());
    hub.report(ONE, report(&["a", "b"]));
    let delivery = tail.take();
    assert!(delivery.is_woken && !delivery.is_closed);
    assert_eq!(ids(&delivery), ["a", "b"]);
    assert!(tail.take().notices.is_empty(), "each notice comes once");
    let delivery = other.take();
    assert!(!delivery.is_woken && delivery.notices.is_empty());
}

#[test]
fn workspace_is_watched_while_a_tail_is_open() {
    let hub = hub("one");
    assert!(!hub.is_watched(ONE));
    let tails = [hub.subscribe(ONE).unwrap(), hub.subscribe(ONE).unwrap()];
    assert!(hub.is_watched(ONE) && !hub.is_watched(SECOND));
    let [first, second] = tails;
    drop(first);
    assert!(hub.is_watched(ONE));
    drop(second);
    assert!(!hub.is_watched(ONE));
    assert_eq!(hub.shared.watched.load(Ordering::Relaxed), 0);
    // Without a tail, a report goes nowhere.
    hub.report(ONE, report(&["a"]));
    assert_eq!(exchange(&hub, &[]), 0);
}

#[test]
fn limits_of_tenant_and_server_hold_until_a_tail_ends() {
    let options = TailOptions { subscribers: 3, tenant_subscribers: 2, ..TailOptions::default() };
    let hub = TailHub::new("one".to_owned(), options);
    let mut tails: Vec<_> = [ONE, SECOND].map(|owner| hub.subscribe(owner).unwrap()).into();
    assert_eq!(hub.subscribe(ONE).err(), Some(TailRefusal::TenantLimit(2)));
    tails.push(hub.subscribe(OTHER).unwrap());
    assert_eq!(hub.subscribe(OTHER).err(), Some(TailRefusal::ServerLimit));
    assert_eq!(hub.counts().subscribers, 3);
    drop(tails);
    // A thousand more leave nothing.
    for _ in 0..1_000 {
        drop(hub.subscribe(ONE).unwrap());
    }
    let state = hub.lock();
    assert_eq!((state.subscribers, state.watched()), (0, 0));
}

#[test]
fn notices_reach_a_tail_of_another_server() {
    let (here, there) = (hub("one"), hub("two"));
    there.expect_sender();
    let tail = here.subscribe(ONE).unwrap();
    assert!(!there.is_watched(ONE));
    assert_eq!(exchange(&here, &[&here, &there]), 1);
    assert!(there.is_watched(ONE) && !there.is_watched(OTHER));
    there.report(ONE, report(&["a"]));
    assert_eq!(exchange(&there, &[&here, &there]), 1);
    let delivery = tail.take();
    assert!(delivery.is_woken);
    assert_eq!(ids(&delivery), ["a"]);
    // Its own texts come back too, and are ignored.
    here.expect_sender();
    here.report(ONE, report(&["b"]));
    exchange(&here, &[&here]);
    assert_eq!(ids(&tail.take()), ["b"]);
}

#[test]
fn announcement_is_repeated_and_expires() {
    let (here, there) = (hub("one"), hub("two"));
    let tail = here.subscribe(ONE).unwrap();
    assert_eq!(exchange(&here, &[&there]), 1);
    assert_eq!(exchange(&here, &[&there]), 0, "not before its interval");
    let later = Instant::now() + ANNOUNCE_EVERY;
    assert_eq!(here.lock().take_outgoing("one", later).texts.len(), 1);
    here.resume();
    assert_eq!(exchange(&here, &[&there]), 2, "after the listener was away");
    assert!(tail.take().is_woken, "events may have been accepted since");
    // A server that starts hears of tails at once.
    let third = hub("three");
    third.resume();
    assert_eq!(exchange(&third, &[&here, &there]), 1);
    assert_eq!(exchange(&there, &[&third]), 0, "it has no tail");
    assert_eq!(exchange(&here, &[&third]), 1);
    assert!(third.is_watched(ONE) && !tail.take().is_woken);
    let expired = Instant::now() + WATCHED_FOR;
    assert!(!there.lock().is_watched(ONE, expired));
    there.lock().take_outgoing("two", expired);
    assert_eq!(there.lock().watched(), 0);
}

#[test]
fn notices_are_bounded_per_second_and_workspace() {
    let options = TailOptions { notices_per_second: 3, ..TailOptions::default() };
    let hub = TailHub::new("one".to_owned(), options);
    let _tails = [ONE, SECOND].map(|owner| hub.subscribe(owner).unwrap());
    assert_eq!([2, 2, 2].map(|wanted| hub.take_room(ONE, wanted)), [2, 1, 0]);
    assert_eq!(hub.take_room(SECOND, 9), 3);
    let later = Instant::now() + Duration::from_secs(1);
    assert_eq!(hub.lock().take_room(ONE, 9, 3, later), 3);
}

#[test]
fn slow_tail_gets_the_number_of_the_notices_it_missed() {
    let hub = hub("one");
    let tail = hub.subscribe(ONE).unwrap();
    let missed = Missed { duplicates: 5, rejected: 0 };
    for _ in 0..300 {
        hub.report(ONE, TailReport { missed, ..report(&["a"]) });
    }
    let delivery = tail.take();
    assert_eq!(delivery.notices.len(), 200);
    assert_eq!(delivery.missed, Missed { duplicates: 1_500, rejected: 100 });
    assert_eq!(hub.counts(), TailCounts { subscribers: 1, notices: 300, missed: 1_600 });
    assert!(tail.take().missed.is_none(), "reported once");
}

#[tokio::test]
async fn waiting_tail_learns_of_a_report_and_of_the_end() {
    let hub = hub("one");
    let tail = hub.subscribe(ONE).unwrap();
    hub.report(ONE, report(&[]));
    tail.changed().await;
    assert!(tail.take().is_woken);
    let waiting = tail.changed();
    hub.close();
    waiting.await;
    assert!(tail.take().is_closed && tail.take().is_closed);
    assert_eq!(hub.subscribe(ONE).err(), Some(TailRefusal::Closed));
    assert!(hub.next_outgoing().is_none());
    assert!(!hub.is_watched(ONE));
    drop(tail);
    assert_eq!(hub.counts().subscribers, 0);
}

#[test]
fn unsent_notices_are_bounded() {
    let (here, there) = (hub("one"), hub("two"));
    there.expect_sender();
    let tail = here.subscribe(ONE).unwrap();
    exchange(&here, &[&there]);
    for _ in 0..1_200 {
        there.report(ONE, report(&["a"]));
    }
    assert_eq!(there.counts().missed, 200);
    exchange(&there, &[&here]);
    let Missed { duplicates, rejected } = tail.take().missed;
    // 200 by the sender, 800 by the tail.
    assert_eq!((duplicates, rejected), (0, 1_000));
}
