//! Checks of the workspace's structure. See `tests/tidy`.
