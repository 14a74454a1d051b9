//! Builds, checks and serializes a batch with this crate alone, like another service before sending
//! it.
//!
//! Run it with `cargo run -p mercurio-domain --example batch`.

use std::error::Error;

use mercurio_domain::event::{Batch, EventDraft, Pointer, Reception};
use mercurio_domain::payload::RawJson;
use mercurio_domain::{EventId, Timestamp};

fn main() -> Result<(), Box<dyn Error>> {
    let now = Timestamp::parse("2026-11-22T10:00:00Z")?;
    let signup = EventDraft {
        event_id: Some("signup-4711".into()),
        event_name: Some("signup".into()),
        user_id: Some("u-42".into()),
        timestamp: Some("2026-11-22T09:59:58.5Z".into()),
        properties: Some(RawJson::parse(r#"{"plan":"team","seats":5}"#)?),
        ..EventDraft::default()
    };
    // No name and no person: refused, with both errors.
    let nameless = EventDraft { event_id: Some("nameless".into()), ..EventDraft::default() };

    let reception = Reception::at(now);
    let mut batch = Batch { events: Vec::new(), sent_at: Some(now) };
    for (index, draft) in [signup, nameless].into_iter().enumerate() {
        let mut errors = Vec::new();
        let valid = draft.clone().check(
            Pointer::Item { array: "", index },
            &reception,
            || EventId::lookup(""),
            &mut errors,
        );
        match valid {
            Some(event) => {
                eprintln!("{} is valid, and happened at {}", event.event_id(), event.occurred_at());
                batch.events.push(draft);
            }
            None => {
                for error in errors {
                    eprintln!("{} {}: {}", error.pointer, error.code, error.message);
                }
            }
        }
    }
    let json = serde_json::to_string_pretty(&batch)?;
    // The lint is for libraries; the output is the point of an example.
    #[allow(clippy::print_stdout)]
    {
        println!("{json}");
    }
    Ok(())
}
