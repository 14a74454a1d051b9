"""Every type of event of the clients of PostHog, and the rows they become."""

import re

from scripts.sdks.events import ANY, an_hour_ago, event

SESSION = "0193a5c0-7a5b-7e7c-9a55-3f0f6b1e2d4c"


def every_type(client, step):
    python = client.startswith("posthog-python")
    number = iter(range(20))
    call = lambda kind, **fields: event(client, step, next(number), kind, **fields)
    payload = {"plan": "pro", "note": "größer"}
    track = call("track", time=an_hour_ago())
    page = call("track", name="$pageview", payload={"$session_id": SESSION, "$window_id": "w-1", "$current_url": "https://example.com/"})
    screen = call("track", name="$screen", payload={"$screen_name": "Main"})
    nobody = call("track", name="Page Seen", user="visitor-1", payload={"$process_person_profile": False})
    exception = call("exception", name="$exception", payload=payload)
    ai = call("ai", name="$ai_generation", payload={"$ai_model": "m-1"})
    group = call("group", name="$groupidentify", payload=payload)
    alias = call("alias", name="$create_alias")
    cases = [
        (track, {"type": "track", "user_id": "user-1", "properties": track["payload"]}),
        (page, {"type": "page", "user_id": "user-1", "session_id": SESSION, "properties": {"$current_url": "https://example.com/"}}),
        (screen, {"type": "screen", "user_id": "user-1", "properties": screen["payload"]}),
        (nobody, {"type": "track", "user_id": None, "anonymous_id": "visitor-1"}),
        (exception, {"type": "track", "user_id": "user-1", "properties": payload}),
        (ai, {"type": "track", "user_id": "user-1", "properties": ai["payload"]}),
        (group, {"type": "group", "user_id": "user-1", "traits": payload, "properties": {"$group_type": "company", "$group_key": "acme"}}),
        # The two clients disagree on which of the two ids is the new one.
        (alias, {"type": "alias", "user_id": "old-1" if python else "user-1", "properties": {"alias": "user-1" if python else "old-1"}}),
    ]
    if python:
        given, once = call("set", name="$set", payload=payload), call("set_once", name="$set_once", payload=payload)
        cases.append((given, {"type": "identify", "user_id": "user-1", "traits": payload}))
        cases.append((once, {"type": "identify", "user_id": "user-1"}))
    else:
        given = call("identify", name="$identify", payload=payload)
        cases.append((given, {"type": "identify", "user_id": "user-1", "traits": payload}))
    # Nothing is stored, and the client reports no error.
    return [*((call, row(client, call, expected)) for call, expected in cases), (call("flags"), None)]


def row(client, call, expected):
    # posthog-node takes ids in two of its methods.
    keeps_id = client.startswith("posthog-python") or call["call"] in ("track", "ai", "exception")
    context = {"context": {"posthog": kept(client, call)}}
    return {"event_id": call["id"] if keeps_id else ANY, "event_name": call["name"], "traits": None, **context, **expected}


def kept(client, call):
    """What the second capture API sends in addition to the properties. Its clients send AI events by the first one."""
    if not client.endswith("v1") or call["call"] == "ai":
        return {"$set_once": call["payload"] if call["call"] == "set_once" else None}
    return {
        "sdk": re.compile(r"posthog-(python|node)/.+"),
        "window_id": call["payload"].get("$window_id"),
        "options": {"process_person_profile": call["payload"].get("$process_person_profile")},
    }
