//! The group writer in thousands of simulated runs. A failing run prints its history and its seed.
//!
//! - `MERCURIO_SIM_SEED=<seed>` repeats one run.
//! - `MERCURIO_SIM_SEEDS=<number>` sets the number of runs of each test.

mod client;
mod history;
mod scenario;
mod store;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use history::History;
use scenario::Threads;

/// Runs of each test, unless `MERCURIO_SIM_SEEDS` says otherwise.
const SEEDS: u64 = 5_000;

/// What the runs must meet, or they would prove nothing.
const INCIDENTS: &[&str] = &[
    "Err(Overloaded)",
    "Err(Unavailable)",
    "Err(ShuttingDown)",
    "Err(Failed)",
    "Duplicate",
    "returns Refused",
    "returns Internal",
    "returns Unavailable",
    "the answer to the commit is lost",
    "disconnects",
    "probe fails",
    "probe succeeds",
    "server: Down",
    "server: Deceptive",
    "close within 0ns",
];

/// Returns the number in an environment variable.
fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

fn check_seeds(threads: Threads) {
    let seeds = match setting("MERCURIO_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..setting("MERCURIO_SIM_SEEDS").unwrap_or(SEEDS),
    };
    let is_long = seeds.end - seeds.start >= SEEDS;
    let mut unseen = INCIDENTS.to_vec();
    for seed in seeds {
        let history = play(seed, threads);
        if let Some(violation) = history.violation() {
            eprintln!("{}", history.text());
            panic!(
                "{violation}\nrepeat this run with MERCURIO_SIM_SEED={seed} cargo test -p mercurio-simulation"
            );
        }
        let text = history.text();
        unseen.retain(|incident| !text.contains(incident));
    }
    assert!(!is_long || unseen.is_empty(), "no run has seen: {unseen:?}");
}

/// Plays one run. A deadlock or a panic in it is a violation as well.
fn play(seed: u64, threads: Threads) -> Arc<History> {
    let history = Arc::new(History::default());
    let recorded = Arc::clone(&history);
    let run = || mercurio_simulation::run(seed, move || scenario::play(threads, &recorded));
    if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        history.violate(format!("the run failed: {}", text.unwrap_or("unknown panic")));
    }
    history
}

#[test]
fn one_writer_thread_keeps_every_promise() {
    check_seeds(Threads::One);
}

#[test]
fn several_writer_threads_keep_every_promise() {
    check_seeds(Threads::Several);
}

#[test]
fn same_seed_repeats_the_same_run() {
    let mut lines = 0;
    for seed in 0..50 {
        let first = play(seed, Threads::Several).text();
        assert_eq!(first, play(seed, Threads::Several).text(), "seed {seed}");
        lines += first.lines().count();
    }
    assert!(lines > 50 * 20, "short runs prove nothing: {lines} lines");
}
