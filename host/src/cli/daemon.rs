//! The daemon as the commands see it: one method for each request, errors told as a command tells them.

use std::collections::BTreeMap;

use gatehouse_plugin_api::ids::{EntityAddress, IntegrationId, StateAddress};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::args;
use super::failure::Failure;
use super::hint::Hints;
use crate::api::client::{Client, ClientError, EventStream, RawAnswer, encoded, path_with_query};
use crate::api::types::{
    AttributesPatch, AuditEntry, ControlAnswer, ControlRequest, Costs, CrashReport, CrashSummary, Diagnostics, Done,
    Entity, EntityPatch, EntityStream, Explanation, Flow, FlowAnswerRequest, FlowBeginRequest, GivenValues, History,
    Integration, LogLevelAnswer, LogLevelRequest, LogPage, ManageAnswer, Plugin, PluginVersion, RollbackRequest, State,
    Status, SyncAnswer, Trust, TrustRequest,
};
use crate::causes::with_causes;
use crate::home::Home;

/// Asks the daemon of a home.
#[derive(Debug, Clone)]
pub(super) struct Daemon {
    client: Client,
    home: Home,
    /// Commands to type next.
    pub(super) hints: Hints,
}

type Answer<T> = Result<T, Failure>;

impl Daemon {
    /// For the daemon that serves `home`; connects at the first request.
    pub(super) fn new(home: &Home) -> Self {
        Self { client: Client::new(home), home: home.clone(), hints: Hints::new(home) }
    }

    /// A client's error as a command tells it.
    pub(super) fn failure(&self, error: &ClientError) -> Failure {
        match error {
            ClientError::NoDaemon { .. } => Failure::failed(format!("no daemon serves {}", self.home.root().display()))
                .advise(format!(
                    "start it: {}\nor name the home of the one that runs: --home PATH, or GATEHOUSE_HOME",
                    self.hints.command(&["serve"])
                )),
            ClientError::Answer { problem, .. } => {
                let mut failure = Failure::failed(self.hints.in_words(&problem.message));
                for (field, sentence) in &problem.fields {
                    if !problem.message.contains(sentence) {
                        failure = failure.line(format!("{field}: {sentence}"));
                    }
                }
                failure
            }
            other => Failure::failed(with_causes(other)),
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Answer<T> {
        self.client.get(path).await.map_err(|error| self.failure(&error))
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Answer<T> {
        self.client.post(path, body).await.map_err(|error| self.failure(&error))
    }

    pub(super) async fn status(&self) -> Answer<Status> {
        self.get("/v1/status").await
    }

    pub(super) async fn costs(&self, proportional: bool) -> Answer<Costs> {
        self.get(if proportional { "/v1/costs?proportional=true" } else { "/v1/costs" }).await
    }

    pub(super) async fn metrics(&self) -> Answer<String> {
        self.client.text("/v1/metrics").await.map_err(|error| self.failure(&error))
    }

    pub(super) async fn log_level(&self, id: &IntegrationId, filter: Option<String>) -> Answer<LogLevelAnswer> {
        self.post(&integration_path(id, "/log-level"), &LogLevelRequest { filter }).await
    }

    pub(super) async fn plugins(&self) -> Answer<Vec<Plugin>> {
        self.get("/v1/plugins").await
    }

    pub(super) async fn plugin(&self, file_or_type: &str) -> Answer<Plugin> {
        self.get(&format!("/v1/plugins/{}", encoded(file_or_type))).await
    }

    pub(super) async fn plugin_versions(&self, name: &str) -> Answer<Vec<PluginVersion>> {
        self.get(&format!("/v1/plugins/{}/versions", encoded(name))).await
    }

    pub(super) async fn plugin_rollback(&self, name: &str, to: Option<&str>) -> Answer<Vec<Integration>> {
        let request = RollbackRequest { to: to.map(str::to_owned) };
        self.post(&format!("/v1/plugins/{}/rollback", encoded(name)), &request).await
    }

    pub(super) async fn plugin_pin(&self, name: &str) -> Answer<Vec<Integration>> {
        self.post(&format!("/v1/plugins/{}/pin", encoded(name)), &Done {}).await
    }

    pub(super) async fn plugin_unpin(&self, name: &str) -> Answer<Vec<Integration>> {
        self.post(&format!("/v1/plugins/{}/unpin", encoded(name)), &Done {}).await
    }

    pub(super) async fn plugin_allow(&self, name: &str) -> Answer<Vec<Integration>> {
        self.post(&format!("/v1/plugins/{}/allow", encoded(name)), &Done {}).await
    }

    pub(super) async fn integrations(&self) -> Answer<Vec<Integration>> {
        self.get("/v1/integrations").await
    }

    pub(super) async fn integration(&self, id: &IntegrationId) -> Answer<Integration> {
        self.get(&integration_path(id, "")).await
    }

    pub(super) async fn pause(&self, id: &IntegrationId) -> Answer<Integration> {
        self.post(&integration_path(id, "/pause"), &Done {}).await
    }

    pub(super) async fn resume(&self, id: &IntegrationId) -> Answer<Integration> {
        self.post(&integration_path(id, "/resume"), &Done {}).await
    }

    pub(super) async fn synchronize(&self, id: &IntegrationId) -> Answer<SyncAnswer> {
        self.post(&integration_path(id, "/synchronize"), &Done {}).await
    }

    pub(super) async fn diagnostics(&self, id: &IntegrationId) -> Answer<Diagnostics> {
        self.get(&integration_path(id, "/diagnostics")).await
    }

    pub(super) async fn explain(&self, id: &IntegrationId) -> Answer<Explanation> {
        self.get(&integration_path(id, "/explain")).await
    }

    pub(super) async fn move_back(&self, id: &IntegrationId) -> Answer<Integration> {
        self.post(&integration_path(id, "/move-back"), &Done {}).await
    }

    pub(super) async fn crashes(&self, of: Option<&IntegrationId>) -> Answer<Vec<CrashSummary>> {
        self.get(&path_with_query("/v1/crashes", &[("integration", of.map(IntegrationId::as_str))])).await
    }

    pub(super) async fn crash(&self, id: i64) -> Answer<CrashReport> {
        self.get(&format!("/v1/crashes/{id}")).await
    }

    pub(super) async fn set(&self, id: &IntegrationId, values: GivenValues) -> Answer<Integration> {
        let path = integration_path(id, "/attributes");
        self.client.patch(&path, &AttributesPatch { values }).await.map_err(|error| self.failure(&error))
    }

    /// A page; with a form it is a POST.
    pub(super) async fn manage(
        &self,
        id: &IntegrationId,
        params: impl IntoIterator<Item = (&str, &str)>,
        form: Option<BTreeMap<String, String>>,
    ) -> Answer<ManageAnswer> {
        let query: Vec<_> = params.into_iter().map(|(key, value)| (key, Some(value))).collect();
        let path = path_with_query(&integration_path(id, "/manage"), &query);
        match form {
            Some(form) => self.post(&path, &form).await,
            None => self.get(&path).await,
        }
    }

    pub(super) async fn flow_begin(&self, begin: &FlowBeginRequest) -> Answer<Flow> {
        self.post("/v1/flows", begin).await
    }

    /// Looks again at a step of work in progress: an empty answer, which the plugin may be past.
    pub(super) async fn flow_look(&self, flow_id: &str, step_id: &str) -> Answer<Flow> {
        let path = format!("/v1/flows/{}", encoded(flow_id));
        let step = format!("{path}/steps/{}", encoded(step_id));
        match self.client.post(&step, &FlowAnswerRequest::default()).await {
            Err(error) if error.status() == Some(409) => self.get(&path).await,
            other => other.map_err(|error| self.failure(&error)),
        }
    }

    pub(super) async fn flow_answer(&self, flow_id: &str, step_id: &str, answer: &FlowAnswerRequest) -> Answer<Flow> {
        self.post(&format!("/v1/flows/{}/steps/{}", encoded(flow_id), encoded(step_id)), answer).await
    }

    pub(super) async fn flow_abort(&self, flow_id: &str) -> Answer<Done> {
        let path = format!("/v1/flows/{}", encoded(flow_id));
        self.client.delete(&path).await.map_err(|error| self.failure(&error))
    }

    pub(super) async fn entities(&self) -> Answer<Vec<Entity>> {
        self.get("/v1/entities?all=true").await
    }

    pub(super) async fn entity(&self, address: &EntityAddress) -> Answer<Entity> {
        self.get(&format!("/v1/entities/{}", encoded(&address.to_string()))).await
    }

    pub(super) async fn entity_rename(&self, address: &EntityAddress, label: String) -> Answer<Entity> {
        let path = format!("/v1/entities/{}", encoded(&address.to_string()));
        self.client.patch(&path, &EntityPatch { label }).await.map_err(|error| self.failure(&error))
    }

    pub(super) async fn snapshot(&self, address: &EntityAddress) -> Answer<RawAnswer> {
        let path = format!("/v1/entities/{}/snapshot", encoded(&address.to_string()));
        self.client.image(&path).await.map_err(|error| self.failure(&error))
    }

    /// An entity's stream; `None` when it has none.
    pub(super) async fn stream(&self, address: &EntityAddress) -> Answer<Option<EntityStream>> {
        let path = format!("/v1/entities/{}/stream", encoded(&address.to_string()));
        match self.client.get(&path).await {
            Ok(stream) => Ok(Some(stream)),
            Err(error) if error.code() == "unsupported" => Ok(None),
            Err(error) => Err(self.failure(&error)),
        }
    }

    pub(super) async fn states(&self) -> Answer<Vec<State>> {
        self.get("/v1/states").await
    }

    pub(super) async fn state(&self, address: &StateAddress) -> Answer<State> {
        self.get(&state_path(address, "")).await
    }

    pub(super) async fn control(&self, address: &StateAddress, request: &ControlRequest) -> Answer<ControlAnswer> {
        self.post(&state_path(address, "/control"), request).await
    }

    pub(super) async fn history(
        &self,
        address: &StateAddress,
        since_ms: i64,
        until_ms: Option<i64>,
        limit: u32,
    ) -> Answer<History> {
        let (since, until, limit) = (since_ms.to_string(), until_ms.map(|at| at.to_string()), limit.to_string());
        let query =
            [("since_ms", Some(since.as_str())), ("until_ms", until.as_deref()), ("limit", Some(limit.as_str()))];
        self.get(&path_with_query(&state_path(address, "/history"), &query)).await
    }

    pub(super) async fn trust(&self) -> Answer<Trust> {
        self.get("/v1/trust").await
    }

    pub(super) async fn trust_add(&self, request: &TrustRequest) -> Answer<Trust> {
        self.post("/v1/trust", request).await
    }

    pub(super) async fn trust_revoke(&self, request: &TrustRequest) -> Answer<Trust> {
        self.post("/v1/trust/revocations", request).await
    }

    pub(super) async fn audit(
        &self,
        wanted: &args::Audit,
        since_ms: Option<i64>,
        until_ms: Option<i64>,
    ) -> Answer<Vec<AuditEntry>> {
        let number = |at: Option<i64>| at.map(|at| at.to_string());
        let (since, until, limit) = (number(since_ms), number(until_ms), wanted.limit.to_string());
        let query = [
            ("user", wanted.user.as_deref()),
            ("operation", wanted.operation.as_deref()),
            ("target", wanted.target.as_deref()),
            ("since_ms", since.as_deref()),
            ("until_ms", until.as_deref()),
            ("limit", Some(limit.as_str())),
        ];
        self.get(&path_with_query("/v1/audit", &query)).await
    }

    /// The path of the log with these filters; `follow` makes it a stream.
    pub(super) fn log_path(integration: Option<&IntegrationId>, level: &str, lines: u32, follow: bool) -> String {
        let lines = lines.to_string();
        let query = [
            ("level", Some(level)),
            ("integration", integration.map(IntegrationId::as_str)),
            ("limit", Some(lines.as_str())),
            ("follow", follow.then_some("true")),
        ];
        path_with_query("/v1/log", &query)
    }

    pub(super) async fn log(&self, path: &str) -> Answer<LogPage> {
        self.get(path).await
    }

    /// An event stream; the client's error stays, so that the caller can connect again.
    pub(super) async fn events(&self, path: &str, after: Option<&str>) -> Result<EventStream, ClientError> {
        self.client.events(path, after).await
    }
}

fn integration_path(id: &IntegrationId, rest: &str) -> String {
    format!("/v1/integrations/{}{rest}", encoded(id.as_str()))
}

fn state_path(address: &StateAddress, rest: &str) -> String {
    format!("/v1/states/{}{rest}", encoded(&address.to_string()))
}

#[cfg(test)]
mod tests;
