//! The rules of the queue, and what a crash does to it.

mod crashes;
mod rules;
