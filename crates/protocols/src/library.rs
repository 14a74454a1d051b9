//! The libraries that sent events, for a metric with a bounded number of values.

use crate::Head;

/// The names that known libraries give themselves.
const KNOWN: &[&str] = &[
    "@jitsu/js",
    "@segment/analytics-node",
    "Analytics.NET",
    "RudderLabs JavaScript SDK",
    "amplitude-analytics-android",
    "amplitude-android",
    "amplitude-flutter",
    "amplitude-go",
    "amplitude-ios",
    "amplitude-java",
    "amplitude-js",
    "amplitude-node",
    "amplitude-node-ts",
    "amplitude-python",
    "amplitude-react-native",
    "amplitude-react-native-ts",
    "amplitude-ruby",
    "amplitude-swift",
    "amplitude-ts",
    "amplitude-unity",
    "analytics-android",
    "analytics-go",
    "analytics-ios",
    "analytics-java",
    "analytics-kotlin",
    "analytics-node",
    "analytics-php",
    "analytics-python",
    "analytics-react-native",
    "analytics-ruby",
    "analytics-swift",
    "analytics.js",
    "android",
    "flutter",
    "go",
    "iphone",
    "jdk",
    "node",
    "opentelemetry-cpp",
    "opentelemetry-dotnet",
    "opentelemetry-erlang",
    "opentelemetry-go",
    "opentelemetry-java",
    "opentelemetry-nodejs",
    "opentelemetry-php",
    "opentelemetry-python",
    "opentelemetry-ruby",
    "opentelemetry-rust",
    "opentelemetry-swift",
    "opentelemetry-webjs",
    "php",
    "posthog-android",
    "posthog-dotnet",
    "posthog-edge",
    "posthog-elixir",
    "posthog-flutter",
    "posthog-go",
    "posthog-ios",
    "posthog-java",
    "posthog-js",
    "posthog-js-lite",
    "posthog-node",
    "posthog-php",
    "posthog-python",
    "posthog-react-native",
    "posthog-rs",
    "posthog-ruby",
    "posthog-server",
    "python",
    "python-openmeter",
    "react-native",
    "ruby",
    "snowplow-andr",
    "snowplow-golang",
    "snowplow-ios",
    "snowplow-java",
    "snowplow-js",
    "snowplow-net",
    "snowplow-php",
    "snowplow-py",
    "snowplow-rb",
    "snowplow-rn",
    "snowplow-scala",
    "snowplow-unity",
    "swift",
    "unity",
    "web",
];

/// The name of events without a library, and of all unknown ones.
pub const OTHER_LIBRARY: &str = "other";

/// Returns `name` if it is known: clients choose their names, and each would be a series.
pub(crate) fn library(name: &str) -> &'static str {
    KNOWN.iter().copied().find(|known| *known == name).unwrap_or(OTHER_LIBRARY)
}

/// Returns the first name in the user agent, if it is known.
pub(crate) fn of_user_agent(head: &Head<'_>) -> &'static str {
    let agent = head.header("user-agent").unwrap_or_default();
    library(agent.split(['/', ' ']).next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_libraries_share_a_name() {
        assert_eq!(library("analytics-python"), "analytics-python");
        assert_eq!(library("x".repeat(1_000).as_str()), "other");
        assert!(KNOWN.is_sorted());
    }
}
