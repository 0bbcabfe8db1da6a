//! The story of one object: which rules touch it, which wins and why, what keeps it, when it may go and when it will.

use jiff::Timestamp;
use serde::Serialize;

use super::preview::{KeptBy, ObjectFate, kept_by, object_fate};
use super::words;
use crate::api::names::ANNOTATION_RETAINED_SINCE;
use crate::api::{DisposalMode, RetentionStart};
use crate::model::{
    Completion, Held, Item, Keep, ObjectKey, ResourceKind, RetainedSince, RetentionPolicy, Rule,
    Selection, Source, World,
};
use crate::plan::{Fate, FateRule, Standing, Withheld, fate, standing};
use crate::render::REPORT_API_VERSION;
use crate::render::report::standing_words;
use crate::render::text::distance;

/// The story of one object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetentionStory {
    /// Version of this form.
    pub api_version: &'static str,
    /// `RetentionStory`.
    pub kind: &'static str,
    /// The instant that is told of.
    pub at: Timestamp,
    /// Namespace.
    pub namespace: String,
    /// How the namespace stands.
    pub standing: &'static str,
    /// Kind of the object, with its group, as on the command line.
    pub object_kind: String,
    /// Name of the object.
    pub name: String,
    /// Uid of the object.
    pub uid: String,
    /// What becomes of it.
    pub fate: ObjectFate,
    /// The same in words.
    pub words: String,
    /// Every rule that selects it.
    pub rules: Vec<StoryRule>,
    /// Until when it is kept at least; `for good` where no end is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_at_least_until: Option<String>,
    /// When it is past its maximum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub past_maximum_at: Option<Timestamp>,
    /// Why these, and no others.
    pub why: Vec<String>,
    /// What keeps it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_by: Option<KeptBy>,
    /// When somebody may delete it at the earliest, as far as periods say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub may_be_deleted_at: Option<Timestamp>,
    /// When it goes, or would.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goes_at: Option<Timestamp>,
    /// Rules about its kind that do not select it, and why not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub near: Vec<NearRule>,
    /// What happens next, and what to do.
    pub next: Vec<String>,
    /// What was assumed, and what is not known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A rule that selects the object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoryRule {
    /// Whose it is.
    pub rule: String,
    /// What happens after its maximum; absent for a baseline, which only keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<DisposalMode>,
    /// From when it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<RetentionStart>,
    /// That instant for this object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// Why it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_start: Option<String>,
    /// What of it cannot be read or contradicts itself, so that nothing goes under it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The minimum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<String>,
    /// Until when it keeps the object; `for good` where no end is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keeps_until: Option<String>,
    /// The maximum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<String>,
    /// When the object is past it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gone_at: Option<Timestamp>,
    /// Whether its minimum is the longest.
    pub wins_minimum: bool,
    /// Whether it is under this rule that the object goes.
    pub wins_maximum: bool,
}

/// A rule about the object's kind that does not select it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NearRule {
    /// Whose it is.
    pub rule: String,
    /// Why it does not.
    pub why: String,
}

/// Tells the story of an object; none where it is not in the World.
#[must_use]
pub fn retention_story(
    world: &World,
    kind: &ResourceKind,
    key: &ObjectKey,
    notes: Vec<String>,
    now: Timestamp,
) -> Option<RetentionStory> {
    let held = world.item(kind, key)?;
    let fate = fate(world, kind, key, now)?;
    let standing = standing(world, &key.namespace);
    let (word, ..) = standing_words(&standing);
    let rules = world.shelf(&key.namespace).map(|shelf| shelf.rules());
    let policies = || world.retention_policies_in(&key.namespace);
    let near = if fate.rules.is_empty() {
        near(rules.unwrap_or_default(), policies(), held)
    } else {
        Vec::new()
    };
    let may_be_deleted_at = fate.may_go_at.filter(|_| !is_held(&fate));
    Some(RetentionStory {
        api_version: REPORT_API_VERSION,
        kind: "RetentionStory",
        at: now,
        namespace: key.namespace.clone(),
        standing: word,
        object_kind: words::kind(&kind.group, &kind.kind),
        name: key.name.clone(),
        uid: fate.uid.clone(),
        fate: object_fate(&fate, now),
        words: headline(&fate, &held.item, now),
        rules: fate
            .rules
            .iter()
            .map(|rule| told(rule, policies(), &held.item))
            .collect(),
        kept_at_least_until: fate.minimum.map(words::keep),
        past_maximum_at: fate.maximum,
        why: why(&fate, now),
        kept_by: kept_by(&fate),
        may_be_deleted_at,
        goes_at: fate.goes_at,
        near,
        next: next(&fate, held, &standing, now),
        notes,
    })
}

fn is_held(fate: &Fate) -> bool {
    matches!(fate.withheld, Some(Withheld::Hold { .. }))
}

fn told<'a>(
    rule: &FateRule,
    mut policies: impl Iterator<Item = &'a RetentionPolicy>,
    item: &Item,
) -> StoryRule {
    let policy = policies.find(|policy| {
        rule.mode.is_some() && Source::Policy(policy.meta.key.name.clone()).label() == rule.source
    });
    StoryRule {
        problem: policy.and_then(problem),
        rule: rule.source.clone(),
        mode: rule.mode,
        starts_at: rule.starts_at,
        start: rule.start,
        no_start: rule.start.is_none().then(|| no_start(rule.starts_at, item)),
        at_least: rule.at_least.clone(),
        keeps_until: rule.minimum.map(words::keep),
        at_most: rule.at_most.clone(),
        gone_at: rule.maximum,
        wins_minimum: rule.wins_minimum,
        wins_maximum: rule.wins_maximum,
    }
}

fn problem(policy: &RetentionPolicy) -> Option<String> {
    let errors: Vec<String> = policy.errors.iter().map(ToString::to_string).collect();
    (!errors.is_empty()).then(|| errors.join("; "))
}

/// Why it is not known when a period began.
fn no_start(starts_at: Option<RetentionStart>, item: &Item) -> String {
    let words = match starts_at {
        None => "the rule's startsAt cannot be read",
        Some(RetentionStart::CreatedAt) => "the object has no creationTimestamp",
        Some(RetentionStart::CompletedAt) => match item.completion {
            Completion::Unknown => "it is not known whether it has completed",
            _ => "it has not completed",
        },
        Some(RetentionStart::RetainedSince) => match item.retained_since {
            RetainedSince::Unreadable => {
                return format!(
                    "its annotation {ANNOTATION_RETAINED_SINCE} is no RFC 3339 instant"
                );
            }
            _ => "the object has no creationTimestamp",
        },
    };
    words.to_owned()
}

fn headline(fate: &Fate, item: &Item, now: Timestamp) -> String {
    if item.deleting {
        return "is being deleted already".to_owned();
    }
    if item.ours {
        return "is made by Covenant for enforcement and is nobody's to dispose of".to_owned();
    }
    if fate.rules.is_empty() {
        return "is touched by no rule".to_owned();
    }
    let under = fate.goes_by.as_ref().map_or("", |policy| &policy.name);
    let keeps = fate.minimum.filter(|keep| keep.keeps(now));
    match (object_fate(fate, now), &fate.withheld) {
        (ObjectFate::Goes, _) => format!("goes now, under RetentionPolicy {under}"),
        (ObjectFate::WouldGo, _) => {
            format!("would go now, if RetentionPolicy {under} disposed instead of previewing")
        }
        (_, Some(by @ Withheld::Hold { .. })) => {
            format!("is kept by {}", words::withheld(by, fate))
        }
        (ObjectFate::Kept, Some(by)) => {
            format!(
                "is past its maximum and kept by {}",
                words::withheld(by, fate)
            )
        }
        _ => match (keeps, fate.goes_at) {
            (Some(Keep::Until(until)), _) => format!("is kept at least until {until}"),
            (Some(Keep::Forever), _) => "is kept for good, as far as is known".to_owned(),
            (None, Some(at)) if fate.disposes => format!("is kept until {at}"),
            (None, Some(at)) => format!("is under no minimum now, and would go at {at}"),
            (None, None) => "is under no minimum any more, and nothing has it gone".to_owned(),
        },
    }
}

/// Which rule wins, and by what.
fn why(fate: &Fate, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    let mut minimums = fate.rules.iter().filter(|rule| rule.minimum.is_some());
    let longest = fate.rules.iter().find(|rule| rule.wins_minimum);
    if let (Some(rule), Some(keep)) = (longest, fate.minimum) {
        let others = if minimums.by_ref().count() > 1 {
            ", the longest of all minimums that select it"
        } else {
            ""
        };
        let until = match keep {
            Keep::Until(until) if until <= now => format!("until {until}, which is over"),
            Keep::Until(until) => format!("until {until}"),
            Keep::Forever => "for good".to_owned(),
        };
        lines.push(format!("kept at least {until}: {}{others}", rule.source));
    }
    let Some(winner) = fate.rules.iter().find(|rule| rule.wins_maximum) else {
        return lines;
    };
    let Some(maximum) = winner.maximum else {
        return lines;
    };
    let mut goes = format!("past its maximum at {maximum}: {}", winner.source);
    let rivals = fate
        .rules
        .iter()
        .filter(|rule| rule.maximum.is_some())
        .count();
    if rivals > 1 && fate.disposes {
        goes.push_str(", of all policies that dispose of it the first under which it would go");
    } else if rivals > 1 {
        goes.push_str(", the first under which it would go; none of them disposes");
    }
    lines.push(goes);
    match fate.minimum {
        Some(Keep::Until(until)) if until > maximum => lines.push(format!(
            "a minimum beats every maximum: it stays until {until} all the same"
        )),
        Some(Keep::Forever) => {
            lines.push("a minimum beats every maximum, and no end of this one is known".to_owned());
        }
        _ => {}
    }
    if fate.disposes
        && fate
            .rules
            .iter()
            .any(|rule| rule.mode == Some(DisposalMode::Preview) && rule.maximum.is_some())
    {
        lines.push("policies that only preview have nothing gone; their minimums count".to_owned());
    }
    lines
}

/// Rules that are about the kind of an object and do not select it.
fn near<'a>(
    rules: &[Rule],
    policies: impl Iterator<Item = &'a RetentionPolicy>,
    held: &Held,
) -> Vec<NearRule> {
    let of_kind = |selection: &&Selection| {
        (&selection.kind.group, &selection.kind.kind) == (&held.kind.group, &held.kind.kind)
    };
    let mut near = Vec::new();
    for rule in rules {
        let selections: Vec<&Selection> = rule.selections.iter().filter(of_kind).collect();
        let selects =
            |selection: &&Selection| selection.selects(&held.kind, &held.name, &held.item);
        if selections.is_empty() || selections.iter().any(selects) {
            continue;
        }
        let reasons: Vec<String> = selections
            .iter()
            .map(|selection| mismatch(selection, held))
            .collect();
        let entry = NearRule {
            rule: rule.source.label(),
            why: reasons.join("; or "),
        };
        if !near.contains(&entry) {
            near.push(entry);
        }
    }
    let unreadable = policies.filter(|policy| policy.has_unreadable_selection);
    near.extend(unreadable.map(|policy| NearRule {
        rule: Source::Policy(policy.meta.key.name.clone()).label(),
        why: format!(
            "some of what it selects cannot be read: {}",
            problem(policy).unwrap_or_default()
        ),
    }));
    near
}

/// The first thing by which a selection passes an object over.
fn mismatch(selection: &Selection, held: &Held) -> String {
    for (key, wanted) in &selection.match_labels {
        match held.item.label(key) {
            Some(value) if value == wanted => {}
            Some(value) => {
                return format!(
                    "it selects the label {key}={wanted}, and the object has {key}={value}"
                );
            }
            None => {
                return format!("it selects the label {key}={wanted}, and the object has no {key}");
            }
        }
    }
    if !selection.names.is_empty() && !selection.names.contains(&*held.name) {
        return "it selects other names".to_owned();
    }
    let prefix = selection.name_prefix.as_deref().unwrap_or_default();
    format!("it selects names that begin with {prefix}")
}

fn next(fate: &Fate, held: &Held, standing: &Standing, now: Timestamp) -> Vec<String> {
    let mut steps = Vec::new();
    let namespace = &fate.key.namespace;
    if !standing.is_in_force() {
        steps.push(format!(
            "namespace {namespace} is not in force: no deletion is refused for a minimum, and nothing is disposed of"
        ));
    }
    if fate.rules.is_empty() {
        steps.push(
            "nothing: no minimum keeps it from being deleted by whoever may, and no policy disposes of it".to_owned(),
        );
        return steps;
    }
    if is_held(fate) {
        steps.push("nobody may delete it while the hold keeps it".to_owned());
    } else {
        steps.push(match fate.may_go_at {
            Some(at) if at <= now => {
                "it may be deleted now by whoever has the right: no minimum runs any more"
                    .to_owned()
            }
            Some(at) => format!(
                "it may be deleted by somebody from {at} ({}), and by nobody before",
                distance(now, at)
            ),
            None => "nobody may delete it, until its minimum can be known to be over".to_owned(),
        });
    }
    let under = fate.goes_by.as_ref().map_or("", |policy| &policy.name);
    match fate.goes_at {
        _ if held.item.deleting => {}
        Some(at) if at <= now && fate.withheld.is_some() => {
            steps.push(format!("under RetentionPolicy {under} it goes once nothing keeps it"));
        }
        Some(at) if at <= now && fate.disposes => {
            steps.push("it goes with the next run".to_owned());
        }
        Some(at) if fate.disposes => steps.push(format!(
            "it goes at {at} ({}), under RetentionPolicy {under}",
            distance(now, at)
        )),
        Some(at) => steps.push(format!(
            "RetentionPolicy {under} only previews: with spec.disposal.mode Dispose it would go at {} at the earliest, and not before the grace has passed since that edit",
            at.max(now)
        )),
        None if fate.goes_by.is_none() => {
            steps.push("no policy that touches it has a maximum that can be counted: it stays until somebody deletes it".to_owned());
        }
        None => steps.push("it stays for as long as what keeps it".to_owned()),
    }
    if let Some(by) = &fate.withheld {
        steps.extend(words::remedy(by, namespace).map(|step| format!("to have it go: {step}")));
    }
    if held.item.finalizers && fate.goes_at.is_some() {
        steps.push(
            "it has finalizers: when it is deleted it is gone only once those who set them have done their work".to_owned(),
        );
    }
    steps
}
