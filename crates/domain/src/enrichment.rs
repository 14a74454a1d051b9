//! What the service adds to an event, in a member of its own: the words. The crate `mercurio-enrichment` fills them in.
//!
//! What the client sent is never overwritten; a reader takes the client's value where there is one, else this.

use serde::{Deserialize, Serialize};

/// Everything that was added to an event. A part that is unknown is left out of the JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Enrichment {
    /// The network address of the client, in full or truncated to its network, as configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<String>,
    /// The kind of device, from the user agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// The operating system, from the user agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<Software>,
    /// The browser or program, from the user agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub browser: Option<Software>,
    /// Where the client's address is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub geo: Option<Geo>,
    /// The page, from its URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<Page>,
    /// The campaign, from the UTM parameters of the page's URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign: Option<Campaign>,
}

impl Enrichment {
    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A kind of device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Device {
    /// `desktop`, `mobile`, `tablet`, `bot` or `other`.
    pub kind: String,
    /// The maker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// A program and its version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Software {
    /// The name, without a version.
    pub name: String,
    /// The version, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// A place on Earth, as exact as the database of addresses is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Geo {
    /// ISO 3166-1 alpha-2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The name of the region, in English.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The name of the city, in English.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// A name of the IANA time zone database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

/// A page of a website.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page {
    /// The path of its URL.
    pub path: String,
}

/// What the UTM parameters of a URL say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Campaign {
    /// `utm_source`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// `utm_medium`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<String>,
    /// `utm_campaign`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `utm_term`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub term: Option<String>,
    /// `utm_content`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}
