"""Every form of an event of OpenTelemetry, and the rows they become."""

from scripts.sdks.events import DERIVED_BY_SERVER, an_hour_ago, event


def every_type(client, step):
    event_log = event(client, step, 0, time=an_hour_ago())
    session = event(client, step, 1, name="session", payload={"session.id": "s-1", "plan": "pro"})
    nobody = event(client, step, 2, name="nobody", user=None)
    body = event(client, step, 3, name="body", body={"text": "größer", "parts": [1, 2]})
    return [
        (event_log, row(event_log, properties=event_log["payload"])),
        (session, row(session, session_id="s-1", properties={"plan": "pro"})),
        (nobody, row(nobody, anonymous_id="shop-1", properties=nobody["payload"])),
        (body, row(body, properties={**body["payload"], "body": body["body"]})),
    ]


def row(call, **expected):
    return {
        "event_id": DERIVED_BY_SERVER,
        "type": "track",
        "event_name": call["name"],
        "user_id": call["user"],
        "anonymous_id": None,
        "session_id": None,
        "traits": None,
        "context": {"otlp": {"resource": {"attributes": {"service.name": "shop"}}}},
        **expected,
    }
