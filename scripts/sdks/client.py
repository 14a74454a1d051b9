"""Sends events with a client for Python: client.py NAME < task.json > result.json

The task has `host`, `key`, `gzip` and `calls`. The result has `errors`: those that the client reported.
"""

import json
import sys
import time


def client(name, task, errors):
    def on_error(error, items):
        errors.append(f"{type(error).__name__}: {error} ({len(items)} events)")

    if name == "segment-python":
        from segment.analytics.client import Client
    elif name == "rudder-python":
        from rudderstack.analytics.client import Client
    else:
        raise SystemExit(f"no client {name}")
    return Client(task["key"], host=task["host"], gzip=task["gzip"], on_error=on_error, upload_interval=0.2)


def send(client, call):
    kind, options = call["call"], {"message_id": call.get("id")}
    user, payload = call.get("user"), call.get("payload")
    if kind == "sleep":
        time.sleep(call["seconds"])
    elif kind == "flush":
        client.flush()
    elif kind == "track":
        client.track(user, call["name"], payload, **options)
    elif kind == "identify":
        client.identify(user, payload, **options)
    elif kind == "page":
        client.page(user, "Docs", call["name"], payload, **options)
    elif kind == "screen":
        client.screen(user, "Docs", call["name"], payload, **options)
    elif kind == "group":
        client.group(user, "g-1", payload, **options)
    elif kind == "alias":
        client.alias("old-1", user, **options)


def main():
    task, errors = json.load(sys.stdin), []
    sender = client(sys.argv[1], task, errors)
    for call in task["calls"]:
        send(sender, call)
    sender.flush()
    sender.join()
    json.dump({"errors": errors}, sys.stdout)


main()
