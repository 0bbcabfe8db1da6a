//! A proxy between the operator and the API server: it writes down every request, and puts faults in their way.
//!
//! May not: buffer a watch, retry, or change what it passes on, but for the date of an answer when a rule says so. It
//! listens on loopback in plain http, so a client behind it must be one that has a bearer token.

mod journal;
mod rules;
mod serve;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use kube::Client;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use journal::{Entry, Seen};
pub use rules::{Fault, Matcher, Moment, Rule};

use crate::cluster::Cluster;
use crate::identity::Identity;
use crate::kubeconfig;

/// A running proxy. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    folder: PathBuf,
    shared: Arc<Shared>,
    listener: JoinHandle<()>,
}

/// Names one rule, freeze or cut, to end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handle(usize);

pub(crate) struct Shared {
    upstream: Client,
    began: Instant,
    state: Mutex<State>,
    // Told whenever a stream must look again whether it may go on.
    turn: watch::Sender<()>,
}

struct State {
    next: usize,
    mutating: usize,
    /// The last requests, and how many there were before them.
    journal: VecDeque<Entry>,
    forgotten: usize,
    remembers: usize,
    rules: BTreeMap<usize, rules::Rule>,
    frozen: BTreeMap<usize, Matcher>,
    streams: BTreeMap<usize, Stream>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            next: 0,
            mutating: 0,
            journal: VecDeque::new(),
            forgotten: 0,
            remembers: usize::MAX,
            rules: BTreeMap::new(),
            frozen: BTreeMap::new(),
            streams: BTreeMap::new(),
        }
    }
}

struct Stream {
    request: Seen,
    cut: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the state of a proxy")
    }
}

impl Proxy {
    /// Starts a proxy to the cluster's API server on a free port of loopback.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        let upstream = kubeconfig::client(cluster.anonymous_config()?)?;
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("the proxy cannot listen")?;
        let address = format!("http://{}", listener.local_addr().context("no address")?);
        let state = Mutex::new(State::default());
        let shared = Arc::new(Shared {
            upstream,
            began: Instant::now(),
            state,
            turn: watch::channel(()).0,
        });
        let listener = tokio::spawn(serve::listen(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            folder: cluster.folder().to_owned(),
            shared,
            listener,
        })
    }

    /// `http://127.0.0.1:…`
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A kubeconfig file that reaches the API server through this proxy with the bearer token of an identity.
    ///
    /// # Errors
    /// When the identity's kubeconfig cannot be read or the new one not be written.
    pub fn kubeconfig(&self, identity: &Identity) -> anyhow::Result<PathBuf> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let original = kubeconfig::read(identity.kubeconfig())?;
        let file = self
            .folder
            .join(format!("through-proxy-{number}.kubeconfig"));
        kubeconfig::write_private(&file, &kubeconfig::redirected(&original, &self.address))?;
        Ok(file)
    }

    /// Puts a rule in force. Where several match a request, each of them meets it, in the order in which they came.
    pub fn add(&self, rule: Rule) -> Handle {
        let mut state = self.shared.lock();
        let handle = state.handle();
        state.rules.insert(handle.0, rule);
        handle
    }

    /// Ends a rule or a freeze.
    pub fn remove(&self, handle: Handle) {
        let mut state = self.shared.lock();
        state.rules.remove(&handle.0);
        state.frozen.remove(&handle.0);
        drop(state);
        self.shared.turn.send_replace(());
    }

    /// Ends every rule and every freeze.
    pub fn clear(&self) {
        let mut state = self.shared.lock();
        state.rules.clear();
        state.frozen.clear();
        drop(state);
        self.shared.turn.send_replace(());
    }

    /// Lets nothing more through on the watches that match, those of now and those to come: they stay open and silent.
    /// What was held back comes through when the freeze is removed.
    pub fn freeze_watches(
        &self,
        matcher: impl Fn(&Seen) -> bool + Send + Sync + 'static,
    ) -> Handle {
        let mut state = self.shared.lock();
        let handle = state.handle();
        state.frozen.insert(handle.0, Arc::new(matcher));
        handle
    }

    /// Freezes the watches of one resource.
    pub fn freeze_watches_of(&self, resource: &str) -> Handle {
        let resource = resource.to_owned();
        self.freeze_watches(move |seen| seen.resource() == resource)
    }

    /// Cuts the watches that match and are open now, in the midst of what they say. Returns how many.
    pub fn cut_watches(&self, matcher: impl Fn(&Seen) -> bool) -> usize {
        let mut state = self.shared.lock();
        let mut count = 0;
        for stream in state
            .streams
            .values_mut()
            .filter(|stream| !stream.cut && matcher(&stream.request))
        {
            stream.cut = true;
            count += 1;
        }
        drop(state);
        self.shared.turn.send_replace(());
        count
    }

    /// How many watches are open.
    #[must_use]
    pub fn open_watches(&self) -> usize {
        self.shared.lock().streams.len()
    }

    /// Everything so far, oldest first.
    #[must_use]
    pub fn journal(&self) -> Vec<Entry> {
        self.shared.lock().journal.iter().cloned().collect()
    }

    /// Keeps no more than so many requests in its journal, for what goes on for hours.
    pub fn remember_at_most(&self, number: usize) {
        self.shared.lock().remembers = number;
    }

    /// The mutating requests so far, oldest first.
    #[must_use]
    pub fn writes(&self) -> Vec<Entry> {
        let state = self.shared.lock();
        state
            .journal
            .iter()
            .filter(|entry| entry.request.is_mutating())
            .cloned()
            .collect()
    }

    /// How many mutating requests there were: what [`Rule::at_write`] counts.
    #[must_use]
    pub fn write_count(&self) -> usize {
        self.shared.lock().mutating
    }

    /// How many requests there were; a later journal from there on is what happened since.
    #[must_use]
    pub fn request_count(&self) -> usize {
        let state = self.shared.lock();
        state.forgotten + state.journal.len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
        // Streams that are open end with it.
        self.cut_watches(|_| true);
    }
}

impl State {
    fn handle(&mut self) -> Handle {
        self.next += 1;
        Handle(self.next)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a request down, and says which faults it meets.
    fn enter(
        &self,
        method: &str,
        path: &str,
        query: &str,
        body: serde_json::Value,
    ) -> (Seen, Vec<Fault>) {
        let mut state = self.lock();
        let mutating = Seen::mutates(method, path, query).then(|| {
            state.mutating += 1;
            state.mutating
        });
        let request = Seen {
            sequence: state.forgotten + state.journal.len() + 1,
            mutating,
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            body,
        };
        let mut faults = Vec::new();
        for rule in state.rules.values_mut() {
            if rule.times == 0 || !(rule.matcher)(&request) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            rule.times -= 1;
            faults.push(rule.fault.clone());
        }
        let entry = Entry {
            request: request.clone(),
            at: self.since_began(),
            status: None,
            forwarded: false,
            faults: faults.iter().map(Fault::name).collect(),
        };
        state.journal.push_back(entry);
        if state.journal.len() > state.remembers {
            state.journal.pop_front();
            state.forgotten += 1;
        }
        (request, faults)
    }

    fn note(&self, request: &Seen, change: impl FnOnce(&mut Entry)) {
        let mut state = self.lock();
        let place = (request.sequence - 1).checked_sub(state.forgotten);
        if let Some(entry) = place.and_then(|place| state.journal.get_mut(place)) {
            change(entry);
        }
    }

    fn since_began(&self) -> Duration {
        self.began.elapsed()
    }
}
