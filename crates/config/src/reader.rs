//! Reads one setting after the other, and keeps what each of them is and what is wrong.

use std::fmt::{self, Display};
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::{InvalidSetting, Setting, Source};

/// A file of a secret is no longer than this.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// A lookup of settings by name.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

pub(crate) struct Reader<'a> {
    lookup: Lookup<'a>,
    /// Names that were asked for.
    pub(crate) known: Vec<&'static str>,
    pub(crate) settings: Vec<Setting>,
    pub(crate) invalid: Vec<InvalidSetting>,
}

/// A setting that may hold a secret: it stands in the environment, or in a file that the environment names.
pub(crate) struct Secret {
    pub(crate) name: &'static str,
    /// The variable that names the file.
    pub(crate) file: &'static str,
    pub(crate) range: &'static str,
    /// What is told of one that is set and empty; `None`: it counts as not set, as an empty line of an environment file does.
    pub(crate) if_empty: Option<&'static str>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(lookup: Lookup<'a>) -> Self {
        Self { lookup, known: Vec::new(), settings: Vec::new(), invalid: Vec::new() }
    }

    /// The text of a setting; one that is empty or blank counts as not set, as an empty line of an environment file does.
    fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        (self.lookup)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn invalid(&mut self, name: &str, message: impl Into<String>) {
        self.invalid.push(InvalidSetting { name: name.to_owned(), message: message.into() });
    }

    /// Reads a setting that holds no secret. `default`: the value where nothing is set, and how it is shown.
    pub(crate) fn parsed<T, E: fmt::Display>(
        &mut self,
        (name, unit, range): (&'static str, Option<&'static str>, String),
        (default, default_shown): (T, Option<String>),
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> T {
        let text = self.text(name);
        let source = if text.is_some() { Source::Environment } else { Source::Default };
        let (value, value_shown) = match text.as_deref().map(parse) {
            None => (default, default_shown.clone()),
            Some(Ok(value)) => (value, text),
            // What can't be used is not in force, and may be anything, a secret in the wrong place included.
            Some(Err(error)) => {
                self.invalid(name, error.to_string());
                (default, default_shown.clone())
            }
        };
        let (shown, default) = (value_shown, default_shown);
        self.settings.push(Setting {
            name,
            value: shown,
            source,
            default,
            unit,
            range,
            is_secret: false,
        });
        value
    }

    /// Reads a setting that may hold a secret. It is shown as its value prints itself, which hides the secret.
    pub(crate) fn secret<T: Display, E: fmt::Display>(
        &mut self,
        secret: &Secret,
        default: Option<T>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let default_shown = default.as_ref().map(T::to_string);
        let (value, source) = match self.secret_text(secret) {
            Some((text, source)) => match parse(&text) {
                Ok(value) => (Some(value), source),
                Err(error) => {
                    let name =
                        if source == Source::Environment { secret.name } else { secret.file };
                    self.invalid(name, error.to_string());
                    (default, source)
                }
            },
            None => (default, Source::Default),
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

    fn secret_text(&mut self, secret: &Secret) -> Option<(String, Source)> {
        let text = self.text(secret.name);
        match (text, self.text(secret.file)) {
            (Some(_), Some(_)) => {
                self.invalid(
                    secret.file,
                    format!("{} is set too; set one of the two", secret.name),
                );
                None
            }
            (Some(text), None) => Some((text, Source::Environment)),
            (None, Some(path)) => match read_secret(&path) {
                Ok(text) => Some((text, Source::File(path.into()))),
                Err(message) => {
                    self.invalid(secret.file, message);
                    None
                }
            },
            (None, None) => {
                if let Some(message) =
                    secret.if_empty.filter(|_| (self.lookup)(secret.name).is_some())
                {
                    self.invalid(secret.name, message);
                }
                None
            }
        }
    }

    pub(crate) fn value<T: FromStr<Err: fmt::Display> + Display>(
        &mut self,
        name: &'static str,
        range: &str,
        default: T,
    ) -> T {
        let shown = Some(default.to_string());
        self.parsed((name, None, range.to_owned()), (default, shown), |text| {
            text.parse::<T>().map_err(|error| format!("{text:?}: {error}"))
        })
    }

    pub(crate) fn optional<T: FromStr<Err: fmt::Display>>(
        &mut self,
        name: &'static str,
        range: &str,
    ) -> Option<T> {
        self.parsed((name, None, range.to_owned()), (None, None), |text| {
            text.parse::<T>().map(Some).map_err(|error| format!("{text:?}: {error}"))
        })
    }

    pub(crate) fn path(&mut self, name: &'static str, range: &str) -> Option<PathBuf> {
        self.optional(name, range)
    }

    pub(crate) fn number<T>(
        &mut self,
        name: &'static str,
        unit: &'static str,
        default: T,
        (least, most): (T, T),
    ) -> T
    where
        T: FromStr + PartialOrd + Copy + Display,
    {
        let shown = Some(default.to_string());
        self.parsed((name, Some(unit), format!("{least} to {most}")), (default, shown), |text| {
            let number =
                text.parse::<T>().ok().filter(|number| least <= *number && *number <= most);
            number.ok_or_else(|| format!("{text:?} is not a whole number from {least} to {most}"))
        })
    }

    /// A share of a whole.
    pub(crate) fn ratio(&mut self, name: &'static str, default: f64) -> f64 {
        self.parsed(
            (name, None, "0 to 1".to_owned()),
            (default, Some(default.to_string())),
            |text| {
                let ratio = text.parse::<f64>().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
                ratio.ok_or_else(|| format!("{text:?} is not a number from 0 to 1"))
            },
        )
    }

    pub(crate) fn seconds(
        &mut self,
        name: &'static str,
        default: u64,
        range: (u64, u64),
    ) -> Duration {
        Duration::from_secs(self.number(name, "seconds", default, range))
    }
}

/// The text of a file, without the white space around it. No message holds any of it.
fn read_secret(path: &str) -> Result<String, String> {
    if path.contains("://") {
        return Err("this takes the path of a file, and what is set is an address".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_SECRET_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("{path} can't be read: {error}"))?;
    if bytes.len() as u64 > MAX_SECRET_BYTES {
        return Err(format!("{path} has more than {MAX_SECRET_BYTES} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("{path} is not UTF-8"))?;
    match text.trim() {
        "" => Err(format!("{path} is empty")),
        text => Ok(text.to_owned()),
    }
}
