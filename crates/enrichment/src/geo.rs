//! Where an address is, by a database in MaxMind's format (GeoIP2, GeoLite2, DB-IP and others with the same members).

use std::fmt;
use std::net::IpAddr;

use maxminddb::{Reader, geoip2};
use mercurio_domain::enrichment::Geo;

/// A database of places of addresses, in memory.
pub struct GeoDatabase(Reader<Vec<u8>>);

/// Some bytes are no database in MaxMind's format.
#[derive(Debug, thiserror::Error)]
#[error("not a GeoIP database in MaxMind's format")]
pub struct GeoDatabaseError(#[source] maxminddb::MaxMindDbError);

impl GeoDatabase {
    /// Takes the bytes of an `.mmdb` file. Reading the file is the caller's, and so is the time that it takes.
    ///
    /// # Errors
    /// [`GeoDatabaseError`] where the bytes have another format.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, GeoDatabaseError> {
        Reader::from_source(bytes).map(Self).map_err(GeoDatabaseError)
    }

    /// What the file calls itself, such as `GeoLite2-City`: for a line in the log.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.0.metadata().database_type
    }

    /// When the file was made, in seconds since 1970: for a line in the log, since places move.
    #[must_use]
    pub fn built_at_seconds(&self) -> u64 {
        self.0.metadata().build_epoch
    }

    /// The place of `address`. An IPv4 address in the clothes of IPv6 is looked up as one of IPv4.
    ///
    /// `None` where the database does not know it, or its record has none of the members that are looked for.
    #[must_use]
    pub fn lookup(&self, address: IpAddr) -> Option<Geo> {
        let found = self.0.lookup(address.to_canonical()).ok()?;
        let city = found.decode::<geoip2::City<'_>>().ok()??;
        let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let geo = Geo {
            country: text(city.country.iso_code),
            region: text(city.subdivisions.first().and_then(|region| region.names.english)),
            city: text(city.city.names.english),
            time_zone: text(city.location.time_zone),
        };
        (geo != Geo::default()).then_some(geo)
    }
}

impl fmt::Debug for GeoDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GeoDatabase({})", self.kind())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by tests/data/make_places.py.
    const PLACES: &[u8] = include_bytes!("../tests/data/places.mmdb");

    fn check(address: &str, expected: Option<[Option<&str>; 4]>) {
        let database = GeoDatabase::from_bytes(PLACES.to_vec()).unwrap();
        let expected = expected.map(|[country, region, city, time_zone]| {
            let text = |text: Option<&str>| text.map(str::to_owned);
            Geo {
                country: text(country),
                region: text(region),
                city: text(city),
                time_zone: text(time_zone),
            }
        });
        assert_eq!(database.lookup(address.parse().unwrap()), expected, "{address}");
    }

    #[test]
    fn an_address_has_the_place_that_the_database_gives_it() {
        let zurich = Some([Some("CH"), Some("Zurich"), Some("Zürich"), Some("Europe/Zurich")]);
        check("203.0.113.77", zurich);
        check("::ffff:203.0.113.77", zurich);
        check("2001:db8:1::7", Some([Some("JP"), None, None, Some("Asia/Tokyo")]));
    }

    #[test]
    fn an_address_without_a_place_has_none() {
        for address in
            ["192.0.2.1", "127.0.0.1", "::1", "2001:db8:2::1", "198.51.100.1", "198.51.100.129"]
        {
            check(address, None);
        }
    }

    #[test]
    fn bytes_of_another_format_are_refused() {
        for bytes in [Vec::new(), b"not a database".to_vec(), PLACES[..PLACES.len() / 2].to_vec()] {
            assert!(GeoDatabase::from_bytes(bytes).is_err());
        }
        let database = GeoDatabase::from_bytes(PLACES.to_vec()).unwrap();
        assert_eq!(database.kind(), "Mercurio-Test-City");
        assert!(database.built_at_seconds() > 0);
    }
}
