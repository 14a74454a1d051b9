//! The request's logger across awaits, tasks and threads.

mod support;

use mercurio_observability::{LogFormat, LogLevel, RequestContext, TraceParent, context};
use serde_json::json;
use slog::{info, o};
use support::{lines_of, logger_to_output};
use tokio::sync::oneshot;

fn runtime() -> tokio::runtime::Runtime {
    // One thread, shared by requests like an HTTP thread of the server.
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts")
}

async fn deep_code(msg: &'static str) {
    info!(context::current(), "{msg}");
}

#[test]
fn deep_code_logs_with_the_ids_of_its_request() {
    let parent = TraceParent::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    for (parent, trace_id) in
        [(parent.as_ref(), Some(json!("0af7651916cd43dd8448eb211c80319c"))), (None, None)]
    {
        let request = RequestContext::new("r1", parent);
        let lines = lines_of(|log| {
            runtime().block_on(context::with_request(request.clone(), log, async {
                assert_eq!(context::current_request(), Some(request.clone()));
                deep_code("deep").await;
            }));
        });
        assert_eq!(lines[0].get("request_id"), Some(&json!("r1")));
        assert_eq!(lines[0].get("trace_id"), trace_id.as_ref());
    }
}

#[test]
fn requests_on_one_thread_keep_their_own_loggers() {
    let lines = lines_of(|log| {
        // The channels force the order a, b, c.
        let (first_ran, second_may_run) = oneshot::channel();
        let (second_ran, first_may_go_on) = oneshot::channel();
        let first = context::with_request(RequestContext::new("r1", None), log, async {
            deep_code("a").await;
            first_ran.send(()).unwrap();
            first_may_go_on.await.unwrap();
            deep_code("c").await;
        });
        let second = context::with_request(RequestContext::new("r2", None), log, async {
            second_may_run.await.unwrap();
            deep_code("b").await;
            second_ran.send(()).unwrap();
        });
        runtime().block_on(async { tokio::join!(first, second) });
    });
    let logged: Vec<_> = lines
        .iter()
        .map(|line| (line.get("msg").unwrap(), line.get("request_id").unwrap()))
        .collect();
    assert_eq!(
        logged,
        [(&json!("a"), &json!("r1")), (&json!("b"), &json!("r2")), (&json!("c"), &json!("r1"))]
    );
}

#[test]
fn logger_with_more_keys_is_current_in_its_future_only() {
    let lines = lines_of(|log| {
        runtime().block_on(context::with_request(RequestContext::new("r1", None), log, async {
            let more = context::current().new(o!("tenant_id" => "7"));
            context::with_logger(more, async {
                deep_code("inside").await;
                assert_eq!(
                    context::current_request().map(|request| request.request_id),
                    Some("r1".to_owned())
                );
            })
            .await;
            deep_code("outside").await;
        }));
    });
    assert_eq!(
        (lines[0].get("tenant_id"), lines[0].get("request_id")),
        (Some(&json!("7")), Some(&json!("r1")))
    );
    assert_eq!((lines[1].get("tenant_id"), lines[1].get("request_id")), (None, Some(&json!("r1"))));
}

/// The only test here that touches the process-wide root.
#[test]
fn root_logger_is_used_outside_of_requests_once_set() {
    // Without a root logger, the line is discarded.
    info!(context::current(), "goes nowhere");
    assert_eq!(context::current_request(), None);
    let (log, guard, output) = logger_to_output(LogFormat::Json, LogLevel::Info);
    assert!(context::set_root(log.clone()));
    assert!(!context::set_root(log), "the first one stays");
    std::thread::spawn(|| info!(context::current(), "from a thread")).join().unwrap();
    drop(guard);
    let lines = output.lines();
    assert_eq!((lines.len(), lines[0].get("msg")), (1, Some(&json!("from a thread"))));
}
