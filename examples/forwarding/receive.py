#!/usr/bin/env python3
"""Receives events of `mercurio-admin events forward`, and stores each once in SQLite: receive.py PORT FILE.

Verifies signatures (Standard Webhooks) with the secrets in MERCURIO_WEBHOOK_SECRET. Needs only Python 3.9 or newer.
docs/forwarding.md shows how to use it.
"""

import base64
import hashlib
import hmac
import json
import os
import sqlite3
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

SECRETS = [base64.b64decode(secret.removeprefix("whsec_")) for secret in os.environ["MERCURIO_WEBHOOK_SECRET"].split()]
TOLERANCE = 300  # seconds between the clocks, at most: an old request must not be replayed
database = sqlite3.connect(sys.argv[2])
database.execute("CREATE TABLE IF NOT EXISTS events (message_id TEXT PRIMARY KEY, event TEXT NOT NULL)")


def is_signed(headers, body):
    sent, signed = headers.get("webhook-timestamp", ""), headers.get("webhook-signature", "").split()
    if not sent.isascii() or not sent.isdigit() or abs(time.time() - int(sent)) > TOLERANCE:
        return False
    content = f"{headers.get('webhook-id')}.{sent}.".encode() + body
    expected = [b"v1," + base64.b64encode(hmac.digest(secret, content, hashlib.sha256)) for secret in SECRETS]
    return any(hmac.compare_digest(one, other.encode()) for one in expected for other in signed)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps the connection open

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        status = 401
        if is_signed(self.headers, body):
            # The same transaction stores an event and finds it again: a batch sent twice changes nothing.
            with database:
                rows = [(event["message_id"], json.dumps(event)) for event in json.loads(body)["events"]]
                database.executemany("INSERT INTO events VALUES (?, ?) ON CONFLICT DO NOTHING", rows)
            status = 204  # after the commit: then the sender goes on
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()


server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
