//! Arrow Flight SQL: what comes over the wire, and who may send it.
//!
//! | file | holds |
//! |---|---|
//! | [`hub`] | the worker's state: phase, assignment, sessions |
//! | [`desk`] | a session with its prepared statements and results |
//! | [`peer`] | a network connection, whose end is noticed |
//! | [`token`] | the bearer token and other random names |
//! | [`service`] | the calls of Flight SQL |
//! | [`actions`] | our own actions |
//! | [`results`] | results on their way to the client |
//! | [`prepared`] | prepared statements |
//! | [`catalog`] | catalogs, schemas, tables, keys |
//! | [`keys`] | the shapes of answers about keys |
//! | [`about`] | what the server says of itself and its types |
//! | [`status`] | failures as gRPC statuses |

pub mod about;
pub mod actions;
pub mod catalog;
pub mod desk;
pub mod hub;
pub mod keys;
pub mod peer;
pub mod prepared;
pub mod results;
pub mod service;
pub mod status;
pub mod token;
