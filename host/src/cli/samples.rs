//! Things to print in tests.

use gatehouse_plugin_api::ids::{IntegrationId, IntegrationType};
use gatehouse_plugin_api::message::Health;

use crate::api::types::{Integration, Plugin};
use crate::gateway::Hosting;
use crate::integration::Actual;
use crate::plugin::Decision;
use crate::reason::{Reason, ReasonCode};
use crate::store::Desired;

pub(super) fn integration(id: &str, actual: Actual, code: ReasonCode, sentence: &str, since_ms: i64) -> Integration {
    Integration {
        id: IntegrationId::new(id).expect("valid"),
        integration_type: IntegrationType::new("hass").expect("valid"),
        title: "Home Assistant".into(),
        desired: Desired::On,
        actual,
        reason: Reason::new(code, sentence),
        advice: code.advice().to_owned(),
        since_ms,
        health: Health::default(),
        last_success_ms: None,
        hosting: Hosting::Isolated,
        pid: None,
        version: Some("1.2.0".into()),
        generation: None,
        info_message: String::new(),
        attributes: Default::default(),
        attribute_specs: Vec::new(),
        progress: None,
        moved: String::new(),
        leaked_generations: 0,
        upgrade: crate::integration::UpgradeView::default(),
        entities: 12,
        refusals: Vec::new(),
        undeclared_paths: Vec::new(),
        log_filter: None,
    }
}

pub(super) fn plugin(file_name: &str, decision: Decision, code: ReasonCode, sentence: &str) -> Plugin {
    Plugin {
        file_name: file_name.into(),
        decision,
        reason: Reason::new(code, sentence),
        advice: code.advice().to_owned(),
        decided_at_ms: 0,
        sha256: None,
        size_bytes: None,
        manifest: None,
        problem: None,
        integrations: Vec::new(),
    }
}
