"""Sends events with cloudevents for Python. The package makes requests, and `requests` sends them."""

from datetime import datetime

import requests
from cloudevents.core.bindings import http
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

BATCH = "application/cloudevents-batch+json"


class Sender:
    def __init__(self, task, errors):
        self.url = f"{task['host']}/v1/cloudevents"
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {task['key']}"

    def send(self, call):
        if call["call"] == "batch":
            members = b",".join(JSONFormat().write(cloud_event(each)) for each in call["events"])
            self.post({"Content-Type": BATCH}, b"[" + members + b"]")
        else:
            write = http.to_structured_event if call["call"] == "structured" else http.to_binary_event
            message = write(cloud_event(call))
            self.post(message.headers, message.body)

    def post(self, headers, body):
        response = self.session.post(self.url, headers=headers, data=body, timeout=15)
        if not response.ok:
            raise RuntimeError(response.text)

    def flush(self):
        pass

    def close(self):
        self.session.close()


def cloud_event(call):
    given = {"id": call["id"], "source": "/trial", "type": call["name"], "subject": call["user"], **call.get("attributes", {})}
    if "time" in call:
        given["time"] = datetime.fromisoformat(call["time"])
    data = bytes(call["bytes"]) if "bytes" in call else call["payload"]
    return CloudEvent({name: value for name, value in given.items() if value is not None}, data)
