//! The limit of open files of this process.
//!
//! Shells and service managers start programs with a soft limit of 1,024, for the sake of programs
//! that use `select`. Each client connection is an open file.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use slog::{Logger, info, warn};

use mercurio_observability::{chain, keys};

/// Raises the soft limit of open files to the hard one, and logs both. Returns the limit in force;
/// `None`: unlimited.
pub fn raise_file_limit(log: &Logger) -> Option<u64> {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        warn!(log, "file limit not raised";
            keys::FILE_LIMIT => before.current, keys::ERROR => chain(&std::io::Error::from(error)));
        return before.current;
    }
    info!(log, "file limit raised";
        keys::FILE_LIMIT => raised.current, keys::FILE_LIMIT_BEFORE => before.current);
    raised.current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_limit_becomes_the_hard_one() {
        let log = Logger::root(slog::Discard, slog::o!());
        let hard = getrlimit(Resource::Nofile).maximum;
        // Lower than any hard limit, but enough for a test.
        let lowered = Rlimit { current: Some(200), maximum: hard };
        setrlimit(Resource::Nofile, lowered).unwrap();
        assert_eq!(raise_file_limit(&log), hard);
        assert_eq!(getrlimit(Resource::Nofile).current, hard);
    }
}
