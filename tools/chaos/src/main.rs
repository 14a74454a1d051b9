//! `mercurio-chaos`: breaks servers, network and database under load, and checks that nothing is
//! lost or stored twice.
//!
//! Two servers write into a primary with a standby, through proxies ([`proxy`]). Clients
//! ([`clients`]) send batches until each is answered, and record every answer. Consumers
//! ([`consumers`]) follow the feeds. Three lanes of faults
//! ([`faults`]) disturb network, servers and databases at the same time. At the end everything
//! heals, and the history is compared with the tables. The standby is synchronous in the first half
//! of the run, and asynchronous in the second.
//!
//! The program needs the server in the same profile next to it, and PostgreSQL's programs. As root
//! it also fills disks, on loop devices; `scripts/try-chaos` gives it a private mount table.

use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

mod clients;
mod cluster;
mod consumers;
mod error;
mod faults;
mod http;
mod journal;
mod process;
mod proxy;
mod server;
mod site;

use clients::Clients;
use consumers::Consumers;
use error::Error;
use site::Site;

/// Breaks servers, network and database under load, and checks that nothing is lost or stored twice.
#[derive(argh::FromArgs)]
struct Arguments {
    /// duration of the faults, in seconds
    #[argh(positional)]
    seconds: u64,
    /// chooses the faults and their order (default: random)
    #[argh(option)]
    seed: Option<u64>,
    /// seconds with a synchronous standby, before the others with an asynchronous one (default: half)
    #[argh(option)]
    synchronous: Option<u64>,
    /// connections of clients (default: 24)
    #[argh(option, default = "24")]
    clients: usize,
    /// cause only faults of this name; can be repeated
    #[argh(option)]
    only: Vec<String>,
}

/// Pause between two lines on the progress.
const PROGRESS: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let arguments: Arguments = argh::from_env();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mercurio-chaos: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether the promise was kept.
fn run(arguments: &Arguments) -> Result<bool, Error> {
    for name in &arguments.only {
        if !faults::names().any(|known| known == name) {
            let known = faults::names().collect::<Vec<_>>().join(", ");
            return Err(format!("there is no fault {name:?}; the faults are: {known}").into());
        }
    }
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("seed {seed}");
    let folder = tempfile::TempDir::with_prefix("mercurio-chaos-")?;
    // PostgreSQL runs as another user.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let seconds = Duration::from_secs(arguments.seconds);
    let synchronous = arguments.synchronous.map_or(seconds / 2, Duration::from_secs);
    let mut random = fastrand::Rng::with_seed(seed);
    let site = runtime.block_on(Site::start(folder.path(), synchronous, &mut random))?;
    let site = Arc::new(site);
    let clients = Clients::start(&runtime, &site, arguments.clients, seed);
    let consumers = Consumers::start(&runtime, &site);
    std::thread::scope(|scope| {
        for server in &site.servers {
            scope.spawn(|| server.supervise(|| site.is_checked()));
        }
        scope.spawn(|| report_progress(&site, &clients));
        scope.spawn(|| {
            std::thread::sleep(seconds);
            site.end();
        });
        faults::run_all(&site, seed, &arguments.only);
        // Ends the wait of the others if a lane gave up.
        site.end();
        site.journal.say("the faults are over");
        if let Err(error) = site.heal() {
            site.journal.violation(format!("the databases do not start again: {error}"));
        }
        runtime.block_on(clients.finish());
        site.settle();
        if let Err(error) = runtime.block_on(consumers.finish()) {
            site.journal.violation(format!("the feeds can't be compared: {error}"));
        }
        site.stop_servers();
    });
    site.journal.say("comparing with the tables");
    let history = clients.history();
    let report = mercurio_history::check(&history, &site.cluster.direct_url())?;
    // The lint keeps libraries quiet; this program exists to print.
    #[allow(clippy::print_stdout)]
    {
        println!("{}{report}\nseed {seed}", site.journal);
    }
    let is_clean = report.is_clean() && site.journal.violation_count() == 0;
    if !is_clean {
        eprintln!("logs of servers and databases: {}", folder.keep().display());
    }
    Ok(is_clean)
}

fn report_progress(site: &Site, clients: &Clients) {
    let mut events = 0;
    while !site.is_over() {
        std::thread::sleep(PROGRESS);
        let now = clients.figures().events;
        let rate = (now - events) as f64 / PROGRESS.as_secs_f64();
        events = now;
        let faults = site.journal.fault_count();
        site.journal.say(format_args!("{now} events, {rate:.0} a second; {faults} faults"));
    }
}
