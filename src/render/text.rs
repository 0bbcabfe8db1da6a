//! Reports and stories as text.

use anstyle::Style;
use jiff::Timestamp;

use super::report::{GrantReport, NamespaceReport, PlanReport, Summary};
use super::retention::{policy_lines, retention_summary};
use super::story::{GateReport, Story};
use super::table::{Table, bad, bold, faint, good, plain, styled, waiting};

/// A report as text.
#[must_use]
pub fn plan_text(report: &PlanReport) -> String {
    let mut lines = vec![format!("Plan at {}", report.at)];
    for namespace in &report.namespaces {
        lines.push(String::new());
        namespace_lines(&mut lines, namespace, report.at);
    }
    if !report.vendors.is_empty() {
        lines.push(String::new());
        lines.push(styled("Vendors", bold()));
        let mut table = Table::new(["NAME", "APPROVED", "UNTIL", "REASON"]);
        for vendor in &report.vendors {
            let approved = vendor.approved == "True";
            table.row([
                (vendor.name.clone(), plain()),
                (
                    if approved { "yes" } else { "no" }.to_owned(),
                    if approved { good() } else { bad() },
                ),
                (
                    vendor.until.clone().unwrap_or_else(|| "-".to_owned()),
                    plain(),
                ),
                (vendor.reason.clone(), plain()),
            ]);
            if !approved && !vendor.message.is_empty() {
                table.note(format!("    {}", vendor.message));
            }
        }
        lines.extend(table.lines(2));
    }
    lines.push(String::new());
    if let Some(next) = report.next_change_at {
        lines.push(format!(
            "Next change by time alone: {next} ({})",
            distance(report.at, next)
        ));
    }
    let retained = report.namespaces.iter();
    let retained = retained.filter_map(|namespace| namespace.retention.as_ref());
    lines.extend(retention_summary(retained));
    lines.push(summary(&report.summary));
    finish(&lines)
}

fn namespace_lines(lines: &mut Vec<String>, namespace: &NamespaceReport, now: Timestamp) {
    lines.push(format!(
        "{}: {}",
        styled(&format!("Namespace {}", namespace.name), bold()),
        standing_text(
            namespace.standing,
            namespace.tenant.as_deref(),
            namespace.baseline.as_deref()
        )
    ));
    if let Some(problem) = &namespace.baseline_problem {
        lines.push(styled(&format!("  baseline: {problem}"), bad()));
    }
    if !namespace.grants.is_empty() {
        let mut table = Table::new([
            "GRANT",
            "STATE",
            "RECIPIENT",
            "PURPOSE",
            "CLOSES",
            "BECAUSE",
        ]);
        for grant in &namespace.grants {
            grant_row(&mut table, grant);
        }
        lines.extend(table.lines(2));
    }
    if !namespace.findings.is_empty() {
        lines.push("  Reaches further than the rules allow:".to_owned());
        for finding in &namespace.findings {
            lines.push(format!(
                "    {} {}: {}",
                styled(&finding.reason, waiting()),
                finding.object,
                finding.message
            ));
        }
    }
    if let Some(retention) = &namespace.retention {
        policy_lines(lines, retention);
    }
    if !namespace.changes.is_empty() {
        lines.push("  Objects:".to_owned());
        for change in &namespace.changes {
            let (sign, style) = match change.action {
                "Create" => ("+", good()),
                "Delete" => ("-", bad()),
                _ => ("~", waiting()),
            };
            lines.push(format!(
                "    {} {} {}",
                styled(sign, style),
                format_args!("{}/{}", change.kind, change.name),
                styled(&format!("({})", change.why), faint())
            ));
        }
    }
    if let Some(next) = namespace.next_change_at {
        lines.push(format!("  Next change: {next} ({})", distance(now, next)));
    }
}

/// How a namespace stands.
pub(super) fn standing_text(
    standing: &str,
    tenant: Option<&str>,
    baseline: Option<&str>,
) -> String {
    let tenant = tenant.unwrap_or("nobody");
    let baseline = baseline.unwrap_or("none");
    match standing {
        "InForce" => format!("in force for tenant {tenant}, on baseline {baseline}"),
        "Observing" => format!(
            "only observing for tenant {tenant}, on baseline {baseline}: nothing is refused or cut"
        ),
        "Terminating" => format!("being deleted, of tenant {tenant}"),
        "Exempt" => "a system namespace, which is never enrolled".to_owned(),
        _ => "not enrolled, or not among the files".to_owned(),
    }
}

fn state_style(state: &str) -> Style {
    match state {
        "Open" => good(),
        "Opening" | "Waiting" => waiting(),
        "Ended" => faint(),
        _ => bad(),
    }
}

/// Open, closed or waiting: what matters first.
fn state_word(state: &str) -> String {
    match state {
        "Refused" => "closed".to_owned(),
        other => other.to_lowercase(),
    }
}

fn grant_row(table: &mut Table, grant: &GrantReport) {
    let or_dash = |text: Option<String>| (text.unwrap_or_else(|| "-".to_owned()), plain());
    table.row([
        (grant.name.clone(), bold()),
        (state_word(grant.state), state_style(grant.state)),
        or_dash(grant.recipient.clone()),
        or_dash(grant.purpose.map(|purpose| format!("{purpose:?}"))),
        or_dash(grant.closes_at.map(|instant| instant.to_string())),
        or_dash(grant.closes_because.map(str::to_owned)),
    ]);
    for reason in &grant.reasons {
        table.note(format!(
            "    {}: {}",
            styled(reason.reason, state_style(grant.state)),
            reason.message
        ));
    }
}

fn summary(summary: &Summary) -> String {
    let grants = [
        (summary.open, "open"),
        (summary.opening, "opening"),
        (summary.waiting, "waiting"),
        (summary.ended, "ended"),
        (summary.refused, "closed"),
    ];
    let parts: Vec<String> = grants
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let grants = if parts.is_empty() {
        "none".to_owned()
    } else {
        parts.join(", ")
    };
    if summary.is_at_rest() {
        return format!("Grants: {grants}. Nothing to change.");
    }
    format!(
        "Grants: {grants}. Objects: {} to create, {} to change, {} to delete; {} statuses to write.",
        summary.create, summary.update, summary.delete, summary.statuses
    )
}

/// The story of a grant as text.
#[must_use]
pub fn story_text(story: &Story) -> String {
    let grant = &story.grant;
    let mut lines = vec![format!(
        "{} is {} at {}",
        styled(
            &format!("DataSharingGrant {}/{}", story.namespace, grant.name),
            bold()
        ),
        styled(&state_word(grant.state), state_style(grant.state)),
        story.at
    )];
    if let Some(what) = &story.what {
        lines.push(format!("  {what}"));
    }
    lines.push(String::new());
    lines.push(styled("Gates", bold()));
    for gate in &story.gates {
        gate_lines(&mut lines, gate);
    }
    if !story.ends.is_empty() {
        lines.push(String::new());
        lines.push(styled("Ends", bold()));
        let mut table = Table::new(["AT", "IN", "BECAUSE"]);
        for end in &story.ends {
            let style = if end.decides { bold() } else { plain() };
            let mark = if end.decides {
                " (the earliest: the path closes then)"
            } else {
                ""
            };
            table.row([
                (end.at.to_string(), style),
                (distance(story.at, end.at), plain()),
                (format!("{}{mark}", end.words), plain()),
            ]);
        }
        lines.extend(table.lines(2));
    }
    if !story.paths.is_empty() {
        lines.push(String::new());
        lines.push(styled("Path", bold()));
        for path in &story.paths {
            lines.push(format!(
                "  in namespace {}: {}",
                path.namespace,
                styled(&path.state, if path.open { good() } else { waiting() })
            ));
            lines.push(format!("    NetworkPolicy/{}: {}", path.name, path.policy));
            lines.push(format!("    Job/{}: {}", path.name, path.timer));
        }
    }
    lines.push(String::new());
    lines.push(styled("Next", bold()));
    for step in &story.next {
        lines.push(format!("  {step}"));
    }
    finish(&lines)
}

fn gate_lines(lines: &mut Vec<String>, gate: &GateReport) {
    let (mark, style) = match gate.passed {
        Some(true) => ("✓", good()),
        Some(false) => ("✗", bad()),
        None => ("-", faint()),
    };
    let words = match gate.passed {
        None => format!("{} (not looked at)", gate.words),
        _ => gate.words.to_owned(),
    };
    lines.push(format!("  {} {words}", styled(mark, style)));
    for reason in &gate.reasons {
        lines.push(format!(
            "      {}: {}",
            styled(reason.reason, style),
            reason.message
        ));
    }
}

/// How far away an instant is, in the largest unit that says enough.
pub(super) fn distance(now: Timestamp, then: Timestamp) -> String {
    let seconds = then.duration_since(now).as_secs();
    let (count, unit) = match seconds.unsigned_abs() {
        seconds @ 0..=119 => (seconds, "s"),
        seconds @ 120..=7199 => (seconds / 60, " min"),
        seconds @ 7200..=172_799 => (seconds / 3600, " h"),
        seconds => (seconds / 86_400, " days"),
    };
    if seconds < 0 {
        format!("{count}{unit} ago")
    } else {
        format!("in {count}{unit}")
    }
}

pub(super) fn finish(lines: &[String]) -> String {
    let mut text = lines.join("\n");
    text.push('\n');
    text
}
