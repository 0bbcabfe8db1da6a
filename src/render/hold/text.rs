//! Stories of holds as text.

use anstyle::Style;

use super::{HoldDecided, HoldState, HoldStories, HoldStory, Refusals};
use crate::api::{Ending, HeldCount, HoldDecision, HoldDecisionType, SuspendedCount};
use crate::render::table::{bad, bold, faint, good, plain, styled, waiting};
use crate::render::text::distance;

/// Most refusals and losses that are told of one by one.
const TOLD: usize = 20;

/// The stories of a namespace as text.
#[must_use]
pub fn hold_stories_text(list: &HoldStories) -> String {
    if list.items.is_empty() {
        return format!("Namespace {} has no ProcessingHolds.\n", list.namespace);
    }
    let stories: Vec<String> = list.items.iter().map(hold_story_text).collect();
    stories.join("\n")
}

/// The story of a hold as text.
#[must_use]
pub fn hold_story_text(story: &HoldStory) -> String {
    let mut lines = vec![format!(
        "{} is {}",
        styled(
            &format!("ProcessingHold {}/{}", story.namespace, story.name),
            bold()
        ),
        styled(&story.words, state_style(story.state))
    )];
    lines.push(format!("  Matter   {}", story.matter));
    lines.push(format!(
        "  Ground   {}: {}",
        story.ground, story.ground_words
    ));
    lines.push(format!("  Reason   {}", story.reason));
    if let Some(since) = story.since {
        lines.push(format!(
            "  Since    {since} ({})",
            distance(story.at, since)
        ));
    }
    if let Some(review_by) = story.review_by {
        lines.push(format!(
            "  Review   by {review_by} ({})",
            distance(story.at, review_by)
        ));
    }
    for problem in &story.problems {
        lines.push(styled(&format!("  cannot be read: {problem}"), bad()));
    }
    section(&mut lines, "Covers", &story.covers);
    if !story.effects.is_empty() {
        lines.push(String::new());
        lines.push(styled("What happens", bold()));
        for effect in &story.effects {
            let name = effect.effect.as_str();
            lines.push(format!("  {name:<18} {}", effect.words));
        }
    }
    if !story.left_out.is_empty() {
        lines.push(String::new());
        lines.push(styled("Left out", bold()));
        for left in &story.left_out {
            lines.push(format!("  {}", left.what));
            lines.push(styled(&format!("    why: {}", left.why), faint()));
        }
    }
    status(&mut lines, story);
    refused(&mut lines, story);
    section(&mut lines, "Cannot keep", &story.cannot_hold);
    decisions(&mut lines, story);
    section(&mut lines, "Next", &story.next);
    if let Some(release) = &story.release {
        if story.next.is_empty() {
            lines.push(String::new());
            lines.push(styled("Next", bold()));
        }
        lines.push(format!(
            "  it holds until an officer (verb release) ends it: {}",
            styled(release, bold())
        ));
    }
    finish(&lines)
}

/// What was decided, as text.
#[must_use]
pub fn hold_decided_text(decided: &HoldDecided) -> String {
    let mut lines = vec![format!(
        "{} {}",
        styled(
            &format!("ProcessingHold {}/{}", decided.namespace, decided.name),
            bold()
        ),
        match (decided.decision.decision, decided.dry_run) {
            (HoldDecisionType::Released, false) => styled("is released", good()),
            (HoldDecisionType::Narrowed, false) => styled("is narrowed", good()),
            (HoldDecisionType::Released, true) =>
                styled("would be released (dry run: nothing is stored)", waiting()),
            (HoldDecisionType::Narrowed, true) =>
                styled("would be narrowed (dry run: nothing is stored)", waiting()),
        }
    )];
    lines.push(format!("  By       {}", decided.decision.by));
    lines.push(format!("  Reason   {}", decided.decision.reason));
    section(&mut lines, "What follows", &decided.next);
    finish(&lines)
}

fn state_style(state: HoldState) -> Style {
    match state {
        HoldState::Enforced => good(),
        HoldState::Unproven => waiting(),
        HoldState::NotEnforced => bad(),
        HoldState::Released | HoldState::Restored => faint(),
    }
}

fn section(lines: &mut Vec<String>, head: &str, entries: &[String]) {
    if entries.is_empty() {
        return;
    }
    lines.push(String::new());
    lines.push(styled(head, bold()));
    lines.extend(entries.iter().map(|entry| format!("  {entry}")));
}

fn status(lines: &mut Vec<String>, story: &HoldStory) {
    lines.push(String::new());
    lines.push(styled("What the operator found", bold()));
    if story.conditions.is_empty() {
        lines.push(
            "  nothing yet: it has not run since, or has not come to it; the hold binds without it"
                .to_owned(),
        );
    }
    for condition in &story.conditions {
        let (mark, style) = match (condition.kind.as_str(), condition.status.as_str()) {
            ("ReviewDue", "True") => ("!", waiting()),
            (_, "True") => ("✓", good()),
            ("Enforced" | "Ready", "False") => ("✗", bad()),
            (_, "False") => ("✗", waiting()),
            _ => ("?", waiting()),
        };
        lines.push(format!(
            "  {} {} ({}): {}",
            styled(mark, style),
            condition.kind,
            condition.reason,
            condition.message
        ));
    }
    if let Some(held) = &story.held {
        held_lines(lines, held);
    }
    if let Some(suspended) = &story.suspended {
        suspended_lines(lines, suspended);
    }
    if let Some(ending) = &story.ending {
        ending_lines(lines, ending);
    }
    if let Some(at) = story.restored_at {
        lines.push(format!(
            "  disposal and erasure wait until {at} ({})",
            distance(story.at, at)
        ));
    }
}

fn held_lines(lines: &mut Vec<String>, held: &HeldCount) {
    let kinds: Vec<String> = held
        .by_kind
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    let kinds = if kinds.is_empty() {
        String::new()
    } else {
        format!(": {}", kinds.join(", "))
    };
    let counted = held.counted_at.as_ref();
    let counted = counted.map_or_else(String::new, |at| format!(" (counted {})", at.0));
    lines.push(format!(
        "  {} objects are kept{kinds}{counted}",
        held.objects
    ));
    if !held.not_counted.is_empty() {
        lines.push(format!(
            "  kept and not counted, because the operator may not list them: {}",
            held.not_counted.join(", ")
        ));
    }
}

fn suspended_lines(lines: &mut Vec<String>, suspended: &SuspendedCount) {
    let counts = [
        (suspended.deployments, "Deployments"),
        (suspended.stateful_sets, "StatefulSets"),
        (suspended.daemon_sets, "DaemonSets"),
        (suspended.cron_jobs, "CronJobs"),
        (suspended.running_pods, "running pods"),
        (suspended.grants, "grants"),
    ];
    let counts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let counts = if counts.is_empty() {
        "nothing".to_owned()
    } else {
        counts.join(", ")
    };
    lines.push(format!("  stands still: {counts}"));
    if !suspended.writing_pods.is_empty() {
        lines.push(format!(
            "  {}",
            styled(
                &format!(
                    "still writing into claims that they mount: {}",
                    suspended.writing_pods.join(", ")
                ),
                waiting()
            )
        ));
    }
}

fn ending_lines(lines: &mut Vec<String>, ending: &Ending) {
    lines.push(format!(
        "  {} pods are ended from {} on; {} losses were published {}:",
        ending.pods, ending.ends_at.0, ending.loss_count, ending.published_at.0
    ));
    for loss in ending.losses.iter().take(TOLD) {
        lines.push(format!(
            "    {} {}: {}",
            styled(&loss.kind, waiting()),
            loss.object,
            loss.message
        ));
    }
    let told = i64::try_from(ending.losses.len().min(TOLD)).unwrap_or(i64::MAX);
    if ending.loss_count > told {
        lines.push(format!(
            "    and {} more (status.ending lists the first 100)",
            ending.loss_count - told
        ));
    }
}

fn refused(lines: &mut Vec<String>, story: &HoldStory) {
    lines.push(String::new());
    lines.push(styled("What it has refused", bold()));
    match &story.refused {
        Refusals::Unreadable => lines.push(format!(
            "  you may not read the events of namespace {}",
            story.namespace
        )),
        Refusals::Read(refused) if refused.is_empty() => {
            lines.push(
                "  no event tells of a refusal; events are kept for an hour or so".to_owned(),
            );
        }
        Refusals::Audited(refused) if refused.is_empty() => {
            lines.push("  the audit log tells of no refusal".to_owned());
        }
        Refusals::Read(refused) | Refusals::Audited(refused) => {
            for one in refused.iter().take(TOLD) {
                let last = one.last.map_or_else(String::new, |last| {
                    format!(", last {}", distance(story.at, last))
                });
                lines.push(format!(
                    "  {} ({}{last}): {}",
                    styled(&one.object, plain()),
                    times(one.count),
                    one.said
                ));
            }
            if refused.len() > TOLD {
                lines.push(format!("  and {} more", refused.len() - TOLD));
            }
        }
    }
    if matches!(story.refused, Refusals::Audited(_)) {
        return;
    }
    lines.push(styled(
        &format!(
            "  every refusal, people's too, is in the audit log (--audit-log FILE reads it): the annotation \
             validation.policy.admission.k8s.io/validation_failure with [ProcessingHold {}/{}] in it",
            story.namespace, story.name
        ),
        faint(),
    ));
}

fn times(count: i64) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

fn decisions(lines: &mut Vec<String>, story: &HoldStory) {
    lines.push(String::new());
    lines.push(styled("Decisions", bold()));
    if story.decisions.is_empty() {
        lines.push("  none".to_owned());
    }
    let last = story.decisions.len().saturating_sub(1);
    for (index, decision) in story.decisions.iter().enumerate() {
        let at = story
            .decided_at
            .filter(|_| index == last)
            .map_or_else(String::new, |at| format!(" at {at}"));
        lines.push(format!(
            "  {}{at} by {}: {}",
            decided(decision),
            decision.by,
            decision.reason
        ));
    }
}

fn decided(decision: &HoldDecision) -> String {
    match decision.decision {
        HoldDecisionType::Released => decision.restore_after.as_ref().map_or_else(
            || "released".to_owned(),
            |period| format!("released (disposal and erasure {} later)", period.0),
        ),
        HoldDecisionType::Narrowed => {
            let effects: Vec<&str> = decision
                .effects
                .iter()
                .map(|effect| effect.as_str())
                .collect();
            let mut parts = Vec::new();
            if !effects.is_empty() {
                parts.push(format!("no more {}", effects.join(", ")));
            }
            if !decision.except_kinds.is_empty() {
                parts.push(format!(
                    "without {}",
                    super::words::kinds(&decision.except_kinds, "core")
                ));
            }
            format!("narrowed ({})", parts.join("; "))
        }
    }
}

fn finish(lines: &[String]) -> String {
    let mut text = lines.join("\n");
    text.push('\n');
    text
}
