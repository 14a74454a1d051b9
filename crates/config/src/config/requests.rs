//! The settings of the HTTP handlers: limits, timeouts, memory, clients.

use std::str::FromStr;
use std::time::Duration;

use mercurio_domain::limits::{LimitName, Limits};
use mercurio_enrichment::{ClientIpHeader, TrustedProxies};
use mercurio_protocols::{ProtocolOptions, Protocols};
use mercurio_runtime::RequestSettings;

use crate::origins::check_origins;
use crate::reader::{Range, Reader, SettingSpec, comma_separated};

/// The setting that holds the default of a limit. A tenant may override it.
struct LimitSetting {
    name: &'static str,
    limit: LimitName,
    unit: &'static str,
}

const fn limit(name: &'static str, limit: LimitName, unit: &'static str) -> LimitSetting {
    LimitSetting { name, limit, unit }
}

const LIMITS: [LimitSetting; 14] = [
    limit("MERCURIO_MAX_BODY_BYTES", LimitName::MaxBodyBytes, "bytes"),
    limit("MERCURIO_MAX_BATCH_EVENTS", LimitName::MaxBatchEvents, "events"),
    limit("MERCURIO_MAX_EVENT_BYTES", LimitName::MaxEventBytes, "bytes"),
    limit("MERCURIO_MAX_EVENT_AGE_DAYS", LimitName::MaxEventAgeDays, "days"),
    limit("MERCURIO_MAX_EVENT_FUTURE_SECONDS", LimitName::MaxEventFutureSeconds, "seconds"),
    limit("MERCURIO_EVENTS_PER_SECOND", LimitName::EventsPerSecond, "events per second"),
    limit("MERCURIO_EVENTS_BURST", LimitName::EventsBurst, "events"),
    limit("MERCURIO_REQUESTS_PER_SECOND", LimitName::RequestsPerSecond, "requests per second"),
    limit("MERCURIO_REQUESTS_BURST", LimitName::RequestsBurst, "requests"),
    limit("MERCURIO_READS_PER_SECOND", LimitName::ReadsPerSecond, "reads per second"),
    limit("MERCURIO_READS_BURST", LimitName::ReadsBurst, "reads"),
    limit("MERCURIO_MAX_CONCURRENT_READS", LimitName::MaxConcurrentReads, "reads"),
    limit("MERCURIO_MONTHLY_EVENTS", LimitName::MonthlyEvents, "events"),
    limit("MERCURIO_RETENTION_DAYS", LimitName::RetentionDays, "days"),
];

/// Reads the settings of the HTTP handlers.
pub(super) fn request_settings(reader: &mut Reader<'_>) -> RequestSettings {
    let mut limits = Limits::default();
    for LimitSetting { name, limit, unit } in LIMITS {
        // A tenant's override of the limit has the same range.
        let range = Range { min: *limit.range().start(), max: *limit.range().end() };
        limits.set(limit, reader.number(name, unit, limits.get(limit), range));
    }
    let proxies =
        SettingSpec::new("MERCURIO_TRUSTED_PROXIES", "networks (CIDR), separated by commas");
    let header = SettingSpec::new(
        "MERCURIO_CLIENT_IP_HEADER",
        "x-forwarded-for, forwarded, or a header with one address",
    );
    let origins = SettingSpec::new("MERCURIO_CORS_ORIGINS", "* or origins, separated by commas");
    RequestSettings {
        limits,
        body_memory_bytes: body_memory(reader, &limits),
        decode_threads: decode_threads(reader),
        request_timeout: reader.seconds(
            "MERCURIO_REQUEST_TIMEOUT_SECONDS",
            30,
            Range { min: 1, max: 3600 },
        ),
        commit_timeout: reader.seconds(
            "MERCURIO_COMMIT_TIMEOUT_SECONDS",
            10,
            Range { min: 1, max: 3600 },
        ),
        read_timeout: reader.seconds(
            "MERCURIO_READ_TIMEOUT_SECONDS",
            10,
            Range { min: 1, max: 3600 },
        ),
        slow_request: slow_request(reader),
        trusted_proxies: reader.parsed(
            proxies,
            TrustedProxies::default(),
            None,
            TrustedProxies::parse,
        ),
        protocols: protocols(reader),
        client_ip_header: reader.parsed(
            header,
            ClientIpHeader::default(),
            Some(ClientIpHeader::default().to_string()),
            ClientIpHeader::from_str,
        ),
        // Events come from any site, and each request needs an API key.
        cors_origins: reader.parsed(origins, vec!["*".to_owned()], Some("*".to_owned()), |text| {
            check_origins(comma_separated(text))
        }),
        // They describe the API and the version, and nothing of a tenant.
        public_docs: reader.value("MERCURIO_PUBLIC_DOCS", "true or false", true),
    }
}

fn protocols(reader: &mut Reader<'_>) -> ProtocolOptions {
    let defaults = ProtocolOptions::default();
    let range = "all, none, or protocols, separated by commas";
    let shown = Some(defaults.enabled.to_string());
    let [body, events] = [LimitName::MaxBodyBytes, LimitName::MaxBatchEvents].map(|limit| {
        let range = limit.range();
        Range { min: *range.start() as usize, max: *range.end() as usize }
    });
    ProtocolOptions {
        enabled: reader.parsed(
            SettingSpec::new("MERCURIO_PROTOCOLS", range),
            defaults.enabled,
            shown,
            Protocols::parse,
        ),
        max_events: reader.number(
            "MERCURIO_PROTOCOLS_MAX_EVENTS",
            "events",
            defaults.max_events,
            events,
        ),
        max_body_bytes: reader.number(
            "MERCURIO_PROTOCOLS_MAX_BODY_BYTES",
            "bytes",
            defaults.max_body_bytes,
            body,
        ),
    }
}

fn body_memory(reader: &mut Reader<'_>, limits: &Limits) -> usize {
    // A tenant gets half, and a compressed body is in memory with its content for a moment.
    let least = limits.max_body_bytes * 4;
    reader.number(
        "MERCURIO_BODY_MEMORY_BYTES",
        "bytes",
        least.max(64 << 20),
        // To 16 GiB.
        Range { min: least, max: 1 << 34 },
    )
}

fn decode_threads(reader: &mut Reader<'_>) -> usize {
    let threads =
        reader.number("MERCURIO_DECODE_THREADS", "threads", 0, Range { min: 0, max: 1024 });
    // Half of the CPUs stay free for other requests, whatever clients send.
    let half = std::thread::available_parallelism().map_or(1, |cpus| (cpus.get() / 2).max(1));
    if threads == 0 { half } else { threads }
}

fn slow_request(reader: &mut Reader<'_>) -> Option<Duration> {
    let range = Range { min: 0, max: 3_600_000 };
    let millis = reader.number("MERCURIO_SLOW_REQUEST_MS", "milliseconds", 1_000, range);
    (millis > 0).then(|| Duration::from_millis(millis))
}
