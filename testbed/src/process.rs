//! Child processes that end with us, however we end.
//!
//! May not: leave anything running. Each program runs under a small shell in a process group of its own, and the shell
//! holds the reading end of a pipe whose writing end is ours: when this process dies, even by SIGKILL, the pipe closes
//! and the shell kills its group. (The kernel's parent-death signal would fire when the *thread* that started the
//! program ends, which in a test runner is at the end of a test.)

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Runs the program, tells its process id and at the end its exit status, and ends the whole group when the pipe at its
/// standard input closes.
const SUPERVISE: &str = r#"
exec 3<&0 4>&1 </dev/null
"$@" 3<&- 4>&- >&2 &
program=$!
echo "$program"
exec >&2
( read -r nothing <&3; kill -KILL 0 ) 4>&- &
watch=$!
exec 3<&- 2>/dev/null
wait "$program"
status=$?
echo "$status" >&4
kill -KILL "$watch"
wait "$watch"
exit "$status"
"#;

/// Removes a folder once the pipe closes; several tries, as those who write there are being killed at that moment.
const SWEEP: &str = r#"
read -r nothing
for try in 1 2 3 4 5 6 7 8 9 10; do
  rm -rf "$1" 2>/dev/null
  [ -e "$1" ] || exit 0
  sleep 0.2
done
"#;

/// A program under supervision. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    program: Pid,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    shell: Child,
    group: Pid,
    program: Pid,
    ended: Option<ExitStatus>,
    // Closing it is what tells the shell that we are gone.
    lifeline: Option<ChildStdin>,
}

/// Kills one process, from wherever it is called: a kill switch for the fault proxy.
#[derive(Clone, Debug)]
pub struct Killer(Arc<Mutex<Inner>>);

impl Process {
    /// Starts a program whose output is appended to `log`.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(
        name: &str,
        program: &Path,
        arguments: &[String],
        log: &Path,
    ) -> anyhow::Result<Self> {
        Self::start_with(name, program, arguments, &[], log)
    }

    /// As [`Process::start`], with environment variables besides ours.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start_with(
        name: &str,
        program: &Path,
        arguments: &[String],
        environment: &[(String, String)],
        log: &Path,
    ) -> anyhow::Result<Self> {
        // A shell reports a missing program only in the log; say it here.
        if !program.is_file() {
            bail!("{name}: there is no program at {}", program.display());
        }
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("{name}: cannot write its log {}", log.display()))?;
        let mut shell = Command::new("sh")
            .arg("-c")
            .arg(SUPERVISE)
            .arg("sh")
            .arg(program)
            .args(arguments)
            .envs(environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("{name}: cannot start"))?;
        let lifeline = shell.stdin.take();
        let group = pid_of(shell.id())?;
        let mut first = String::new();
        if let Some(stdout) = shell.stdout.take() {
            let mut told = BufReader::new(stdout);
            told.read_line(&mut first)
                .with_context(|| format!("{name}: its shell says nothing"))?;
            let (name, log) = (name.to_owned(), log.to_owned());
            // Past the test runner, which shows what belongs to a test.
            std::thread::spawn(move || {
                if let Some(words) = crash(&name, &log, told) {
                    let _ = writeln!(std::io::stderr(), "{words}");
                }
            });
        }
        let program = pid_of(
            first
                .trim()
                .parse()
                .with_context(|| format!("{name}: its shell did not start it"))?,
        )?;
        let inner = Inner {
            shell,
            group,
            program,
            ended: None,
            lifeline,
        };
        Ok(Self {
            name: name.to_owned(),
            log: log.to_owned(),
            program,
            inner: Arc::new(Mutex::new(inner)),
        })
    }

    /// What it is called in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.program.as_raw_nonzero().get()
    }

    /// The file to which it writes.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines that it wrote.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        tail(&self.log, lines)
    }

    /// Whether it still runs. A paused program does.
    #[must_use]
    pub fn is_running(&self) -> bool {
        lock(&self.inner).poll().is_none()
    }

    /// How it ended, or `None` while it runs.
    #[must_use]
    pub fn ended(&self) -> Option<ExitStatus> {
        lock(&self.inner).poll()
    }

    /// Kills it at once (SIGKILL), and waits until it is gone.
    pub fn kill(&self) {
        lock(&self.inner).kill();
    }

    /// A switch that kills it, to be handed to others.
    #[must_use]
    pub fn killer(&self) -> Killer {
        Killer(Arc::clone(&self.inner))
    }

    /// Asks it to end (SIGTERM). It does not wait.
    ///
    /// # Errors
    /// When it no longer runs.
    pub fn ask_to_end(&self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)
    }

    /// Stops the clock of the program (SIGSTOP): its sockets stay open, and it does nothing.
    ///
    /// # Errors
    /// When it no longer runs.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a paused program go on (SIGCONT).
    ///
    /// # Errors
    /// When it no longer runs.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        // Only the program: its shell must stay awake to see us die.
        if let Some(status) = lock(&self.inner).poll() {
            bail!(
                "{} has ended ({status}); its last words:\n{}",
                self.name,
                self.tail(20)
            );
        }
        kill_process(self.program, signal).with_context(|| format!("cannot signal {}", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Killer {
    /// Kills the process at once (SIGKILL), and waits until it is gone.
    pub fn kill(&self) {
        lock(&self.0).kill();
    }
}

impl Inner {
    fn poll(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.shell.try_wait().ok().flatten();
        }
        self.ended
    }

    fn kill(&mut self) {
        // First the program alone, so that its shell can bury it; then, should the shell be in a bad way, everyone.
        if self.poll().is_none() {
            let _ = kill_process(self.program, Signal::KILL);
            let end = Instant::now() + Duration::from_secs(5);
            while self.poll().is_none() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        if self.ended.is_none() {
            let _ = kill_process_group(self.group, Signal::KILL);
            self.ended = self.shell.wait().ok();
        }
        self.lifeline = None;
    }
}

/// A script that runs when this value is dropped, and also when this process dies without dropping anything. It begins
/// with a `read` of its standard input, which ends at that moment.
#[derive(Debug)]
pub struct Afterwards {
    shell: Child,
}

impl Afterwards {
    /// Starts the shell that waits for the moment. The argument is the script's `$1`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(script: &str, argument: &Path) -> anyhow::Result<Self> {
        let shell = Command::new("sh")
            .arg("-c")
            .arg(script)
            .arg("sh")
            .arg(argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start the shell that cleans up")?;
        Ok(Self { shell })
    }

    /// Nothing is to be run after all.
    fn forget(&mut self) {
        let _ = self.shell.kill();
    }
}

impl Drop for Afterwards {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// A folder that is removed when this value is dropped, and also when this process dies without dropping anything.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    // Tries again, when it is dropped, to remove what a dying writer may have put back.
    sweeper: Afterwards,
    keep: bool,
}

impl Folder {
    /// A new folder: in memory where the machine has such a place, else in the usual one for temporary files.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(prefix: &str) -> anyhow::Result<Self> {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let path = tempfile::Builder::new()
            .prefix(prefix)
            .tempdir_in(&parent)
            .with_context(|| format!("cannot make a folder in {}", parent.display()))?
            .keep();
        let sweeper = Afterwards::run(SWEEP, &path)?;
        Ok(Self {
            path,
            sweeper,
            keep: false,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the folder where it is, for someone who wants to read what is in it.
    pub fn keep(&mut self) {
        self.keep = true;
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.keep {
            self.sweeper.forget();
        } else {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Waits for the exit status; when a program in Go has crashed, the beginning of its last words. Whoever talks to it only
/// sees that nobody answers, and its log ends with its folder.
fn crash(name: &str, log: &Path, mut told: impl BufRead) -> Option<String> {
    const STATUS: &str = "2";
    const LINES: usize = 12;
    let mut status = String::new();
    told.read_line(&mut status).ok()?;
    if status.trim() != STATUS {
        return None;
    }
    let lines = BufReader::new(File::open(log).ok()?).lines();
    let before = |line: &String| !line.starts_with("fatal error: ") && !line.starts_with("panic: ");
    let words: Vec<String> = lines
        .map_while(Result::ok)
        .skip_while(before)
        .take(LINES)
        .collect();
    (!words.is_empty()).then(|| format!("==> {name} has crashed:\n{}", words.join("\n")))
}

/// The last lines of a file; empty when it cannot be read.
#[must_use]
pub fn tail(file: &Path, lines: usize) -> String {
    let Ok(open) = File::open(file) else {
        return String::new();
    };
    let mut kept = std::collections::VecDeque::with_capacity(lines);
    for line in BufReader::new(open).lines().map_while(Result::ok) {
        if kept.len() == lines {
            kept.pop_front();
        }
        kept.push_back(line);
    }
    Vec::from(kept).join("\n")
}

fn pid_of(number: u32) -> anyhow::Result<Pid> {
    i32::try_from(number)
        .ok()
        .and_then(Pid::from_raw)
        .context("not a process id")
}

fn lock(inner: &Mutex<Inner>) -> std::sync::MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn crash_of(log: &str, status: &str) -> Option<String> {
        let folder = Folder::new("covenant-crash-").unwrap();
        let file = folder.path().join("log");
        fs::write(&file, log).unwrap();
        crash("etcd", &file, status.as_bytes())
    }

    #[test]
    fn a_crash_of_a_program_in_go_is_told_and_an_ending_is_not() {
        let log = "started\nfatal error: all is lost\ngoroutine 1:\n";
        let expected = "==> etcd has crashed:\nfatal error: all is lost\ngoroutine 1:";
        assert_eq!(crash_of(log, "2\n").as_deref(), Some(expected));
        assert_eq!(crash_of(log, "137\n"), None);
        assert_eq!(crash_of(log, ""), None);
        assert_eq!(crash_of("unknown flag: fatal error: none\n", "2\n"), None);
        assert_eq!(crash("etcd", Path::new("/nowhere"), "2\n".as_bytes()), None);
    }

    #[test]
    fn the_supervisor_tells_who_runs_and_how_it_ended() {
        let mut shell = Command::new("sh")
            .args(["-c", SUPERVISE, "sh", "sh", "-c", "echo $$ >&2; exit 2"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let lifeline = shell.stdin.take();
        let output = shell.wait_with_output().unwrap();
        drop(lifeline);
        let log = String::from_utf8(output.stderr).unwrap();
        let program = log.lines().next().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        assert_eq!(told, format!("{program}\n2\n"));
        assert_eq!(output.status.code(), Some(2));
    }
}
