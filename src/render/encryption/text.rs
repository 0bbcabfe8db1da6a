//! What is encrypted, as text.

use anstyle::Style;
use jiff::Timestamp;

use super::namespace::{EncryptionSummary, ItemCounts, NamespaceEncryption};
use super::probe::{CertificateSeen, Negotiated, Offers, TlsProbe, TlsProbes, Trust};
use crate::api::EncryptionState;
use crate::render::Finding;
use crate::render::retention::clean;
use crate::render::table::{Table, bad, bold, faint, good, plain, styled, waiting};
use crate::render::text::{distance, finish};

/// Longer names stand on a line of their own, so that the columns behind them stay on the screen.
const WIDE: usize = 56;
/// Names of a certificate that are listed; the rest is counted.
const NAMES: usize = 6;

/// A namespace as text.
#[must_use]
pub fn namespace_encryption_text(namespace: &NamespaceEncryption, now: Timestamp) -> String {
    let (word, style) = match namespace.encrypted {
        "True" => ("encrypted", good()),
        "False" => ("not encrypted", bad()),
        _ => ("not known to be encrypted", waiting()),
    };
    let mut lines = vec![format!(
        "{}{}: {}",
        styled(&format!("Namespace {}", clean(&namespace.name)), bold()),
        of_whom(namespace),
        styled(word, style)
    )];
    if namespace.encrypted != "True" {
        let reason = styled(&clean(&namespace.reason), style);
        lines.push(format!("  {reason}: {}", clean(&namespace.message)));
    }
    if !namespace.items.is_empty() {
        lines.extend(items(namespace, now));
        lines.push(format!("  {}", counted(&namespace.counts)));
    }
    let listed = i64::try_from(namespace.items.len()).unwrap_or(i64::MAX);
    if namespace.item_count > listed {
        lines.push(format!(
            "  and {} more that the posture does not list",
            namespace.item_count - listed
        ));
    }
    if let Some(probes) = &namespace.probes {
        if probes.is_empty() {
            lines.push("  Publishes no host that could be probed.".to_owned());
        } else {
            lines.push("  Published, as seen from here:".to_owned());
        }
        for probe in probes {
            probe_lines(&mut lines, probe, now, 4);
        }
    }
    finish(&lines)
}

/// The end of a report as text.
#[must_use]
pub fn encryption_summary_text(summary: &EncryptionSummary) -> String {
    let parts = joined(&[
        (summary.encrypted, "encrypted"),
        (summary.not_encrypted, "not encrypted"),
        (summary.unknown, "not known"),
    ]);
    let mut text = match parts {
        Some(parts) => format!("Namespaces: {parts}."),
        None => "No namespace is enrolled, so nothing is promised or judged.".to_owned(),
    };
    if let (Some(passed), Some(not)) = (summary.probes_passed, summary.probes_not_passed) {
        let parts = joined(&[
            (passed, "TLS 1.3 only with a valid certificate"),
            (not, "not"),
        ]);
        let parts = parts.unwrap_or_else(|| "none".to_owned());
        text = format!("{text} Probed: {parts}.");
    }
    text + "\n"
}

/// Probes as text.
#[must_use]
pub fn tls_probes_text(report: &TlsProbes) -> String {
    let texts = report.probes.iter();
    let texts: Vec<String> = texts
        .map(|probe| tls_probe_text(probe, report.at))
        .collect();
    texts.join("\n")
}

/// A probe as text.
#[must_use]
pub fn tls_probe_text(probe: &TlsProbe, now: Timestamp) -> String {
    let mut lines = Vec::new();
    probe_lines(&mut lines, probe, now, 0);
    finish(&lines)
}

fn of_whom(namespace: &NamespaceEncryption) -> String {
    let Some(tenant) = &namespace.tenant else {
        return String::new();
    };
    let baseline = namespace.baseline.as_deref().unwrap_or("none");
    let observes = if namespace.stage.as_deref() == Some("Observe") {
        ", only observing: nothing is refused"
    } else {
        ""
    };
    format!(
        " (tenant {}, baseline {}{observes})",
        clean(tenant),
        clean(baseline)
    )
}

fn items(namespace: &NamespaceEncryption, now: Timestamp) -> Vec<String> {
    let mut table = Table::new(["WHERE", "ITEM", "STATE", "REASON", "SINCE", "EVIDENCE"]);
    for item in &namespace.items {
        let place = match item.scope.as_str() {
            "AtRest" => "at rest".to_owned(),
            "InTransit" => "in transit".to_owned(),
            other => clean(other),
        };
        let since = match (item.since_instant(), &item.since) {
            (Some(since), _) => distance(now, since),
            (None, Some(text)) => clean(text),
            (None, None) => "-".to_owned(),
        };
        let mut name = clean(&item.item);
        let style = state_style(item.known());
        if name.chars().count() > WIDE {
            table.note(name);
            name = "  …".to_owned();
        }
        table.row([
            (place, plain()),
            (name, plain()),
            (clean(&item.state), style),
            (clean(&item.reason), plain()),
            (since, plain()),
            (clean(&item.evidence), plain()),
        ]);
    }
    table.lines(2)
}

/// What nobody asked about is not shown in the colour of what was shown.
fn state_style(state: Option<EncryptionState>) -> Style {
    match state {
        Some(EncryptionState::Verified | EncryptionState::Proven | EncryptionState::Attested) => {
            good()
        }
        Some(EncryptionState::NotJudged) => faint(),
        Some(EncryptionState::NotEncrypted) => bad(),
        Some(EncryptionState::Unknown) | None => waiting(),
    }
}

fn counted(counts: &ItemCounts) -> String {
    let shown = joined(&[
        (counts.verified, "verified"),
        (counts.proven, "proven"),
        (counts.attested, "attested"),
    ]);
    let rest = joined(&[
        (counts.not_encrypted, "not encrypted"),
        (counts.unknown, "unknown"),
        (counts.not_judged, "not judged"),
    ]);
    match (shown, rest) {
        (Some(shown), None) => format!("Shown: {shown}."),
        (Some(shown), Some(rest)) => format!("Shown: {shown}. Not shown: {rest}."),
        (None, Some(rest)) => format!("Shown: nothing. Not shown: {rest}."),
        (None, None) => "Shown: nothing.".to_owned(),
    }
}

fn joined(counts: &[(usize, &str)]) -> Option<String> {
    let parts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn probe_lines(lines: &mut Vec<String>, probe: &TlsProbe, now: Timestamp, indent: usize) {
    let style = match probe.result {
        Finding::Passed => good(),
        Finding::Unknown => waiting(),
        Finding::Failed => bad(),
    };
    let by = probe.published_by.as_ref();
    let by = by.map_or_else(String::new, |by| format!(" of {}", clean(by)));
    lines.push(format!(
        "{:indent$}{}{by}: {}",
        "",
        styled(&clean(&probe.target), bold()),
        styled(probe.offers.words(), offers_style(probe.offers))
    ));
    let mut field = |name: &str, value: String| {
        lines.push(format!("{:indent$}  {name:<12} {value}", ""));
    };
    if let Some(reason) = &probe.reason {
        field("Because", clean(reason));
    }
    if let Some(address) = &probe.connected_to {
        let name = probe.server_name.as_deref().unwrap_or("no name");
        field("Connected", format!("to {address} as {}", clean(name)));
    }
    if let Some(negotiated) = &probe.negotiated {
        field("Negotiated", self::negotiated(negotiated));
    }
    if let Some(negotiated) = &probe.negotiated_by_tls12_alone {
        field("By 1.2 alone", self::negotiated(negotiated));
    }
    if let Some(seen) = &probe.certificate {
        certificate(&mut field, seen, now);
    }
    let word = match probe.result {
        Finding::Passed => "passed",
        Finding::Unknown => "not known",
        Finding::Failed => "failed",
    };
    field("Result", styled(word, style));
}

fn certificate(field: &mut impl FnMut(&str, String), seen: &CertificateSeen, now: Timestamp) {
    field("Certificate", clean(&seen.subject));
    let mut names: Vec<String> = seen.names.iter().take(NAMES).map(|it| clean(it)).collect();
    if seen.names.len() > NAMES {
        names.push(format!("and {} more", seen.names.len() - NAMES));
    }
    if names.is_empty() {
        names.push("no name".to_owned());
    }
    field("  for", names.join(", "));
    field("  issued by", clean(&seen.issuer));
    if let (Some(until), Some(days)) = (seen.not_after, seen.days_left) {
        let left = match days {
            days if days < 0 => styled(&format!("expired {}", distance(now, until)), bad()),
            1 => "1 day left".to_owned(),
            days => format!("{days} days left"),
        };
        field("  until", format!("{until} ({left})"));
    }
    let roots = &seen.roots;
    let (word, style) = match seen.trust {
        Trust::Valid => ("valid", good()),
        Trust::NotValid => ("not valid", bad()),
        Trust::Unknown => ("not judged", waiting()),
    };
    let problem = seen.problem.as_ref();
    let problem = problem.map_or_else(String::new, |it| format!(": {}", clean(it)));
    field(
        "  which is",
        format!("{}, by {}{problem}", styled(word, style), clean(roots)),
    );
}

fn negotiated(negotiated: &Negotiated) -> String {
    let parts = [
        Some(&negotiated.version),
        negotiated.cipher_suite.as_ref(),
        negotiated.group.as_ref(),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().map(|it| clean(it)).collect();
    parts.join(", ")
}

fn offers_style(offers: Offers) -> Style {
    match offers {
        Offers::Tls13Only => good(),
        Offers::Tls13AndTls12 | Offers::Tls12Only | Offers::Older | Offers::NoTls => bad(),
        _ => waiting(),
    }
}
