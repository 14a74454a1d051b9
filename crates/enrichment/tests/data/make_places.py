"""Makes places.mmdb, the small GeoIP database of the tests. Needs `pip install mmdb-writer`.

Run in this directory: python3 make_places.py
"""

from netaddr import IPSet
from mmdb_writer import MMDBWriter

writer = MMDBWriter(
    ip_version=6,
    ipv4_compatible=True,
    database_type="Mercurio-Test-City",
    languages=["en"],
    description="Addresses of documentation (RFC 5737, RFC 3849) in places of our choice",
)
writer.insert_network(
    IPSet(["203.0.113.0/24"]),
    {
        "country": {"iso_code": "CH", "names": {"en": "Switzerland"}},
        "subdivisions": [{"iso_code": "ZH", "names": {"en": "Zurich"}}],
        "city": {"names": {"de": "Zürich", "en": "Zürich"}},
        "location": {"time_zone": "Europe/Zurich"},
    },
)
writer.insert_network(
    IPSet(["2001:db8:1::/48"]),
    {"country": {"iso_code": "JP"}, "location": {"time_zone": "Asia/Tokyo"}},
)
# Records that another kind of database has: members of other types, and other members.
writer.insert_network(IPSet(["198.51.100.0/25"]), {"country": "Switzerland"})
writer.insert_network(IPSet(["198.51.100.128/25"]), {"autonomous_system_organization": "Example"})
writer.to_db_file("places.mmdb")
