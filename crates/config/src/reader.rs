//! Reads settings one by one. Collects the value and the errors of each.

use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::setting::{InvalidSetting, Setting, Source};

/// Maximum size of a file with a secret. Larger files are a wrong path, possibly of an endless
/// device.
const MAX_SECRET_BYTES: u64 = 64 * 1024;
/// Maximum characters of an invalid value in a message.
const MAX_SHOWN_CHARS: usize = 64;

/// A lookup of settings by name.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

pub(crate) struct Reader<'a> {
    lookup: Lookup<'a>,
    /// Names that were looked up.
    pub(crate) known: Vec<&'static str>,
    pub(crate) settings: Vec<Setting>,
    pub(crate) invalid: Vec<InvalidSetting>,
}

/// Name and allowed values of a setting without a secret.
pub(crate) struct SettingSpec {
    name: &'static str,
    unit: Option<&'static str>,
    range: String,
}

impl SettingSpec {
    pub(crate) fn new(name: &'static str, range: &str) -> Self {
        Self { name, unit: None, range: range.to_owned() }
    }
}

/// Inclusive bounds of a number.
#[derive(Clone, Copy)]
pub(crate) struct Range<T> {
    pub(crate) min: T,
    pub(crate) max: T,
}

/// A setting that may contain a secret: a variable, or a file named by another variable.
pub(crate) struct Secret {
    pub(crate) name: &'static str,
    /// The variable with the path of the file.
    pub(crate) file: &'static str,
    pub(crate) range: &'static str,
    /// Error message for an empty value; `None`: empty means unset.
    pub(crate) if_empty: Option<&'static str>,
}

struct SecretText {
    text: String,
    source: Source,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(lookup: Lookup<'a>) -> Self {
        Self { lookup, known: Vec::new(), settings: Vec::new(), invalid: Vec::new() }
    }

    /// Returns the trimmed value. Empty means unset, because env files write unset values as empty
    /// lines.
    fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        (self.lookup)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn add_invalid(&mut self, name: &str, message: impl Into<String>) {
        self.invalid.push(InvalidSetting { name: name.to_owned(), message: message.into() });
    }

    /// Reads a setting without a secret. `default_shown` is the default for output.
    pub(crate) fn parsed<T, E: Display>(
        &mut self,
        spec: SettingSpec,
        default: T,
        default_shown: Option<String>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> T {
        let SettingSpec { name, unit, range } = spec;
        let text = self.text(name);
        let source = if text.is_some() { Source::Environment } else { Source::Default };
        let (value, shown) = match text.as_deref().map(parse) {
            None => (default, default_shown.clone()),
            Some(Ok(value)) => (value, text),
            // The list of settings shows the default: an invalid value may be a secret in the wrong
            // variable.
            Some(Err(error)) => {
                self.add_invalid(name, error.to_string());
                (default, default_shown.clone())
            }
        };
        self.settings.push(Setting {
            name,
            value: shown,
            source,
            default: default_shown,
            unit,
            range,
            is_secret: false,
        });
        value
    }

    /// Reads a setting that may contain a secret. `Display` of the value must hide it.
    pub(crate) fn secret<T: Display, E: Display>(
        &mut self,
        secret: &Secret,
        default: Option<T>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let default_shown = default.as_ref().map(T::to_string);
        let (value, source) = match self.secret_text(secret) {
            None => (default, Source::Default),
            Some(SecretText { text, source }) => match parse(&text) {
                Ok(value) => (Some(value), source),
                Err(error) => {
                    // The mistake is in the file, so the message names the variable of the file.
                    let is_variable = source == Source::Environment;
                    let name = if is_variable { secret.name } else { secret.file };
                    self.add_invalid(name, error.to_string());
                    (default, source)
                }
            },
        };
        self.settings.push(Setting {
            name: secret.name,
            value: value.as_ref().map(T::to_string),
            source,
            default: default_shown,
            unit: None,
            range: secret.range.to_owned(),
            is_secret: true,
        });
        value
    }

    /// Checks and lists a secret that a library reads from the environment itself. Its value is not
    /// kept, and no part of it is shown.
    pub(crate) fn foreign_secret<E: Display>(
        &mut self,
        spec: SettingSpec,
        check: impl Fn(&str) -> Result<(), E>,
    ) {
        let SettingSpec { name, unit, range } = spec;
        let text = self.text(name);
        let source = if text.is_some() { Source::Environment } else { Source::Default };
        if let Some(Err(error)) = text.as_deref().map(check) {
            self.add_invalid(name, error.to_string());
        }
        let value = text.map(|_| "***".to_owned());
        self.settings.push(Setting {
            name,
            value,
            source,
            default: None,
            unit,
            range,
            is_secret: true,
        });
    }

    fn secret_text(&mut self, secret: &Secret) -> Option<SecretText> {
        let text = self.text(secret.name);
        // Both are read in any case, so both are known names.
        match (text, self.text(secret.file)) {
            (Some(_), Some(_)) => {
                let message = format!("{} is also set: unset one of the two", secret.name);
                self.add_invalid(secret.file, message);
                None
            }
            (Some(text), None) => Some(SecretText { text, source: Source::Environment }),
            (None, Some(path)) => match read_secret(&path) {
                Ok(text) => Some(SecretText { text, source: Source::File(path.into()) }),
                Err(message) => {
                    self.add_invalid(secret.file, message);
                    None
                }
            },
            (None, None) => {
                // Trimming hides an empty value; the lookup still shows it.
                let is_set = (self.lookup)(secret.name).is_some();
                if let Some(message) = secret.if_empty.filter(|_| is_set) {
                    self.add_invalid(secret.name, message);
                }
                None
            }
        }
    }

    pub(crate) fn value<T: FromStr + Display>(
        &mut self,
        name: &'static str,
        range: &str,
        default: T,
    ) -> T {
        let shown = Some(default.to_string());
        self.parsed(SettingSpec::new(name, range), default, shown, |text| {
            text.parse().map_err(|_| invalid_value(text, range))
        })
    }

    pub(crate) fn optional<T: FromStr>(&mut self, name: &'static str, range: &str) -> Option<T> {
        self.parsed(SettingSpec::new(name, range), None, None, |text| {
            text.parse().map(Some).map_err(|_| invalid_value(text, range))
        })
    }

    pub(crate) fn path(&mut self, name: &'static str, range: &str) -> Option<PathBuf> {
        self.optional(name, range)
    }

    pub(crate) fn number<T: FromStr + PartialOrd + Copy + Display>(
        &mut self,
        name: &'static str,
        unit: &'static str,
        default: T,
        range: Range<T>,
    ) -> T {
        let Range { min, max } = range;
        let spec = SettingSpec { name, unit: Some(unit), range: format!("{min} to {max}") };
        self.parsed(spec, default, Some(default.to_string()), |text| {
            let number = text.parse().ok().filter(|number| (min..=max).contains(number));
            let allowed = format!("a whole number from {min} to {max} ({unit})");
            number.ok_or_else(|| invalid_value(text, &allowed))
        })
    }

    /// Reads a share of a whole.
    pub(crate) fn ratio(&mut self, name: &'static str, default: f64) -> f64 {
        let spec = SettingSpec::new(name, "0 to 1");
        self.parsed(spec, default, Some(default.to_string()), |text| {
            // NaN lies in no range, so it is refused too.
            let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
            ratio.ok_or_else(|| invalid_value(text, "a number from 0 to 1"))
        })
    }

    pub(crate) fn seconds(
        &mut self,
        name: &'static str,
        default: u64,
        range: Range<u64>,
    ) -> Duration {
        Duration::from_secs(self.number(name, "seconds", default, range))
    }
}

fn invalid_value(text: &str, allowed: &str) -> String {
    format!("{} is invalid: use {allowed}", shown(text))
}

/// Quotes an invalid value. One in the wrong variable can be long.
pub(crate) fn shown(text: &str) -> String {
    let shown: String = text.chars().take(MAX_SHOWN_CHARS).collect();
    format!("{shown:?}")
}

/// Reads a file without surrounding white space. No message contains any of its text.
fn read_secret(path: &str) -> Result<String, String> {
    // A likely mix-up. The path in an error message would then show the password.
    if path.contains("://") {
        return Err("the value is an address: set the path of a file that contains it".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path)
        // One byte more than the limit shows a longer file.
        .and_then(|file| file.take(MAX_SECRET_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read {path}: {error}"))?;
    if bytes.len() as u64 > MAX_SECRET_BYTES {
        return Err(format!("{path} has more than {MAX_SECRET_BYTES} bytes: is the path right?"));
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("{path} is not UTF-8"))?;
    // Editors end a file with a newline.
    match text.trim() {
        "" => Err(format!("{path} is empty: write the address into it")),
        text => Ok(text.to_owned()),
    }
}

/// Returns the parts of a list.
pub(crate) fn comma_separated(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
