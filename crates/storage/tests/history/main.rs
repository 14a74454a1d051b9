//! The checker of histories against real databases: a store that keeps the promise passes, and a
//! store with one fault fails by that fault's name.

#[cfg(test)]
mod client;
#[cfg(test)]
mod faulty;
#[cfg(test)]
mod proof;
