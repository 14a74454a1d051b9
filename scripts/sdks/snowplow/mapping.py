"""Every type of event of the trackers of Snowplow, and the rows they become."""

from scripts.sdks.events import ANY, an_hour_ago, event


def every_type(client, step):
    node = client == "snowplow-node"
    track = event(client, step, 0, name="order_completed", **({"time": an_hour_ago()} if node else {}))
    structured = event(client, step, 1, "structured", name="add-to-basket")
    page = event(client, step, 2, "page", name="Home")
    ping = event(client, step, 3, "ping", name="Home")
    screen = event(client, step, 4, "screen", name="Main")
    return [
        (track, row(track, properties=track["payload"])),
        (structured, row(structured, properties={"category": "shop", "label": "label-1", "property": "property-1"})),
        (page, row(page, type="page", event_name="page", context={"page": {"title": "Home"}})),
        (ping, row(ping, event_name="page_ping")),
        (screen, row(screen, event_name="screen_view", properties={"name": "Main"})),
    ]


def row(call, **expected):
    return {"event_id": ANY, "type": "track", "event_name": call["name"], "user_id": "user-1", "traits": None, **expected}
