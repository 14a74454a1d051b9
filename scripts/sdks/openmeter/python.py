"""Sends events with openmeter for Python."""

from datetime import datetime

from openmeter import Client
from openmeter.models import Event


class Sender:
    def __init__(self, task, errors):
        self.client = Client(endpoint=task["host"], token=task["key"])

    def send(self, call):
        if call["call"] == "batch":
            self.client.events.ingest_events([cloud_event(each) for each in call["events"]])
        elif call["call"] == "json":
            self.client.events.ingest_events_json(cloud_event(call))
        else:
            self.client.events.ingest_event(cloud_event(call))

    def flush(self):
        pass

    def close(self):
        self.client.close()


def cloud_event(call):
    time = {"time": datetime.fromisoformat(call["time"])} if "time" in call else {}
    return Event(id=call["id"], source="/trial", specversion="1.0", type=call["name"], subject=call["user"], data=call["payload"], **time)
