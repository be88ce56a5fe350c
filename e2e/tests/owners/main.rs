//! Who owns workers, and what an owner does for its own.
//!
//! | file | holds |
//! |---|---|
//! | [`succession`] | controllers come and go |
//! | [`control_plane`] | a control plane that is not the controller |
//! | [`own_workers`] | health and credentials of workers that run |

mod control_plane;
mod own_workers;
mod succession;
