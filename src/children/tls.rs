//! Fresh credentials of a worker: a random bearer token and a self-signed certificate.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use time::OffsetDateTime;
use zeroize::Zeroizing;

/// How far clocks may lag behind ours and still take the certificate for valid.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_hours(1);

/// Nothing is renewed in place, so a certificate must outlive every worker.
const LIFETIME: SignedDuration = SignedDuration::from_hours(10 * 366 * 24);

/// X.509 allows no longer common name. Nobody reads it: the name to verify is in the SAN.
const COMMON_NAME_LIMIT: usize = 64;

/// Why no credentials could be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate could not be signed.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// The clock shows a time that no certificate can name.
    #[error("the time {0} cannot stand in a certificate")]
    Time(Timestamp),
}

/// What a client needs to talk to a worker, and the worker to prove who it is. Never shown by
/// `Debug`, overwritten in memory when dropped.
#[derive(Clone)]
pub struct Credentials {
    token: Zeroizing<String>,
    certificate: String,
    private_key: Zeroizing<String>,
}

impl Credentials {
    /// Credentials that exist: token, and certificate and private key as PEM.
    pub fn new(token: String, certificate: String, private_key: String) -> Self {
        Self { token: Zeroizing::new(token), certificate, private_key: Zeroizing::new(private_key) }
    }

    /// Makes fresh ones for the worker of this server name.
    ///
    /// # Errors
    /// [`TlsError`]; the random numbers of the system do not fail.
    pub fn generate(server_name: &str, now: Timestamp) -> Result<Self, TlsError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = parameters(server_name, now)?.self_signed(&key)?;
        Ok(Self {
            token: random_token(),
            certificate: certificate.pem(),
            private_key: Zeroizing::new(key.serialize_pem()),
        })
    }

    /// The bearer token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The certificate, PEM: public, pinned by clients.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The private key, PEM.
    pub fn private_key(&self) -> &str {
        &self.private_key
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(redacted)")
    }
}

fn parameters(server_name: &str, now: Timestamp) -> Result<CertificateParams, TlsError> {
    let mut parameters = CertificateParams::new([server_name.to_owned()])?;
    let common_name =
        if server_name.len() <= COMMON_NAME_LIMIT { server_name } else { "duckworker" };
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, common_name);
    parameters.distinguished_name = subject;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters.not_before = shifted(now, -CLOCK_SKEW)?;
    parameters.not_after = shifted(now, LIFETIME)?;
    Ok(parameters)
}

fn shifted(now: Timestamp, by: SignedDuration) -> Result<OffsetDateTime, TlsError> {
    let at = now.checked_add(by).map_err(|_| TlsError::Time(now))?;
    OffsetDateTime::from_unix_timestamp(at.as_second()).map_err(|_| TlsError::Time(now))
}

/// 32 random bytes, as hexadecimal digits: safe in a header, a variable and a shell.
fn random_token() -> Zeroizing<String> {
    use fmt::Write as _;
    let bytes = Zeroizing::new(rand::random::<[u8; 32]>());
    let mut token = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    for byte in bytes.iter() {
        // Writing to a string does not fail.
        let _ = write!(token, "{byte:02x}");
    }
    token
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-02T03:04:05Z";

    fn generate(server_name: &str) -> Credentials {
        Credentials::generate(server_name, NOW.parse().unwrap()).unwrap()
    }

    #[test]
    fn every_worker_gets_its_own() {
        let (a, b) = (generate("w1.data.duckworker"), generate("w1.data.duckworker"));
        assert_eq!(a.token().len(), 64);
        assert!(a.token().bytes().all(|b| b.is_ascii_hexdigit()));
        assert_ne!(a.token(), b.token());
        assert_ne!(a.private_key(), b.private_key());
        assert!(a.certificate().starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(a.private_key().starts_with("-----BEGIN PRIVATE KEY-----"));
    }

    #[test]
    fn debug_shows_nothing() {
        let credentials = generate("w1.data.duckworker");
        let shown = format!("{credentials:?} {:?}", Some(&credentials));
        assert!(!shown.contains(credentials.token()) && !shown.contains("BEGIN"), "{shown}");
    }

    #[test]
    fn the_certificate_holds_for_ten_years_and_already_for_a_slow_clock() {
        let parameters = parameters("w1.data.duckworker", NOW.parse().unwrap()).unwrap();
        assert_eq!(parameters.not_before.unix_timestamp(), 1_767_319_445);
        assert!(parameters.not_after.year() == 2036);
    }

    #[test]
    fn a_long_name_stands_in_the_san_only() {
        let long = format!("{}.{}.duckworker", "w".repeat(63), "n".repeat(63));
        let parameters = parameters(&long, NOW.parse().unwrap()).unwrap();
        let names = format!("{:?}", parameters.subject_alt_names);
        assert!(names.contains(&long), "{names}");
        let subject = format!("{:?}", parameters.distinguished_name);
        assert!(!subject.contains(&long) && subject.contains("duckworker"), "{subject}");
        assert!(Credentials::generate(&long, NOW.parse().unwrap()).is_ok());
    }
}
