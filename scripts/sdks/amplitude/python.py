"""Sends events with amplitude-analytics, which reports most errors to its log only."""

import logging
import time
from datetime import datetime

from amplitude import Amplitude, BaseEvent, Config, EventOptions, Identify, Revenue

PATHS = {"events": "/2/httpapi", "batch": "/batch"}
PATIENCE_SECONDS = 40
# The client forgets events whose request got no answer, and calls nobody: then its caller sends them again, with the same ids.
FORGOTTEN_SECONDS = 3


class ErrorLog(logging.Handler):
    def __init__(self, errors):
        super().__init__(logging.ERROR)
        self.errors = errors

    def emit(self, record):
        self.errors.append(record.getMessage())


class Sender:
    def __init__(self, task, errors):
        self.waiting = {}
        self.errors = errors
        logger = logging.getLogger(f"amplitude-{id(self)}")
        logger.addHandler(ErrorLog(errors))
        options = {"server_url": task["host"] + PATHS[task["variant"]], "flush_interval_millis": 200, "callback": self.finish}
        self.client = Amplitude(task["key"], Config(logger=logger, **options))

    def finish(self, event, code, message):
        if self.waiting.pop(event.insert_id, None) and code != 200:
            self.errors.append(f"{code}: {message}")

    def send(self, call):
        self.waiting[call["id"]] = call
        kind, payload, client = call["call"], call["payload"], self.client
        given = {"user_id": call["user"], "insert_id": call["id"]}
        if "time" in call:
            given["time"] = int(datetime.fromisoformat(call["time"]).timestamp() * 1000)
        options = EventOptions(**given)
        if kind == "track":
            client.track(BaseEvent(call["name"], event_properties=payload, **given, **call.get("attributes", {})))
        elif kind == "identify":
            client.identify(traits(payload), options)
        elif kind == "group":
            client.group_identify("company", "acme", traits(payload), options)
        elif kind == "set group":
            client.set_group("company", "acme", options)
        elif kind == "revenue":
            client.revenue(Revenue(9.5, properties=payload), options)

    def flush(self):
        """Waits for the client's timer: its own flush() sends without the pause before a repeated try."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        again = time.monotonic() + FORGOTTEN_SECONDS
        while self.waiting and not self.errors and time.monotonic() < deadline:
            time.sleep(0.02)
            if time.monotonic() > again:
                again = time.monotonic() + FORGOTTEN_SECONDS
                for call in list(self.waiting.values()):
                    self.send(call)

    def close(self):
        self.flush()
        self.client.shutdown()


def traits(payload):
    identify = Identify()
    for name, value in payload.items():
        identify.set(name, value)
    return identify
