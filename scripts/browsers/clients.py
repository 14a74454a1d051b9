"""The clients for browsers, the calls of each, and the rows that the calls become.

In the expected rows, ANONYMOUS is the visitor's id that the client made, and USER the id that the page gave.
"""

import re
from dataclasses import dataclass, field

ANONYMOUS, USER = "<anonymous>", "<user>"


@dataclass
class Client:
    name: str
    # The page of scripts/browsers/pages.
    page: str
    # Pairs of a call and a part of its row. The client makes events without a call, and some calls make no event.
    calls: list
    # The title of its example in docs/clients.md, and a part of the example's row.
    example: tuple
    # A request that the page can send by itself: path, headers and body, with KEY for the key.
    path: str
    body: dict
    headers: dict = field(default_factory=dict)
    # Options of the page in addition to host and key.
    options: dict = field(default_factory=dict)
    # Whether the page sees that an event is refused.
    reports: bool = True
    # Whether each event has a request of its own.
    is_alone: bool = True
    # Whether the client sends again what was not stored.
    repeats: bool = True
    # Whether it does so only when another event comes.
    waits: bool = False
    # Whether the next page sends what this one could not.
    keeps: bool = False
    # The status over the rate limit.
    limited: int = 429


PAYLOAD = {"price": 9.5, "note": "größer", "nothing": None, "deep": {"list": [1, {"x": "😀"}]}}


def call(kind, name=None, payload=None):
    return {"call": kind, "name": name, "payload": payload}


def row(kind, name, **parts):
    return {"type": kind, "event_name": name, **parts}


SEEN = {"anonymous_id": ANONYMOUS, "user_id": None}
KNOWN = {"anonymous_id": ANONYMOUS, "user_id": USER}

SEGMENT_CONTEXT = {
    "page": {"path": "/segment", "search": "?utm_source=letter", "title": "Größe"},
    "campaign": {"source": "letter"},
    "library": {"name": "analytics.js", "version": "npm:next-1.84.3"},
    "userAgent": re.compile("Chrome"),
}
SEGMENT_ID = re.compile(r"ajs-next-\d+-[0-9a-f-]{36}")
SEGMENT = [
    (call("track", "Visited", PAYLOAD), row("track", "Visited", **SEEN, event_id=SEGMENT_ID, properties=PAYLOAD, context=SEGMENT_CONTEXT)),
    # The client takes the known user for the new id, so the test has none yet.
    (call("alias", "new-1"), row("alias", "alias", anonymous_id=ANONYMOUS, user_id="new-1", context={"segment": {"previousId": "old-1"}})),
    (call("identify", USER, {"plan": "pro"}), row("identify", "identify", **KNOWN, traits={"plan": "pro"}, context=SEGMENT_CONTEXT)),
    (call("track", "Order Completed", PAYLOAD), row("track", "Order Completed", **KNOWN, properties=PAYLOAD)),
    (
        call("page", "Home", PAYLOAD),
        row("page", "Home", **KNOWN, properties={**PAYLOAD, "path": "/segment"}, context={"segment": {"category": "Docs", "name": "Home"}}),
    ),
    (call("screen", "Main", PAYLOAD), row("screen", "Main", **KNOWN, properties=PAYLOAD, context={"segment": {"category": "Docs", "name": "Main"}})),
    (call("group", "g-1", {"size": 4}), row("group", "group", **KNOWN, traits={"size": 4}, context={"segment": {"groupId": "g-1"}})),
]

POSTHOG_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
POSTHOG_PROPERTIES = {"$lib": "web", "$lib_version": "1.449.2", "utm_source": "letter", "$current_url": re.compile("/posthog")}
POSTHOG = [
    (
        call("track", "Visited", PAYLOAD),
        row("track", "Visited", **SEEN, event_id=POSTHOG_ID, session_id=POSTHOG_ID, properties={**PAYLOAD, **POSTHOG_PROPERTIES}),
    ),
    # The page's own event.
    (None, row("page", "$pageview", **SEEN, properties=POSTHOG_PROPERTIES)),
    (
        call("identify", USER, {"plan": "pro"}),
        row("identify", "$identify", **KNOWN, traits={"plan": "pro"}, context={"posthog": {"$set_once": {"first": "letter"}}}),
    ),
    (call("track", "Order Completed", PAYLOAD), row("track", "Order Completed", **KNOWN, session_id=POSTHOG_ID, properties={**PAYLOAD, **POSTHOG_PROPERTIES})),
    (call("set", payload={"plan": "max"}), row("identify", "$set", **KNOWN, traits={"plan": "max"})),
    (call("track", "$screen", {"$screen_name": "Main"}), row("screen", "$screen", **KNOWN, properties={"$screen_name": "Main"})),
    (call("group", "g-1", {"size": 4}), row("group", "$groupidentify", **KNOWN, traits={"size": 4}, properties={"$group_key": "g-1"})),
    (call("alias", "new-1"), row("alias", "$create_alias", **KNOWN, properties={"alias": "new-1"})),
]

RUDDER_CONTEXT = {
    "page": {"path": "/rudder", "title": "Größe"},
    "library": {"name": "RudderLabs JavaScript SDK", "version": "3.34.1", "variant": "bundled"},
    "segment": {"channel": "web", "integrations": {"All": True}},
}
UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
RUDDER = [
    (call("track", "Visited", PAYLOAD), row("track", "Visited", **SEEN, event_id=UUID, session_id=re.compile(r"\d{13}"), properties=PAYLOAD, context=RUDDER_CONTEXT)),
    (call("identify", USER, {"plan": "pro"}), row("identify", "identify", **KNOWN, traits={"plan": "pro"}, context=RUDDER_CONTEXT)),
    (call("track", "Order Completed", PAYLOAD), row("track", "Order Completed", **KNOWN, properties=PAYLOAD)),
    (call("page", "Home", PAYLOAD), row("page", "Home", **KNOWN, properties=PAYLOAD, context={"segment": {"category": "Docs", "name": "Home"}})),
    (call("group", "g-1", {"size": 4}), row("group", "group", **KNOWN, traits={"size": 4}, context={"segment": {"groupId": "g-1"}})),
    (call("alias", "new-1"), row("alias", "alias", anonymous_id=ANONYMOUS, user_id="new-1", context={"segment": {"previousId": "old-1"}})),
]

JITSU_CONTEXT = {"page": {"path": "/jitsu", "title": "Größe"}, "campaign": {"source": "letter"}, "library": {"name": "@jitsu/js", "version": "1.11.0"}}
JITSU_ID = re.compile("^[0-9a-z]{16,}$")
JITSU = [
    (call("track", "Visited", PAYLOAD), row("track", "Visited", **SEEN, event_id=JITSU_ID, properties=PAYLOAD, context=JITSU_CONTEXT)),
    (call("identify", USER, {"plan": "pro"}), row("identify", "identify", **KNOWN, traits={"plan": "pro"}, context=JITSU_CONTEXT)),
    (call("track", "Order Completed", PAYLOAD), row("track", "Order Completed", **KNOWN, properties=PAYLOAD)),
    (call("page", "Home", PAYLOAD), row("page", "page", **KNOWN, properties={**PAYLOAD, "name": "Home"})),
    (call("group", "g-1", {"size": 4}), row("group", "group", anonymous_id=ANONYMOUS, traits={"size": 4}, context={"segment": {"groupId": "g-1"}})),
]

SNOWPLOW_CONTEXT = {"page": {"url": re.compile("/snowplow")}, "snowplow": {"aid": "page", "tna": "page", "tv": "js-4.10.1", "res": "1280x720"}}
SNOWPLOW = [
    (call("track", "Visited", PAYLOAD), row("track", "Visited", **SEEN, event_id=UUID, session_id=UUID, properties=PAYLOAD, context=SNOWPLOW_CONTEXT)),
    (call("identify", USER), None),
    (call("track", "Order Completed", PAYLOAD), row("track", "Order_Completed", **KNOWN, properties=PAYLOAD)),
    (call("struct", "play"), row("track", "play", **KNOWN, properties={"category": "Docs", "label": "more", "property": "size", "value": 9.5})),
    (call("page", "Home"), row("page", "page", **KNOWN, context={"page": {"title": "Home"}})),
]

SEGMENT_BODY = {"writeKey": "KEY", "type": "track", "event": "Asked", "anonymousId": "page"}
POSTHOG_BODY = {"api_key": "KEY", "batch": [{"event": "Asked", "properties": {"distinct_id": "page"}}]}
SNOWPLOW_BODY = {
    "schema": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4",
    "data": [{"e": "pv", "eid": "3e7ae1c6-9d0d-4b9c-8a53-0b4d7ec3ef6f", "duid": "page", "p": "web", "tv": "js-4.10.1"}],
}
ORDER = row("track", "Order Completed", properties={"price": 9.5})
BEARER = {"Authorization": "Bearer KEY"}

CLIENTS = [
    Client("segment", "segment", SEGMENT, ("segment", ORDER), "/v1/t", SEGMENT_BODY, keeps=True),
    Client("segment-batching", "segment", SEGMENT, ("segment", ORDER), "/v1/t", SEGMENT_BODY, options={"batching": True}, reports=False, is_alone=False),
    Client("posthog", "posthog", POSTHOG, ("posthog", ORDER), "/e/", POSTHOG_BODY, is_alone=False, limited=503),
    Client("rudder", "rudder", RUDDER, ("rudderstack", ORDER), "/v1/track", SEGMENT_BODY, reports=False, keeps=True),
    Client("jitsu", "jitsu", JITSU, ("jitsu", ORDER), "/api/s/track", SEGMENT_BODY, repeats=False),
    Client("snowplow", "snowplow", SNOWPLOW, ("snowplow", row("page", "page")), "/com.snowplowanalytics.snowplow/tp2", SNOWPLOW_BODY, BEARER, is_alone=False, waits=True, keeps=True),
]


def differences(expected, found, path=""):
    """Returns where `found` lacks a part of `expected`."""
    if isinstance(expected, re.Pattern):
        return [] if isinstance(found, str) and expected.search(found) else [f"{path}: {found!r} is not like {expected.pattern}"]
    if isinstance(expected, dict) and isinstance(found, dict):
        parts = [differences(value, found.get(name), f"{path}.{name}") for name, value in expected.items()]
        return [part for found in parts for part in found]
    return [] if expected == found else [f"{path}: {found!r} is not {expected!r}"]


def filled(value, anonymous, user):
    """Returns rows or calls with a visitor's ids."""
    if isinstance(value, list):
        return [filled(part, anonymous, user) for part in value]
    if isinstance(value, dict):
        return {name: filled(part, anonymous, user) for name, part in value.items()}
    return {ANONYMOUS: anonymous, USER: user}.get(value, value) if isinstance(value, str) else value
