"""Sends events with posthog for Python, over its first capture API and over the second."""

from posthog import Posthog


class Sender:
    def __init__(self, task, errors):
        def on_error(error, items):
            dropped = [details for _, details in getattr(error, "drops", None) or ()]
            errors.append(f"{type(error).__name__}: {error} {dropped} ({len(items)} events)")

        options = {"capture_mode": "v1", "capture_compression": task["variant"]}
        if task["client"] == "posthog-python":
            options = {"gzip": task["variant"] == "gzip"}
        self.client = Posthog(task["key"], host=task["host"], on_error=on_error, flush_interval=0.2, **options)

    def send(self, call):
        kind, user, payload, client = call["call"], call["user"], call["payload"], self.client
        options = {"uuid": call["id"], "timestamp": call.get("time")}
        if kind == "track":
            client.capture(call["name"], distinct_id=user, properties=payload, **options)
        elif kind == "ai":
            client.capture_ai(call["name"], distinct_id=user, properties=payload, **options)
        elif kind == "exception":
            client.capture_exception(ValueError("broken"), distinct_id=user, properties=payload, **options)
        elif kind in ("set", "set_once"):
            getattr(client, kind)(distinct_id=user, properties=payload, **options)
        elif kind == "group":
            client.group_identify("company", "acme", payload, distinct_id=user, **options)
        elif kind == "alias":
            client.alias("old-1", user, **options)
        elif kind == "flags":
            client.get_all_flags(user)

    def flush(self):
        self.client.flush(None)

    def close(self):
        self.client.flush(None)
        self.client.shutdown()
