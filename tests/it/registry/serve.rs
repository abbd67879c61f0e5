//! The fault registry on its own, to be vetted with real clients: `FAULT_REGISTRY=127.0.0.1:5005 cargo test --test it serve -- --ignored`.

use super::{Model, Registry};

#[tokio::test]
#[ignore = "runs until it is killed, for vetting with crane, oras and skopeo"]
async fn serve() {
    let address = std::env::var("FAULT_REGISTRY").unwrap_or_else(|_| "127.0.0.1:5005".into());
    let mut model = Model::new();
    model.referrers = std::env::var_os("FAULT_REGISTRY_NO_REFERRERS").is_none();
    let registry = Registry::listen(&address, model, None).await;
    if let Ok(word) = std::env::var("FAULT_REGISTRY_TOKENS") {
        registry.bearer("user", &word);
    }
    std::future::pending::<()>().await;
}
