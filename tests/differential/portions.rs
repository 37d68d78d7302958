//! Portions.
