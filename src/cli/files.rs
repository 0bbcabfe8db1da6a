//! Manifests from files, read as kubectl reads them and as strictly as the API server under strict validation.
//!
//! Every bad document is reported, with file and line; reading goes on, so that one run shows them all. What cannot be
//! read permits nothing: with a bad document there is no plan, because the document may have been a prohibition.
//!
//! May not: interpret a spec. That is [`crate::model`]'s.

pub(super) mod items;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::core::DynamicObject;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::names::{GROUP, LABEL_MANAGED_BY, LABEL_NAMESPACE_NAME, MANAGED_BY_COVENANT};
use crate::api::{
    DataHandlingPosture, DataProcessor, DataSharingGrant, GuardParameters, ProcessingHold,
    RetentionPolicy, SharingAcceptance, SharingProhibition, TelemetryOptOut, TenantBaseline,
};
use crate::model::{
    Kind, KindState, LedgerState, ObjectKey, ResourceKind, Settings, Target, World,
};
use crate::simulate::uid_of;
use items::Item;

/// Larger files are not manifests.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Namespace of objects that name none, as for kubectl.
pub const DEFAULT_NAMESPACE: &str = "default";

/// Where manifests come from.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Sources {
    /// A file, a directory (its .yaml, .yml and .json files), or - for standard input. Give it as often as needed.
    #[arg(short = 'f', long = "filename", value_name = "PATH")]
    pub filenames: Vec<PathBuf>,
    /// Descend into directories.
    #[arg(short = 'R', long)]
    pub recursive: bool,
    /// Namespace of objects that name none: `default` for manifests, your kubeconfig's for a cluster.
    #[arg(short = 'n', long)]
    pub namespace: Option<String>,
}

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// File, or `-`.
    pub file: String,
    /// Line, from 1: of the place where it is known, else of the document.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct Manifests {
    /// Objects of kinds that matter here, in the order of the files.
    pub objects: Vec<(Kind, DynamicObject)>,
    /// Objects of any kind that a retention policy could select.
    pub items: Vec<Item>,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
    seen: BTreeMap<Target, String>,
}

/// Reads all sources.
#[must_use]
pub fn read(sources: &Sources) -> Manifests {
    let mut manifests = Manifests::default();
    let namespace = sources.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    for path in &sources.filenames {
        if path.as_os_str() == "-" {
            let mut text = String::new();
            match std::io::stdin()
                .lock()
                .take(MOST_BYTES)
                .read_to_string(&mut text)
            {
                Ok(_) => manifests.read_text("-", &text, namespace),
                Err(error) => manifests.problem("-", 1, format!("cannot be read: {error}")),
            }
            continue;
        }
        let mut files = Vec::new();
        if let Err((path, error)) = collect(path, sources.recursive, true, &mut files) {
            manifests.problem(
                &path.display().to_string(),
                1,
                format!("cannot be read: {error}"),
            );
        }
        if files.is_empty() && path.is_dir() {
            let message = "the directory has no .yaml, .yml or .json file; with -R those below it are read too";
            manifests.problem(&path.display().to_string(), 1, message.to_owned());
        }
        for file in files {
            let name = file.display().to_string();
            match read_file(&file) {
                Ok(text) => manifests.read_text(&name, &text, namespace),
                Err(error) => manifests.problem(&name, 1, format!("cannot be read: {error}")),
            }
        }
    }
    manifests
}

fn read_file(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(MOST_BYTES)
        .read_to_string(&mut text)?;
    Ok(text)
}

/// The manifests under a path, sorted by name, so that what is said does not depend on the file system.
fn collect(
    path: &Path,
    recursive: bool,
    named: bool,
    files: &mut Vec<PathBuf>,
) -> Result<(), (PathBuf, std::io::Error)> {
    let failed = |error| (path.to_owned(), error);
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        let manifest = path.extension().is_some_and(|extension| {
            extension == "yaml" || extension == "yml" || extension == "json"
        });
        if named || manifest {
            files.push(path.to_owned());
        }
        return Ok(());
    }
    let entries = std::fs::read_dir(path).map_err(failed)?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    paths.sort();
    for path in paths {
        if recursive || !path.is_dir() {
            collect(&path, recursive, false, files)?;
        }
    }
    Ok(())
}

impl Manifests {
    /// The World of these objects. Of Jobs it knows the timers only, beside those that a retention policy selects.
    ///
    /// What was assumed is returned in words. Objects that are selected and cannot be read are problems.
    #[must_use]
    pub fn world(&mut self, now: Timestamp) -> (World, Vec<String>) {
        let mut world = World::new(Settings::default());
        for (kind, object) in std::mem::take(&mut self.objects) {
            let labels = object.metadata.labels.as_ref();
            let ours = labels
                .and_then(|labels| labels.get(LABEL_MANAGED_BY))
                .is_some_and(|value| value == MANAGED_BY_COVENANT);
            if kind != Kind::Job || ours {
                world.apply(kind, object);
            }
        }
        let notes = self.stock(&mut world, now);
        (world, notes)
    }

    /// Puts in the objects that are selected: the files are all that there is.
    fn stock(&mut self, world: &mut World, now: Timestamp) -> Vec<String> {
        world.learn_ledger(LedgerState::default());
        let wanted = world.wanted_kinds();
        let mut places: BTreeMap<(&ResourceKind, ObjectKey), &Item> = BTreeMap::new();
        let mut problems = Vec::new();
        let mut assumed = BTreeSet::new();
        for kind in &wanted {
            world.tell_kind(kind, KindState::Synced);
        }
        for item in &self.items {
            let same = |kind: &&ResourceKind| {
                (&kind.group, &kind.kind) == (&item.kind.group, &item.kind.kind)
            };
            for kind in wanted.iter().filter(same) {
                let problem = match (&item.metadata, item.key()) {
                    (Err(problem), _) => format!("{}: {problem}", item.kind.kind),
                    (Ok(_), None) => continue,
                    (Ok(_), Some(key)) => match places.get(&(kind, key.clone())) {
                        Some(first) => format!(
                            "{} {key} is given twice; the first is at {}:{}",
                            item.kind.kind, first.file, first.line
                        ),
                        None => {
                            if item.put(world, kind, now) {
                                assumed.insert((&item.file, item.line));
                            }
                            places.insert((kind, key), item);
                            continue;
                        }
                    },
                };
                problems.push((item.file.clone(), item.line, problem));
            }
        }
        let notes = match assumed.len() {
            0 => Vec::new(),
            count => vec![assumption(count, now)],
        };
        for (file, line, message) in problems {
            let problem = Problem {
                file,
                line,
                message,
            };
            // Of kinds that matter beside retention it was said already.
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
        notes
    }

    fn problem(&mut self, file: &str, line: usize, message: String) {
        self.problems.push(Problem {
            file: file.to_owned(),
            line,
            message,
        });
    }

    /// Reads a text of one or more documents.
    pub fn read_text(&mut self, file: &str, text: &str, default_namespace: &str) {
        for (first_line, document) in documents(text) {
            let options = serde_saphyr::options! {
                // As kubectl reads: `yes` is a boolean, 0755 is octal, a key given twice is a mistake.
                legacy_octal_numbers: true,
                strict_booleans: false,
                duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
                with_snippet: false,
            };
            let value: Value = match serde_saphyr::from_str_with_options(&document, options) {
                Ok(value) => value,
                Err(error) => {
                    let line = error
                        .location()
                        .and_then(|location| usize::try_from(location.line()).ok())
                        .map_or(first_line, |line| first_line + line.saturating_sub(1));
                    let message = error.to_string();
                    let first = message.lines().next().unwrap_or("is not YAML");
                    // It counts lines from the document's own beginning; ours are the file's.
                    let first = first.split(" at line ").next().unwrap_or(first);
                    self.problem(file, line, format!("is not valid YAML: {first}"));
                    continue;
                }
            };
            let line = first_line + leading_lines(&document);
            self.read_value(file, line, value, default_namespace);
        }
    }

    fn read_value(&mut self, file: &str, line: usize, value: Value, default_namespace: &str) {
        match value {
            Value::Null => {}
            Value::Object(mut fields) => {
                let is_list = fields
                    .get("kind")
                    .and_then(Value::as_str)
                    .is_some_and(|kind| kind.ends_with("List"));
                match fields.get_mut("items") {
                    Some(Value::Array(items)) if is_list => {
                        for item in std::mem::take(items) {
                            self.read_value(file, line, item, default_namespace);
                        }
                    }
                    _ => self.read_object(file, line, Value::Object(fields), default_namespace),
                }
            }
            _ => self.problem(file, line, "is not an object".to_owned()),
        }
    }

    fn read_object(&mut self, file: &str, line: usize, value: Value, default_namespace: &str) {
        self.items
            .extend(Item::read(file, line, &value, default_namespace));
        match object(value, default_namespace) {
            Ok(None) => {}
            Ok(Some((kind, object))) => {
                let target = Target::new(kind, ObjectKey::of(&object));
                let place = format!("{file}:{line}");
                if let Some(first) = self.seen.get(&target) {
                    let message = format!("{target} is given twice; the first is at {first}");
                    self.problem(file, line, message);
                } else {
                    self.seen.insert(target, place);
                    self.objects.push((kind, object));
                }
            }
            Err(messages) => {
                for message in messages {
                    self.problem(file, line, message);
                }
            }
        }
    }
}

fn assumption(count: usize, now: Timestamp) -> String {
    let (objects, count_as) = if count == 1 {
        ("object has", "counts")
    } else {
        ("objects have", "count")
    };
    format!(
        "{count} {objects} no metadata.creationTimestamp and {count_as} as created at {now}, the instant that is asked about"
    )
}

/// The documents of a text with their first lines, split as kubectl splits: at lines that begin with `---`.
fn documents(text: &str) -> Vec<(usize, String)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = Vec::new();
    let mut current = String::new();
    let mut first = 1;
    for (index, line) in text.lines().enumerate() {
        let marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r']));
        if marker {
            documents.push((first, std::mem::take(&mut current)));
            // What follows the marker on its own line belongs to the document.
            first = index + 1;
            current.push_str(line.get(3..).unwrap_or_default());
            current.push('\n');
        } else if line.trim_end() == "..." {
            current.push('\n');
        } else {
            current.push_str(line);
            current.push('\n');
        }
    }
    documents.push((first, current));
    let blank = |document: &str| {
        document.lines().all(|line| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#')
        })
    };
    documents.retain(|(_, document)| !blank(document));
    documents
}

/// Lines before a document's first word.
fn leading_lines(document: &str) -> usize {
    document
        .lines()
        .take_while(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
        .count()
}

type Read = Result<Option<(Kind, DynamicObject)>, Vec<String>>;

/// Reads one object; none where its kind does not matter here.
fn object(mut value: Value, default_namespace: &str) -> Read {
    let text =
        |value: &Value, at: &str| value.pointer(at).and_then(Value::as_str).map(str::to_owned);
    let (Some(api_version), Some(kind_name)) = (text(&value, "/apiVersion"), text(&value, "/kind"))
    else {
        return Err(vec!["needs apiVersion and kind, both text".to_owned()]);
    };
    let Some(kind) = Kind::of(&api_version, &kind_name) else {
        let ours = api_version.split('/').next() == Some(GROUP);
        if !ours {
            return Ok(None);
        }
        return Err(vec![format!(
            "there is no kind {kind_name} in {api_version}"
        )]);
    };
    let Some(name) = text(&value, "/metadata/name").filter(|name| !name.is_empty()) else {
        return Err(vec![format!("{kind} needs metadata.name, as text")]);
    };
    let mut problems = Vec::new();
    if kind.is_namespaced() {
        let given = value
            .pointer("/metadata/namespace")
            .is_some_and(|namespace| !namespace.is_null());
        if !given {
            value["metadata"]["namespace"] = default_namespace.into();
        }
    } else if value.pointer("/metadata/namespace").is_some() {
        problems.push(format!(
            "{kind} {name} is not of a namespace: leave out metadata.namespace"
        ));
    }
    problems.extend(
        strict(kind, &value)
            .into_iter()
            .map(|problem| format!("{kind} {name}: {problem}")),
    );
    let object: DynamicObject = match serde_path_to_error::deserialize(value) {
        Ok(object) => object,
        Err(error) => {
            if problems.is_empty() {
                problems.push(format!(
                    "{kind} {name}: {}: {}",
                    error.path(),
                    error.inner()
                ));
            }
            return Err(problems);
        }
    };
    if problems.is_empty() {
        Ok(Some((kind, stored(kind, object))))
    } else {
        Err(problems)
    }
}

/// What strict validation would refuse: fields that there are not, and values of another type.
fn strict(kind: Kind, value: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let mut unknown = |at: &str, known: &[&str]| {
        let fields = value.pointer(at).and_then(Value::as_object);
        for field in fields.into_iter().flat_map(|fields| fields.keys()) {
            if !known.contains(&field.as_str()) {
                let path = format!("{at}/{field}")
                    .trim_start_matches('/')
                    .replace('/', ".");
                problems.push(format!("there is no field {path}"));
            }
        }
    };
    let ours = kind.api_version().starts_with(GROUP);
    if ours {
        unknown("", &["apiVersion", "kind", "metadata", "spec", "status"]);
    }
    unknown(
        "/metadata",
        &[
            "annotations",
            "creationTimestamp",
            "deletionGracePeriodSeconds",
            "deletionTimestamp",
            "finalizers",
            "generateName",
            "generation",
            "labels",
            "managedFields",
            "name",
            "namespace",
            "ownerReferences",
            "resourceVersion",
            "selfLink",
            "uid",
        ],
    );
    let typed = match kind {
        Kind::Baseline => fits::<TenantBaseline>(value),
        Kind::Processor => fits::<DataProcessor>(value),
        Kind::Prohibition => fits::<SharingProhibition>(value),
        Kind::Grant => fits::<DataSharingGrant>(value),
        Kind::Acceptance => fits::<SharingAcceptance>(value),
        Kind::Hold => fits::<ProcessingHold>(value),
        Kind::RetentionPolicy => fits::<RetentionPolicy>(value),
        Kind::OptOut => fits::<TelemetryOptOut>(value),
        Kind::GuardParameters => fits::<GuardParameters>(value),
        Kind::Posture => fits::<DataHandlingPosture>(value),
        Kind::NetworkPolicy => fits::<k8s_openapi::api::networking::v1::NetworkPolicy>(value),
        Kind::Job => fits::<k8s_openapi::api::batch::v1::Job>(value),
        Kind::Namespace => fits::<k8s_openapi::api::core::v1::Namespace>(value),
        Kind::Pod => fits::<k8s_openapi::api::core::v1::Pod>(value),
        Kind::EndpointSlice => fits::<k8s_openapi::api::discovery::v1::EndpointSlice>(value),
        Kind::Service => fits::<k8s_openapi::api::core::v1::Service>(value),
        Kind::Volume => fits::<k8s_openapi::api::core::v1::PersistentVolume>(value),
        Kind::Guard => fits::<ValidatingAdmissionPolicy>(value),
        Kind::GuardBinding => fits::<ValidatingAdmissionPolicyBinding>(value),
        Kind::Class => fits::<k8s_openapi::api::storage::v1::StorageClass>(value),
        Kind::Claim => fits::<k8s_openapi::api::core::v1::PersistentVolumeClaim>(value),
        Kind::ServerLease => fits::<k8s_openapi::api::coordination::v1::Lease>(value),
    };
    problems.extend(typed);
    problems
}

fn fits<T: DeserializeOwned>(value: &Value) -> Option<String> {
    serde_path_to_error::deserialize::<_, T>(value.clone())
        .err()
        .map(|error| match error.path().to_string().as_str() {
            "." => error.inner().to_string(),
            path => format!("{path}: {}", error.inner()),
        })
}

/// The object as it would be stored: with what the API server gives to it.
fn stored(kind: Kind, mut object: DynamicObject) -> DynamicObject {
    let target = Target::new(kind, ObjectKey::of(&object));
    let metadata = &mut object.metadata;
    if metadata.uid.as_deref().is_none_or(str::is_empty) {
        metadata.uid = Some(uid_of(&target, 0).replacen("simulated", "offline", 1));
    }
    metadata.generation = metadata.generation.or(Some(1));
    if kind == Kind::Namespace {
        let labels = metadata.labels.get_or_insert_default();
        labels
            .entry(LABEL_NAMESPACE_NAME.to_owned())
            .or_insert_with(|| target.key.name.clone());
    }
    object
}
