//! Storms: what a fleet goes through when its API server, its store or its rights are away for a
//! while. Whatever the storm: no worker is touched, no instance is taken for dead, nothing leaks,
//! and work goes on soon after.
//!
//! | file | holds |
//! |---|---|
//! | [`ground`] | two controllers, their workers, what is under way, and what must not change |
//! | [`outages`] | the API server or etcd is away, or forgets its history |
//! | [`refusals`] | every call is refused, by a layer under the clients |
//! | [`rights`] | the API server itself refuses: rights, tokens, too many at once |
//! | [`token_file`] | a client's token proves nothing any more, and a new one is put in its place |
//! | [`two_servers`] | two API servers, one of which stands still for a while |

mod ground;
mod outages;
mod refusals;
mod rights;
mod token_file;
mod two_servers;
