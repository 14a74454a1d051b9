"""Every type of event of the client of Jitsu, and the rows they become."""

from scripts.sdks.events import ANY, event


def every_type(client, step):
    # Later calls are those of the identified user.
    kinds = {"identify": None, "track": "Order Completed", "page": "Home", "group": None}
    calls = [event(client, step, number, kind, name=name) for number, (kind, name) in enumerate(kinds.items())]
    return [(call, row(call)) for call in calls]


def row(call):
    kind = call["call"]
    payload = "traits" if kind in ("identify", "group") else "properties"
    return {
        "event_id": ANY,
        "type": kind,
        # A page's name is a property, and no name of the event.
        "event_name": call["name"] if kind == "track" else kind,
        "user_id": "user-1",
        "anonymous_id": "anonymous-1",
        payload: call["payload"] if kind != "page" else {**call["payload"], "name": call["name"]},
        "context": {"library": {"name": "@jitsu/js"}, "segment": {"groupId": "g-1" if kind == "group" else None, "writeKey": None}},
    }
