//! What the API's names mean, in words for tenants, officers and auditors.
//!
//! May not: let text out that a terminal would obey.

use jiff::Timestamp;

use crate::api::{DisposalMode, RetentionStart};
use crate::model::Keep;
use crate::plan::{Fate, Withheld};

/// Most characters of one word of somebody else's that are shown.
const LONGEST: usize = 253;

/// Somebody else's text, without what a terminal would obey or show otherwise than it is.
pub(in crate::render) fn clean(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (count, letter) in text.chars().enumerate() {
        if count >= LONGEST * 4 {
            shown.push('…');
            break;
        }
        // Marks that turn the direction of text make one name look like another.
        let turns = matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if letter.is_control() || turns {
            shown.extend(letter.escape_unicode());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// A kind as it is written on the command line.
pub(super) fn kind(group: &str, kind: &str) -> String {
    if group.is_empty() {
        kind.to_owned()
    } else {
        format!("{kind}.{group}")
    }
}

pub(super) const fn start(start: Option<RetentionStart>) -> &'static str {
    match start {
        Some(RetentionStart::CreatedAt) => "creation",
        Some(RetentionStart::CompletedAt) => "completion",
        Some(RetentionStart::RetainedSince) => "retained-since",
        None => "unreadable",
    }
}

pub(super) const fn mode(mode: Option<DisposalMode>) -> &'static str {
    match mode {
        Some(DisposalMode::Preview) => "Preview",
        Some(DisposalMode::Dispose) => "Dispose",
        None => "-",
    }
}

pub(super) fn keep(keep: Keep) -> String {
    match keep {
        Keep::Until(until) => until.to_string(),
        Keep::Forever => "for good".to_owned(),
    }
}

/// The kind of thing that keeps an object, as the counts of a status name it.
pub(super) const fn keeper(withheld: &Withheld) -> &'static str {
    match withheld {
        Withheld::Hold { .. } => "Hold",
        Withheld::NotInForce => "NotInForce",
        Withheld::Minimum(_) => "Minimum",
        Withheld::ManagedElsewhere(_) => "ManagedElsewhere",
        Withheld::Owner => "Owner",
        Withheld::Grace(_) => "Grace",
        Withheld::Limit { .. } => "Limit",
        Withheld::Otherwise(_) => "Otherwise",
    }
}

/// Until when it is known to keep.
pub(super) const fn kept_until(withheld: &Withheld) -> Option<Timestamp> {
    match withheld {
        Withheld::Grace(until) | Withheld::Minimum(Some(Keep::Until(until))) => Some(*until),
        _ => None,
    }
}

/// What keeps an object, in a few words.
pub(super) fn withheld(withheld: &Withheld, fate: &Fate) -> String {
    let longest = fate.rules.iter().find(|rule| rule.wins_minimum);
    let minimum = longest.map_or("a minimum".to_owned(), |rule| {
        format!("the minimum of {}", rule.source)
    });
    match withheld {
        Withheld::Hold {
            name,
            released: false,
        } => format!("hold {name}"),
        Withheld::Hold { name, .. } => format!("the grace after the release of hold {name}"),
        Withheld::NotInForce => "the namespace is not in force".to_owned(),
        Withheld::Minimum(Some(Keep::Until(until))) => format!("{minimum}, until {until}"),
        Withheld::Minimum(Some(Keep::Forever)) => {
            format!("{minimum}, for good: its end cannot be known")
        }
        Withheld::Minimum(None) => "a minimum that guards have not been told is over".to_owned(),
        Withheld::ManagedElsewhere(tracker) => format!(
            "{}, which tracks it and would make it anew",
            tracker.as_str()
        ),
        Withheld::Owner => "another object, which owns and controls it".to_owned(),
        Withheld::Grace(until) => format!("the grace, until {until}"),
        Withheld::Limit { due, may: 0 } => format!("the limit: {due} are due, none goes"),
        Withheld::Limit { due, may } => format!("the limit: {due} are due, {may} may go"),
        Withheld::Otherwise(why) => why.clone(),
    }
}

/// What somebody does about what keeps an object.
pub(super) fn remedy(withheld: &Withheld, namespace: &str) -> Option<String> {
    Some(match withheld {
        Withheld::Hold {
            name,
            released: false,
        } => format!(
            "an officer (verb release) ends the hold: kubectl covenant hold release {name} -n {namespace} --reason TEXT"
        ),
        Withheld::Hold { name, .. } => format!(
            "nothing is to be done: the grace ends by itself (kubectl get phold {name} -n {namespace}, condition Restored)"
        ),
        Withheld::NotInForce => format!(
            "the platform team puts the namespace in force (labels privacy.cloudnexus.io/tenant and stage of {namespace})"
        ),
        Withheld::Minimum(Some(Keep::Forever)) => {
            "until its start can be known it stays: see its start above, and what the policy says cannot be read".to_owned()
        }
        Withheld::Minimum(None) => {
            "the operator writes the boundary anew; wait a moment, and see that it runs".to_owned()
        }
        Withheld::ManagedElsewhere(tracker) => format!(
            "take it out of what {} applies; it then goes as any other",
            tracker.as_str()
        ),
        Withheld::Owner => "select what owns it, or delete that: it goes with its owner".to_owned(),
        Withheld::Limit { .. } => format!(
            "look at what is due (kubectl covenant retention preview -n {namespace}), then an officer (verb approve) lifts the limit: kubectl covenant retention lift POLICY -n {namespace} --until N --reason TEXT"
        ),
        Withheld::Minimum(Some(Keep::Until(_))) | Withheld::Grace(_) | Withheld::Otherwise(_) => {
            return None;
        }
    })
}
