//! The text format of Prometheus, version 0.0.4, from that of OpenMetrics, which `prometheus-client` writes.
//!
//! The two differ in the lines above the samples alone: a counter is called there as its samples are, with `_total`, and
//! there are no lines for units and for the end.
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>)

use prometheus_client::encoding::text::encode_registry;
use prometheus_client::registry::Registry;

/// All metrics of the registries, one after the other.
pub(super) fn text(registries: &[&Registry]) -> String {
    let mut open_metrics = String::new();
    for registry in registries {
        // A `String` takes everything, and so do our own metrics.
        encode_registry(&mut open_metrics, registry).ok();
    }
    to_prometheus(&open_metrics)
}

fn to_prometheus(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map(|(_, help)| help);
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some(help) = help.take() {
                text.extend(["# HELP ", name, suffix, " ", help, "\n"]);
            }
            text.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            text.extend([line, "\n"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_called_as_its_samples_are() {
        let open_metrics = "# HELP a Of a.\n# TYPE a counter\na_total{b=\"# c\"} 1\n\
                            # HELP d Of d.\n# TYPE d gauge\n# UNIT d bytes\nd 2\n# EOF\n";
        let expected = "# HELP a_total Of a.\n# TYPE a_total counter\na_total{b=\"# c\"} 1\n\
                        # HELP d Of d.\n# TYPE d gauge\nd 2\n";
        assert_eq!(to_prometheus(open_metrics), expected);
    }
}
