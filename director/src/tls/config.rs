//! What a session is made with: certificates, keys, and how the server's certificate is looked at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use director_core::check::{Tls, TlsError};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::{exec, limits};

/// Configurations made so far. Each remembers the sessions of its servers, so that the next check of one resumes its
/// session and needs no arithmetic with certificates.
pub(super) struct Configs {
    folder: PathBuf,
    provider: Arc<CryptoProvider>,
    made: BTreeMap<Key, Arc<ClientConfig>>,
}

/// Files with the moment of their last change.
type Seen = (String, Option<SystemTime>);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    sni: bool,
    files: Vec<Seen>,
    verify: bool,
}

impl Configs {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            provider: Arc::new(ring::default_provider()),
            made: BTreeMap::new(),
        }
    }

    /// The configuration for a check; a file that has changed is read again.
    pub(super) fn get(&mut self, tls: &Tls) -> Result<Arc<ClientConfig>, TlsError> {
        let key = self.key(tls);
        if let Some(config) = self.made.get(&key) {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(self.make(tls)?);
        if self.made.len() >= limits::TLS_CONFIGS_MAX {
            self.made.clear();
        }
        self.made.insert(key, Arc::clone(&config));
        Ok(config)
    }

    fn key(&self, tls: &Tls) -> Key {
        let seen = |path: &String| {
            let metadata = std::fs::metadata(exec::place(&self.folder, path));
            let changed = metadata.and_then(|metadata| metadata.modified()).ok();
            (path.clone(), changed)
        };
        let identity = tls.identity.iter().flat_map(|(cert, key)| [cert, key]);
        Key {
            sni: tls.sni,
            files: tls.ca.iter().chain(identity).map(seen).collect(),
            verify: tls.ca.is_some(),
        }
    }

    fn make(&self, tls: &Tls) -> Result<ClientConfig, TlsError> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|_| TlsError::Files)?;
        let builder = match &tls.ca {
            Some(ca) => builder.with_root_certificates(roots(&exec::place(&self.folder, ca))?),
            None => {
                let provider = Arc::clone(&self.provider);
                let anyone = Arc::new(Anyone { provider });
                builder.dangerous().with_custom_certificate_verifier(anyone)
            }
        };
        let mut config = match &tls.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(&exec::place(&self.folder, certificate))?;
                let key = PrivateKeyDer::from_pem_file(exec::place(&self.folder, key))
                    .map_err(|_| TlsError::Files)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|_| TlsError::Files)?
            }
        };
        config.enable_sni = tls.sni;
        Ok(config)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|_| TlsError::Files)?
        .collect();
    all.map_err(|_| TlsError::Files)
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates(path)?);
    if added == 0 {
        return Err(TlsError::Files);
    }
    Ok(roots)
}

/// What keepalived does: every certificate is taken, only that its owner holds the key is looked at.
#[derive(Debug)]
struct Anyone {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// The part of rustls's reasons that an operator can do something about.
pub(super) fn reason(error: &Error) -> TlsError {
    match error {
        Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => TlsError::Expired,
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => TlsError::WrongName,
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => TlsError::Untrusted,
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => TlsError::Certificate,
        Error::AlertReceived(_) => TlsError::Alert,
        Error::PeerIncompatible(_) => TlsError::Incompatible,
        _ => TlsError::Protocol,
    }
}
