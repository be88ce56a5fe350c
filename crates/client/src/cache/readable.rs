//! What a watch tells of one object: the object, or why it cannot be decoded. One that cannot must not
//! blind the watch to all others.

use std::borrow::Cow;
use std::fmt::Debug;

use duckworker_api::decode::Decode;
use kube::Resource;
use kube::core::{ObjectMeta, PartialObjectMeta};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// An object of a watch.
///
/// The library has a guard like this. It makes a tree of each object and a copy of the tree before it
/// decodes anything, which is felt at the start of a controller of ten thousand workers. This one keeps
/// to the text.
#[derive(Debug, Clone)]
pub struct Readable<K>(pub Result<K, Undecodable>);

/// An object that cannot be decoded.
#[derive(Debug, Clone)]
pub struct Undecodable {
    /// What is known of it.
    pub metadata: ObjectMeta,
    /// Why.
    pub why: String,
}

impl<'de, K: Decode + Resource> Deserialize<'de> for Readable<K> {
    /// From JSON text only; an event of a watch must name its type before its object, as the API
    /// server does.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(from)?.get();
        let undecodable = |error: serde_json::Error| {
            let partial: PartialObjectMeta<K> = serde_json::from_str(text)?;
            Ok(Undecodable { metadata: partial.metadata, why: error.to_string() })
        };
        let read = K::decode(text).map(Ok).or_else(|error| undecodable(error).map(Err));
        read.map(Self).map_err(|error: serde_json::Error| D::Error::custom(error))
    }
}

impl<K: Resource> Resource for Readable<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn metadata_api() -> bool {
        K::metadata_api()
    }

    fn kind(which: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(which)
    }

    fn group(which: &Self::DynamicType) -> Cow<'_, str> {
        K::group(which)
    }

    fn version(which: &Self::DynamicType) -> Cow<'_, str> {
        K::version(which)
    }

    fn plural(which: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(which)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|bad| &bad.metadata, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.as_mut().map_or_else(|bad| &mut bad.metadata, K::meta_mut)
    }
}

#[cfg(test)]
mod tests {
    use duckworker_api::DuckWorker;
    use kube::ResourceExt as _;
    use kube::api::{ObjectList, WatchEvent};

    use super::*;

    const BAD: &str = r#"{ "metadata": { "name": "bad", "uid": "u" }, "spec": 7 }"#;
    const GOOD: &str = r#"{ "metadata": { "name": "good" },
        "spec": { "template": { "spec": { "containers": [] } } } }"#;

    #[test]
    fn one_that_cannot_be_decoded_spoils_no_list() {
        let text = format!(
            r#"{{ "kind": "DuckWorkerList", "metadata": {{}}, "items": [{BAD}, {GOOD}] }}"#
        );
        let list: ObjectList<Readable<DuckWorker>> = serde_json::from_str(&text).unwrap();
        let [bad, good] = &list.items[..] else { panic!("{list:?}") };
        assert_eq!((bad.name_any(), good.name_any()), ("bad".to_owned(), "good".to_owned()));
        assert!(bad.0.as_ref().unwrap_err().why.contains("invalid type"), "{bad:?}");
        assert!(good.0.is_ok(), "{good:?}");
    }

    #[test]
    fn nor_a_watch() {
        let text = format!(r#"{{ "type": "MODIFIED", "object": {BAD} }}"#);
        let event: WatchEvent<Readable<DuckWorker>> = serde_json::from_str(&text).unwrap();
        let WatchEvent::Modified(bad) = event else { panic!("{event:?}") };
        assert_eq!((bad.name_any(), bad.uid()), ("bad".to_owned(), Some("u".to_owned())));
    }

    #[test]
    fn what_has_no_metadata_is_no_object() {
        assert!(serde_json::from_str::<Readable<DuckWorker>>(r#"{ "metadata": 7 }"#).is_err());
    }
}
