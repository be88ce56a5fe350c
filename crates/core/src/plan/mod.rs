//! Plans: the one next step of something's physical life, as a value. A plan reads values and
//! returns a value; the controller carries it out, one request a step, and asks again. So every
//! point at which a process can die lies between two steps, and the next process asks the same
//! question of the same plan.

pub mod binding;
pub mod claim;
pub mod health;
pub mod janitor;
pub mod observed;
pub mod pool;
pub mod refresh;
pub mod tenant;
pub mod worker;
