//! What is kept and disposed of, as text.

use std::collections::BTreeMap;

use anstyle::Style;
use jiff::Timestamp;

use super::policy::{BoundaryReport, RetentionReport, RetentionRuleReport};
use super::words::{self, clean};
use super::{
    LimitLifted, NamespacePreview, ObjectFate, ObjectPreview, RetentionPreview, RetentionStory,
};
use crate::api::WithheldCount;
use crate::render::table::{Table, bad, bold, faint, good, plain, styled, waiting};
use crate::render::text::{distance, finish, standing_text};

/// So many objects of each list are shown, unless all are asked for.
const SHOWN: usize = 20;

type Cell = (String, Style);

/// A preview as text. `all`: however many objects there are.
#[must_use]
pub fn retention_preview_text(report: &RetentionPreview, all: bool) -> String {
    let mut lines = vec![format!("Retention at {}", report.at)];
    let most = if all { usize::MAX } else { SHOWN };
    for namespace in &report.namespaces {
        lines.push(String::new());
        lines.push(format!(
            "{}: {}",
            styled(&format!("Namespace {}", clean(&namespace.name)), bold()),
            clean(&standing_text(
                namespace.standing,
                namespace.tenant.as_deref(),
                namespace.baseline.as_deref()
            ))
        ));
        if namespace.retention.policies.is_empty() && namespace.retention.boundaries.is_empty() {
            lines.push("  no policy and no minimum: nothing is kept or disposed of".to_owned());
        }
        policy_lines(&mut lines, &namespace.retention);
        object_lines(&mut lines, namespace, report.at, most);
    }
    if report.namespaces.is_empty() {
        lines.push(String::new());
        lines.push("No namespace has a RetentionPolicy or a minimum.".to_owned());
    }
    note_lines(&mut lines, &report.notes);
    finish(&lines)
}

fn note_lines(lines: &mut Vec<String>, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    lines.push(String::new());
    for note in notes {
        lines.push(format!("{} {}", styled("note:", waiting()), clean(note)));
    }
}

/// The policies of a namespace and its minimums.
pub(in crate::render) fn policy_lines(lines: &mut Vec<String>, report: &RetentionReport) {
    if !report.policies.is_empty() {
        let mut table = Table::new([
            "RETENTION",
            "KEEP",
            "FROM",
            "MODE",
            "MATCHED",
            "DUE",
            "WITHHELD",
            "NEXT",
        ]);
        for policy in &report.policies {
            policy_row(&mut table, policy);
        }
        lines.extend(table.lines(2));
    }
    if !report.boundaries.is_empty() {
        lines.push("  Kept from deletion by anyone:".to_owned());
        for boundary in &report.boundaries {
            lines.push(format!("    {}", boundary_line(boundary)));
        }
    }
}

fn policy_row(table: &mut Table, policy: &RetentionRuleReport) {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let number = |number: Option<i64>| or_dash(number.map(|number| number.to_string()));
    let due = policy.due.as_ref();
    let withheld = policy.withheld.as_ref();
    let style = match policy.ready.as_str() {
        "True" => good(),
        "False" => bad(),
        _ => waiting(),
    };
    table.row([
        (clean(&policy.name), bold()),
        (clean(&or_dash(policy.keep.clone())), plain()),
        (words::start(policy.starts_at).to_owned(), plain()),
        (words::mode(Some(policy.mode)).to_owned(), plain()),
        (number(policy.matched), plain()),
        (number(due.map(|due| due.now)), plain()),
        (number(withheld.map(|withheld| withheld.total)), plain()),
        (
            or_dash(due.and_then(|due| due.next_at.clone()).map(|at| at.0)),
            plain(),
        ),
    ]);
    table.note(format!(
        "    {}: {}",
        styled(&clean(&policy.reason), style),
        clean(&policy.message)
    ));
    if let Some(parts) = withheld.and_then(withheld_parts) {
        table.note(format!("    withheld: {parts}"));
    }
    if let Some(exceeded) = policy
        .limit_exceeded
        .as_ref()
        .filter(|_| policy.reason != "LimitExceeded")
    {
        table.note(format!(
            "    {}: {}",
            styled("LimitExceeded", waiting()),
            clean(exceeded)
        ));
    }
}

fn withheld_parts(withheld: &WithheldCount) -> Option<String> {
    let parts = [
        (withheld.by_hold, "by a hold"),
        (withheld.by_minimum, "by a minimum"),
        (withheld.managed_elsewhere, "managed elsewhere"),
        (withheld.by_owner, "by their owner"),
        (withheld.by_grace, "by the grace"),
        (withheld.by_limit, "by the limit"),
        (withheld.otherwise, "otherwise"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(count, by)| format!("{count} {by}")).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn boundary_line(boundary: &BoundaryReport) -> String {
    let until = match &boundary.started_before {
        Some(until) => format!("over for what began by {}", clean(until)),
        None => "over for nothing yet".to_owned(),
    };
    format!(
        "{}: {} from {} {}",
        clean(&boundary.selects),
        clean(&boundary.at_least),
        words::start(Some(boundary.starts_at)),
        styled(&format!("({until}; {})", clean(&boundary.rule)), faint())
    )
}

fn object_name(object: &ObjectPreview) -> Cell {
    (
        format!("{}/{}", clean(&object.kind), clean(&object.name)),
        plain(),
    )
}

fn instant(at: Option<Timestamp>) -> Cell {
    (
        at.map_or_else(|| "-".to_owned(), |at| at.to_string()),
        plain(),
    )
}

fn under(object: &ObjectPreview) -> Cell {
    (
        object
            .policy
            .as_deref()
            .map_or_else(|| "-".to_owned(), clean),
        plain(),
    )
}

fn object_lines(
    lines: &mut Vec<String>,
    namespace: &NamespacePreview,
    now: Timestamp,
    most: usize,
) {
    let sections = [
        (ObjectFate::Goes, "Goes now", bad()),
        (
            ObjectFate::WouldGo,
            "Would go now, under policies that only preview",
            waiting(),
        ),
        (ObjectFate::Kept, "Past its maximum, and kept", good()),
        (ObjectFate::Follows, "Follows", plain()),
        (ObjectFate::Stays, "Stays", plain()),
    ];
    for (fate, head, style) in sections {
        let of_fate = |object: &&ObjectPreview| object.fate == fate;
        let objects: Vec<&ObjectPreview> = namespace.objects.iter().filter(of_fate).collect();
        if objects.is_empty() {
            continue;
        }
        // Of what follows a preview has the beginning.
        let next = if fate == ObjectFate::Follows {
            "the next "
        } else {
            ""
        };
        lines.push(format!(
            "  {} ({next}{})",
            styled(head, style),
            objects.len()
        ));
        let mut table = match fate {
            ObjectFate::Goes | ObjectFate::WouldGo => {
                Table::new(["OBJECT", "PAST-MAXIMUM", "UNDER", ""])
            }
            ObjectFate::Kept | ObjectFate::Stays => {
                Table::new(["OBJECT", "PAST-MAXIMUM", "UNDER", "KEPT-BY"])
            }
            ObjectFate::Follows => Table::new(["OBJECT", "GOES", "UNDER", "IN"]),
        };
        // What one thing keeps must not hide what another does.
        let mut groups: BTreeMap<&str, Vec<&ObjectPreview>> = BTreeMap::new();
        for object in &objects {
            let kept = object.kept_by.as_ref().filter(|_| fate == ObjectFate::Kept);
            let by = kept.map_or("", |kept| kept.by);
            groups.entry(by).or_default().push(object);
        }
        for group in groups.values() {
            for object in group.iter().take(most) {
                table.row(object_row(object, fate, now));
            }
            if let Some(more) = group.len().checked_sub(most).filter(|more| *more > 0) {
                table.note(format!("and {more} more; --all lists them"));
            }
        }
        lines.extend(
            table
                .lines(4)
                .into_iter()
                .map(|line| line.trim_end().to_owned()),
        );
    }
}

fn object_row(object: &ObjectPreview, fate: ObjectFate, now: Timestamp) -> [Cell; 4] {
    let kept = object.kept_by.as_ref();
    let kept = kept.map(|kept| clean(&kept.message)).unwrap_or_default();
    let (at, last) = match fate {
        ObjectFate::Follows => {
            let wait = object.goes_at.map(|at| distance(now, at));
            let wait = wait.unwrap_or_default();
            let held = if kept.is_empty() {
                String::new()
            } else {
                format!(", unless kept by {kept}")
            };
            (object.goes_at, format!("{wait}{held}"))
        }
        _ => (object.past_maximum_at, kept),
    };
    [
        object_name(object),
        instant(at),
        under(object),
        (last, plain()),
    ]
}

/// What is due and withheld in all.
pub(in crate::render) fn retention_summary<'a>(
    reports: impl IntoIterator<Item = &'a RetentionReport>,
) -> Option<String> {
    let mut number = 0_usize;
    let (mut due, mut withheld) = (0_i64, 0_i64);
    for policy in reports.into_iter().flat_map(|report| &report.policies) {
        number += 1;
        due += policy.due.as_ref().map_or(0, |due| due.now);
        withheld += policy
            .withheld
            .as_ref()
            .map_or(0, |withheld| withheld.total);
    }
    let policies = if number == 1 { "policy" } else { "policies" };
    (number > 0).then(|| format!("Retention: {number} {policies}; {due} due, {withheld} withheld."))
}

/// The story of an object as text.
#[must_use]
pub fn retention_story_text(story: &RetentionStory) -> String {
    let style = match story.fate {
        ObjectFate::Goes => bad(),
        ObjectFate::WouldGo => waiting(),
        ObjectFate::Kept => good(),
        ObjectFate::Follows | ObjectFate::Stays => plain(),
    };
    let name = format!(
        "{} {}/{}",
        clean(&story.object_kind),
        clean(&story.namespace),
        clean(&story.name)
    );
    let mut lines = vec![format!(
        "{} {} {}",
        styled(&name, bold()),
        styled(&clean(&story.words), style),
        styled(&format!("(at {})", story.at), faint())
    )];
    if !story.rules.is_empty() {
        lines.push(String::new());
        lines.push(styled("Rules that touch it", bold()));
        lines.extend(rule_table(story).lines(2));
    }
    section(&mut lines, "Which wins", &story.why);
    if let Some(kept) = &story.kept_by {
        section(
            &mut lines,
            "What keeps it now",
            std::slice::from_ref(&kept.message),
        );
    }
    if !story.near.is_empty() {
        lines.push(String::new());
        lines.push(styled("Near, and not about it", bold()));
        for near in &story.near {
            lines.push(format!("  {}: {}", clean(&near.rule), clean(&near.why)));
        }
    }
    section(&mut lines, "Next", &story.next);
    note_lines(&mut lines, &story.notes);
    finish(&lines)
}

fn rule_table(story: &RetentionStory) -> Table {
    let mut table = Table::new(["RULE", "MODE", "FROM", "KEPT-UNTIL", "GONE-AT"]);
    for rule in &story.rules {
        let period = |period: &Option<String>, until: Option<String>| match (period, until) {
            (Some(period), Some(until)) => format!("{until} ({})", clean(period)),
            (Some(period), None) => format!("not known ({})", clean(period)),
            (None, _) => "-".to_owned(),
        };
        let wins = |wins: bool| if wins { bold() } else { plain() };
        let from = match rule.start {
            Some(start) => format!("{} {start}", words::start(rule.starts_at)),
            None => format!("{}, not known", words::start(rule.starts_at)),
        };
        table.row([
            (clean(&rule.rule), plain()),
            (words::mode(rule.mode).to_owned(), plain()),
            (from, plain()),
            (
                period(&rule.at_least, rule.keeps_until.clone()),
                wins(rule.wins_minimum),
            ),
            (
                period(&rule.at_most, rule.gone_at.map(|at| at.to_string())),
                wins(rule.wins_maximum),
            ),
        ]);
        if let Some(why) = &rule.no_start {
            table.note(format!("    {}", clean(why)));
        }
        if let Some(problem) = &rule.problem {
            let problem = format!("nothing goes under it: {}", clean(problem));
            table.note(format!("    {}", styled(&problem, bad())));
        }
    }
    table
}

/// What was decided, as text.
#[must_use]
pub fn limit_lifted_text(lifted: &LimitLifted) -> String {
    let name = format!(
        "RetentionPolicy {}/{}",
        clean(&lifted.namespace),
        clean(&lifted.name)
    );
    let until = lifted.decision.until_total;
    let what = if lifted.dry_run {
        styled(
            &format!(
                "its limit would be lifted until {until} went in all (dry run: nothing is stored)"
            ),
            waiting(),
        )
    } else {
        styled(
            &format!("its limit is lifted until {until} went in all"),
            good(),
        )
    };
    let mut lines = vec![format!("{}: {what}", styled(&name, bold()))];
    lines.push(format!("  By       {}", clean(&lifted.decision.by)));
    lines.push(format!("  Reason   {}", clean(&lifted.decision.reason)));
    let due = lifted
        .due
        .map_or_else(|| "not known".to_owned(), |due| due.to_string());
    lines.push(format!("  Due      {due}"));
    lines.push(format!("  Gone     {} so far", lifted.disposed));
    if let Some(limit) = &lifted.limit {
        lines.push(format!("  Limit    {}", clean(limit)));
    }
    section(&mut lines, "What follows", &lifted.next);
    finish(&lines)
}

fn section(lines: &mut Vec<String>, head: &str, entries: &[String]) {
    if entries.is_empty() {
        return;
    }
    lines.push(String::new());
    lines.push(styled(head, bold()));
    lines.extend(entries.iter().map(|entry| format!("  {}", clean(entry))));
}
