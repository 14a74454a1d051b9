//! Names that clients send in place of the members of an event or a batch.
//!
//! Most are the words of Segment, RudderStack, PostHog, Amplitude and Mixpanel. The rest are typing
//! errors.

use super::nearest::{folded, nearest};

/// The members of an event in a batch, in the order of [`Member`](crate::event::Member).
pub const EVENT_MEMBERS: [&str; 11] = [
    "event_id",
    "type",
    "event_name",
    "timestamp",
    "anonymous_id",
    "user_id",
    "session_id",
    "schema_version",
    "properties",
    "traits",
    "context",
];

/// The members of a batch.
const BATCH_MEMBERS: [&str; 2] = ["events", "sent_at"];

/// The likely meaning of an unknown member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meant {
    /// This member, mistyped or in the words of another tool.
    Member(&'static str),
    /// A value inside this payload.
    Inside(&'static str),
    /// The member of an event, found in a batch.
    EventMember,
    /// The time of sending.
    SentAt,
    /// The events of a batch.
    Events,
    /// The API key.
    ApiKey,
    /// A member that the server adds.
    OfServer,
}

/// Returns the likely meaning of an unknown member of an event; `None` for a name like no other.
#[must_use]
pub fn meant_in_event(name: &str) -> Option<Meant> {
    let word = folded(name)?;
    word_of_event(&word)
        .or_else(|| common_word(&word))
        .or_else(|| nearest(name, EVENT_MEMBERS).map(Meant::Member))
}

/// Returns the likely meaning of an unknown member of a batch; `None` for a name like no other.
#[must_use]
pub fn meant_in_batch(name: &str) -> Option<Meant> {
    let word = folded(name)?;
    // In an event these mean `properties`.
    if matches!(word.as_str(), "data" | "payload" | "body" | "records" | "items" | "rows" | "list")
    {
        return Some(Meant::Events);
    }
    if let Some(meant) = common_word(&word) {
        return Some(meant);
    }
    // Before typing errors: `event` is the name of a single event, and nearly `events`.
    if EVENT_MEMBERS.contains(&name) || word_of_event(&word).is_some() {
        return Some(Meant::EventMember);
    }
    match nearest(name, BATCH_MEMBERS) {
        Some("events") => Some(Meant::Events),
        Some(_) => Some(Meant::SentAt),
        None => nearest(name, EVENT_MEMBERS).map(|_| Meant::EventMember),
    }
}

/// The words that mean the same in an event and in a batch.
fn common_word(word: &str) -> Option<Meant> {
    Some(match word {
        "events" | "batch" | "batches" | "messages" => Meant::Events,
        "sentat" | "senttime" | "sendtime" | "clientuploadtime" | "uploadtime" => Meant::SentAt,
        "apikey" | "writekey" | "apitoken" | "accesstoken" | "authtoken" | "authorization"
        | "projectkey" | "token" => Meant::ApiKey,
        "receivedat" | "senttimestamp" | "tenantid" | "workspaceid" | "enrichment"
        | "requestid" => Meant::OfServer,
        _ => return None,
    })
}

/// Other words for the members of an event, and for what belongs inside them.
fn word_of_event(word: &str) -> Option<Meant> {
    Some(match word {
        "event" | "name" | "eventtype" | "eventtitle" | "action" | "screenname" | "pagename" => {
            Meant::Member("event_name")
        }
        "id" | "messageid" | "insertid" | "uuid" | "eventuuid" | "guid" | "idempotencykey" => {
            Meant::Member("event_id")
        }
        "user" | "distinctid" | "uid" | "identity" | "person" | "personid" | "customerid"
        | "memberid" | "externalid" | "profileid" => Meant::Member("user_id"),
        "anonymous" | "anonid" | "deviceid" | "clientid" | "visitorid" | "guestid" | "cookieid"
        | "previousid" => Meant::Member("anonymous_id"),
        "session" | "sid" => Meant::Member("session_id"),
        "time" | "ts" | "date" | "datetime" | "eventtime" | "eventdate" | "eventtimestamp"
        | "originaltimestamp" | "clienttimestamp" | "createdat" | "occurredat" | "happenedat" => {
            Meant::Member("timestamp")
        }
        "kind" | "eventkind" | "messagetype" => Meant::Member("type"),
        "props" | "property" | "data" | "params" | "parameters" | "attributes" | "payload"
        | "metadata" | "meta" | "body" | "eventproperties" | "eventdata" | "customproperties" => {
            Meant::Member("properties")
        }
        "trait" | "userproperties" | "usertraits" | "userattributes" | "personproperties"
        | "groupproperties" | "profile" | "set" | "setonce" => Meant::Member("traits"),
        "ctx" | "eventcontext" => Meant::Member("context"),
        "version" | "eventversion" | "schema" => Meant::Member("schema_version"),
        "email" | "phone" | "firstname" | "lastname" | "groupid" => Meant::Inside("traits"),
        "app" | "appversion" | "browser" | "campaign" | "channel" | "device" | "integrations"
        | "ip" | "library" | "locale" | "os" | "page" | "platform" | "referrer" | "url"
        | "useragent" => Meant::Inside("context"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Meant::{ApiKey, EventMember, Events, Inside, Member, OfServer, SentAt};

    #[test]
    fn words_of_other_tools_mean_members_of_an_event() {
        for (names, member) in [
            (&["event", "name", "eventName", "event_type", "event_nam"][..], "event_name"),
            (&["messageId", "id", "uuid", "insert_id", "$insert_id", "eventId"], "event_id"),
            (&["userId", "user", "distinct_id", "userid", "user-id", "usr_id"], "user_id"),
            (&["anonymousId", "device_id", "anon_id", "previousId"], "anonymous_id"),
            (&["sessionId", "session"], "session_id"),
            (&["time", "originalTimestamp", "created_at", "timestmap", "ts"], "timestamp"),
            (&["Type", "kind", "tpye"], "type"),
            (&["props", "prperties", "event_properties", "data"], "properties"),
            (&["user_properties", "$set", "trait"], "traits"),
            (&["ctx", "contxt"], "context"),
            (&["version", "schemaVersion"], "schema_version"),
        ] {
            for name in names {
                assert_eq!(meant_in_event(name), Some(Member(member)), "{name}");
            }
        }
    }

    #[test]
    fn member_in_the_wrong_place_is_recognised() {
        for (name, meant) in [
            ("sentAt", Some(SentAt)),
            ("batch", Some(Events)),
            ("writeKey", Some(ApiKey)),
            ("api_key", Some(ApiKey)),
            ("received_at", Some(OfServer)),
            ("integrations", Some(Inside("context"))),
            ("groupId", Some(Inside("traits"))),
            ("price", None),
            ("", None),
            ("日本", None),
        ] {
            assert_eq!(meant_in_event(name), meant, "{name}");
        }
    }

    #[test]
    fn unknown_member_of_a_batch_has_a_meaning() {
        for (name, meant) in [
            ("batch", Some(Events)),
            ("data", Some(Events)),
            ("Events", Some(Events)),
            ("evnets", Some(Events)),
            ("sentAt", Some(SentAt)),
            ("sent_att", Some(SentAt)),
            ("api_key", Some(ApiKey)),
            ("event", Some(EventMember)),
            ("event_name", Some(EventMember)),
            ("userId", Some(EventMember)),
            ("properties", Some(EventMember)),
            ("properteis", Some(EventMember)),
            ("price", None),
        ] {
            assert_eq!(meant_in_batch(name), meant, "{name}");
        }
    }
}
