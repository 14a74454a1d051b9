"""Requests and continuous load, shared by the trial scripts."""

import http.client
import json
import threading
import time


def ask(address, method, path, key="", body=None):
    """Returns the status and the JSON (or text) of a response."""
    host, port = address
    connection = http.client.HTTPConnection(host, port, timeout=20)
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"} if key else {}
    connection.request(method, path, json.dumps(body) if body else None, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    try:
        return answer.status, json.loads(text)
    except json.JSONDecodeError:
        return answer.status, text


def until(what, look, wanted, patience=60):
    deadline = time.monotonic() + patience
    while (seen := look()) != wanted:
        assert time.monotonic() < deadline, f"{what}: {seen}"
        time.sleep(0.3)


class Load:
    """Clients that send batches one after another and count the responses until `end`."""

    def __init__(self, address, key, clients):
        self.address, self.key, self.stop = address, key, False
        self.answers, self.broken, self.events, self.slowest = {}, [], 0, 0.0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.send, args=(number,)) for number in range(clients)]
        for thread in self.threads:
            thread.start()

    def send(self, number):
        connection, sent = http.client.HTTPConnection(*self.address, timeout=60), 0
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        while not self.stop:
            events = [{"event_id": f"{number}-{sent}-{i}", "event_name": "load", "user_id": "u"} for i in range(10)]
            begun = time.monotonic()
            try:
                connection.request("POST", "/v1/events/batch", json.dumps({"events": events}), headers)
                answer = connection.getresponse()
                accepted = json.loads(answer.read()).get("accepted", 0)
                with self.lock:
                    self.answers[answer.status] = self.answers.get(answer.status, 0) + 1
                    self.events += accepted
                    self.slowest = max(self.slowest, time.monotonic() - begun)
            except (OSError, http.client.HTTPException) as error:
                self.broken.append(repr(error))
                connection = http.client.HTTPConnection(*self.address, timeout=60)
            sent += 1

    def end(self):
        self.stop = True
        for thread in self.threads:
            thread.join()
