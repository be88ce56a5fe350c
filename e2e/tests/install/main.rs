//! The product as a person has it: installed, upgraded, removed, shown.
//!
//! | file | holds |
//! |---|---|
//! | [`installed`] | `crds/` and `config/`, as they are |
//! | [`namespaced`] | the installation for named namespaces |
//! | [`rights`] | the rights that the controller has and needs |
//! | [`versions`] | a newer version beside it; definitions that come late |
//! | [`uninstall`] | the documented way out |
//! | [`demo`] | the demo on a person's own cluster |

mod demo;
mod installed;
mod namespaced;
mod rights;
mod uninstall;
mod versions;
