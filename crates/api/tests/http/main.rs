//! The HTTP contract, case by case, over the whole app without a socket, on the store in memory.

#[cfg(test)]
mod arbitrary_requests;
#[cfg(test)]
mod auth;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod conventions;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod document;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod writing;
