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
    compressions: tuple = ("none",)
    # One of those whose trial is part of the gate.
    in_gate: bool = True
    # After 429, 503 and lost answers. Otherwise its caller repeats the call.
    repeats: bool = True
    # Sends events in batches, by itself or at the caller's wish.
    batches: bool = True
    # Takes the ids of its caller, or sends the same record for the same call.
    keeps_ids: bool = True
    environment: dict = field(default_factory=dict)

    def refuses(self, errors):
        return any(re.search(self.refusal, error) for error in errors)


GZIP = ("gzip", "none")

CLIENTS = [
    Client("segment-python", "segment", "python", "API key", GZIP),
    Client("segment-node", "segment", "node", r"\[401\] Unauthorized"),
    Client("rudder-python", "segment", "python", "API key", GZIP),
    Client("rudder-node", "segment", "node", "401", GZIP),
    Client("posthog-python", "posthog", "python", "401", GZIP),
    Client("posthog-python-v1", "posthog", "python", "401", ("gzip", "deflate", "zstd", "none")),
    Client("posthog-node", "posthog", "node", "401", GZIP),
    Client("posthog-node-v1", "posthog", "node", "401", GZIP, environment={"POSTHOG_CAPTURE_MODE": "v1"}),
    Client("jitsu-node", "jitsu", "node", "401", ("server path", "browser path"), in_gate=False, repeats=False, batches=False, keeps_ids=False),
]
