"""A new visitor of a page, with a client in it, and the rows that its calls become."""

import json
import time

from scripts.browsers.clients import filled

# Longer than any client waits before it tries again.
SECONDS = 60


class Visit:
    """Each visit has its own storage in the browser, so its own anonymous id."""

    def __init__(self, server, browser, client, step, **options):
        self.server, self.client = server, client
        self.user = f"{client.name}:{step}"
        # A batch waits some milliseconds for more events.
        self.options = {"host": server.host, "key": server.keys[client.name], "wait": 300, **client.options, **options}
        self.person = browser.person(client.page)

    def __enter__(self):
        self.open()
        return self

    def __exit__(self, *_):
        self.person.end()

    def open(self):
        self.person.open()
        self.person.call("start", self.options)
        self.anonymous = self.person.call("person")["anonymous"]

    def send(self, calls):
        self.person.call("send", filled(calls, self.anonymous, self.user))

    def rows(self):
        rows = self.server.rows(self.client.name)
        return [row for row in rows if row["anonymous_id"] == self.anonymous or row["user_id"] == self.user]

    def until(self, condition, what):
        """Waits for a condition. If it never comes, the error says what the visitor did."""
        deadline = time.monotonic() + SECONDS
        while not (result := condition()):
            if time.monotonic() > deadline:
                found = sorted((row["event_name"][:40], (row["properties"] or {}).get("number", -1)) for row in self.rows())
                self.person.report()
                sent = [(request["method"], request["url"], request["status"]) for request in self.person.requests[-5:]]
                raise AssertionError(f"{self.user}: {what} after {SECONDS} s. Stored: {found}. Sent: {sent}. Errors: {self.person.complaints[-5:]}")
            # Each look at PostgreSQL is a process of its own.
            time.sleep(0.1)
        return result

    def stored(self, count):
        """Returns the visitor's rows, as soon as there are `count`."""
        self.until(lambda: len(self.rows()) >= count, f"{count} rows are not stored")
        return self.rows()

    def tracks_stored(self, count):
        """Waits until `count` events of `tracks` are stored, each once."""
        self.until(lambda: len(self.numbers()) >= count, f"{count} events are not stored")
        assert self.numbers() == list(range(count)), f"{self.user}: {self.numbers()}"

    def numbers(self):
        self.flush()
        return sorted(row["properties"]["number"] for row in self.rows() if "number" in (row["properties"] or {}))

    def flush(self):
        if self.client.waits:
            self.person.call("flush")

    def statuses(self):
        """Those of the page's requests to write so far."""
        return [request["status"] for request in self.person.report().requests if request["method"] == "POST"]

    def ask(self):
        """Sends a request of the page's own. Returns its answer, as far as a page may read it."""
        request = {"method": "POST", "headers": self.client.headers, "body": json.dumps(self.client.body)}
        request = json.loads(json.dumps(request).replace("KEY", self.options["key"]))
        return self.person.call("ask", {"url": f"{self.options['host']}{self.client.path}", **request})


def tracks(count, first=0):
    return [{"call": "track", "name": "Order Completed", "payload": {"number": number}} for number in range(first, first + count)]


def slowly(calls):
    return [part for call in calls for part in (call, {"call": "sleep", "seconds": 0.1})]
