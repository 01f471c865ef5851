//! Sign-in through an OpenID Connect provider (OpenID Connect Core 1.0, code flow with PKCE, RFC 7636).
//!
//! Only what the provider signed with a public key counts: no `none`, no shared secret that a public key could be taken for. Issuer,
//! audience, nonce and times are checked by the library; only an e-mail address that the provider says it verified is one. Keys
//! are read again when a signature is of an unknown one, at most once a minute, so that rotation works and forged key names cost
//! the provider nothing. Redirects of the provider's own endpoints are not followed.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreRevocableToken, CoreRevocationErrorResponse,
    CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EmptyExtraTokenFields, IdTokenFields, IssuerUrl, LogoutRequest,
    Nonce, PkceCodeChallenge, PkceCodeVerifier, PostLogoutRedirectUrl, ProviderMetadataWithLogout, RedirectUrl, Scope,
    StandardErrorResponse, StandardTokenResponse, reqwest,
};
use serde::{Deserialize, Serialize};

use super::builtin::COLUMNS;
use crate::config::Oidc;

/// How long the provider's own description is used.
const FRESH: Duration = Duration::from_mins(10);
/// Shortest time between two readings of it.
const AGAIN: Duration = Duration::from_mins(1);
/// For each request to the provider.
const WITHIN: Duration = Duration::from_secs(10);

/// Claims besides those of the standard.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct More {
    #[serde(flatten)]
    all: BTreeMap<String, serde_json::Value>,
}

impl AdditionalClaims for More {}

type Tokens = StandardTokenResponse<
    IdTokenFields<More, EmptyExtraTokenFields, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>,
    CoreTokenType,
>;

type Token = openidconnect::IdToken<More, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

type Client<A, B, C, D, E, F> = openidconnect::Client<
    More,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    A,
    B,
    C,
    D,
    E,
    F,
>;

/// Why nobody was signed in, in words for the log; the person is told only that it did not work.
#[derive(Debug, Clone, thiserror::Error)]
#[error("OpenID Connect: {0}")]
pub struct OidcError(String);

/// The way to the provider, and what must be remembered until the person comes back.
#[derive(Debug, Clone)]
pub struct Begun {
    /// Where to send the browser.
    pub url: String,
    /// Comes back unchanged, or somebody else made the request.
    pub state: String,
    /// Stands in the token, or it was made for another sign-in.
    pub nonce: String,
    /// Shows that we asked for the code.
    pub verifier: String,
}

/// Somebody whom the provider knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The provider's own name of her, which never changes.
    pub subject: String,
    /// Her address, verified by the provider.
    pub email: String,
    /// Columns of `account import` that the configuration takes from claims.
    pub cells: Vec<(String, String)>,
    /// The token itself: shown to the provider when she signs out, so that it knows which of its sessions is meant.
    pub id_token: String,
}

/// The provider of the configuration.
pub struct Provider {
    settings: Oidc,
    back: String,
    http: reqwest::Client,
    read: Mutex<Option<(Instant, ProviderMetadataWithLogout)>>,
}

fn wrong(error: impl std::fmt::Display) -> OidcError {
    OidcError(error.to_string())
}

impl Provider {
    /// `back` is where the provider sends the browser.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn new(settings: &Oidc, back: String) -> Result<Self, OidcError> {
        let http = reqwest::ClientBuilder::new().redirect(reqwest::redirect::Policy::none()).timeout(WITHIN).build().map_err(wrong)?;
        Ok(Self { settings: settings.clone(), back, http, read: Mutex::default() })
    }

    /// The provider's issuer, under which its subjects are known.
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// What the provider says of itself; read again when it is older than `most`.
    async fn metadata(&self, most: Duration) -> Result<ProviderMetadataWithLogout, OidcError> {
        let present = self.read.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, metadata)) = present.filter(|(at, _)| at.elapsed() < most) {
            return Ok(metadata);
        }
        let issuer = IssuerUrl::new(self.settings.issuer.clone()).map_err(wrong)?;
        // The library refuses a description whose issuer is another one.
        let metadata = ProviderMetadataWithLogout::discover_async(issuer, &self.http)
            .await
            .map_err(|error| OidcError(format!("discovery: {error}")))?;
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), metadata.clone()));
        Ok(metadata)
    }

    /// Begins a sign-in.
    ///
    /// # Errors
    /// When the provider cannot be reached or its description is wrong.
    pub async fn begin(&self) -> Result<Begun, OidcError> {
        let metadata = self.metadata(FRESH).await?;
        let client = Client::from_provider_metadata(metadata, ClientId::new(self.settings.client_id.clone()), self.secret())
            .set_redirect_uri(RedirectUrl::new(self.back.clone()).map_err(wrong)?);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (url, state, nonce) = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
            .add_scope(Scope::new("email".into()))
            .add_scope(Scope::new("profile".into()))
            .set_pkce_challenge(challenge)
            .url();
        Ok(Begun {
            url: url.to_string(),
            state: state.secret().clone(),
            nonce: nonce.secret().clone(),
            verifier: verifier.secret().clone(),
        })
    }

    fn secret(&self) -> Option<ClientSecret> {
        self.settings.client_secret.as_ref().map(|secret| ClientSecret::new(secret.reveal().to_owned()))
    }

    /// Ends a sign-in: who came back with `code`.
    ///
    /// # Errors
    /// When the provider does not take the code, or its token is not good in every respect.
    pub async fn finish(&self, code: &str, nonce: &str, verifier: &str) -> Result<Known, OidcError> {
        let metadata = self.metadata(FRESH).await?;
        let client = Client::from_provider_metadata(metadata, ClientId::new(self.settings.client_id.clone()), self.secret())
            .set_redirect_uri(RedirectUrl::new(self.back.clone()).map_err(wrong)?);
        let answer: Tokens = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(wrong)?
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.to_owned()))
            .request_async(&self.http)
            .await
            .map_err(|error| OidcError(format!("the code was not taken: {error}")))?;
        let token = answer.extra_fields().id_token().ok_or_else(|| OidcError("the answer has no ID token".into()))?;
        let nonce = Nonce::new(nonce.to_owned());
        let allowed = [
            CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
            CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
            CoreJwsSigningAlgorithm::RsaSsaPssSha256,
            CoreJwsSigningAlgorithm::EcdsaP256Sha256,
            CoreJwsSigningAlgorithm::EcdsaP384Sha384,
            CoreJwsSigningAlgorithm::EdDsa,
        ];
        let claims = if let Ok(claims) = token.claims(&client.id_token_verifier().set_allowed_algs(allowed.clone()), &nonce) {
            claims.clone()
        } else {
            // Perhaps the keys were changed since.
            let metadata = self.metadata(AGAIN).await?;
            let client = Client::from_provider_metadata(metadata, ClientId::new(self.settings.client_id.clone()), self.secret())
                .set_redirect_uri(RedirectUrl::new(self.back.clone()).map_err(wrong)?);
            let verifier = client.id_token_verifier().set_allowed_algs(allowed);
            let claims = token.claims(&verifier, &nonce).map_err(|error| OidcError(format!("the token is not good: {error}")))?;
            claims.clone()
        };
        let email = claims.email().filter(|_| claims.email_verified() == Some(true));
        let email = email.ok_or_else(|| OidcError(format!("{} has no verified e-mail address", claims.subject().as_str())))?;
        let all = serde_json::to_value(&claims).map_err(wrong)?;
        Ok(Known {
            subject: claims.subject().as_str().to_owned(),
            email: email.as_str().to_owned(),
            cells: self.cells(&all),
            id_token: token.to_string(),
        })
    }

    /// Where she also signs out at the provider (OpenID Connect RP-Initiated Logout 1.0), and is sent to `back` from there; `None` when
    /// the provider has no such place or is away. `id_token` is that of her sign-in, empty if it is not known.
    pub async fn sign_out(&self, id_token: &str, back: &str) -> Option<String> {
        let metadata = self.metadata(FRESH).await.ok()?;
        let place = metadata.additional_metadata().end_session_endpoint.clone()?;
        let mut request = LogoutRequest::from(place)
            .set_client_id(ClientId::new(self.settings.client_id.clone()))
            .set_post_logout_redirect_uri(PostLogoutRedirectUrl::new(back.to_owned()).ok()?);
        // It is read, not believed: the provider looks at its own signature again.
        if let Ok(hint) = id_token.parse::<Token>() {
            request = request.set_id_token_hint(&hint);
        }
        Some(request.http_get_url().to_string())
    }

    fn cells(&self, claims: &serde_json::Value) -> Vec<(String, String)> {
        let mut cells = Vec::new();
        for (column, claim) in self.settings.claims.iter().filter(|(column, _)| *column != "email" && COLUMNS.contains(&column.as_str())) {
            let cell = match &claims[claim] {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Number(number) => number.to_string(),
                serde_json::Value::Bool(yes) => yes.to_string(),
                serde_json::Value::Array(values) => values.iter().filter_map(|value| value.as_str()).collect::<Vec<_>>().join(";"),
                _ => continue,
            };
            cells.push((column.clone(), cell));
        }
        cells
    }
}

#[cfg(test)]
#[path = "oidc_tests.rs"]
mod tests;
