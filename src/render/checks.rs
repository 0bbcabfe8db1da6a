//! The result of `covenant check` as text: named checks in groups, one line each, and what to do where one fails.

use serde::Serialize;

use super::REPORT_API_VERSION;
use super::table::{bad, bold, faint, good, styled, waiting};

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Finding {
    /// It holds.
    Passed,
    /// It cannot be told from here.
    Unknown,
    /// It does not hold.
    Failed,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Group, such as `guards`.
    pub group: &'static str,
    /// What holds where it passes, such as `guards stand as released`.
    pub name: &'static str,
    /// What was found.
    pub finding: Finding,
    /// What was found in words, and what to do; empty where there is nothing to add.
    pub message: String,
}

/// All checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    api_version: &'static str,
    kind: &'static str,
    /// The worst of all.
    pub result: Finding,
    /// In the order in which they were made.
    pub checks: Vec<Check>,
}

impl CheckReport {
    /// A report of these checks.
    #[must_use]
    pub fn new(checks: Vec<Check>) -> Self {
        Self {
            api_version: REPORT_API_VERSION,
            kind: "CheckReport",
            result: checks
                .iter()
                .map(|check| check.finding)
                .max()
                .unwrap_or(Finding::Unknown),
            checks,
        }
    }
}

/// The report as text.
#[must_use]
pub fn checks_text(report: &CheckReport) -> String {
    let mut lines = Vec::new();
    let mut group = "";
    for check in &report.checks {
        if check.group != group {
            if !group.is_empty() {
                lines.push(String::new());
            }
            group = check.group;
            lines.push(styled(group, bold()));
            lines.push(styled(&"-".repeat(group.len()), faint()));
        }
        let (mark, style) = mark(check.finding);
        lines.push(format!("{} {}", styled(mark, style), check.name));
        if !check.message.is_empty() {
            lines.push(format!("    {}", check.message));
        }
    }
    let (mark, style) = mark(report.result);
    lines.push(String::new());
    lines.push(format!("Status check results are {}", styled(mark, style)));
    lines.join("\n") + "\n"
}

fn mark(finding: Finding) -> (&'static str, anstyle::Style) {
    match finding {
        Finding::Passed => ("√", good()),
        Finding::Unknown => ("?", waiting()),
        Finding::Failed => ("×", bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_is_the_result_and_nothing_found_is_not_a_pass() {
        let check = |finding| Check {
            group: "g",
            name: "n",
            finding,
            message: String::new(),
        };
        let result = |findings: &[Finding]| {
            CheckReport::new(findings.iter().copied().map(check).collect()).result
        };
        assert_eq!(result(&[]), Finding::Unknown);
        assert_eq!(result(&[Finding::Passed, Finding::Passed]), Finding::Passed);
        assert_eq!(
            result(&[Finding::Passed, Finding::Unknown]),
            Finding::Unknown
        );
        assert_eq!(
            result(&[Finding::Failed, Finding::Unknown, Finding::Passed]),
            Finding::Failed
        );
    }
}
