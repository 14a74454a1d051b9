//! Locations of addresses, from a database in MaxMind's format (GeoIP2, GeoLite2, DB-IP and others with the same members).

use std::fmt;
use std::net::IpAddr;

use maxminddb::{Reader, geoip2};
use mercurio_domain::enrichment::Geo;

/// A GeoIP database in memory.
pub struct GeoDatabase(Reader<Vec<u8>>);

/// The bytes are not a database in MaxMind's format.
#[derive(Debug, thiserror::Error)]
#[error("not a GeoIP database in MaxMind's format")]
pub struct GeoDatabaseError(#[source] maxminddb::MaxMindDbError);

impl GeoDatabase {
    /// Takes the bytes of an `.mmdb` file.
    ///
    /// # Errors
    /// [`GeoDatabaseError`] for another format.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, GeoDatabaseError> {
        Reader::from_source(bytes).map(Self).map_err(GeoDatabaseError)
    }

    /// The type the file names itself, such as `GeoLite2-City`, for the log.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.0.metadata().database_type
    }

    /// Time of the file's creation in seconds since 1970, for the log: an old file has outdated locations.
    #[must_use]
    pub fn built_at_seconds(&self) -> u64 {
        self.0.metadata().build_epoch
    }

    /// Returns the location of `address`. An IPv4-mapped address is looked up as IPv4.
    ///
    /// `None` for an unknown address or a record without any of our members.
    #[must_use]
    pub fn lookup(&self, address: IpAddr) -> Option<Geo> {
        // A damaged record counts as an unknown address: enrichment never fails an event.
        let found = self.0.lookup(address.to_canonical()).ok()?;
        let city = found.decode::<geoip2::City<'_>>().ok()??;
        // Some databases have empty names.
        let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let geo = Geo {
            country: text(city.country.iso_code),
            // Names exist in several languages; one of them keeps values comparable.
            region: text(city.subdivisions.first().and_then(|region| region.names.english)),
            city: text(city.city.names.english),
            time_zone: text(city.location.time_zone),
        };
        // A record without our members adds nothing, not even an empty object.
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

    #[track_caller]
    fn check(address: &str, expected: Option<Geo>) {
        let database = GeoDatabase::from_bytes(PLACES.to_vec()).unwrap();
        assert_eq!(database.lookup(address.parse().unwrap()), expected, "{address}");
    }

    #[test]
    fn address_has_the_location_of_its_network() {
        let zurich = Geo {
            country: Some("CH".into()),
            region: Some("Zurich".into()),
            city: Some("Zürich".into()),
            time_zone: Some("Europe/Zurich".into()),
        };
        let japan = Geo {
            country: Some("JP".into()),
            time_zone: Some("Asia/Tokyo".into()),
            ..Geo::default()
        };
        check("203.0.113.77", Some(zurich.clone()));
        check("::ffff:203.0.113.77", Some(zurich));
        check("2001:db8:1::7", Some(japan));
    }

    #[test]
    fn address_without_a_location_has_none() {
        // Unknown addresses, and the records of another form in make_places.py.
        for address in
            ["192.0.2.1", "127.0.0.1", "::1", "2001:db8:2::1", "198.51.100.1", "198.51.100.129"]
        {
            check(address, None);
        }
    }

    #[test]
    fn bytes_of_another_format_are_refused() {
        // Half a file has lost the metadata at its end.
        for bytes in [Vec::new(), b"not a database".to_vec(), PLACES[..PLACES.len() / 2].to_vec()] {
            assert!(GeoDatabase::from_bytes(bytes).is_err());
        }
        let database = GeoDatabase::from_bytes(PLACES.to_vec()).unwrap();
        assert_eq!(database.kind(), "Mercurio-Test-City");
        assert!(database.built_at_seconds() > 0);
    }
}
