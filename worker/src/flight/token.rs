//! The bearer token, and names that nobody can guess.

use std::fmt;
use std::fmt::Write as _;

use subtle::ConstantTimeEq as _;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::service::Interceptor;
use tonic::{Request, Status};
use zeroize::Zeroizing;

/// The token that every call has to bear.
#[derive(Clone)]
pub struct BearerToken(Zeroizing<String>);

impl BearerToken {
    /// The token, if it is one: an empty one would let everybody in.
    pub fn new(token: String) -> Option<Self> {
        let token = Zeroizing::new(token);
        if token.trim().is_empty() { None } else { Some(Self(token)) }
    }

    /// Whether the call bears it. Takes as long for a token that is nearly right.
    fn is_borne_by(&self, metadata: &MetadataMap) -> bool {
        let header = metadata.get("authorization").map(AsciiMetadataValue::as_bytes);
        let Some((scheme, token)) = header.and_then(|header| header.split_at_checked(7)) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(token.ct_eq(self.0.as_bytes()))
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(redacted)")
    }
}

impl Interceptor for BearerToken {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        if self.is_borne_by(request.metadata()) {
            Ok(request)
        } else {
            Err(Status::unauthenticated(
                "the header \"authorization: Bearer …\" is missing or wrong",
            ))
        }
    }
}

/// A name of 128 random bits.
pub fn random_name() -> String {
    let mut name = String::with_capacity(32);
    for byte in rand::random::<[u8; 16]>() {
        // Writing to a string does not fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(header: Option<&str>) -> bool {
        let mut request = Request::new(());
        if let Some(header) = header {
            request.metadata_mut().insert("authorization", header.parse().unwrap());
        }
        BearerToken::new("secret".to_owned()).unwrap().call(request).is_ok()
    }

    #[test]
    fn only_the_token_opens() {
        assert!(allowed(Some("Bearer secret")));
        assert!(allowed(Some("bearer secret")));
        for wrong in
            ["Bearer secre", "Bearer secret2", "Bearer  secret", "Basic secret", "secret", ""]
        {
            assert!(!allowed(Some(wrong)), "{wrong}");
        }
        assert!(!allowed(None));
    }

    #[test]
    fn an_empty_token_is_none() {
        assert!(BearerToken::new(String::new()).is_none());
        assert!(BearerToken::new(" \n".to_owned()).is_none());
    }

    #[test]
    fn debug_shows_nothing() {
        assert!(!format!("{:?}", BearerToken::new("hunter2".to_owned())).contains("hunter2"));
    }

    #[test]
    fn names_differ() {
        assert_ne!(random_name(), random_name());
        assert_eq!(random_name().len(), 32);
    }
}
