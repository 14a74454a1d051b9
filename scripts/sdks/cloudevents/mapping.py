"""Every form of a CloudEvent, and the rows they become."""

from scripts.sdks.events import DERIVED_BY_SERVER, an_hour_ago, event

TEXT = {"datacontenttype": "text/plain"}
PICTURE = {"datacontenttype": "image/png"}
# No UTF-8.
BYTES, BASE64 = [0, 255, 1], "AP8B"
EXTENSION = {"dataschema": "https://example.com/schema", "partition": "p-1"}


def batch(calls):
    return {"call": "batch", "events": calls}


def every_type(client, step):
    number = iter(range(20))
    cases = []

    def add(kind, name, expected=None, **fields):
        call = event(client, step, next(number), kind, name=name, **fields)
        cases.append((call, row(call, **(expected or {}))))

    for mode in ("binary", "structured"):
        add(mode, f"{mode} object", time=an_hour_ago())
        add(mode, f"{mode} text", {"properties": {"data": "größer"}}, payload="größer", attributes=TEXT)
        add(mode, f"{mode} bytes", {"properties": {"data_base64": BASE64}}, bytes=BYTES, attributes=PICTURE)
        add(mode, f"{mode} umlaut", user="Jürgen")
        add(mode, f"{mode} nobody", {"anonymous_id": "/trial"}, user=None)
        kept = {"dataschema": EXTENSION["dataschema"], "partition": "p-1"}
        add(mode, f"{mode} extension", {"context": {"cloudevents": kept}}, attributes=EXTENSION)
    together = [event(client, step, next(number), name=f"{place} of a batch") for place in ("first", "second")]
    return [*cases, (batch(together), None), *((None, row(call)) for call in together)]


def row(call, **expected):
    return {
        "event_id": DERIVED_BY_SERVER,
        "type": "track",
        "event_name": call["name"],
        "user_id": call["user"],
        "anonymous_id": None,
        "properties": call["payload"],
        "traits": None,
        "context": {"cloudevents": {"id": call["id"], "source": "/trial"}},
        **expected,
    }
