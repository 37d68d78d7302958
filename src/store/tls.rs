//! TLS as libpq's `sslmode` means it.
//!
//! **Invariant:** the crypto provider is always named here: an application that has installed
//! another one, or none, makes no difference.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::StoreError;

/// What `sslmode` and `sslrootcert` ask for.
///
/// Rests on <https://www.postgresql.org/docs/current/libpq-ssl.html>.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TlsPolicy {
    /// `disable`, and every unix socket.
    Never,
    /// `allow`: only if the server insists.
    Allow,
    /// `prefer`: if the server can; nothing is verified.
    Prefer,
    /// `require`: always; nothing is verified.
    Encrypt,
    /// `verify-ca`: a trusted certificate, whoever it names.
    VerifyCa(Option<PathBuf>),
    /// `verify-full`: a trusted certificate that names the host.
    VerifyFull(Option<PathBuf>),
}

/// Reads `mode`; a `root_cert` makes `require` verify, as it does in libpq.
pub(super) fn policy(mode: &str, root_cert: Option<PathBuf>) -> Result<TlsPolicy, StoreError> {
    if root_cert.as_ref().is_some_and(|path| path.as_os_str() == "system") {
        return Ok(TlsPolicy::VerifyFull(None));
    }
    Ok(match (mode, root_cert) {
        ("disable", _) => TlsPolicy::Never,
        ("allow", _) => TlsPolicy::Allow,
        ("prefer", _) => TlsPolicy::Prefer,
        ("require", None) => TlsPolicy::Encrypt,
        ("require" | "verify-ca", roots) => TlsPolicy::VerifyCa(roots),
        ("verify-full", roots) => TlsPolicy::VerifyFull(roots),
        _ => {
            return Err(StoreError::Url {
                reason: "unknown sslmode, allowed: disable, allow, prefer, require, verify-ca, \
                         verify-full"
                    .into(),
            });
        }
    })
}

impl TlsPolicy {
    /// `sslmode` and `sslrootcert` in libpq's words.
    pub(super) fn libpq(&self) -> (&'static str, Option<PathBuf>) {
        match self {
            Self::Never => ("disable", None),
            Self::Allow => ("allow", None),
            Self::Prefer => ("prefer", None),
            Self::Encrypt => ("require", None),
            Self::VerifyCa(roots) => ("verify-ca", roots.clone()),
            Self::VerifyFull(roots) => ("verify-full", roots.clone()),
        }
    }

    /// The connector that checks what this policy checks.
    pub(super) fn connector(&self) -> Result<MakeRustlsConnect, StoreError> {
        let provider = Arc::new(ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match self {
            Self::Never | Self::Allow | Self::Prefer | Self::Encrypt => {
                Arc::new(LenientVerifier { provider: Arc::clone(&provider), chain: None })
            }
            Self::VerifyCa(roots) => Arc::new(LenientVerifier {
                provider: Arc::clone(&provider),
                chain: Some(webpki(roots.as_ref(), &provider)?),
            }),
            Self::VerifyFull(roots) => webpki(roots.as_ref(), &provider)?,
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(StoreError::Tls)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(MakeRustlsConnect::new(config))
    }
}

fn webpki(
    path: Option<&PathBuf>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, StoreError> {
    let roots = match path {
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        Some(path) => read_roots(path)?,
    };
    WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(provider))
        .build()
        .map_err(|error| StoreError::Tls(TlsError::General(error.to_string())))
}

fn read_roots(path: &PathBuf) -> Result<RootCertStore, StoreError> {
    let fail = |reason: String| StoreError::RootCert { path: path.clone(), reason };
    let mut roots = RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(path).map_err(|error| fail(error.to_string()))?
    {
        let certificate = certificate.map_err(|error| fail(error.to_string()))?;
        roots.add(certificate).map_err(|error| fail(error.to_string()))?;
    }
    if roots.is_empty() { Err(fail("there are none".into())) } else { Ok(roots) }
}

/// Checks less than TLS usually does: no name, and without `chain` not even who signed. Whoever
/// answers still has to hold the key of the certificate it shows.
#[derive(Debug)]
struct LenientVerifier {
    provider: Arc<CryptoProvider>,
    chain: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for LenientVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        let result =
            chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match result {
            // The name is checked last, so everything else was right.
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_makes_a_connector_whatever_the_process_default_is() {
        for policy in [
            TlsPolicy::Prefer,
            TlsPolicy::Encrypt,
            TlsPolicy::VerifyCa(None),
            TlsPolicy::VerifyFull(None),
        ] {
            assert!(policy.connector().is_ok(), "{policy:?}");
        }
    }

    #[test]
    fn a_missing_or_empty_root_certificate_is_named() {
        let missing = TlsPolicy::VerifyFull(Some("/nowhere.pem".into()));
        let error = missing.connector().err().expect("missing").to_string();
        assert!(error.contains("/nowhere.pem"), "{error}");
        let file = tempfile::NamedTempFile::new().expect("made");
        let empty = TlsPolicy::VerifyCa(Some(file.path().to_owned()));
        let error = empty.connector().err().expect("empty").to_string();
        assert!(error.ends_with("there are none"), "{error}");
    }
}
