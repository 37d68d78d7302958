//! Discord's REST interface.
//!
//! **Invariant:** no request is sent that Discord's replies have ruled out ([`limiter`]).

pub mod limiter;
