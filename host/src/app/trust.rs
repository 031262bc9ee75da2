//! Who is trusted, and who is not any more.

use gatehouse_plugin_api::attribute::FieldErrors;

use super::App;
use super::view::{Trust, TrustRequest};
use crate::integration::OperationError;
use crate::plugin::trust::{self, Item, ItemError, ListError};

impl App {
    /// The policy, what is trusted and what is revoked.
    pub fn trust_list(&self) -> Trust {
        Trust::from(self.ground().catalog.trust().view())
    }

    /// Trusts a key or lists a file; a revocation of it ends.
    ///
    /// # Errors
    /// `Invalid` when the item is none, or the id of a key, which is not enough to check a signature.
    pub async fn trust_add(&self, request: TrustRequest) -> Result<Trust, OperationError> {
        let item = item_of(&request.item)?;
        if let Item::KeyId(id) = item {
            return Err(invalid(format!("{id} is the id of a key: give the key itself (56 characters, RW…)")));
        }
        self.change_trust(move |trust| trust.add(&item, &request.note)).await
    }

    /// Revokes a key or a file. Answers when what runs of it was told to stop.
    ///
    /// # Errors
    /// `Invalid` when the item is none.
    pub async fn trust_revoke(&self, request: TrustRequest) -> Result<Trust, OperationError> {
        let item = item_of(&request.item)?;
        self.change_trust(move |trust| trust.revoke(&item, &request.note)).await
    }

    async fn change_trust(
        &self,
        change: impl FnOnce(&trust::Trust) -> Result<(), ListError> + Send + 'static,
    ) -> Result<Trust, OperationError> {
        let catalog = &self.ground().catalog;
        let trust = catalog.trust().clone();
        tokio::task::spawn_blocking(move || change(&trust))
            .await
            .unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
            .map_err(|error| OperationError::Unavailable(error.to_string()))?;
        catalog.judge_again().await;
        Ok(self.trust_list())
    }
}

fn item_of(text: &str) -> Result<Item, OperationError> {
    text.trim().parse().map_err(|error: ItemError| invalid(error.to_string()))
}

fn invalid(problem: String) -> OperationError {
    OperationError::Invalid { message: problem.clone(), fields: FieldErrors::from([("item".to_owned(), problem)]) }
}
