//! The kind of a device (desktop, mobile, tablet, bot or other), which uap-core leaves to its users.

use mercurio_domain::enrichment::{Device, Software};

/// A device matched by the patterns.
#[derive(Default)]
pub(crate) struct MatchedDevice {
    pub(crate) family: String,
    pub(crate) brand: Option<String>,
    pub(crate) model: Option<String>,
}

/// Returns the device of a text; `None` if nothing is known about the text.
pub(crate) fn device(
    text: &str,
    matched: Option<MatchedDevice>,
    os: Option<&Software>,
    browser: Option<&Software>,
) -> Option<Device> {
    // uap-core names an unknown device `Other`.
    let matched = matched.filter(|matched| matched.family != "Other");
    if matched.is_none() && os.is_none() && browser.is_none() {
        return None;
    }
    let is_spider = matched.as_ref().is_some_and(|matched| matched.family == "Spider");
    if is_spider || names_a_bot(text) {
        // Brand and model would be "Spider" and the disguise of the bot.
        return Some(Device { kind: "bot".to_owned(), brand: None, model: None });
    }
    let family = matched.as_ref().map_or("", |matched| &matched.family);
    let kind = kind(text, family, os.map_or("", |os| &os.name));
    let MatchedDevice { brand, model, .. } = matched.unwrap_or_default();
    Some(Device {
        kind: kind.to_owned(),
        // uap-core's fallbacks have brands such as `Generic_Android`.
        brand: brand.filter(|brand| !brand.trim().is_empty() && !brand.starts_with("Generic")),
        model: model
            .filter(|model| !model.trim().is_empty() && !NO_MODELS.contains(&model.as_str())),
    })
}

/// Lower-case words of programs that uap-core takes for people: they drive a browser or read pages.
const BOT_WORDS: [&str; 6] = ["headlesschrome", "phantomjs", "crawler", "spider", "bot/", "bot;"];
/// Beginnings of words for televisions, boxes, consoles and headsets.
const OTHERS: [&str; 9] =
    ["AFT", "BRAVIA", "Roku", "CrKey", "Web0S", "PlayStation", "Xbox", "Nintendo", "OculusBrowser"];
const TABLETS: [&str; 6] = ["iPad", "Tablet", "tablet", "PlayBook", "Kindle", "Silk"];
const PHONES: [&str; 9] =
    ["iPhone", "iPod", "Mobi", "Phone", "BlackBerry", "BB10", "Symbian", "KAIOS", "Opera Mini"];
/// Placeholders for a model, from uap-core and from browsers that hide it.
const NO_MODELS: [&str; 5] = ["K", "Smartphone", "Tablet", "Feature Phone", "iOS-Device"];

fn names_a_bot(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    BOT_WORDS.iter().any(|word| text.contains(word))
}

fn begins_a_word(text: &str, word: &str) -> bool {
    text.match_indices(word)
        // After a letter or digit, the match is part of another word.
        .any(|(at, _)| !text[..at].ends_with(|before: char| before.is_ascii_alphanumeric()))
}

/// Matches `SMART-TV`, `GoogleTV` and `HbbTV`, but not these letters inside the name of a model.
fn is_television(text: &str) -> bool {
    text.match_indices("TV").any(|(at, tv)| {
        !text[at + tv.len()..].starts_with(|after: char| after.is_ascii_alphanumeric())
    })
}

fn kind(text: &str, family: &str, os: &str) -> &'static str {
    let has_word = |words: &[&str]| words.iter().any(|word| begins_a_word(text, word));
    // First, because televisions and watches name Android or iOS too.
    if has_word(&OTHERS) || is_television(text) || matches!(os, "watchOS" | "tvOS" | "ATV OS X") {
        return "other";
    }
    // Before phones: an iPad can say "Mobile".
    if has_word(&TABLETS) || family.contains("iPad") {
        return "tablet";
    }
    if has_word(&PHONES) {
        return "mobile";
    }
    match os {
        // A browser on a phone has the word "Mobile", one on a tablet does not; other programs have neither.
        "Android" if text.starts_with("Mozilla/") => "tablet",
        "Android" | "iOS" => "mobile",
        "Windows" | "Mac OS X" | "Chrome OS" => "desktop",
        // Programs on Linux servers send a name too, so Linux alone is no desktop.
        "" => "other",
        _ if text.starts_with("Mozilla/") || text.starts_with("Opera/") => "desktop",
        _ => "other",
    }
}
