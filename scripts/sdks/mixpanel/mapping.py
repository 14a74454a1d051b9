"""Every type of event of the client of Mixpanel, and the rows they become."""

from scripts.sdks.events import ANY, an_hour_ago, event


def batch(calls):
    return {"call": "batch", "events": calls}


def every_type(client, step):
    track = event(client, step, 0, time=an_hour_ago())
    imported = event(client, step, 1, "import", name="imported", time=an_hour_ago())
    people = event(client, step, 2, "people", name="identify")
    group = event(client, step, 3, "group", name="group")
    return [
        (track, row(track, event_id=track["id"], properties=clean(track))),
        (imported, row(imported, event_id=imported["id"], properties=clean(imported))),
        (people, row(people, type="identify", traits=people["payload"])),
        (
            group,
            row(group, type="group", user_id=None, anonymous_id="acme", traits=group["payload"], context={"mixpanel": {"$group_key": "company"}}),
        ),
    ]


def clean(call):
    return {**call["payload"], "token": None, "distinct_id": None, "time": None, "$insert_id": None}


def row(call, **expected):
    return {"event_id": ANY, "type": "track", "event_name": call["name"], "user_id": "user-1", **expected}
