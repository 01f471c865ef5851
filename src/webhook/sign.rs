//! Signatures of the convention "Standard Webhooks" (symmetric, version 1): HMAC-SHA-256 over identifier, time and body.

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How a secret begins, so that a leaked one is recognised.
const PREFIX: &str = "whsec_";
/// Octets of a secret; the convention asks for 24 to 64.
const SECRET_OCTETS: usize = 32;

/// A secret as it is shown once: `whsec_` and base64.
///
/// # Errors
/// When the system gives no random numbers.
pub fn secret() -> Result<String, String> {
    let mut octets = [0; SECRET_OCTETS];
    getrandom::fill(&mut octets).map_err(|error| format!("the system gives no random numbers: {error}"))?;
    Ok(format!("{PREFIX}{}", BASE64.encode(&octets)))
}

/// The value of `webhook-signature` for a delivery; `seconds` since 1970 is that of `webhook-timestamp`.
pub fn signature(secret: &str, id: &str, seconds: i64, body: &[u8]) -> String {
    let coded = secret.strip_prefix(PREFIX).unwrap_or(secret);
    let key = BASE64.decode(coded.as_bytes()).unwrap_or_else(|_| coded.as_bytes().to_vec());
    // HMAC takes a key of any length, so this error has no way to occur.
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap_or_else(|_| Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default()));
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body);
    format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the convention's own documentation.
    #[test]
    fn the_example_of_the_convention_is_signed_as_it_says() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let body = br#"{"test": 2432232314}"#;
        let signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn no_two_secrets_are_alike_and_each_is_long_enough() {
        let (one, other) = (secret().unwrap(), secret().unwrap());
        assert!(one != other && one.starts_with("whsec_"));
        assert_eq!(BASE64.decode(one.trim_start_matches("whsec_").as_bytes()).unwrap().len(), 32);
    }
}
