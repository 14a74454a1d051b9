//! The output of the root logger: the format of lines, and the report of lost ones.

mod support;

use mercurio_observability::logging::request_line::EventCounts;
use mercurio_observability::{LogFormat, LogLevel, LogOutput, LogSettings, RequestLine, logger};
use serde_json::{Value, json};
use slog::{Drain, crit, debug, error, info, o, trace, warn};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use support::{Output, lines_of, logger_to_output};

fn check_values(lines: &[support::Line], expected: Value) {
    assert_eq!(lines.len(), 1);
    // The first three are `ts`, `level` and `msg`.
    let values: serde_json::Map<_, _> = lines[0].0.iter().skip(3).cloned().collect();
    assert_eq!(values.len(), lines[0].0.len() - 3, "a key appears twice in {:?}", lines[0]);
    assert_eq!(Value::Object(values), expected);
}

#[test]
fn json_line_begins_with_time_level_and_message() {
    let before = chrono::Utc::now();
    let lines = lines_of(|log| info!(log, "listening on {}", 8080; "addr" => "[::1]:8080"));
    let line = &lines[0];
    assert_eq!(line.keys(), ["ts", "level", "msg", "addr"]);
    assert_eq!(line.get("level"), Some(&json!("info")));
    assert_eq!(line.get("msg"), Some(&json!("listening on 8080")));
    let ts = line.get("ts").and_then(Value::as_str).unwrap();
    assert_eq!((ts.len(), ts.ends_with('Z')), ("2026-11-22T10:00:00.123456Z".len(), true), "{ts}");
    let logged: chrono::DateTime<chrono::Utc> = ts.parse().unwrap();
    // The line has microseconds, the clock nanoseconds.
    assert!(logged >= before - chrono::TimeDelta::milliseconds(1) && logged <= chrono::Utc::now());
}

#[test]
fn records_below_the_level_are_dropped() {
    let all = ["critical", "error", "warning", "info", "debug", "trace"];
    for (level, logged) in
        [("critical", 1), ("error", 2), ("warn", 3), ("info", 4), ("debug", 5), ("trace", 6)]
    {
        let (log, guard, output) = logger_to_output(LogFormat::Json, level.parse().unwrap());
        crit!(log, "");
        error!(log, "");
        warn!(log, "");
        info!(log, "");
        debug!(log, "");
        trace!(log, "");
        assert_eq!(log.is_debug_enabled(), logged >= 5);
        drop(guard);
        // Release builds leave trace lines out.
        let logged = logged.min(if cfg!(debug_assertions) { 6 } else { 5 });
        let levels: Vec<_> = output.lines().iter().map(|line| line.get("level").cloned()).collect();
        assert_eq!(
            levels,
            all[..logged].iter().map(|level| Some(json!(level))).collect::<Vec<_>>()
        );
    }
}

#[test]
fn values_keep_their_json_types() {
    let lines = lines_of(|log| {
        let text = String::from("a \"quoted\"\nline");
        // Quotes and newlines must not break the line.
        info!(log, "m"; "text" => text, "count" => u64::MAX, "below" => -1_i64, "share" => 0.5, "yes" => true,
            "shown" => %1, "debugged" => ?Some("x"), "nested" => slog::Serde(json!({"a": [1, null]})));
    });
    check_values(
        &lines,
        json!({"text": "a \"quoted\"\nline", "count": u64::MAX, "below": -1, "share": 0.5, "yes": true,
            "shown": "1", "debugged": "Some(\"x\")", "nested": {"a": [1, null]}}),
    );
}

#[test]
fn repeated_key_appears_once_with_its_innermost_value() {
    let lines = lines_of(|log| {
        let outer = log.new(o!("a" => "outer", "b" => "outer", "c" => "outer"));
        let inner = outer.new(o!("b" => "inner", "c" => "inner"));
        // The last value of a record is the innermost.
        info!(inner, "m"; "c" => "first", "c" => "last");
    });
    check_values(&lines, json!({"a": "outer", "b": "inner", "c": "last"}));
}

#[test]
fn value_cannot_replace_a_reserved_key() {
    let lines = lines_of(
        |log| info!(log.new(o!("ts" => 1)), "first"; "msg" => "second", "level" => "none"),
    );
    assert_eq!(lines[0].keys(), ["ts", "level", "msg"]);
    assert_eq!(lines[0].get("msg"), Some(&json!("first")));
}

#[test]
fn key_without_a_value_is_omitted_and_hides_the_outer_one() {
    let lines = lines_of(|log| {
        info!(log.new(o!("a" => "outer")), "m"; "a" => None::<u64>, "b" => None::<String>, "c" => Some(1));
    });
    check_values(&lines, json!({"c": 1}));
}

#[test]
fn terminal_has_one_readable_line_per_record() {
    let (log, guard, output) = logger_to_output(LogFormat::Terminal, LogLevel::Info);
    warn!(log.new(o!("request_id" => "r1")), "slow"; "duration_ms" => 12.5, "status" => 200);
    drop(guard);
    let text = output.text();
    let (ts, rest) = text.split_once(' ').unwrap();
    assert_eq!(ts.len(), "2026-11-22T10:00:00.123456Z".len());
    assert_eq!(rest, "warning  slow, status: 200, duration_ms: 12.5, request_id: r1\n");
}

#[test]
fn lines_are_written_whole() {
    for format in [LogFormat::Json, LogFormat::Terminal] {
        let (log, guard, output) = logger_to_output(format, LogLevel::Info);
        for index in 0..2_000 {
            // Lengths from 0 to 899 put line ends at many positions of a write.
            info!(log, "one"; "a" => "x".repeat(index % 900), "index" => index);
        }
        drop(guard);
        assert_eq!(output.text().lines().count(), 2_000, "{format}");
        output.each_write(|bytes| assert!(bytes.ends_with(b"\n"), "{format}"));
        assert!(output.writes() < 2_000, "under load a write carries many lines");
    }
}

#[test]
fn line_without_a_flush_is_written_soon() {
    let (log, _guard, output) = logger_to_output(LogFormat::Json, LogLevel::Info);
    for round in 1..=3 {
        info!(log, "alone");
        // A deadline bounds the test without a sleep.
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        while output.lines().len() < round {
            assert!(std::time::Instant::now() < deadline, "line {round} is not written");
            std::thread::yield_now();
        }
    }
}

#[test]
fn lines_of_a_thread_stay_whole_and_in_order() {
    let (log, guard, output) = logger_to_output(LogFormat::Json, LogLevel::Info);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let log = log.new(o!("thread" => thread));
            scope.spawn(move || (0..1_000).for_each(|index| info!(log, "m"; "index" => index)));
        }
    });
    let dropped = guard.dropped_lines().get();
    drop(guard);
    assert_eq!(dropped, 0, "4,000 lines fit the queue");
    let mut next = [0_u64; 4];
    for line in output.lines() {
        let number = |key| line.get(key).and_then(Value::as_u64).unwrap();
        let expected = &mut next[usize::try_from(number("thread")).unwrap()];
        assert_eq!(number("index"), *expected);
        *expected += 1;
    }
    assert_eq!(next, [1_000; 4]);
}

#[test]
fn value_may_log_while_it_is_formatted() {
    struct Talkative(slog::Logger);
    impl std::fmt::Display for Talkative {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            info!(self.0, "inner {}", 1; "shown" => %2);
            f.write_str("shown value")
        }
    }
    for format in [LogFormat::Json, LogFormat::Terminal] {
        let (log, guard, output) = logger_to_output(format, LogLevel::Info);
        info!(log, "outer {}", Talkative(log.clone()); "value" => %Talkative(log.clone()), "last" => true);
        drop(guard);
        let text = output.text();
        // The message and the key log one inner line each.
        assert_eq!((text.lines().count(), text.matches("inner 1").count()), (3, 2), "{text}");
        assert_eq!(text.matches("shown value").count(), 2, "{text}");
    }
}

#[test]
fn queued_bytes_are_bounded() {
    let (entered, is_writing) = mpsc::channel();
    let (opener, open) = mpsc::channel();
    let output = Output::default();
    let gate = Gate { output: output.clone(), entered, open };
    let mut settings = LogSettings::new(LogFormat::Json, LogLevel::Info);
    // 100 lines bound the queue to 100 KiB.
    settings.queue_lines = 100;
    let (log, guard) = logger::build(settings, LogOutput::Writer(Box::new(gate)));
    // The writer blocks in its first write, so the queue is never drained.
    info!(log, "held at the gate");
    is_writing.recv().unwrap();
    for _ in 0..100 {
        info!(log, "long"; "a" => "x".repeat(10_000));
    }
    drop(opener);
    let dropped = guard.dropped_lines().get();
    drop(guard);
    assert!((90..100).contains(&dropped), "{dropped} of 100 lines of 10 kB did not fit 100 KiB");
    // The held line, the queued lines, and the report.
    assert_eq!(output.lines().len() as u64, 1 + 100 - dropped + 1);
}

#[test]
fn line_longer_than_the_buffer_is_complete_when_flushed() {
    let (log, _guard, output) = logger_to_output(LogFormat::Json, LogLevel::Info);
    info!(log, "long"; "a" => "x".repeat(100_000));
    log.flush().unwrap();
    assert_eq!(output.lines().len(), 1);
}

/// Blocks each write until the test releases it, like a pipe without a reader.
struct Gate {
    output: Output,
    entered: mpsc::Sender<()>,
    open: mpsc::Receiver<()>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The test may not listen any more. Once it drops its end, the gate stays open.
        let _ = self.entered.send(());
        let _ = self.open.recv();
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn full_queue_drops_lines_and_reports_how_many() {
    let (entered, is_writing) = mpsc::channel();
    let (opener, open) = mpsc::channel();
    let output = Output::default();
    let gate = Gate { output: output.clone(), entered, open };
    let mut settings = LogSettings::new(LogFormat::Json, LogLevel::Info);
    // While the writer is blocked, 2 of 10 lines fit.
    settings.queue_lines = 2;
    let (log, guard) = logger::build(settings, LogOutput::Writer(Box::new(gate)));

    info!(log, "held at the gate");
    is_writing.recv().unwrap();
    let request = log.new(o!("request_id" => "r1"));
    for index in 0..10 {
        info!(request, "flood"; "index" => index);
    }
    assert_eq!(guard.dropped_lines().get(), 8);
    drop(opener);
    let dropped = guard.dropped_lines();
    drop(guard);

    let lines = output.lines();
    // More than one line may report the 8.
    let reported: u64 = lines.iter().filter_map(|line| line.get("dropped_lines")?.as_u64()).sum();
    assert_eq!(
        (reported, lines.iter().filter(|line| line.get("msg") == Some(&json!("flood"))).count()),
        (8, 2)
    );
    let report = lines.iter().find(|line| line.get("dropped_lines").is_some()).unwrap();
    assert_eq!(
        report.keys(),
        ["ts", "level", "msg", "dropped_lines"],
        "the report belongs to no request"
    );
    assert_eq!(report.get("level"), Some(&json!("warning")));

    info!(log, "after the end");
    // The late line counts as dropped.
    assert_eq!((dropped.get(), output.lines().len()), (9, lines.len()));
}

#[test]
fn held_lines_wait_for_the_release_or_a_flush() {
    let (entered, is_writing) = mpsc::channel();
    let output = Output::default();
    // A gate without an opener is open.
    let gate = Gate { output: output.clone(), entered, open: mpsc::channel().1 };
    let settings = LogSettings::new(LogFormat::Json, LogLevel::Info);
    let (log, guard) = logger::build(settings, LogOutput::Writer(Box::new(gate)));
    let held = guard.hold();
    info!(log, "held");
    assert!(is_writing.recv_timeout(Duration::from_millis(100)).is_err(), "{}", output.text());
    drop(held);
    is_writing.recv_timeout(Duration::from_secs(60)).unwrap();
    let _held = guard.hold();
    info!(log, "flushed");
    log.flush().unwrap();
    assert_eq!(output.lines().len(), 2);
}

/// Fails every write until the test repairs it.
struct Broken {
    output: Output,
    is_broken: Arc<AtomicBool>,
}

impl Write for Broken {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_broken.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn report_lost_to_a_broken_output_is_repeated() {
    let (output, is_broken) = (Output::default(), Arc::new(AtomicBool::new(true)));
    let broken = Broken { output: output.clone(), is_broken: Arc::clone(&is_broken) };
    let settings = LogSettings::new(LogFormat::Json, LogLevel::Info);
    let (log, guard) = logger::build(settings, LogOutput::Writer(Box::new(broken)));
    for _ in 0..3 {
        info!(log, "lost");
        // Each flush also tries to report.
        log.flush().unwrap();
    }
    is_broken.store(false, Ordering::SeqCst);
    info!(log, "written");
    let dropped = guard.dropped_lines();
    drop(guard);
    let lines = output.lines();
    let reported: u64 = lines.iter().filter_map(|line| line.get("dropped_lines")?.as_u64()).sum();
    assert_eq!((reported, dropped.get()), (3, 3));
}

#[test]
fn timestamp_is_the_time_of_the_record_not_of_the_write() {
    let (entered, is_writing) = mpsc::channel();
    let (opener, open) = mpsc::channel();
    let output = Output::default();
    let gate = Gate { output: output.clone(), entered, open };
    let settings = LogSettings::new(LogFormat::Json, LogLevel::Info);
    let (log, guard) = logger::build(settings, LogOutput::Writer(Box::new(gate)));
    info!(log, "held");
    is_writing.recv().unwrap();
    info!(log, "waiting");
    let logged_by = chrono::Utc::now();
    // The clock moves on before the gate opens: no sleep, but a tick must have passed.
    while chrono::Utc::now() - logged_by < chrono::TimeDelta::microseconds(10) {}
    drop(opener);
    drop(guard);
    let ts = output.lines()[1].get("ts").and_then(Value::as_str).map(str::to_owned).unwrap();
    assert!(ts.parse::<chrono::DateTime<chrono::Utc>>().unwrap() <= logged_by);
}

#[test]
fn failed_output_loses_lines_and_counts_them() {
    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let settings = LogSettings::new(LogFormat::Json, LogLevel::Info);
    let (log, guard) = logger::build(settings, LogOutput::Writer(Box::new(Broken)));
    info!(log, "one");
    info!(log, "two");
    log.flush().unwrap();
    // The report of the losses is lost as well.
    assert!(guard.dropped_lines().get() >= 2);
}

#[test]
fn flush_waits_until_all_earlier_lines_are_written() {
    let (log, guard, output) = logger_to_output(LogFormat::Json, LogLevel::Critical);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (log, output) = (log.new(o!("thread" => thread)), output.clone());
            scope.spawn(move || {
                for round in 0..50 {
                    crit!(log, "m"; "round" => round);
                    log.flush().unwrap();
                    // Keys come innermost first, so the line ends with the thread.
                    let mine = format!("\"round\":{round},\"thread\":{thread}}}");
                    assert!(output.text().contains(&mine), "{mine}");
                }
            });
        }
    });
    assert_eq!(output.lines().len(), 200);
    drop(guard);
    assert!(log.flush().is_err(), "the writing thread has ended");
}

#[test]
fn request_line_has_the_documented_keys() {
    let document = include_str!("../../../docs/LOGGING.md");
    let lines = lines_of(|log| {
        let line = RequestLine {
            tenant_id: Some("1"),
            workspace_id: Some("2"),
            key_id: Some("k3v9"),
            method: "POST",
            route: Some("/v1/events/batch"),
            status: 200,
            events: Some(EventCounts { accepted: 3, duplicates: 2, rejected: 1 }),
            body_bytes: Some(1234),
            duration: Duration::from_micros(1500),
            not_logged: 7,
        };
        line.log(&log.new(o!("request_id" => "r1", "trace_id" => "t1")));
    });
    assert_eq!(lines[0].get("msg"), Some(&json!("request")));
    assert_eq!(lines[0].get("level"), Some(&json!("info")));
    for key in lines[0].keys() {
        assert!(document.contains(&format!("| `{key}` |")), "{key}");
    }
    check_values(
        &lines,
        json!({"request_id": "r1", "trace_id": "t1", "tenant_id": "1", "workspace_id": "2", "key_id": "k3v9",
            "method": "POST", "route": "/v1/events/batch", "status": 200, "events": 6, "accepted": 3,
            "duplicates": 2, "rejected": 1, "body_bytes": 1234, "duration_ms": 1.5, "not_logged": 7}),
    );
}

#[test]
fn failed_request_is_a_warning_without_unknown_keys() {
    let lines = lines_of(|log| {
        RequestLine { method: "GET", status: 503, ..RequestLine::default() }.log(log);
    });
    assert_eq!(lines[0].get("level"), Some(&json!("warning")));
    check_values(&lines, json!({"method": "GET", "status": 503, "duration_ms": 0.0}));
}
