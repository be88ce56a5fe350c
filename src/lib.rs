//! The Duckworker controller: watches workers, makes and removes their pods and secrets, adopts
//! the workers of dead peers. Several instances run at once, all active.
//!
//! | room | holds |
//! |---|---|
//! | [`args`], [`settings`] | the command line, checked |
//! | [`run`](mod@run) | the process: connection, admin server, signals |
//! | [`operate`] | one instance, from registration to hand-over |
//! | [`peers`] | the other instances |
//! | [`controllers`] | what is watched, and the loop: plan, act, plan again |
//! | [`janitor`] | what stands about that should not, found and ended |
//! | [`children`] | pods, secrets, certificates as pure values |
//! | [`protocol`] | how workers are talked to |
//! | [`own_workers`] | the loops over this instance's own workers: health, credentials |
//! | [`observe`] | logs, metrics, Events, health of the process |
//!
//! What is decided is decided in `duckworker-core`; what is written to a status is written by
//! `duckworker-client`.

pub mod args;
pub mod children;
pub mod controllers;
pub mod janitor;
pub mod observe;
pub mod operate;
pub mod own_workers;
pub mod peers;
pub mod protocol;
pub mod run;
pub mod settings;
mod text;

pub use run::run;
