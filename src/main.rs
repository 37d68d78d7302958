//! The `dsqlstate` command.
fn main() {}
