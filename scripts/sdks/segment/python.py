"""Sends events with segment-analytics-python and rudder-sdk-python."""

from datetime import datetime
from importlib import import_module

PACKAGES = {"segment-python": "segment.analytics.client", "rudder-python": "rudderstack.analytics.client"}


class Sender:
    def __init__(self, task, errors):
        def on_error(error, items):
            errors.append(f"{type(error).__name__}: {error} ({len(items)} events)")

        client = import_module(PACKAGES[task["client"]]).Client
        gzip = task["variant"] == "gzip"
        self.client = client(task["key"], host=task["host"], gzip=gzip, on_error=on_error, upload_interval=0.2)

    def send(self, call):
        kind, user, payload, options = call["call"], call["user"], call["payload"], {"message_id": call["id"]}
        if "time" in call:
            options["timestamp"] = datetime.fromisoformat(call["time"])
        if kind == "track":
            self.client.track(user, call["name"], payload, **options)
        elif kind == "identify":
            self.client.identify(user, payload, **options)
        elif kind == "page":
            self.client.page(user, "Docs", call["name"], payload, **options)
        elif kind == "screen":
            self.client.screen(user, "Docs", call["name"], payload, **options)
        elif kind == "group":
            self.client.group(user, "g-1", payload, **options)
        elif kind == "alias":
            self.client.alias("old-1", user, **options)

    def flush(self):
        self.client.flush()

    def close(self):
        self.client.flush()
        self.client.join()
