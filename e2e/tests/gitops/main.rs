//! What GitOps pipelines see: kstatus (Flux, kpt) and the health script of docs/gitops.md (Argo CD) say
//! of every version of every object what is true, and manifests that are applied again and again
//! meet no conflict and make no difference.
//!
//! | file | holds |
//! |---|---|
//! | [`judged`] | every version of the objects of a kind, and what the tools say of it |
//! | [`workers`], [`pools`], [`claims`], [`tenants`] | the lives of each kind |
//! | [`churn`] | manifests applied by server-side apply while the controllers work |
//! | [`git`] | who applies them, and what he finds |
#![allow(clippy::large_futures, reason = "the future of a whole test")]

mod churn;
mod claims;
mod git;
mod judged;
mod pools;
mod tenants;
mod workers;
