//! What a gateway tells by itself, kept until the supervisor comes to it: of each kind the newest alone.
//!
//! However fast a gateway tells, there is room for one health, one progress and one waiting input.

use std::sync::Arc;

use gatehouse_plugin_api::message::{Health, Progress};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{Came, Input, Supervisor};
use crate::integration::host_calls::Told;
use crate::integration::lifecycle;

/// The newest of what one generation told and its supervisor has not seen.
#[derive(Debug, Default)]
pub(in crate::integration) struct News(Mutex<Unseen>);

#[derive(Debug, Default)]
struct Unseen {
    health: Option<Health>,
    progress: Option<Progress>,
    /// The supervisor knows that there is something.
    woken: bool,
}

impl News {
    /// Keeps what was told in the place of what was told before, and wakes the supervisor unless it is woken already.
    pub(super) fn keep(self: &Arc<Self>, told: Told, epoch: u64, inputs: &mpsc::UnboundedSender<Input>) {
        let mut unseen = self.0.lock();
        match told {
            Told::Health(health) => unseen.health = Some(health),
            Told::Progress(progress) => unseen.progress = Some(progress),
            Told::Reading => return,
        }
        if !std::mem::replace(&mut unseen.woken, true) {
            // When the supervisor has ended nobody wants to know.
            let _ = inputs.send(Input::Came(epoch, Came::News(Arc::clone(self))));
        }
    }
}

impl Supervisor {
    pub(super) fn news(&mut self, news: &News) {
        let Unseen { health, progress, .. } = std::mem::take(&mut *news.0.lock());
        if let Some(progress) = progress {
            self.progress_told(progress);
        }
        if let Some(health) = health {
            self.step(lifecycle::Input::HealthTold(health));
        }
    }
}
