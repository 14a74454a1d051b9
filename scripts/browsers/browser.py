"""Chromium as the trial of browsers sees it: contexts of their own storage, pages, and what they complained about and asked for."""

import base64
import itertools
import json
import os
import subprocess
import threading
from concurrent.futures import Future
from pathlib import Path

HERE = Path(__file__).parent
# A loaded machine is slow.
ANSWER_SECONDS = 60


class Browser:
    """A process of driver.mjs. Several threads may command it."""

    def __init__(self, pages):
        self.process = subprocess.Popen(["node", HERE / "driver.mjs", pages], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.numbers, self.waiting, self.lock = itertools.count(), {}, threading.Lock()
        self.origin = json.loads(self.process.stdout.readline())["origin"]
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            answer = json.loads(line)
            self.waiting.pop(answer["id"]).set_result(answer)

    def command(self, command, **rest):
        number, answer = next(self.numbers), Future()
        with self.lock:
            self.waiting[number] = answer
            self.process.stdin.write(json.dumps({"id": number, "command": command, **rest}) + "\n")
            self.process.stdin.flush()
        result = answer.result(ANSWER_SECONDS)
        assert "error" not in result, (command, rest, result["error"])
        return result["result"]

    def person(self, page):
        """Returns a new person: a context whose pages have that script."""
        return Person(self, page, str(next(self.numbers)))

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(ANSWER_SECONDS) == 0


class Person:
    """What its pages complained about and asked of other origins is in `complaints` and `requests` after a `report`."""

    def __init__(self, browser, name, context):
        self.browser, self.name, self.context, self.page = browser, name, context, None
        self.complaints, self.requests = [], []
        browser.command("context", context=context)

    def open(self, replace=()):
        """Opens a page, with pairs of texts replaced in its script."""
        self.page = f"{self.context}/{next(self.browser.numbers)}"
        self.browser.command("open", context=self.context, page=self.page, name=self.name, replace=replace)

    def call(self, function, argument=None):
        return self.browser.command("call", page=self.page, name=function, argument=argument)

    def leave(self):
        self.browser.command("leave", page=self.page)

    def report(self):
        found = self.browser.command("report", context=self.context)
        for request in found["requests"]:
            request["body"] = base64.b64decode(request["body"])
        self.complaints += found["complaints"]
        self.requests += found["requests"]
        return self

    def end(self):
        self.browser.command("end", context=self.context)
