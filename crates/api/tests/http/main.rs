//! The HTTP contract, case by case, over the whole service without a socket, with the memory store.

#[cfg(test)]
mod amplitude;
#[cfg(test)]
mod arbitrary_requests;
#[cfg(test)]
mod auth;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod cloudevents;
#[cfg(test)]
mod conventions;
#[cfg(test)]
mod described;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod document;
#[cfg(test)]
mod feed;
#[cfg(test)]
mod foreign;
#[cfg(test)]
mod foreign_keys;
#[cfg(test)]
mod foreign_limits;
#[cfg(test)]
mod hidden_values;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod mistakes;
#[cfg(test)]
mod mixpanel;
#[cfg(test)]
mod origins;
#[cfg(test)]
mod otlp;
#[cfg(test)]
mod posthog;
#[cfg(test)]
mod problems;
#[cfg(test)]
mod quota;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod rejections;
#[cfg(test)]
mod snowplow;
#[cfg(test)]
mod writing;
