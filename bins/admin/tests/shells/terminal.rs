//! A shell on a terminal of tmux.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use mercurio_storage::testing::wait_for;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_mercurio-admin");
const PROMPT: &str = "prompt>";

/// The shells with completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    /// Starts the shell without the files of the user.
    fn command(self) -> &'static str {
        match self {
            Self::Bash => "bash --norc --noprofile -i",
            Self::Zsh => "zsh -f -i",
            Self::Fish => "fish --no-config -i",
        }
    }

    /// Loads the completion, and shows a prompt that a test can wait for.
    fn set_up(self) -> &'static str {
        match self {
            Self::Bash => "PS1='prompt>'; source <(mercurio-admin completion bash); clear",
            Self::Zsh => {
                "PS1='prompt>'; autoload -Uz compinit; compinit -u -D; \
                 source <(mercurio-admin completion zsh); clear"
            }
            Self::Fish => {
                "function fish_prompt; echo -n 'prompt>'; end; set -g fish_autosuggestion_enabled 0; \
                 mercurio-admin completion fish | source; clear"
            }
        }
    }
}

/// Runs the program without a terminal.
pub(crate) fn run(arguments: &[&str], url: &str) -> String {
    let mut command = Command::new(PROGRAM);
    let output = command.args(arguments).env_clear().env("DATABASE_URL", url).output();
    let output = output.expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// A shell at its prompt.
pub(crate) struct Terminal {
    /// Name of the tmux server.
    server: String,
    _home: TempDir,
}

impl Terminal {
    pub(crate) fn start(shell: Shell, url: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let server = format!("mercurio-{}-{number}", std::process::id());
        let home = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(home.path().join("folder")).expect("a folder to complete");
        std::fs::write(home.path().join("file.ndjson"), "").expect("a file to complete");
        let terminal = Self { server, _home: home };
        let home = terminal._home.path();
        let folder = Path::new(PROGRAM).parent().expect("a folder").display().to_string();
        let path = format!("{folder}:{}", std::env::var("PATH").expect("PATH"));
        let mut tmux =
            terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "40", "-c"]);
        // The environment of the server is that of its shells.
        tmux.arg(home).env("PATH", path).env("DATABASE_URL", url);
        tmux.env("HOME", home).env("XDG_CONFIG_HOME", home).env("XDG_DATA_HOME", home);
        let status = tmux.arg(shell.command()).status().expect("tmux runs; install it");
        assert!(status.success(), "tmux starts {shell:?}");
        terminal.type_line(shell.set_up());
        terminal.press("Enter");
        wait_for("a prompt alone on the screen", || {
            let screen = terminal.screen();
            if screen.trim() == PROMPT { Ok(()) } else { Err(screen) }
        });
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.args(["-u", "-L", &self.server]).args(arguments);
        // A test may run inside of tmux.
        command.env_remove("TMUX").env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        command
    }

    fn tell(&self, arguments: &[&str]) -> String {
        let output = self.tmux(arguments).output().expect("tmux runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Types a text, without Enter.
    pub(crate) fn type_line(&self, text: &str) {
        self.tell(&["send-keys", "-l", text]);
    }

    /// Presses a key by its name, such as `Tab`.
    pub(crate) fn press(&self, key: &str) {
        self.tell(&["send-keys", key]);
    }

    pub(crate) fn screen(&self) -> String {
        self.tell(&["capture-pane", "-p"])
    }

    #[track_caller]
    pub(crate) fn wait_for_text(&self, text: &str) {
        wait_for(text, || {
            let screen = self.screen();
            if screen.contains(text) { Ok(()) } else { Err(screen) }
        });
    }

    /// Empties the line and the screen.
    pub(crate) fn clear(&self) {
        // Ctrl-C would also discard the key behind it.
        for key in ["C-u", "C-l"] {
            self.press(key);
        }
        wait_for("a prompt alone on the screen", || {
            let screen = self.screen();
            if screen.trim() == PROMPT { Ok(()) } else { Err(screen) }
        });
    }

    /// Types arguments, presses Tab, and compares the line. It must be alone on the screen.
    #[track_caller]
    pub(crate) fn check_completion(&self, typed: &str, expected: &str) {
        self.type_line(&format!("mercurio-admin {typed}"));
        self.press("Tab");
        // The shell reads this key behind the completion.
        self.type_line("X");
        let expected = format!("{PROMPT}mercurio-admin {expected}X");
        wait_for(&expected, || {
            let screen = self.screen();
            if screen.trim() == expected { Ok(()) } else { Err(screen) }
        });
        self.clear();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]).status().ok();
    }
}
