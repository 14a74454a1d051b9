//! Which kind of device it is: what uap-core leaves to its users.

use mercurio_domain::enrichment::{Device, Software};

/// A device as the patterns found it.
pub(crate) struct Found {
    pub(crate) family: String,
    pub(crate) brand: Option<String>,
    pub(crate) model: Option<String>,
}

/// The device of a text; `None` where nothing at all is known of it.
pub(crate) fn device(
    text: &str,
    found: Option<Found>,
    os: Option<&Software>,
    browser: Option<&Software>,
) -> Option<Device> {
    let found = found.filter(|found| found.family != "Other");
    if found.is_none() && os.is_none() && browser.is_none() {
        return None;
    }
    let is_bot = found.as_ref().is_some_and(|found| found.family == "Spider") || says_bot(text);
    if is_bot {
        // Brand and model then are "Spider" and what the bot disguises itself as.
        return Some(Device { kind: "bot".to_owned(), brand: None, model: None });
    }
    let family = found.as_ref().map_or("", |found| &found.family);
    let kind = kind(text, family, os.map_or("", |os| &os.name));
    let (brand, model) = found.map_or((None, None), |found| (found.brand, found.model));
    Some(Device {
        kind: kind.to_owned(),
        brand: brand.filter(|brand| !brand.trim().is_empty() && !brand.starts_with("Generic")),
        model: model
            .filter(|model| !model.trim().is_empty() && !NO_MODELS.contains(&model.as_str())),
    })
}

/// Words of programs that drive a browser or read pages, and that uap-core takes for people. In small letters.
const BOT_WORDS: [&str; 6] = ["headlesschrome", "phantomjs", "crawler", "spider", "bot/", "bot;"];
/// How words of televisions, boxes, consoles and glasses begin.
const NOT_CARRIED: [&str; 9] =
    ["AFT", "BRAVIA", "Roku", "CrKey", "Web0S", "PlayStation", "Xbox", "Nintendo", "OculusBrowser"];
const TABLETS: [&str; 6] = ["iPad", "Tablet", "tablet", "PlayBook", "Kindle", "Silk"];
const PHONES: [&str; 9] =
    ["iPhone", "iPod", "Mobi", "Phone", "BlackBerry", "BB10", "Symbian", "KAIOS", "Opera Mini"];
/// What uap-core, or a browser that hides the model, says in place of one.
const NO_MODELS: [&str; 5] = ["K", "Smartphone", "Tablet", "Feature Phone", "iOS-Device"];

fn says_bot(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    BOT_WORDS.iter().any(|word| text.contains(word))
}

fn begins_a_word(text: &str, word: &str) -> bool {
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(|before: char| before.is_ascii_alphanumeric()))
}

/// `SMART-TV`, `GoogleTV`, `HbbTV`, but not a model whose name has these letters inside.
fn is_television(text: &str) -> bool {
    text.match_indices("TV").any(|(at, tv)| {
        !text[at + tv.len()..].starts_with(|after: char| after.is_ascii_alphanumeric())
    })
}

fn kind(text: &str, family: &str, os: &str) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|word| begins_a_word(text, word));
    if says(&NOT_CARRIED) || is_television(text) || matches!(os, "watchOS" | "tvOS" | "ATV OS X") {
        return "other";
    }
    if says(&TABLETS) || family.contains("iPad") {
        return "tablet";
    }
    if says(&PHONES) {
        return "mobile";
    }
    match os {
        // A browser on a phone says "Mobile", one on a tablet does not; programs that are no browsers say neither.
        "Android" if text.starts_with("Mozilla/") => "tablet",
        "Android" | "iOS" => "mobile",
        "Windows" | "Mac OS X" | "Chrome OS" => "desktop",
        // On Linux also servers have programs that call themselves something.
        "" => "other",
        _ if text.starts_with("Mozilla/") || text.starts_with("Opera/") => "desktop",
        _ => "other",
    }
}
