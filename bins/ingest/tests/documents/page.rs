//! A page of the documents: its shell blocks, and the output it shows for them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The placeholder for a value that differs each time.
const OPEN: &str = "…";

/// A shell block.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) text: String,
    /// The output shown by the page.
    pub(crate) output: Option<ExpectedOutput>,
}

/// The block after a shell block.
#[derive(Debug)]
pub(crate) enum ExpectedOutput {
    /// JSON with placeholders.
    Json(Value),
    /// The exact text.
    Text(String),
}

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

    /// Compares printed outputs with the page. Blocks without a shown output are skipped.
    #[track_caller]
    pub(crate) fn expect_outputs(&self, outputs: &[(&Block, String)]) {
        let mut compared = 0;
        for (block, output) in outputs {
            let Some(shown) = &block.output else { continue };
            let difference = match shown {
                ExpectedOutput::Text(text) => {
                    (text != output).then(|| format!("the page shows\n{text}"))
                }
                ExpectedOutput::Json(shown) => match serde_json::from_str(output) {
                    Ok(real) => difference("", shown, &real),
                    Err(error) => Some(error.to_string()),
                },
            };
            if let Some(difference) = difference {
                panic!("{}: {difference}\nafter\n{}it is\n{output}", self.name, block.text);
            }
            compared += 1;
        }
        assert!(compared > 0, "{} shows no output", self.name);
    }
}

/// Reads the shell blocks of a Markdown page.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut fence: Option<(&str, String)> = None;
    for line in text.lines() {
        match (&mut fence, line.strip_prefix("```")) {
            (None, Some(language)) => fence = Some((language, String::new())),
            (None, None) => {}
            (Some((_, body)), None) => body.extend([line, "\n"]),
            (Some(_), Some(_)) => match fence.take() {
                Some(("sh", text)) => blocks.push(Block { text, output: None }),
                Some(("json", body)) => {
                    let json = serde_json::from_str(&body)
                        .unwrap_or_else(|error| panic!("{error}: {body}"));
                    set_output(&mut blocks, ExpectedOutput::Json(json));
                }
                Some(("text", body)) => set_output(&mut blocks, ExpectedOutput::Text(body)),
                _ => {}
            },
        }
    }
    blocks
}

fn set_output(blocks: &mut [Block], output: ExpectedOutput) {
    if let Some(block) = blocks.last_mut() {
        block.output = Some(output);
    }
}

/// Describes the first difference between an output and the page. `pointer` is a JSON pointer.
pub(crate) fn difference(pointer: &str, shown: &Value, real: &Value) -> Option<String> {
    match (shown, real) {
        (Value::String(text), _) if text == OPEN => None,
        (Value::Object(shown), Value::Object(real)) => {
            let missing = shown.keys().find(|name| !real.contains_key(*name));
            let added = real.keys().find(|name| !shown.contains_key(*name));
            if let Some(name) = missing.or(added) {
                return Some(format!("{pointer}/{name} is not in both"));
            }
            shown.iter().find_map(|(name, shown)| {
                difference(&format!("{pointer}/{name}"), shown, &real[name])
            })
        }
        (Value::Array(shown), Value::Array(real)) if shown.len() == real.len() => {
            let mut pairs = shown.iter().zip(real).enumerate();
            pairs.find_map(|(index, (shown, real))| {
                difference(&format!("{pointer}/{index}"), shown, real)
            })
        }
        _ => (shown != real).then(|| format!("{pointer} is {real}; the page shows {shown}")),
    }
}
