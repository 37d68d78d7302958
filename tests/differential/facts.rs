//! What a recording says, read without either implementation.

use super::recording::Recording;

/// See the module.
#[derive(Default)]
pub(crate) struct Facts {}

impl Facts {
    /// Reads a recording.
    pub(crate) fn of(recording: &Recording) -> Self {
        let _ = recording;
        Self {}
    }
}
