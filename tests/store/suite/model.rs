//! tmp
use super::Factory;
pub async fn random_verbs_agree_with_a_simple_model(_factory: &dyn Factory) {}
