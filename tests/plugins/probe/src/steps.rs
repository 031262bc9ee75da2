//! Standing still at a step of an upgrade that a test names, until the process is ended.
//!
//! The file `stand-at` in the integration's own folder names the step. At every step before it a value is kept under
//! the step's name; at the step itself the file `stands` says which process stands there.

use gatehouse_plugin_api::Context;

/// Comes to a step: stands there when it is the one that the folder names.
pub(crate) async fn come_to(context: &Context, step: &str) {
    if let Some(named) = named(context) {
        // Refused once another generation has taken over.
        let _ = context.kv().set(&format!("at-{step}"), "half").await;
        if named == step {
            stands(context);
            std::future::pending::<()>().await;
        }
    }
}

/// Comes to a step in which nothing can be waited for.
pub(crate) fn come_to_now(context: &Context, step: &str) {
    if named(context).is_some_and(|named| named == step) {
        stands(context);
        crate::block_for_ever();
    }
}

fn named(context: &Context) -> Option<String> {
    std::fs::read_to_string(context.data_dir().join("stand-at")).ok()
}

/// The file is whole as soon as it is there.
fn stands(context: &Context) {
    let part = context.data_dir().join(".stands");
    let written = std::fs::write(&part, std::process::id().to_string());
    written.and_then(|()| std::fs::rename(&part, context.data_dir().join("stands"))).expect("the folder is its own");
}
