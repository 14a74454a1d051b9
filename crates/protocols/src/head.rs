//! The head of a request, without types of an HTTP library.

/// A header of a request.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    /// The name, in lower case.
    pub name: &'a str,
    /// The value; not always UTF-8.
    pub value: &'a [u8],
}

/// The head of a request, as far as a protocol reads it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Head<'a> {
    /// The query string, without its question mark.
    pub query: &'a str,
    /// The headers, in their order.
    pub headers: &'a [Header<'a>],
}

impl<'a> Head<'a> {
    /// Returns the first value of a header as text. `name` is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let header = self.headers.iter().find(|header| header.name == name)?;
        std::str::from_utf8(header.value).ok().map(str::trim)
    }

    /// Returns the media type of the body, without parameters, in lower case; empty without one.
    #[must_use]
    pub fn media_type(&self) -> String {
        let value = self.header("content-type").unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_type_has_no_parameters() {
        let headers =
            [Header { name: "content-type", value: b" Application/JSON ; charset=utf-8" }];
        let head = Head { headers: &headers, ..Head::default() };
        assert_eq!(head.media_type(), "application/json");
        assert_eq!(Head::default().media_type(), "");
        assert_eq!(head.header("accept"), None);
    }
}
