//! `covenant guards`: what the API server refuses and asks, as YAML.
//!
//! May not: talk to a cluster. What is printed here is what the chart installs.

use std::io::Write as _;

use anyhow::bail;

use crate::api::guards::FILES;

/// The namespace that the files name as the operator's own.
const NAMESPACE_IN_FILES: &str = "covenant-system";

/// Arguments of `covenant guards`.
#[derive(Debug, clap::Args)]
pub struct GuardsArguments {
    /// Print only these: a file such as `holds`, or a policy such as `covenant-holds`. All of them when absent.
    names: Vec<String>,
    /// The operator's own namespace.
    #[arg(short, long, default_value = NAMESPACE_IN_FILES)]
    namespace: String,
}

/// Prints the guards.
///
/// # Errors
/// When there is no guard of a name, or it cannot be printed.
pub fn run(arguments: &GuardsArguments) -> anyhow::Result<()> {
    let text = text(&arguments.names, &arguments.namespace)?;
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads may have read enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// The guards of these names for an operator in this namespace, as one stream of YAML documents.
///
/// # Errors
/// When there is no guard of a name, or the namespace is none.
pub fn text(names: &[String], namespace: &str) -> anyhow::Result<String> {
    let is_label = (1..=63).contains(&namespace.len())
        && namespace
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !namespace.starts_with('-')
        && !namespace.ends_with('-');
    if !is_label {
        bail!("--namespace: `{namespace}` is not the name of a namespace");
    }
    let mut chosen = Vec::new();
    for (file, text) in FILES {
        let whole = names.is_empty() || names.iter().any(|name| is_file(name, file));
        let parts = text
            .split("\n---\n")
            .filter(|document| whole || names.iter().any(|name| is_named(name, document)));
        let documents: Vec<&str> = parts.collect();
        if !documents.is_empty() {
            let documents = documents.join("\n---\n");
            chosen.push(format!("---\n# guards/{file}\n{}\n", documents.trim_end()));
        }
    }
    for name in names {
        let known = |(file, text): &(&str, &str)| {
            is_file(name, file)
                || text
                    .split("\n---\n")
                    .any(|document| is_named(name, document))
        };
        if !FILES.iter().any(known) {
            let files: Vec<&str> = FILES
                .iter()
                .map(|(file, _)| file.trim_end_matches(".yaml"))
                .collect();
            bail!(
                "there is no guard {name}; there are {}, and the policies in them by their names",
                files.join(", ")
            );
        }
    }
    Ok(chosen.concat().replace(NAMESPACE_IN_FILES, namespace))
}

fn is_file(name: &str, file: &str) -> bool {
    name.trim_end_matches(".yaml") == file.trim_end_matches(".yaml")
}

/// Whether a document is the policy of this name or one of its bindings.
fn is_named(name: &str, document: &str) -> bool {
    let mut lines = document.lines();
    let named = |line: &str| line.strip_prefix("  name: ") == Some(name);
    let bound = |line: &str| line.strip_prefix("  policyName: ") == Some(name);
    lines.any(|line| named(line) || bound(line))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects")]

    use std::collections::BTreeSet;
    use std::path::Path;

    use serde_json::Value;

    use super::*;

    fn documents(text: &str) -> Vec<Value> {
        serde_saphyr::from_multiple(text).unwrap()
    }

    fn names(text: &str) -> Vec<(String, String)> {
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        documents(text)
            .iter()
            .map(|document| (word(&document["kind"]), word(&document["metadata"]["name"])))
            .collect()
    }

    #[test]
    fn every_file_of_the_folder_is_embedded() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/covenant/guards");
        let there: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let embedded: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(there, embedded);
    }

    #[test]
    fn all_of_them_are_the_files_one_after_the_other() {
        let expected: Vec<Value> = FILES.iter().flat_map(|(_, text)| documents(text)).collect();
        let printed = text(&[], NAMESPACE_IN_FILES).unwrap();
        assert_eq!(documents(&printed), expected);
        assert!(
            expected
                .iter()
                .all(|document| document["kind"].as_str().is_some())
        );
    }

    #[test]
    fn a_namespace_takes_the_place_of_the_one_in_the_files() {
        let printed = text(&[], "guardians").unwrap();
        assert!(!printed.contains(NAMESPACE_IN_FILES));
        assert!(printed.contains("kubernetes.io/metadata.name: guardians"));
        assert!(text(&[], "a: {b}").is_err());
    }

    #[test]
    fn a_name_is_a_file_or_a_policy_with_its_bindings() {
        let policy = "ValidatingAdmissionPolicy".to_owned();
        let binding = "ValidatingAdmissionPolicyBinding".to_owned();
        let holds = text(&["covenant-holds".to_owned()], NAMESPACE_IN_FILES).unwrap();
        assert_eq!(
            names(&holds),
            [
                (policy.clone(), "covenant-holds".to_owned()),
                (binding.clone(), "covenant-holds".to_owned()),
                (binding, "covenant-holds-namespaces".to_owned()),
            ]
        );
        let file = text(&["enrolment".to_owned()], NAMESPACE_IN_FILES).unwrap();
        assert_eq!(names(&file)[0], (policy, "covenant-enrolment".to_owned()));
        let error = text(&["hold".to_owned()], NAMESPACE_IN_FILES).unwrap_err();
        assert!(error.to_string().contains("holds-records"), "{error}");
    }
}
