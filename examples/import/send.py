#!/usr/bin/env python3
"""Sends events to Mercurio: one JSON object a line on standard input, as `mercurio-admin events export` writes them.

Keeps ids, so a repeated run stores nothing twice. Drops the members that the server adds, and keeps the bytes of all others.
Needs only Python 3.9 or newer. docs/importing.md shows how to use it.
"""

import argparse
import http.client
import json
import os
import re
import sys
import time
import urllib.parse

MEMBERS = {
    "event_id", "type", "event_name", "timestamp", "anonymous_id", "user_id", "session_id", "schema_version", "properties",
    "traits", "context",
}  # fmt: skip
ATTEMPTS = 10
# Numbers stay text: Python would refuse one with thousands of digits.
decode = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode
skip = re.compile(r"[ \t\r\n,:]*").match


def event_of(line):
    """Returns the line's object with the members a client may send, byte for byte."""
    members, at = [], skip(line, line.index("{") + 1).end()
    while line[at] != "}":
        name, at = decode(line, at)
        start = skip(line, at).end()
        _, at = decode(line, start)
        if name in MEMBERS:
            members.append(f"{json.dumps(name)}:{line[start:at]}")
        at = skip(line, at).end()
    return ("{" + ",".join(members) + "}").encode()


def batches(events, limits):
    """Groups events by the limits of the tenant."""
    batch, size = [], 0
    for event in events:
        # 100 bytes for the rest of the body.
        if batch and (len(batch) == limits["max_batch_events"] or size + len(event) + 100 > limits["max_body_bytes"]):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += len(event) + 1
    if batch:
        yield batch


class Server:
    """A connection that is opened again when it breaks."""

    def __init__(self, url, key):
        self.url, self.connection = urllib.parse.urlsplit(url), None
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def ask(self, method, path, body=None):
        """Returns the response, and asks again after a temporary error. With the same ids, nothing is stored twice."""
        for attempt in range(ATTEMPTS):
            wait, answer = 2**attempt / 10, None
            try:
                if self.connection is None:
                    kind = http.client.HTTPSConnection if self.url.scheme == "https" else http.client.HTTPConnection
                    self.connection = kind(self.url.netloc, timeout=60)
                self.connection.request(method, self.url.path + path, body, self.headers)
                response = self.connection.getresponse()
                answer = response.read().decode()
                # 422: every event of the batch is invalid.
                if response.status in (200, 422):
                    return json.loads(answer)
                if response.status not in (408, 429, 500, 502, 503, 504):
                    sys.exit(f"HTTP {response.status}: {answer}")
                wait = max(wait, float(response.headers.get("Retry-After", 0)))
            except (OSError, http.client.HTTPException) as error:
                self.connection, answer = None, f"{self.url.netloc}: {error}"
            if attempt == ATTEMPTS - 1:
                sys.exit(f"gave up, run the same command again: {answer}")
            print(f"again in {wait:.1f} s: {answer}", file=sys.stderr)
            time.sleep(wait)
        raise AssertionError("every attempt returns or exits")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="base URL of the server (default: %(default)s)")
    arguments = parser.parse_args()
    key = os.environ.get("MERCURIO_API_KEY") or sys.exit("set MERCURIO_API_KEY to an API key with the scope events:write")

    server = Server(arguments.url, key)
    limits = server.ask("GET", "/v1/limits")["limits"]
    total = {"accepted": 0, "duplicates": 0, "rejected": 0}
    lines = open(sys.stdin.fileno(), encoding="utf-8")
    for batch in batches((event_of(line) for line in lines if line.strip()), limits):
        results = server.ask("POST", "/v1/events/batch", b'{"events":[' + b",".join(batch) + b"]}")["results"]
        for result in results:
            verdict = result["status"].replace("duplicate", "duplicates")
            total[verdict] += 1
            if verdict == "rejected":
                print(f"rejected: {json.dumps(result)}", file=sys.stderr)
    print(json.dumps(total))
    sys.exit(1 if total["rejected"] else 0)


if __name__ == "__main__":
    main()
