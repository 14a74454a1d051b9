//! The settings of the listen addresses.

use std::net::SocketAddr;
use std::str::FromStr;

use crate::address::ListenAddress;
use crate::reader::{Reader, SettingSpec};

const ADDR: &str = "MERCURIO_ADDR";
const MANAGEMENT_ADDR: &str = "MERCURIO_MANAGEMENT_ADDR";
const RANGE: &str = "an IP address or a host name, and a port, such as 127.0.0.1:8080";

pub(super) struct Addresses {
    pub(super) addr: ListenAddress,
    pub(super) management_addr: Option<ListenAddress>,
}

impl Addresses {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        // Loopback, so a server without a proxy is not reachable by accident.
        let default = ListenAddress::Socket(SocketAddr::from(([127, 0, 0, 1], 8080)));
        let shown = Some(default.to_string());
        let spec = SettingSpec::new(ADDR, RANGE);
        let addr = reader.parsed(spec, default, shown, ListenAddress::from_str);
        let is_valid = reader.invalid.iter().all(|invalid| invalid.name != ADDR);
        let spec = SettingSpec::new(MANAGEMENT_ADDR, RANGE);
        let management_addr = reader.parsed(spec, None, None, |text| {
            let management = ListenAddress::from_str(text).map_err(|error| error.to_string())?;
            // The system gives each socket with port 0 a port of its own.
            if is_valid && management == addr && addr.port() != 0 {
                return Err(format!(
                    "{management} is {ADDR} too: use another port, or unset it to serve everything on {ADDR}"
                ));
            }
            Ok(Some(management))
        });
        Self { addr, management_addr }
    }
}
