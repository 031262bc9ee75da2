//! The bundled virtual house and the probe, activated the quick way.

use crate::daemon::{Daemon, Ran};

impl Daemon {
    /// Drops `virtual-house` and activates it with the defaults.
    pub fn with_house(&self) -> Ran {
        self.drop_plugin("virtual_house");
        let ran = self.activate_house(&[]);
        ran.ok();
        self.wait_state("virtual-house", "running");
        ran
    }

    /// Activates a virtual house without a terminal; more arguments (`--id cabin`) after.
    pub fn activate_house(&self, more: &[&str]) -> Ran {
        let mut args = vec!["integration", "activate", "virtual-house", "--choose", "furnished", "--yes"];
        args.extend(["--set", "pace=100ms"]);
        args.extend(more);
        self.cli(&args)
    }

    /// Drops the probe and activates it.
    pub fn with_probe(&self) {
        self.drop_plugin("probe_plugin");
        self.cli(&["integration", "activate", "probe", "--yes"]).ok();
        self.wait_state("probe", "running");
    }

    /// Has a probe do something; what it said.
    ///
    /// # Panics
    /// When it failed.
    #[track_caller]
    pub fn ask_probe(&self, id: &str, what: &[&str]) -> String {
        let mut args = vec!["integration", "manage", id];
        args.extend(what);
        self.cli(&args).ok().to_owned()
    }

    /// The text of a state's value.
    pub fn state_text(&self, address: &str) -> Result<String, String> {
        let path = format!("/v1/states/{}", address.replace('/', "%2F"));
        let answer = self.get(&path).map_err(|e| e.to_string())?;
        if answer.status != 200 {
            return Err(answer.body);
        }
        answer.json()["text"].as_str().map(str::to_owned).ok_or(answer.body)
    }

    /// Waits until a state has this text.
    ///
    /// # Panics
    /// When it never has.
    #[track_caller]
    pub fn wait_text(&self, address: &str, text: &str) {
        crate::wait::wait_for(&format!("{address} to be {text}"), || {
            let now = self.state_text(address)?;
            if now == text { Ok(()) } else { Err(now) }
        });
    }
}
