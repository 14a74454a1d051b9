"""Sends events with mixpanel for Python. Each call is a request, unless its consumer gathers calls."""

from datetime import datetime

from mixpanel import BufferedConsumer, Consumer, Mixpanel


class Sender:
    def __init__(self, task, errors):
        names = {"events": "track", "people": "engage", "import": "import", "groups": "groups"}
        self.urls = {f"{name}_url": f"{task['host']}/{path}" for name, path in names.items()}
        self.key = task["key"]
        self.client = Mixpanel(self.key, Consumer(**self.urls))

    def send(self, call):
        if call["call"] == "batch":
            consumer = BufferedConsumer(**self.urls)
            client = Mixpanel(self.key, consumer)
            for each in call["events"]:
                send(client, self.key, each)
            consumer.flush()
        else:
            send(self.client, self.key, call)

    def flush(self):
        pass

    def close(self):
        pass


def send(client, key, call):
    kind, user, name, payload = call["call"], call["user"], call["name"], call["payload"]
    seconds = int(datetime.fromisoformat(call["time"]).timestamp()) if "time" in call else None
    properties = {**payload, "$insert_id": call["id"]}
    if kind == "track":
        client.track(user, name, {**properties, **({"time": seconds} if seconds else {})})
    elif kind == "import":
        client.import_data(None, user, name, seconds, properties, api_secret=key)
    elif kind == "people":
        client.people_set(user, payload)
    elif kind == "group":
        client.group_set("company", "acme", payload)
