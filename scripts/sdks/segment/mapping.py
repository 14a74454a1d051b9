"""Every type of event of the clients of Segment and RudderStack, and the rows they become."""

from scripts.sdks.events import ANY, an_hour_ago, event

NAMES = {"track": "Order Completed", "page": "Home", "screen": "Main"}


def every_type(client, step):
    kinds = ("track", "identify", "page", "screen", "group", "alias")
    calls = [event(client, step, number, kind, name=NAMES.get(kind), time=an_hour_ago()) for number, kind in enumerate(kinds)]
    return [(call, row(client, call)) for call in calls]


def row(client, call):
    kind = call["call"]
    payload = {"identify": "traits", "group": "traits", "alias": None}.get(kind, "properties")
    kept = {
        "groupId": "g-1" if kind == "group" else None,
        "previousId": "old-1" if kind == "alias" else None,
        "category": "Docs" if kind in ("page", "screen") else None,
        "channel": "server" if client.startswith("rudder") else None,
    }
    return {
        "event_id": call["id"],
        "type": kind,
        "event_name": call["name"] or kind,
        "user_id": "user-1",
        "anonymous_id": "old-1" if kind == "alias" else None,
        "session_id": None,
        "context": {"library": {"name": ANY}, "segment": kept},
        **({payload: call["payload"]} if payload else {}),
    }
