"""Every type of event of the client of Amplitude, and the rows they become."""

from scripts.sdks.events import an_hour_ago, event


def every_type(client, step):
    track = event(client, step, 0, time=an_hour_ago(), attributes={"device_id": "device-1", "session_id": 1764363600000, "platform": "Linux"})
    identify = event(client, step, 1, "identify", name="$identify")
    group = event(client, step, 2, "group", name="$groupidentify")
    set_group = event(client, step, 3, "set group", name="$identify")
    revenue = event(client, step, 4, "revenue", name="revenue_amount")
    return [
        (
            track,
            row(
                track, anonymous_id="device-1", session_id="1764363600000", properties=track["payload"], context={"amplitude": {"platform": "Linux"}}
            ),
        ),
        (identify, row(identify, type="identify", traits=identify["payload"])),
        (group, row(group, type="group", traits=group["payload"], context={"amplitude": {"groups": {"company": "acme"}}})),
        (set_group, row(set_group, type="identify", traits={"company": "acme"})),
        (revenue, row(revenue, properties={**revenue["payload"], "$price": 9.5})),
    ]


def row(call, **expected):
    return {"event_id": call["id"], "type": "track", "event_name": call["name"], "user_id": "user-1", **expected}
