"""Every form of an OpenMeter event, and the rows they become: those of a CloudEvent."""

from scripts.sdks.cloudevents.mapping import batch, row
from scripts.sdks.events import an_hour_ago, event

__all__ = ["batch", "every_type"]


def every_type(client, step):
    single = event(client, step, 0, name="single", time=an_hour_ago())
    plain = event(client, step, 1, "json", name="plain JSON")
    together = [event(client, step, 2 + number, name=f"{place} of a batch") for number, place in enumerate(("first", "second"))]
    return [(single, row(single)), (plain, row(plain)), (batch(together), None), *((None, row(call)) for call in together)]
