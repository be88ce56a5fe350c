//! The caller's identity: `<pod name>.<first 8 of the pod's uid>.<incarnation>` for a token that is
//! bound to a pod, `user:<name>:<incarnation>` for everybody else. The API server vouches for all
//! of it but the incarnation, which the process chooses anew at each start.

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// What [`prefix`] is called where it is bound.
pub(super) const NAME: &str = "caller";

/// What the caller's identities start with.
pub(super) fn prefix() -> String {
    let extra = "request.userInfo.extra";
    format!(
        "has({extra}) && '{POD_NAME}' in {extra} && '{POD_UID}' in {extra} \
         ? {extra}['{POD_NAME}'][0] + '.' + {extra}['{POD_UID}'][0].substring(0, 8) + '.' \
         : 'user:' + request.userInfo.username + ':'"
    )
}

/// The expression that says whether `identity` is one of the caller's, whose [`prefix`] is `caller`.
/// An incarnation holds neither dot nor colon, so that no name can be stretched into another.
pub(super) fn is(caller: &str, identity: &str) -> String {
    format!(
        "({identity}.startsWith({caller}) \
         && {identity}.substring(size({caller})).matches('^[A-Za-z0-9_-]+$'))"
    )
}
