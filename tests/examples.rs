//! Every example tells the same story as its golden files. `UPDATE_GOLDENS=1` rewrites them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and reads its switches from the environment"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

fn stories() -> Vec<PathBuf> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut stories: Vec<PathBuf> = std::fs::read_dir(examples)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    stories.sort();
    stories
}

fn plan(story: &Path, instant: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_covenant"))
        .args(["plan", "--at", instant, "-f", "."])
        .current_dir(story)
        .output()
        .unwrap();
    let code = output.status.code().unwrap();
    assert!(
        code == 0 || code == 2,
        "{}: {}",
        story.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_example_plans_as_its_golden_files_say() {
    let update = std::env::var_os("UPDATE_GOLDENS").is_some();
    let mut differences = Vec::new();
    for story in stories() {
        let instants = std::fs::read_to_string(story.join("at.txt")).unwrap();
        let instants: Vec<&str> = instants.lines().filter(|line| !line.is_empty()).collect();
        let mut expected_files = Vec::new();
        for instant in &instants {
            let name = if instants.len() == 1 {
                "plan.txt".to_owned()
            } else {
                format!("plan-{}.txt", instant.replace(':', ""))
            };
            let golden = story.join(&name);
            let now = plan(&story, instant);
            assert_eq!(now, plan(&story, instant), "two runs differ");
            if update {
                std::fs::write(&golden, &now).unwrap();
            } else if std::fs::read_to_string(&golden).unwrap_or_default() != now {
                differences.push(format!(
                    "{} is not what is planned now:\n{now}",
                    golden.display()
                ));
            }
            expected_files.push(name);
        }
        for entry in std::fs::read_dir(&story).unwrap() {
            let name = entry.unwrap().file_name().to_str().unwrap().to_owned();
            let known = expected_files.contains(&name)
                || ["README.md", "at.txt"].contains(&name.as_str())
                || name.ends_with(".yaml");
            assert!(
                known,
                "{}/{name} belongs to no instant of at.txt",
                story.display()
            );
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn every_example_says_what_it_is_about() {
    assert!(stories().len() >= 6);
    for story in stories() {
        let text = std::fs::read_to_string(story.join("README.md")).unwrap();
        assert!(
            text.starts_with("# ") && text.len() > 120,
            "{}",
            story.display()
        );
    }
}

/// The manifests without their golden plans must keep to the stand-in tenants and to addresses that are nobody's.
#[test]
fn examples_name_only_acme_and_globex() {
    for story in stories() {
        for entry in std::fs::read_dir(&story).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            for line in std::fs::read_to_string(&path).unwrap().lines() {
                if let Some(tenant) = line.trim().strip_prefix("privacy.cloudnexus.io/tenant: ") {
                    assert!(
                        ["acme", "globex"].contains(&tenant),
                        "{}: {tenant}",
                        path.display()
                    );
                }
            }
        }
    }
}
