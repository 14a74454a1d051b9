//! A page of the documents: its blocks of shell, and the answers that it shows for them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// What stands in an answer for a value that differs each time.
const OPEN: &str = "…";

/// A block of shell.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) text: String,
    /// What the page shows for it.
    pub(crate) answer: Option<Answer>,
}

/// A block that follows one of shell.
#[derive(Debug)]
pub(crate) enum Answer {
    /// In JSON, with values that are left open.
    Json(Value),
    /// Letter for letter.
    Text(String),
}

/// A page.
pub(crate) struct Page {
    name: &'static str,
    pub(crate) blocks: Vec<Block>,
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

impl Page {
    pub(crate) fn read(name: &'static str) -> Self {
        let text = fs::read_to_string(root().join(name)).expect("the page");
        Self { name, blocks: blocks(&text) }
    }

    /// Holds what blocks printed against the answers that the page shows. Blocks without an answer are passed over.
    #[track_caller]
    pub(crate) fn expect_answers(&self, outputs: &[(&Block, String)]) {
        let mut compared = 0;
        for (block, output) in outputs {
            let Some(shown) = &block.answer else { continue };
            let difference = match shown {
                Answer::Text(text) => (text != output).then(|| format!("the page shows\n{text}")),
                Answer::Json(shown) => match serde_json::from_str(output) {
                    Ok(real) => difference("", shown, &real),
                    Err(error) => Some(error.to_string()),
                },
            };
            if let Some(difference) = difference {
                panic!("{}: {difference}\nafter\n{}it is\n{output}", self.name, block.text);
            }
            compared += 1;
        }
        assert!(compared > 0, "{} shows an answer", self.name);
    }
}

/// The blocks of shell of a page in Markdown.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut fence: Option<(&str, String)> = None;
    for line in text.lines() {
        match (&mut fence, line.strip_prefix("```")) {
            (None, Some(language)) => fence = Some((language, String::new())),
            (None, None) => {}
            (Some((_, body)), None) => body.extend([line, "\n"]),
            (Some(_), Some(_)) => match fence.take() {
                Some(("sh", text)) => blocks.push(Block { text, answer: None }),
                Some(("json", body)) => {
                    let json = serde_json::from_str(&body)
                        .unwrap_or_else(|error| panic!("{error}: {body}"));
                    answer(&mut blocks, Answer::Json(json));
                }
                Some(("text", body)) => answer(&mut blocks, Answer::Text(body)),
                _ => {}
            },
        }
    }
    blocks
}

fn answer(blocks: &mut [Block], answer: Answer) {
    if let Some(block) = blocks.last_mut() {
        block.answer = Some(answer);
    }
}

/// Where an answer differs from the one shown, if it does. `place` is a JSON pointer.
pub(crate) fn difference(place: &str, shown: &Value, real: &Value) -> Option<String> {
    match (shown, real) {
        (Value::String(text), _) if text == OPEN => None,
        (Value::Object(shown), Value::Object(real)) => {
            let missing = shown.keys().find(|name| !real.contains_key(*name));
            let added = real.keys().find(|name| !shown.contains_key(*name));
            if let Some(name) = missing.or(added) {
                return Some(format!("{place}/{name} is not in both"));
            }
            shown.iter().find_map(|(name, shown)| {
                difference(&format!("{place}/{name}"), shown, &real[name])
            })
        }
        (Value::Array(shown), Value::Array(real)) if shown.len() == real.len() => {
            let mut pairs = shown.iter().zip(real).enumerate();
            pairs.find_map(|(index, (shown, real))| {
                difference(&format!("{place}/{index}"), shown, real)
            })
        }
        _ => (shown != real).then(|| format!("{place} is {real}; the page shows {shown}")),
    }
}
