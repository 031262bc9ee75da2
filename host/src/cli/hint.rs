//! Commands for a person to type next: they work as they stand, in any terminal.

use std::path::Path;

use crate::home::Home;

/// Makes commands that reach this daemon: the binary's absolute path where it is not on PATH, `--home` where it is not
/// the default. The environment of this process counts for nothing: the next terminal may not have it.
#[derive(Debug, Clone)]
pub(super) struct Hints {
    prefix: String,
}

impl Hints {
    /// For the binary that runs and a home.
    pub(super) fn new(home: &Home) -> Self {
        let default = Home::by_default().is_some_and(|default| default == *home);
        Self::made(&program(), (!default).then(|| home.root()))
    }

    fn made(program: &str, home: Option<&Path>) -> Self {
        let mut prefix = quoted(program);
        if let Some(home) = home {
            prefix.push_str(" --home ");
            prefix.push_str(&quoted(&home.to_string_lossy()));
        }
        Self { prefix }
    }

    /// A command with these arguments, each quoted for a shell where it must be.
    pub(super) fn command(&self, arguments: &[&str]) -> String {
        let mut command = self.prefix.clone();
        for argument in arguments {
            command.push(' ');
            command.push_str(&quoted(argument));
        }
        command
    }

    /// A sentence of the daemon's, its commands as they work here: the daemon does not know how it is reached.
    pub(super) fn in_words(&self, sentence: &str) -> String {
        NOUNS.iter().fold(sentence.to_owned(), |sentence, noun| {
            sentence.replace(&format!("gatehouse {noun} "), &format!("{} {noun} ", self.prefix))
        })
    }
}

/// The commands that the daemon's sentences name.
const NOUNS: &[&str] = &["integration", "plugin", "log", "crash", "explain"];

fn program() -> String {
    let Ok(this) = std::env::current_exe() else { return "gatehouse".to_owned() };
    let on_path = std::env::var_os("PATH").is_some_and(|path| {
        // The first hit is what a shell would run: another binary of the name there does not count as this one.
        let hit = std::env::split_paths(&path).map(|folder| folder.join("gatehouse")).find(|file| file.is_file());
        hit.and_then(|file| file.canonicalize().ok()) == this.canonicalize().ok()
    });
    if on_path { "gatehouse".to_owned() } else { this.display().to_string() }
}

/// The text as one word of a shell.
pub(super) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_./:=@%+,-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_pasted_into_a_shell() {
        let hints = Hints::made("/opt/gate house/gatehouse", Some(Path::new("/srv/it's")));
        assert_eq!(
            hints.command(&["state", "watch", "virtual-house:*"]),
            r"'/opt/gate house/gatehouse' --home '/srv/it'\''s' state watch 'virtual-house:*'"
        );
        assert_eq!(Hints::made("gatehouse", None).command(&["status"]), "gatehouse status");
        let told = "its log says more (gatehouse log --level error)";
        assert_eq!(
            Hints::made("/opt/gatehouse", None).in_words(told),
            "its log says more (/opt/gatehouse log --level error)"
        );
    }
}
