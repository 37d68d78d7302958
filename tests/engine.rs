//! The engine between a simulated Discord and a real PostgreSQL: whatever happens on either side,
//! the tables end up as the simulator's truth has them.

mod faults;
mod load;
mod rejected;
mod sessions;
