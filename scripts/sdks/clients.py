"""The clients, and what each can do."""

import re
from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False)
class Client:
    name: str
    # The folder with its sender and its mapping.
    family: str
    language: str
    # What its error channel says of a wrong key.
    refusal: str
    # Each is tried with every type of event. The first is for all other steps.
    variants: tuple = ("none",)
    # Among those whose trial is part of the gate.
    in_gate: bool = True
    # After 429, 503 and lost answers. Otherwise its caller repeats the call.
    repeats: bool = True
    # Sends events in batches, by itself or at the caller's wish.
    batches: bool = True
    # Reports rejected events of its batches.
    reports_rejections: bool = False
    # Takes the ids of its caller, or sends the same record for the same call.
    keeps_ids: bool = True
    environment: dict = field(default_factory=dict)

    def refuses(self, errors):
        return any(re.search(self.refusal, error) for error in errors)


GZIP = ("gzip", "none")
V1 = {"environment": {"POSTHOG_CAPTURE_MODE": "v1"}, "reports_rejections": True}
# Sends each event once, with an id of its own, and reports its rejection.
ONE_SHOT = {"repeats": False, "batches": False, "keeps_ids": False, "reports_rejections": True}

CLIENTS = [
    Client("segment-python", "segment", "python", "API key", GZIP),
    Client("segment-node", "segment", "node", r"\[401\] Unauthorized"),
    Client("rudder-python", "segment", "python", "API key", GZIP),
    Client("rudder-node", "segment", "node", "401", GZIP),
    Client("posthog-python", "posthog", "python", "401", GZIP),
    Client("posthog-python-v1", "posthog", "python", "401", ("gzip", "deflate", "zstd", "none"), **V1),
    Client("posthog-node", "posthog", "node", "401", GZIP),
    Client("posthog-node-v1", "posthog", "node", "401", GZIP, **V1),
    Client("cloudevents-python", "cloudevents", "python", "unauthorized", repeats=False),
    Client("cloudevents-node", "cloudevents", "node", "unauthorized", repeats=False),
    # It repeats answers, and no request without one.
    Client("openmeter-python", "openmeter", "python", "ClientAuthenticationError", repeats=False),
    Client("opentelemetry-python", "opentelemetry", "python", "401", ("none", "gzip", "deflate")),
    Client("jitsu-node", "jitsu", "node", "401", ("server path", "browser path"), in_gate=False, **ONE_SHOT),
    Client("amplitude-python", "amplitude", "python", "Invalid API Key", ("events", "batch"), in_gate=False),
    Client("amplitude-node", "amplitude", "node", "Invalid API key", ("events", "batch"), in_gate=False),
    # Over plain HTTP it repeats nothing.
    Client("mixpanel-python", "mixpanel", "python", "MixpanelException", in_gate=False, repeats=False),
    Client("mixpanel-node", "mixpanel", "node", "Mixpanel Server Error", in_gate=False, repeats=False),
    Client("opentelemetry-node", "opentelemetry", "node", "401", ("json none", "json gzip", "protobuf none", "protobuf gzip"), in_gate=False),
    Client("snowplow-python", "snowplow", "python", "failed", ("post", "get"), in_gate=False, keeps_ids=False),
    Client("snowplow-node", "snowplow", "node", "401", ("post", "get"), in_gate=False, keeps_ids=False),
]
