//! Goes through a flow step by step: answers from the flags first, then from the person on a terminal.
//!
//! The flow lives in the daemon; this only answers its steps. Whatever ends this early gives the flow up there as well,
//! so that nothing is left half done.

mod prompt;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal};
use std::time::Duration;

use gatehouse_plugin_api::attribute::{AttributeSpec, ChoiceOption, PlainValue, ValueType};
use gatehouse_plugin_api::flow::{FlowStep, StepKind};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::args::Answers;
use super::daemon::Daemon;
use super::failure::{FAILED, Failure, USAGE};
use super::given::{Given, Keys};
use super::output::{Output, Tone};
use super::plugin::plain;
use super::words;
use crate::api::types::{Flow, FlowAnswerRequest, GivenValue, GivenValues};
use crate::integration::FlowState;
use crate::nearest::nearest;

/// How often a step of work in progress is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Answers the steps of one flow.
#[derive(Debug)]
pub(super) struct Driver<'a> {
    daemon: &'a Daemon,
    output: &'a Output,
    given: Given,
    interactive: bool,
    yes: bool,
    /// The keys of every form shown so far, for hints about what was mistyped.
    known: BTreeSet<String>,
    /// When the flow is the default one its forms have no other keys: what is unused can be told before the end.
    default_keys: BTreeSet<String>,
    /// The steps answered once: the same step with errors means that the answer was not accepted.
    answered: BTreeSet<String>,
    bar: Option<ProgressBar>,
}

/// How the person or the flags answered a step.
enum Answered {
    With(FlowAnswerRequest),
    /// Work goes on: look again after a moment.
    Wait,
}

impl<'a> Driver<'a> {
    /// For the flags of a command. Asks only when input and error output are a terminal and `--yes` is absent.
    pub(super) fn new(daemon: &'a Daemon, output: &'a Output, answers: &Answers) -> Result<Self, Failure> {
        Ok(Self {
            daemon,
            output,
            given: Given::parse(&answers.set, &answers.set_file, &answers.choose, Keys::Flags)?,
            interactive: !answers.yes && io::stdin().is_terminal() && io::stderr().is_terminal(),
            yes: answers.yes,
            known: BTreeSet::new(),
            default_keys: BTreeSet::new(),
            answered: BTreeSet::new(),
            bar: None,
        })
    }

    /// What the flags said, to add what other flags imply.
    pub(super) fn given(&mut self) -> &mut Given {
        &mut self.given
    }

    /// A person's yes before what cannot be undone.
    ///
    /// # Errors
    /// The no; without a terminal the absence of `--yes`.
    pub(super) async fn make_sure(&self, question: String) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !self.interactive {
            return Err(Failure::usage(format!("{question} Nobody can be asked here.")).advise("say so with --yes"));
        }
        if prompt::asked(move || prompt::confirm(&question, false)).await? { Ok(()) } else { Err(given_up()) }
    }

    /// Whether there is a person to ask.
    pub(super) fn asks(&self) -> bool {
        self.interactive
    }

    /// The keys that a default flow would ask for.
    pub(super) fn expect_keys<'k>(&mut self, keys: impl IntoIterator<Item = &'k str>) {
        self.default_keys = keys.into_iter().map(str::to_owned).collect();
    }

    /// Goes on until the flow has ended well; the sentence it ended with.
    ///
    /// # Errors
    /// What stopped it; the flow is given up then. So it is at Ctrl-C, when the terminal goes away and when this process
    /// is told to end.
    pub(super) async fn drive(&mut self, flow: Flow) -> Result<String, Failure> {
        let flow_id = flow.flow_id.clone();
        let signals = signals()?;
        let outcome = tokio::select! {
            biased;
            outcome = self.steps(flow) => Some(outcome),
            () = told_to_end(signals) => None,
        };
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        match outcome {
            Some(Ok(info_message)) => Ok(info_message),
            Some(Err(failure)) => {
                // It may have ended by itself; there is nothing more to say about it then.
                let _ = self.daemon.flow_abort(&flow_id).await;
                Err(failure)
            }
            None => {
                prompt::leave();
                // What cannot be given up any more is said by the daemon.
                self.daemon.flow_abort(&flow_id).await?;
                Err(given_up())
            }
        }
    }

    /// What the flags said and no step asked for, after the flow ended well.
    pub(super) fn unused(&self) -> Vec<String> {
        self.given.unused(&self.known.iter().map(String::as_str).collect::<Vec<_>>())
    }

    async fn steps(&mut self, mut flow: Flow) -> Result<String, Failure> {
        loop {
            let (step, defaults) = match flow.state {
                FlowState::Done { info_message } => return Ok(info_message),
                FlowState::Aborted { code, message } => {
                    let message = if message.is_empty() { format!("the flow was given up ({code})") } else { message };
                    return Err(Failure::failed(message));
                }
                FlowState::Step { ref step, ref defaults } => (step, defaults),
            };
            if !matches!(step.kind, StepKind::Progress { .. })
                && let Some(bar) = self.bar.take()
            {
                bar.finish_and_clear();
            }
            flow = match self.answer(step, defaults).await? {
                Answered::With(answer) => {
                    self.answered.insert(step.step_id.clone());
                    self.daemon.flow_answer(&flow.flow_id, &step.step_id, &answer).await?
                }
                Answered::Wait => {
                    tokio::time::sleep(LOOK_EVERY).await;
                    self.daemon.flow_look(&flow.flow_id, &step.step_id).await?
                }
            };
        }
    }

    async fn answer(&mut self, step: &FlowStep, defaults: &BTreeMap<String, PlainValue>) -> Result<Answered, Failure> {
        match &step.kind {
            StepKind::Progress { message, percent } => {
                self.progress(message, *percent);
                Ok(Answered::Wait)
            }
            StepKind::Form { fields, errors } => {
                let refused = self.answered.contains(&step.step_id) && !errors.is_empty();
                if refused && !self.interactive {
                    let failure = Failure::failed(format!("the answers to {:?} were not accepted:", step.title));
                    return Err(errors.iter().fold(failure, |failure, (field, problem)| {
                        failure.line(if field.is_empty() { problem.clone() } else { format!("{field}: {problem}") })
                    }));
                }
                let errors = if refused || self.interactive { errors.clone() } else { BTreeMap::new() };
                self.form(step, fields, defaults, &errors, refused).await.map(values)
            }
            StepKind::Menu { options } => self.menu(step, options).await.map(|option| {
                Answered::With(FlowAnswerRequest { choice: Some(option), ..FlowAnswerRequest::default() })
            }),
            StepKind::Confirm => {
                self.heading(step);
                if self.interactive {
                    if !prompt::asked(|| prompt::confirm("Go on?", true)).await? {
                        return Err(given_up());
                    }
                } else if !self.yes {
                    return Err(self.unanswered(step, &[format!("confirm {:?} with --yes", step.title)]));
                }
                Ok(Answered::With(FlowAnswerRequest::default()))
            }
            StepKind::External { url } => {
                self.heading(step);
                self.output.aside(format!("Open this page:  {url}"));
                if self.interactive {
                    if !prompt::asked(|| prompt::confirm("Is it done there?", true)).await? {
                        return Err(given_up());
                    }
                } else if !self.yes {
                    return Err(self.unanswered(step, &[format!("visit {url}, then say so with --yes")]));
                }
                Ok(Answered::With(FlowAnswerRequest::default()))
            }
        }
    }

    async fn form(
        &mut self,
        step: &FlowStep,
        fields: &[AttributeSpec],
        defaults: &BTreeMap<String, PlainValue>,
        errors: &BTreeMap<String, String>,
        refused: bool,
    ) -> Result<GivenValues, Failure> {
        self.known.extend(fields.iter().map(|field| field.key.clone()));
        let mut values = GivenValues::default();
        let mut to_ask = Vec::new();
        for field in fields {
            let given = if refused {
                None
            } else {
                self.given.take(&step.step_id, &field.key, matches!(field.value_type, ValueType::Secret))?
            };
            match given {
                Some(value) => {
                    values.0.insert(field.key.clone(), value);
                }
                None => to_ask.push(field),
            }
        }
        self.tell_unused_early(fields, &to_ask)?;
        let offered = |field: &AttributeSpec| defaults.get(&field.key).or(field.default.as_ref()).cloned();
        if self.interactive {
            if !to_ask.is_empty() || !errors.is_empty() {
                self.heading(step);
            }
            self.show_errors(fields, errors);
            for field in to_ask {
                let (asked, offered) = (field.clone(), offered(field));
                if let Some(text) = prompt::asked(move || prompt::field(&asked, offered.as_ref())).await? {
                    values.0.insert(field.key.clone(), GivenValue::Text(text));
                }
            }
            return Ok(values);
        }
        let missing: Vec<_> = to_ask
            .iter()
            .filter(|field| field.required && offered(field).is_none())
            .map(|field| how_to_answer(field))
            .collect();
        if !missing.is_empty() {
            return Err(self.unanswered(step, &missing));
        }
        for field in to_ask {
            // A secret that is there already stays; its mask is no value.
            if let Some(value) = offered(field).filter(|_| !matches!(field.value_type, ValueType::Secret)) {
                values.0.insert(field.key.clone(), GivenValue::Text(plain(&value, &field.value_type)));
            }
        }
        Ok(values)
    }

    /// A mistyped key is told before anything happens: every one when this is the default flow's only form, else one
    /// that is nearly the name of a field of this form. Other keys may belong to a step that comes.
    fn tell_unused_early(&self, fields: &[AttributeSpec], open: &[&AttributeSpec]) -> Result<(), Failure> {
        let shown: BTreeSet<_> = fields.iter().map(|field| field.key.as_str()).collect();
        if !self.default_keys.is_empty() && self.default_keys.iter().map(String::as_str).eq(shown.iter().copied()) {
            return self.given.all_used(&shown.into_iter().collect::<Vec<_>>());
        }
        let open: Vec<_> = open.iter().map(|field| field.key.as_str()).collect();
        let mistyped = |key: &str| !self.default_keys.contains(key) && nearest(key, open.iter().copied()).is_some();
        let sentences = self.given.unused_of(&open, mistyped);
        if sentences.is_empty() { Ok(()) } else { Err(not_used(&sentences)) }
    }

    async fn menu(&mut self, step: &FlowStep, options: &[ChoiceOption]) -> Result<String, Failure> {
        let values: Vec<_> = options.iter().map(|option| option.value.as_str()).collect();
        if let Some(option) = self.given.take_choice(&step.step_id, &values) {
            return Ok(option);
        }
        self.heading(step);
        if self.interactive {
            let options = options.to_vec();
            return prompt::asked(move || prompt::choose("Which?", &options, None)).await;
        }
        let ways: Vec<_> =
            options.iter().map(|option| format!("--choose {}  {}", option.value, option.label)).collect();
        Err(self.unanswered(step, &ways))
    }

    fn unanswered(&self, step: &FlowStep, what: &[String]) -> Failure {
        let title = if step.title.is_empty() { &step.step_id } else { &step.title };
        let menu = matches!(step.kind, StepKind::Menu { .. });
        let mut failure = Failure::usage(match (menu, what.len()) {
            (true, _) => format!("{title:?} is unanswered; choose one of:"),
            (false, 1) => format!("{title:?} is unanswered:"),
            (false, n) => format!("{title:?} has {n} unanswered fields:"),
        });
        for line in what {
            failure = failure.line(format!("  {line}"));
        }
        for line in self.unused() {
            failure = failure.line(line);
        }
        if self.yes { failure } else { failure.advise("or run it on a terminal without --yes to be asked") }
    }

    /// What stands above a question; where nobody is asked it is not said.
    fn heading(&self, step: &FlowStep) {
        if !self.interactive {
            return;
        }
        if !step.title.is_empty() {
            self.output.aside(format!("\n{}", self.output.paint(Tone::Strong, &step.title)));
        }
        if !step.description.is_empty() {
            let width = crossterm::terminal::size().map_or(80, |(width, _)| usize::from(width));
            self.output.aside(words::wrapped(&step.description, width));
        }
    }

    fn show_errors(&self, fields: &[AttributeSpec], errors: &BTreeMap<String, String>) {
        for (key, problem) in errors {
            let label = fields.iter().find(|field| field.key == *key).map(|field| field.label.as_str());
            let text = match label {
                Some(label) => format!("{label}: {problem}"),
                None => problem.clone(),
            };
            self.output.aside(self.output.paint(Tone::Bad, text));
        }
    }

    fn progress(&mut self, message: &str, percent: Option<f64>) {
        if !io::stderr().is_terminal() {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::new(100);
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        let template = if percent.is_some() { "{spinner} {msg} {bar:30} {pos} %" } else { "{spinner} {msg}" };
        bar.set_style(ProgressStyle::with_template(template).expect("the template is constant and well-formed"));
        bar.set_message(message.to_owned());
        if let Some(percent) = percent {
            // Clamped to what the bar counts.
            bar.set_position(percent.clamp(0.0, 100.0) as u64);
        }
    }
}

fn values(values: GivenValues) -> Answered {
    Answered::With(FlowAnswerRequest { values, ..FlowAnswerRequest::default() })
}

/// How a field can be answered without a terminal.
fn how_to_answer(field: &AttributeSpec) -> String {
    let takes = super::plugin::takes(&field.value_type);
    if matches!(field.value_type, ValueType::Secret) {
        format!("--set-file {}=PATH  {} ({takes}; or --set {}=- for standard input)", field.key, field.label, field.key)
    } else {
        format!("--set {}=VALUE  {} ({takes})", field.key, field.label)
    }
}

/// What ends this process early: SIGINT, SIGHUP and SIGTERM.
fn signals() -> Result<[Signal; 3], Failure> {
    let listen =
        |kind| signal(kind).map_err(|error| Failure::failed(format!("signals cannot be listened to: {error}")));
    Ok([listen(SignalKind::interrupt())?, listen(SignalKind::hangup())?, listen(SignalKind::terminate())?])
}

/// Resolves at the first of them.
async fn told_to_end([mut interrupt, mut hangup, mut terminate]: [Signal; 3]) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = hangup.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// The person does not want to go on.
fn given_up() -> Failure {
    Failure::Told { code: FAILED, message: "given up: nothing was changed".to_owned(), advice: String::new() }
}

/// A usage failure from sentences, for what was not used although the flow ended well.
pub(super) fn not_used(sentences: &[String]) -> Failure {
    Failure::Told { code: USAGE, message: sentences.join("\n"), advice: String::new() }
}
