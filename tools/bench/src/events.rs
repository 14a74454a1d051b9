//! Events that are fresh each time: new ids, the present time, about 450 bytes as a real one has.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use mercurio_domain::Timestamp;
use mercurio_domain::ids::IdGenerator;
use mercurio_runtime::system::UuidV7Ids;
use uuid::Uuid;

/// What kind of ids the events have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// Random UUIDs of version 4.
    Random,
    /// UUIDs of version 7: ordered in time.
    Ordered,
    /// A text that is no UUID.
    Text,
}

/// A generator of random numbers that costs nothing beside what is measured (xorshift64*, Marsaglia and Vigna).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator; each seed gives other numbers.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A generator that no other run repeats.
    #[must_use]
    pub fn fresh(seed: u64) -> Self {
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        let mut random = Self::seeded(seed ^ now);
        random.number();
        random
    }

    /// A number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound.max(1)
    }

    /// A UUID of that kind.
    pub fn uuid(&mut self, ids: Ids) -> Uuid {
        let random = (u128::from(self.number()) << 64) | u128::from(self.number());
        match ids {
            Ids::Ordered => UuidV7Ids.next_uuid(),
            Ids::Random | Ids::Text => {
                uuid::Builder::from_random_bytes(random.to_be_bytes()).into_uuid()
            }
        }
    }
}

/// How the events of a case are made.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Events of a request.
    pub batch: usize,
    /// The ids.
    pub ids: Ids,
    /// How many in a hundred repeat an id that was sent before.
    pub duplicates_percent: u64,
    /// Further bytes of each event's properties.
    pub padding_bytes: usize,
    /// Whether bodies are compressed.
    pub gzip: bool,
}

/// Makes the bodies of requests. One for each connection.
#[derive(Debug)]
pub struct Bodies {
    shape: Shape,
    random: Random,
    recent: Vec<Uuid>,
    padding: Vec<u8>,
    plain: Vec<u8>,
}

/// Ids that may be repeated: those that this connection sent, and got an answer for, in its last requests.
const RECENT: usize = 2_000;

impl Bodies {
    /// Bodies of that shape; each `seed` makes others.
    #[must_use]
    pub fn new(shape: Shape, seed: u64) -> Self {
        let padding = vec![b'x'; shape.padding_bytes];
        Self { shape, random: Random::fresh(seed), recent: Vec::new(), padding, plain: Vec::new() }
    }

    fn id(&mut self) -> Uuid {
        if !self.recent.is_empty() && self.random.below(100) < self.shape.duplicates_percent {
            let place = self.random.below(self.recent.len() as u64) as usize;
            return self.recent[place];
        }
        let id = self.random.uuid(self.shape.ids);
        if self.shape.duplicates_percent > 0 {
            if self.recent.len() < RECENT {
                self.recent.push(id);
            } else {
                let place = self.random.below(RECENT as u64) as usize;
                self.recent[place] = id;
            }
        }
        id
    }

    /// Writes a new body into `body`.
    pub fn write(&mut self, body: &mut Vec<u8>) {
        body.clear();
        if !self.shape.gzip {
            return self.write_plain(body);
        }
        let mut plain = std::mem::take(&mut self.plain);
        plain.clear();
        self.write_plain(&mut plain);
        let mut encoder = GzEncoder::new(std::mem::take(body), Compression::fast());
        // Writing into memory has no way to fail.
        encoder.write_all(&plain).ok();
        *body = encoder.finish().unwrap_or_default();
        self.plain = plain;
    }

    /// Puts the body together from pieces: formatting each event anew would cost as much as the server's work on it.
    fn write_plain(&mut self, body: &mut Vec<u8>) {
        let micros = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_micros() as i64);
        let now = Timestamp::from_micros(micros).map(|now| now.to_string()).unwrap_or_default();
        let prefix: &[u8] = if self.shape.ids == Ids::Text { b"order/" } else { b"" };
        body.extend_from_slice(b"{\"events\":[");
        for index in 0..self.shape.batch {
            if index > 0 {
                body.push(b',');
            }
            let mut buffer = Uuid::encode_buffer();
            let id = self.id();
            for part in [
                b"{\"event_id\":\"",
                prefix,
                id.hyphenated().encode_lower(&mut buffer).as_bytes(),
                b"\",\"type\":\"track\",\"event_name\":\"order_completed\",\"timestamp\":\"",
                now.as_bytes(),
                b"\",\"user_id\":\"user-",
            ] {
                body.extend_from_slice(part);
            }
            digits(body, self.random.below(100_000));
            body.extend_from_slice(b"\",\"session_id\":\"session-");
            digits(body, self.random.below(100_000));
            body.extend_from_slice(b"\",\"properties\":{\"order\":");
            digits(body, self.random.below(1_000_000));
            body.extend_from_slice(
                b",\"total\":129.90,\"currency\":\"EUR\",\"items\":3,\"coupon\":null,\"express\":true,\"note\":\"",
            );
            body.extend_from_slice(&self.padding);
            body.extend_from_slice(
                b"\"},\"context\":{\"app\":{\"name\":\"shop\",\"version\":\"4.2.1\"},\"locale\":\"de-DE\",\
                  \"screen\":{\"width\":1179,\"height\":2556}}}",
            );
        }
        body.extend_from_slice(b"]}");
    }
}

fn digits(body: &mut Vec<u8>, mut number: u64) {
    let (mut buffer, mut at) = ([0; 20], 20);
    loop {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    body.extend_from_slice(&buffer[at..]);
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn shape(duplicates_percent: u64) -> Shape {
        Shape { batch: 50, ids: Ids::Random, duplicates_percent, padding_bytes: 0, gzip: false }
    }

    #[test]
    fn bodies_are_json_with_as_many_events_as_asked_for() {
        let mut body = Vec::new();
        for ids in [Ids::Random, Ids::Ordered, Ids::Text] {
            Bodies::new(Shape { ids, ..shape(0) }, 1).write(&mut body);
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let events = json["events"].as_array().unwrap();
            let distinct: std::collections::HashSet<_> =
                events.iter().map(|event| &event["event_id"]).collect();
            assert_eq!((events.len(), distinct.len()), (50, 50));
            assert!((350..500).contains(&(body.len() / 50)), "{}", body.len() / 50);
        }
    }

    #[test]
    fn a_compressed_body_is_the_same_json() {
        let mut body = Vec::new();
        Bodies::new(Shape { gzip: true, ..shape(0) }, 1).write(&mut body);
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&*body).read_to_end(&mut plain).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&plain).unwrap();
        assert_eq!(json["events"].as_array().unwrap().len(), 50);
        assert!(body.len() < plain.len() / 2);
    }

    #[test]
    fn about_as_many_ids_repeat_as_asked_for() {
        let mut bodies = Bodies::new(shape(50), 1);
        let ids: Vec<_> = (0..10_000).map(|_| bodies.id()).collect();
        let distinct: std::collections::HashSet<_> = ids.iter().collect();
        assert!((4_500..5_500).contains(&distinct.len()), "{}", distinct.len());
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        let mut text = Vec::new();
        for number in [0, 9, 10, 12_345, u64::MAX] {
            digits(&mut text, number);
            text.push(b' ');
        }
        assert_eq!(text, format!("0 9 10 12345 {} ", u64::MAX).as_bytes());
    }
}
