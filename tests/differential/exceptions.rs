//! Where twilight's cache is not what Discord told.

use super::{compare::Difference, facts::Facts};

pub(crate) struct Exception {
    pub(crate) name: &'static str,
    pub(crate) reason: &'static str,
    excuses: fn(&Facts, &Difference) -> bool,
}

impl Exception {
    pub(crate) fn excuses(&self, facts: &Facts, difference: &Difference) -> bool {
        (self.excuses)(facts, difference)
    }
}

pub(crate) const EXCEPTIONS: &[Exception] = &[];
