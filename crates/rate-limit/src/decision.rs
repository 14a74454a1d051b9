//! The result of taking tokens, and the response headers made from it
//! (draft-ietf-httpapi-ratelimit-headers).

use mercurio_domain::limits::Bucket;

/// The result of taking tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimitDecision {
    /// Levels of the tenant's buckets after the decision.
    pub state: RateLimitState,
    /// `Err` if a bucket had too few tokens; none was taken from it.
    pub result: Result<(), RateLimitExceeded>,
}

/// A bucket had too few tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimitExceeded {
    /// The bucket with too few tokens.
    pub bucket: BucketName,
    /// Whole seconds until it has enough. At least 1.
    pub retry_after_seconds: u64,
}

/// One of a tenant's buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketName {
    /// Requests that write.
    Requests,
    /// Events.
    Events,
    /// Reads of events.
    Reads,
}

impl BucketName {
    /// Returns the name used in headers, metrics and Redis keys.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Events => "events",
            Self::Reads => "reads",
        }
    }
}

/// The levels of a tenant's buckets. `None`: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimitState {
    /// Level of the bucket of requests.
    pub requests: Option<BucketLevel>,
    /// Level of the bucket of events.
    pub events: Option<BucketLevel>,
    /// Level of this server's bucket of reads.
    pub reads: Option<BucketLevel>,
}

/// The level of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketLevel {
    /// Size and rate.
    pub bucket: Bucket,
    /// Tokens left.
    pub remaining: u32,
}

impl BucketLevel {
    /// Returns the seconds an empty bucket needs to fill up.
    #[must_use]
    pub fn window_seconds(&self) -> u32 {
        self.bucket.burst.div_ceil(self.bucket.per_second)
    }

    /// Returns the seconds until the bucket is full.
    #[must_use]
    pub fn reset_seconds(&self) -> u32 {
        debug_assert!(self.remaining <= self.bucket.burst, "{self:?}");
        self.bucket.burst.saturating_sub(self.remaining).div_ceil(self.bucket.per_second)
    }
}

impl RateLimitState {
    /// Returns the value of `RateLimit-Policy`, or `None` without limits.
    #[must_use]
    pub fn policy(&self) -> Option<String> {
        let mut list = HeaderList::default();
        for (name, level) in self.levels() {
            list.item(name.as_str());
            list.parameter(";q=", level.bucket.burst);
            list.parameter(";w=", level.window_seconds());
        }
        list.finish()
    }

    /// Returns the value of `RateLimit`, or `None` without limits.
    #[must_use]
    pub fn level(&self) -> Option<String> {
        let mut list = HeaderList::default();
        for (name, level) in self.levels() {
            list.item(name.as_str());
            list.parameter(";r=", level.remaining);
            list.parameter(";t=", level.reset_seconds());
        }
        list.finish()
    }

    /// The levels in the headers, which are those of writes.
    fn levels(&self) -> impl Iterator<Item = (BucketName, BucketLevel)> {
        let requests = self.requests.map(|level| (BucketName::Requests, level));
        let events = self.events.map(|level| (BucketName::Events, level));
        requests.into_iter().chain(events)
    }
}

/// A list of strings with parameters (RFC 9651, sections 3.1 and 3.1.2). Every response to a write
/// has two of them, so they are built without `format!`.
#[derive(Default)]
struct HeaderList {
    text: String,
}

impl HeaderList {
    fn item(&mut self, name: &str) {
        if self.text.is_empty() {
            // Most lists of both buckets fit 64 bytes, so they allocate once.
            self.text.reserve(64);
        } else {
            self.text.push_str(", ");
        }
        // The names are constants without quotes and backslashes, so nothing is escaped.
        self.text.push('"');
        self.text.push_str(name);
        self.text.push('"');
    }

    fn parameter(&mut self, name: &str, value: u32) {
        self.text.push_str(name);
        self.text.push_str(itoa::Buffer::new().format(value));
    }

    fn finish(self) -> Option<String> {
        (!self.text.is_empty()).then_some(self.text)
    }
}
