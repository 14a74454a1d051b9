"""Rules of the API for schemathesis beyond JSON Schema."""

import base64
import datetime
import gzip
import json
import re
import zlib

import schemathesis
from hypothesis import strategies as st

NOW = datetime.datetime.now(datetime.timezone.utc)
VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+([+-].*)?")


def time(seconds: int, micros: int) -> str:
    """A time within the last minutes, so correction by `sent_at` also stays in the accepted window."""
    moment = NOW - datetime.timedelta(seconds=seconds, microseconds=micros)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def cursors(version: int):
    """Cursors in the server's format, of events (1) or of rejected events (9); the server refuses any other text."""

    def cursor(micros: int, key: bytes) -> str:
        position = bytes([version]) + micros.to_bytes(8, "big", signed=True) + key
        return base64.urlsafe_b64encode(position).rstrip(b"=").decode()

    return st.just("") | st.builds(cursor, st.integers(-(10**15), 10**16), st.binary(min_size=16, max_size=16))


schemathesis.openapi.format("date-time", st.builds(time, st.integers(0, 120), st.integers(0, 999_999)))
schemathesis.openapi.format("mercurio-cursor", cursors(1))
schemathesis.openapi.format("mercurio-rejections-cursor", cursors(9))
# Of the feed. Others are refused, because they belong to another workspace.
schemathesis.openapi.format("mercurio-feed-cursor", st.sampled_from(["", "now"]))


# Encodings of Python's standard library. The server's tests cover the others.
CODERS = {None: bytes, "identity": bytes, "gzip": gzip.compress, "deflate": zlib.compress}


@schemathesis.serializer("application/json")
def body(context, value):
    """JSON, compressed as the request declares."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return CODERS.get(coding(context.case), bytes)(text)


def coding(case):
    return (case.headers or {}).get("Content-Encoding")


def without_nul(value):
    """A payload without U+0000, which the document forbids in text: its schema is any object."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [without_nul(item) for item in value]
    if isinstance(value, dict):
        return {without_nul(name): without_nul(member) for name, member in value.items()}
    return value


@schemathesis.hook
def map_body(context, body):
    """Removes U+0000 from the payloads of all events."""
    events = body.get("events") if isinstance(body, dict) else None
    for event in events if isinstance(events, list) else [body]:
        if isinstance(event, dict):
            for name in {"properties", "traits", "context"} & event.keys():
                event[name] = without_nul(event[name])
    return body


# First byte of a cursor, by order and direction.
CURSOR_VERSIONS = {
    ("occurred", "desc"): b"\x01",
    ("occurred", "asc"): b"\x03",
    ("received", "desc"): b"\x04",
    ("received", "asc"): b"\x05",
}


@schemathesis.hook
def map_query(context, query):
    """Orders lower bounds before upper ones, and gives the cursor the order of the query."""
    for lower, upper in (("from", "to"), ("received_from", "received_to")):
        if query and isinstance(query.get(lower), str) and isinstance(query.get(upper), str):
            query[lower], query[upper] = sorted((query[lower], query[upper]))
    text = query.get("cursor") if query else None
    # 25 bytes in Base64.
    if isinstance(text, str) and len(text) == 34:
        sort = (query.get("order", "occurred"), query.get("direction", "desc"))
        try:
            decoded = base64.urlsafe_b64decode(text + "==")
        except ValueError:
            return query
        if decoded[:1] not in CURSOR_VERSIONS.values():
            return query
        version = CURSOR_VERSIONS.get(sort, decoded[:1])
        query["cursor"] = base64.urlsafe_b64encode(version + decoded[1:]).rstrip(b"=").decode()
    return query


@schemathesis.hook
def filter_case(context, case):
    """Skips encodings unavailable in Python, an empty one, which counts as none, and invalid versions in positive cases:
    schemathesis 4.32 ignores the header's pattern when it combines parameters."""
    if coding(case) in ("br", "zstd", ""):
        return False
    version = (case.headers or {}).get("X-Event-Schema-Version")
    positive = case.meta is not None and case.meta.generation.mode.is_positive
    return not (positive and isinstance(version, str) and not VERSION.fullmatch(version))
