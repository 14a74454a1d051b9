//! Checks the limit of open files.

use rustix::process::{Resource, Rlimit, getrlimit};

use super::check::Check;

/// With fewer files, strangers with idle connections could take all of them.
const MIN_FILES: u64 = 4_096;

/// The limits of a server started from here.
pub(super) fn check() -> Check {
    judge(getrlimit(Resource::Nofile))
}

fn judge(limit: Rlimit) -> Check {
    const CHECK: &str = "open files";
    let Rlimit { current, maximum } = limit;
    let text = format!(
        "soft limit {}, hard limit {}: a server raises the first to the second",
        count(current),
        count(maximum)
    );
    let advice = format!(
        "raise the hard limit to {MIN_FILES} or more (`ulimit -Hn`, LimitNOFILE of systemd): each \
         connection is an open file"
    );
    match maximum {
        Some(files) if files < MIN_FILES => Check::warning(CHECK, text, advice),
        _ => Check::ok(CHECK, text),
    }
}

/// `None` means unlimited.
fn count(files: Option<u64>) -> String {
    files.map_or_else(|| "unlimited".to_owned(), |files| files.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::check::CheckState;
    use super::*;

    #[test]
    fn low_limit_of_open_files_is_a_warning() {
        for (maximum, expected) in [
            (Some(1_024), CheckState::Warning),
            (Some(4_096), CheckState::Ok),
            (None, CheckState::Ok),
        ] {
            let found = judge(Rlimit { current: Some(1_024), maximum });
            assert!(found.state == expected, "{}", found.found);
        }
    }
}
