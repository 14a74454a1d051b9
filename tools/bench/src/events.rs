//! Bodies of requests with fresh events: new ids, the present time, about 410 bytes each.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use mercurio_domain::Clock;
use mercurio_domain::ids::IdGenerator;
use mercurio_runtime::system::{SystemClock, UuidV7Ids};
use uuid::Uuid;

/// The kind of event ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ids {
    /// UUIDs of version 4.
    Random,
    /// UUIDs of version 7: ordered in time.
    Ordered,
    /// Text with a prefix, not a UUID.
    Text,
}

/// The wire format of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// This server's own API.
    Own,
    /// That of Segment's server clients, with everything that they add.
    Segment,
}

impl Wire {
    /// Returns the path of its batches.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Own => "/v1/events/batch",
            Self::Segment => "/v1/batch",
        }
    }
}

/// A random generator too cheap to affect the figures (xorshift64*, Marsaglia and Vigna).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The same numbers for the same seed.
    fn seeded(seed: u64) -> Self {
        // The golden ratio spreads small seeds; the lowest bit excludes zero, a fixed point of
        // xorshift.
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Other numbers in every run.
    pub(crate) fn fresh(seed: u64) -> Self {
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        let mut random = Self::seeded(seed ^ now);
        // The first number still resembles the seed.
        random.number();
        random
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Returns a number below `bound`, which is positive.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // The bias of the remainder is negligible for bounds far below 2^64.
        self.number() % bound
    }

    pub(crate) fn uuid(&mut self, ids: Ids) -> Uuid {
        let random = (u128::from(self.number()) << 64) | u128::from(self.number());
        match ids {
            Ids::Ordered => UuidV7Ids.next_uuid(),
            Ids::Random | Ids::Text => {
                uuid::Builder::from_random_bytes(random.to_be_bytes()).into_uuid()
            }
        }
    }
}

/// The form of a case's requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Events per request.
    pub(crate) batch: usize,
    pub(crate) ids: Ids,
    /// Events with an id sent before, in percent.
    pub(crate) duplicates_percent: u64,
    /// Additional bytes in each event's properties.
    pub(crate) padding_bytes: usize,
    /// Whether bodies are compressed.
    pub(crate) gzip: bool,
    pub(crate) wire: Wire,
}

impl Shape {
    /// Random ids, no duplicates, no padding, no compression, this server's own API.
    pub(crate) fn plain(batch: usize) -> Self {
        Self {
            batch,
            ids: Ids::Random,
            duplicates_percent: 0,
            padding_bytes: 0,
            gzip: false,
            wire: Wire::Own,
        }
    }
}

/// Makes the bodies of one connection.
#[derive(Debug)]
pub(crate) struct Bodies {
    shape: Shape,
    random: Random,
    /// Ids to repeat. Up to [`RECENT`] ids that this connection has sent.
    recent: Vec<Uuid>,
    padding: Vec<u8>,
    plain: Vec<u8>,
}

const RECENT: usize = 2_000;

impl Bodies {
    /// Each `seed` makes other bodies.
    pub(crate) fn new(shape: Shape, seed: u64) -> Self {
        let padding = vec![b'x'; shape.padding_bytes];
        Self { shape, random: Random::fresh(seed), recent: Vec::new(), padding, plain: Vec::new() }
    }

    fn id(&mut self) -> Uuid {
        // Only ids of this connection: no two connections race for one id.
        if !self.recent.is_empty() && self.random.below(100) < self.shape.duplicates_percent {
            let index = self.random.below(self.recent.len() as u64) as usize;
            return self.recent[index];
        }
        let id = self.random.uuid(self.shape.ids);
        if self.shape.duplicates_percent > 0 {
            if self.recent.len() < RECENT {
                self.recent.push(id);
            } else {
                // A random slot gives repeated ids of every age.
                let index = self.random.below(RECENT as u64) as usize;
                self.recent[index] = id;
            }
        }
        id
    }

    /// Replaces the content of `body` by a new request body.
    pub(crate) fn write(&mut self, body: &mut Vec<u8>) {
        body.clear();
        if !self.shape.gzip {
            return self.write_plain(body);
        }
        let mut plain = std::mem::take(&mut self.plain);
        plain.clear();
        self.write_plain(&mut plain);
        // The fastest level keeps the client's CPU time low.
        let mut encoder = GzEncoder::new(std::mem::take(body), Compression::fast());
        // Writing into memory cannot fail.
        encoder.write_all(&plain).ok();
        *body = encoder.finish().unwrap_or_default();
        self.plain = plain;
    }

    /// Concatenates prepared pieces. Formatting each event would cost as much as the server's own
    /// work on it.
    fn write_plain(&mut self, body: &mut Vec<u8>) {
        let now = SystemClock.now().to_string();
        let prefix: &[u8] = if self.shape.ids == Ids::Text { b"order/" } else { b"" };
        let names = match self.shape.wire {
            Wire::Own => &OWN,
            Wire::Segment => &SEGMENT,
        };
        body.extend_from_slice(names.start);
        for index in 0..self.shape.batch {
            if index > 0 {
                body.push(b',');
            }
            let mut buffer = Uuid::encode_buffer();
            let id = self.id();
            for part in [
                names.event_id,
                prefix,
                id.hyphenated().encode_lower(&mut buffer).as_bytes(),
                names.event,
                now.as_bytes(),
                names.user_id,
            ] {
                body.extend_from_slice(part);
            }
            digits(body, self.random.below(100_000));
            body.extend_from_slice(b"\",\"properties\":{\"order\":");
            digits(body, self.random.below(1_000_000));
            body.extend_from_slice(
                b",\"total\":129.90,\"currency\":\"EUR\",\"items\":3,\"coupon\":null,\"express\":true,\"note\":\"",
            );
            body.extend_from_slice(&self.padding);
            body.extend_from_slice(b"\"}");
            body.extend_from_slice(names.session_id);
            digits(body, self.random.below(100_000));
            body.extend_from_slice(names.end_of_event);
        }
        body.extend_from_slice(b"]}");
    }
}

/// The pieces of a body around its variable values.
struct Pieces {
    start: &'static [u8],
    event_id: &'static [u8],
    event: &'static [u8],
    user_id: &'static [u8],
    session_id: &'static [u8],
    end_of_event: &'static [u8],
}

const OWN: Pieces = Pieces {
    start: b"{\"events\":[",
    event_id: b"{\"event_id\":\"",
    event: b"\",\"type\":\"track\",\"event_name\":\"order_completed\",\"timestamp\":\"",
    user_id: b"\",\"user_id\":\"user-",
    session_id: b",\"session_id\":\"session-",
    end_of_event:
        b"\",\"context\":{\"app\":{\"name\":\"shop\",\"version\":\"4.2.1\"},\"locale\":\"de-DE\",\
                    \"screen\":{\"width\":1179,\"height\":2556}}}",
};

const SEGMENT: Pieces = Pieces {
    start: b"{\"sentAt\":null,\"batch\":[",
    event_id: b"{\"messageId\":\"",
    event: b"\",\"type\":\"track\",\"event\":\"order_completed\",\"anonymousId\":null,\"integrations\":{},\"timestamp\":\"",
    user_id: b"\",\"userId\":\"user-",
    session_id: b",\"context\":{\"sessionId\":\"session-",
    end_of_event: b"\",\"app\":{\"name\":\"shop\",\"version\":\"4.2.1\"},\"locale\":\"de-DE\",\
                    \"screen\":{\"width\":1179,\"height\":2556},\
                    \"library\":{\"name\":\"analytics-python\",\"version\":\"2.4.0\"}}}",
};

fn digits(body: &mut Vec<u8>, mut number: u64) {
    // `u64::MAX` has 20 digits.
    let mut buffer = [0; 20];
    let mut at = buffer.len();
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
        Shape { duplicates_percent, ..Shape::plain(50) }
    }

    #[test]
    fn bodies_are_json_with_a_batch_of_distinct_events() {
        let mut body = Vec::new();
        for ids in [Ids::Random, Ids::Ordered, Ids::Text] {
            Bodies::new(Shape { ids, ..shape(0) }, 1).write(&mut body);
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let events = json["events"].as_array().unwrap();
            let distinct: std::collections::HashSet<_> =
                events.iter().map(|event| &event["event_id"]).collect();
            assert_eq!((events.len(), distinct.len()), (50, 50));
            // An event has about 410 bytes.
            assert!((350..500).contains(&(body.len() / 50)), "{}", body.len() / 50);
        }
    }

    #[test]
    fn both_wires_carry_the_same_events() {
        let [own, segment] = [Wire::Own, Wire::Segment].map(|wire| {
            let mut body = Vec::new();
            Bodies::new(Shape { wire, ..shape(0) }, 1).write(&mut body);
            serde_json::from_slice::<serde_json::Value>(&body).unwrap()
        });
        let (own, segment) = (&own["events"], &segment["batch"]);
        assert_eq!((own.as_array().unwrap().len(), segment.as_array().unwrap().len()), (50, 50));
        for (name, foreign) in
            [("event_id", "messageId"), ("event_name", "event"), ("user_id", "userId")]
        {
            assert!(own[49][name].is_string() && segment[49][foreign].is_string(), "{name}");
        }
        assert!(segment[49]["context"]["sessionId"].is_string());
        assert_eq!(segment[49]["context"]["screen"], own[49]["context"]["screen"]);
        assert_eq!(names(&segment[49]["properties"]), names(&own[49]["properties"]));
    }

    fn names(object: &serde_json::Value) -> Vec<&String> {
        object.as_object().unwrap().keys().collect()
    }

    #[test]
    fn compressed_body_contains_the_same_json() {
        let mut body = Vec::new();
        Bodies::new(Shape { gzip: true, ..shape(0) }, 1).write(&mut body);
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&*body).read_to_end(&mut plain).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&plain).unwrap();
        assert_eq!(json["events"].as_array().unwrap().len(), 50);
        assert!(body.len() < plain.len() / 2);
    }

    #[test]
    fn ids_repeat_at_about_the_requested_rate() {
        let mut bodies = Bodies::new(shape(50), 1);
        let ids: Vec<_> = (0..10_000).map(|_| bodies.id()).collect();
        let distinct: std::collections::HashSet<_> = ids.iter().collect();
        // 5,000 expected; the deviation is 50.
        assert!((4_500..5_500).contains(&distinct.len()), "{}", distinct.len());
    }

    #[test]
    fn digits_are_decimal() {
        let mut text = Vec::new();
        for number in [0, 9, 10, 12_345, u64::MAX] {
            digits(&mut text, number);
            text.push(b' ');
        }
        assert_eq!(text, format!("0 9 10 12345 {} ", u64::MAX).as_bytes());
    }
}
