//! How many files this process may have open: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For the database, its backups, calls to Google and whatever else is open beside connections.
const KEPT: u64 = 256;

/// Raises the limit on open files as far as this process may, and returns how many of them connections may take.
pub fn for_connections() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = current != maximum && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let open = if raised { maximum } else { current };
    // Where there is no limit, there is none.
    open.map_or(usize::MAX, |open| usize::try_from(open.saturating_sub(KEPT).max(open / 2)).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_limit_is_raised_once_and_leaves_some() {
        let first = super::for_connections();
        assert!(first > 0);
        assert_eq!(super::for_connections(), first);
        let now = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        assert!(now.current == now.maximum && now.current.is_none_or(|open| open > first as u64));
    }
}
