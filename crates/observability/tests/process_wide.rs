//! The parts installed once per process: the bridge from the `log` crate and the panic hook.

mod support;

use mercurio_observability::{
    LogFormat, LogLevel, RequestContext, context, log_bridge, panic_hook,
};
use serde_json::json;
use support::logger_to_output;

#[test]
fn log_crate_records_have_their_target_and_request() {
    // Our most detailed level still hides the debug lines of libraries.
    let (logger, guard, output) = logger_to_output(LogFormat::Json, LogLevel::Trace);
    log_bridge::install(logger.clone()).unwrap();
    assert_eq!(log_bridge::install(logger.clone()), Err(log_bridge::AlreadyInstalled));

    log::error!(target: "r2d2", "no connection");
    log::info!("starting {} workers", 2);
    // Libraries print requests with their API keys at debug.
    log::debug!("GET /v1/events?auth=mk_k3v9_secret");
    log::trace!("GET /v1/events?auth=mk_k3v9_secret");
    let request = RequestContext::new("r1", None);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(context::with_request(request, &logger, async {
        log::warn!(target: "actix", "hm")
    }));
    drop(guard);

    let logged: Vec<_> = output
        .lines()
        .iter()
        .map(|line| {
            ["level", "msg", "target", "request_id"]
                .map(|key| line.get(key).cloned().unwrap_or_default())
        })
        .collect();
    assert_eq!(
        logged,
        [
            [json!("error"), json!("no connection"), json!("r2d2"), json!(null)],
            [json!("info"), json!("starting 2 workers"), json!("process_wide"), json!(null)],
            [json!("warning"), json!("hm"), json!("actix"), json!("r1")],
        ]
    );
}

#[test]
fn panic_is_logged_without_its_message() {
    let (logger, _guard, output) = logger_to_output(LogFormat::Json, LogLevel::Info);
    panic_hook::install(logger);
    let thread = std::thread::Builder::new().name("worker-0".to_owned());
    // The message of a panic can quote an event.
    let panicked = thread.spawn(|| panic!("a payload")).unwrap().join();
    assert!(panicked.is_err());
    let lines = output.lines();
    assert_eq!(lines[0].get("level"), Some(&json!("critical")));
    assert_eq!(lines[0].get("thread"), Some(&json!("worker-0")));
    assert!(lines[0].get("location").unwrap().as_str().unwrap().contains("process_wide.rs:"));
    assert!(!output.text().contains("a payload"));
}
