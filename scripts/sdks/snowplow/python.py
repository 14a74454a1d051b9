"""Sends events with snowplow-tracker for Python. The application id is the key, because the client has no option for headers."""

import time

from snowplow_tracker import (
    Emitter,
    PagePing,
    PageView,
    ScreenView,
    SelfDescribing,
    SelfDescribingJson,
    StructuredEvent,
    Subject,
    Tracker,
)

PATIENCE_SECONDS = 40


class Sender:
    def __init__(self, task, errors):
        self.errors, self.sent, self.finished = errors, 0, 0
        self.emitter = Emitter(task["host"], method=task["variant"], on_success=self.finish, max_retry_delay_seconds=2)
        self.tracker = Tracker("trial", self.emitter, app_id=task["key"])

    def finish(self, events):
        self.finished += len(events)

    def send(self, call):
        user, kind, name = Subject().set_user_id(call["user"]), call["call"], call["name"]
        if kind == "track":
            event = SelfDescribing(SelfDescribingJson(f"iglu:com.example/{name}/jsonschema/1-0-0", call["payload"]), event_subject=user)
        elif kind == "structured":
            event = StructuredEvent("shop", name, "label-1", "property-1", 9.5, event_subject=user)
        elif kind == "page":
            event = PageView("https://example.com/", name, event_subject=user)
        elif kind == "ping":
            event = PagePing("https://example.com/", name, event_subject=user)
        elif kind == "screen":
            event = ScreenView("0193a5c0-7a5b-7e7c-9a55-3f0f6b1e2d4c", name, event_subject=user)
        self.sent += 1
        self.tracker.track(event)

    def flush(self):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.waiting() and time.monotonic() < deadline:
            self.tracker.flush()
            time.sleep(0.05)

    def waiting(self):
        """How many events are left, once no request is under way."""
        with self.emitter.lock:
            return self.emitter.event_store.size()

    def close(self):
        self.flush()
        # What the emitter neither delivered nor keeps was refused: its callback does not say why.
        if self.finished < self.sent:
            self.errors.append(f"{self.sent - self.finished} events failed")
