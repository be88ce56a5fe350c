//! Our name, as the API server vouches for it.

use duckworker_core::Owner;
use k8s_openapi::api::authentication::v1::{SelfSubjectReview, UserInfo};
use kube::Api;
use kube::api::PostParams;

use crate::connection::Connection;
use crate::dice::Dice;
use crate::error::Error;
use crate::store::CALL_DEADLINE;

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
/// Letters of an incarnation: 36^8 of them.
const INCARNATION: usize = 8;

/// Asks the API server who we are and adds a fresh incarnation: `<pod>.<uid8>.<incarnation>` with
/// a token bound to a pod, `user:<name>:<incarnation>` otherwise.
///
/// # Errors
/// When the server does not answer.
pub async fn vouched_identity(connection: &Connection) -> Result<Owner, Error> {
    let what = "asking the API server who we are (SelfSubjectReview)";
    let api: Api<SelfSubjectReview> = Api::all(connection.client.clone());
    let params = PostParams::default();
    let question = SelfSubjectReview::default();
    let review = connection.read(CALL_DEADLINE, what, || api.create(&params, &question)).await?;
    let user = review.status.and_then(|status| status.user_info).unwrap_or_default();
    let text = identity(&user, &incarnation(&connection.dice));
    Owner::new(text)
        .map_err(|error| Error::Unreadable { what: what.to_owned(), source: error.into() })
}

fn identity(user: &UserInfo, incarnation: &str) -> String {
    let extra = |key: &str| {
        user.extra.as_ref().and_then(|extra| extra.get(key)).and_then(|values| values.first())
    };
    if let (Some(pod), Some(uid)) = (extra(POD_NAME), extra(POD_UID)) {
        let uid: String = uid.chars().take(8).collect();
        format!("{pod}.{uid}.{incarnation}")
    } else {
        let name = user.username.as_deref().unwrap_or("unknown");
        format!("user:{name}:{incarnation}")
    }
}

fn incarnation(dice: &Dice) -> String {
    // One roll is enough: 36^8 is a 6-millionth of 2^64, so no letter is preferred.
    let mut bits = dice.roll();
    let mut letter = || {
        let digit = u32::try_from(bits % 36).unwrap_or(0);
        bits /= 36;
        char::from_digit(digit, 36).unwrap_or('0')
    };
    (0..INCARNATION).map(|_| letter()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_named_with_its_uid() {
        let extra = [
            (POD_NAME.to_owned(), vec!["duckworker-0".to_owned()]),
            (POD_UID.to_owned(), vec!["12345678-aaaa".to_owned()]),
        ];
        let user = UserInfo { extra: Some(extra.into()), ..UserInfo::default() };
        assert_eq!(identity(&user, "x"), "duckworker-0.12345678.x");
    }

    #[test]
    fn an_incarnation_is_eight_letters() {
        let one = incarnation(&Dice::of_the_system());
        assert_eq!(one.len(), INCARNATION);
        assert!(one.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{one}");
        assert_ne!(one, incarnation(&Dice::of_the_system()));
    }

    #[test]
    fn a_user_is_named_as_such() {
        let user = UserInfo { username: Some("alice".to_owned()), ..UserInfo::default() };
        assert_eq!(identity(&user, "x"), "user:alice:x");
    }
}
