//! Which expressions of the guards a run of tests has seen both ways, as the API server itself wrote it down.
//!
//! Beside each guard stand shadows with the same matches, variables, parameters and bindings. They refuse nothing, ignore
//! their own errors, and write what each expression came to into the audit log. Where the authorizer is asked, which is not to
//! be had there, a shadow for each outcome matches only on just that outcome. Where it is asked about the namespace's tenant,
//! whom no condition knows, the refusals themselves tell, by their words, and what was let through. `COVENANT_GUARD_COVERAGE` names a folder:
//! [`Cluster::install_chart`] then installs the shadows, and audit logs are left there.
//!
//! May not: change a guard, or judge an outcome. An outcome is seen when it is in the audit log, and else it is not.
//!
//! [`Cluster::install_chart`]: crate::Cluster::install_chart

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};

/// Where the audit logs of instrumented clusters are left.
pub const FOLDER: &str = "COVENANT_GUARD_COVERAGE";
/// Annotations of one policy: as many as an API server takes.
const MOST: usize = 20;

/// An outcome of an expression.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outcome {
    /// The guard.
    pub guard: String,
    /// The expression, by its place or name.
    pub expression: String,
    /// What it came to.
    pub value: String,
}

/// What was seen, and what was wrong.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Values by guard and key.
    values: BTreeMap<String, BTreeSet<String>>,
    /// Guards that looked at a request which was let through.
    passed: BTreeSet<String>,
    /// What guards of ours said when they refused.
    refusals: BTreeSet<String>,
    /// Refusals in which a guard could not say or know something: each is a defect.
    pub errors: Vec<String>,
    /// How many requests were read.
    pub requests: usize,
}

/// The folder, when somebody wants to know.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER)
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
}

/// The shadows of these guards: policies and bindings to be applied beside them.
#[must_use]
pub fn shadows(guards: &[Value]) -> Vec<Value> {
    let mut shadows = Vec::new();
    for policy in guards.iter().filter(|guard| is_policy(guard)) {
        let guard = name_of(policy);
        let mut plain = Vec::new();
        let mut asking = Vec::new();
        for expression in expressions(policy) {
            match expression.asks {
                Asks::Nobody => plain.push(expression),
                Asks::Authorizer => asking.push(expression),
                Asks::AboutTheTenant => {}
            }
        }
        let mut shadow = |name: String, fields: Value| {
            let mut copy = policy.clone();
            copy["metadata"] = json!({ "name": name });
            copy["spec"]["failurePolicy"] = json!("Ignore");
            copy["spec"]["validations"] = json!([{ "expression": "true" }]);
            copy["spec"]["matchConditions"] = fields["matchConditions"].clone();
            copy["spec"]["auditAnnotations"] = fields["auditAnnotations"].clone();
            shadows.push(copy);
            let of_policy = |binding: &&Value| binding["spec"]["policyName"] == guard;
            for (number, binding) in guards.iter().filter(of_policy).enumerate() {
                let mut copy = binding.clone();
                copy["metadata"] = json!({ "name": format!("{name}-{number}") });
                copy["spec"]["policyName"] = json!(name);
                copy["spec"]["validationActions"] = json!(["Audit"]);
                shadows.push(copy);
            }
        };
        for (chunk, expressions) in plain.chunks(MOST).enumerate() {
            let annotations: Vec<Value> = expressions
                .iter()
                .map(|expression| {
                    let value = format!("dyn({})", expression.text);
                    json!({ "key": expression.key, "valueExpression": format!(
                        "type({value}) == bool || type({value}) == string ? '{MARK}' + string({value}) : '{MARK}{OTHER}'"
                    ) })
                })
                .collect();
            let fields = json!({ "auditAnnotations": annotations, "matchConditions": [] });
            shadow(format!("coverage-{chunk}-{guard}"), fields);
        }
        for expression in &asking {
            for value in ["true", "false"] {
                let on = if value == "true" { "" } else { "!" };
                let condition = json!({ "name": "outcome", "expression": format!("{on}({})", expression.inlined) });
                let annotation =
                    json!({ "key": expression.key, "valueExpression": format!("'{MARK}{value}'") });
                let fields =
                    json!({ "auditAnnotations": [annotation], "matchConditions": [condition] });
                shadow(
                    format!("coverage-{value}-{}-{guard}", expression.key),
                    fields,
                );
            }
        }
    }
    shadows
}

/// Every outcome that tests must have seen, and whether they did: both of what is true or false, and each word that an
/// expression may come to.
#[must_use]
pub fn expected(guards: &[Value], seen: &Seen) -> BTreeMap<Outcome, bool> {
    let mut expected = BTreeMap::new();
    for policy in guards.iter().filter(|guard| is_policy(guard)) {
        let guard = name_of(policy);
        for expression in expressions(policy) {
            let values = match (&expression.asks, &expression.refusal) {
                (Asks::AboutTheTenant, Some(words)) => seen.by_words(&guard, words),
                // What it came to shows in the validations that it is for.
                (Asks::AboutTheTenant, None) => continue,
                _ => seen.of(&guard, &expression.key),
            };
            let logical = ["true", "false"].map(str::to_owned);
            let wanted: BTreeSet<String> = if !expression.words.is_empty() {
                expression.words
            } else if values.iter().all(|value| logical.contains(value)) {
                logical.into_iter().collect()
            } else {
                // A list, a map, or words that are made up: they matter by what is made of them.
                continue;
            };
            for value in wanted {
                let is_seen = values.contains(&value);
                let outcome = Outcome {
                    guard: guard.clone(),
                    expression: expression.name.clone(),
                    value,
                };
                expected.insert(outcome, is_seen);
            }
        }
    }
    expected
}

/// Reads the audit logs of a folder.
///
/// # Errors
/// When one cannot be read.
pub fn read(folder: &Path) -> anyhow::Result<Seen> {
    let mut seen = Seen::default();
    let entries =
        fs::read_dir(folder).with_context(|| format!("no folder {}", folder.display()))?;
    for entry in entries {
        let path = entry.context("the folder cannot be read")?.path();
        let file =
            File::open(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        for line in BufReader::new(file).lines() {
            let line = line.with_context(|| format!("{} cannot be read", path.display()))?;
            // The last line of a server that was killed may be half a one.
            if let Ok(event) = serde_json::from_str::<Value>(&line) {
                seen.take(&event);
            }
        }
    }
    Ok(seen)
}

impl Seen {
    fn take(&mut self, event: &Value) {
        self.requests += 1;
        let passes = event["responseStatus"]["code"]
            .as_u64()
            .is_some_and(|code| code < 300);
        for (key, value) in event["annotations"].as_object().into_iter().flatten() {
            let Some((shadow, expression)) = key.split_once('/') else {
                continue;
            };
            if let (true, Some(value)) = (shadow.starts_with("coverage-"), value.as_str()) {
                let guard = shadow
                    .split_once("-covenant-")
                    .map_or("", |(_, guard)| guard);
                let guard = format!("covenant-{guard}");
                let values = self.values.entry(format!("{guard}/{expression}"));
                // One for each hold that is a parameter.
                let each = value
                    .split(", ")
                    .filter_map(|value| value.strip_prefix(MARK));
                values.or_default().extend(each.map(str::to_owned));
                if passes {
                    self.passed.insert(guard);
                }
            }
        }
        let said = event["responseStatus"]["message"]
            .as_str()
            .unwrap_or_default();
        let ours = said.contains("ValidatingAdmissionPolicy 'covenant-");
        let broken = ["failed expression:", "resulted in error"];
        if ours && broken.iter().any(|words| said.contains(words)) {
            let what = event["requestURI"].as_str().unwrap_or_default();
            self.errors.push(format!("{what}: {said}"));
        } else if ours {
            self.refusals.insert(said.to_owned());
        }
    }

    fn by_words(&self, guard: &str, words: &str) -> BTreeSet<String> {
        let name = format!("ValidatingAdmissionPolicy '{guard}'");
        let is_said = |said: &&String| said.contains(&name) && said.contains(words);
        let refused = self.refusals.iter().find(is_said).map(|_| "false");
        let passed = self.passed.get(guard).map(|_| "true");
        refused
            .into_iter()
            .chain(passed)
            .map(str::to_owned)
            .collect()
    }

    fn of(&self, guard: &str, key: &str) -> BTreeSet<String> {
        let values = self.values.get(&format!("{guard}/{key}"));
        values.cloned().unwrap_or_default()
    }
}

/// Before every value: one that is empty would not be written down.
const MARK: &str = "=";
/// Neither true nor false nor a word.
const OTHER: &str = "other";

fn is_policy(guard: &Value) -> bool {
    guard["kind"] == "ValidatingAdmissionPolicy"
}

fn name_of(object: &Value) -> String {
    object["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// An expression of a guard.
struct Expression {
    /// Names it in an annotation.
    key: String,
    /// Names it to people.
    name: String,
    /// As it stands; a variable by its name.
    text: String,
    /// With every variable in full.
    inlined: String,
    /// Whom it asks.
    asks: Asks,
    /// Of a validation: words of its refusal that no other has.
    refusal: Option<String>,
    /// The words that it may come to.
    words: BTreeSet<String>,
}

/// Whom an expression asks.
enum Asks {
    Nobody,
    Authorizer,
    AboutTheTenant,
}

/// Every expression of a guard that comes to something: conditions, validations, variables.
fn expressions(policy: &Value) -> Vec<Expression> {
    let list = |field: &str| {
        policy["spec"][field]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    let text = |item: &Value, field: &str| item[field].as_str().unwrap_or_default().to_owned();
    let variables: Vec<(String, String)> = list("variables")
        .iter()
        .map(|variable| (text(variable, "name"), text(variable, "expression")))
        .collect();
    let mut found = Vec::new();
    let mut add = |key: String, name: String, text: String, words: BTreeSet<String>, refusal| {
        let inlined = inlined(&text, &variables);
        let asks = match (
            inlined.contains("authorizer."),
            inlined.contains("namespaceObject"),
        ) {
            (false, _) => Asks::Nobody,
            (true, false) => Asks::Authorizer,
            (true, true) => Asks::AboutTheTenant,
        };
        found.push(Expression {
            key,
            name,
            text,
            inlined,
            asks,
            refusal,
            words,
        });
    };
    for (number, condition) in list("matchConditions").iter().enumerate() {
        let name = format!("condition {}", text(condition, "name"));
        add(
            format!("c{number}"),
            name,
            text(condition, "expression"),
            BTreeSet::new(),
            None,
        );
    }
    for (number, validation) in list("validations").iter().enumerate() {
        let name = format!("validation {number}");
        add(
            format!("v{number}"),
            name,
            text(validation, "expression"),
            BTreeSet::new(),
            longest_words(&text(validation, "messageExpression")),
        );
    }
    for (number, (name, expression)) in variables.iter().enumerate() {
        let words = words(expression);
        add(
            format!("n{number}"),
            format!("variable {name}"),
            format!("variables.{name}"),
            words,
            None,
        );
    }
    found
}

/// The longest words of a message that are always said.
fn longest_words(message: &str) -> Option<String> {
    // A quote in the words themselves is written \'.
    let message = message.replace("\\'", "\u{0}");
    let literals = message.split('\'').skip(1).step_by(2);
    let pieces = literals.flat_map(|literal| literal.split('\u{0}'));
    pieces.max_by_key(|piece| piece.len()).map(str::to_owned)
}

/// An expression with every variable in full. A variable knows only those before it, so the last are put in first.
fn inlined(text: &str, variables: &[(String, String)]) -> String {
    let mut inlined = text.to_owned();
    for (name, expression) in variables.iter().rev() {
        let reference = format!("variables.{name}");
        let mut pieces = inlined.split(&reference);
        let mut whole = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            // Another variable may begin alike.
            let is_longer = piece.starts_with(|next: char| next.is_alphanumeric() || next == '_');
            if is_longer {
                whole.push_str(&reference);
            } else {
                whole.push_str(&format!("({expression})"));
            }
            whole.push_str(piece);
        }
        inlined = whole;
    }
    inlined
}

/// The words that an expression may come to: those behind a `?` or a `:` of a choice.
fn words(expression: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let pieces: Vec<&str> = expression.split('\'').collect();
    for (index, piece) in pieces
        .iter()
        .enumerate()
        .filter(|(index, _)| index % 2 == 1)
    {
        let before = pieces.get(index - 1).map_or("", |before| before.trim_end());
        let after = pieces.get(index + 1).map_or("", |after| after.trim_start());
        // Not a field that may be absent, nor an entry of a map.
        let chosen = before.ends_with(" ?") || before.ends_with(" :") || before == ":";
        let whole = after.is_empty() || after.starts_with(':') || after.starts_with(')');
        if chosen && whole {
            words.insert((*piece).to_owned());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_that_a_choice_comes_to() {
        let expression = "a ? (b == 'x' ? 'one' : '') : c.?d.orValue('y') in ['z'] ? {'k': 'v'}[?'k'].orValue('w') : 'two'";
        let found: Vec<String> = words(expression).into_iter().collect();
        assert_eq!(found, ["", "one", "two"]);
    }

    fn policy() -> Value {
        json!({
            "kind": "ValidatingAdmissionPolicy", "metadata": { "name": "covenant-a" },
            "spec": {
                "variables": [
                    { "name": "names", "expression": "['x']" },
                    { "name": "may", "expression": "authorizer.check(variables.names)" },
                    { "name": "step", "expression": "a ? 'one' : 'two'" },
                ],
                "validations": [{ "expression": "variables.mayNot || variables.may" }],
            },
        })
    }

    #[test]
    fn an_outcome_is_seen_when_the_audit_log_says_so_and_an_error_is_told() {
        let mut seen = Seen::default();
        seen.take(&json!({ "annotations": {
            "coverage-0-covenant-a/n0": "=other",
            "coverage-0-covenant-a/n2": "=two, =",
            "coverage-true-v0-covenant-a/v0": "=true",
            "coverage-false-n1-covenant-a/n1": "=false",
            "covenant-a/v0": "false",
        } }));
        seen.take(&json!({ "requestURI": "/x", "responseStatus": {
            "message": "ValidatingAdmissionPolicy 'covenant-a' with binding 'b' denied request: failed expression: 1 == 1" } }));
        let missing: Vec<String> = expected(&[policy()], &seen)
            .into_iter()
            .filter_map(|(outcome, is_seen)| {
                (!is_seen).then_some(format!("{} {}", outcome.expression, outcome.value))
            })
            .collect();
        assert_eq!(
            missing,
            [
                "validation 0 false",
                "variable may true",
                "variable step one"
            ]
        );
        assert_eq!((seen.errors.len(), seen.requests), (1, 2));
    }

    #[test]
    fn what_is_asked_about_the_tenant_is_told_by_the_refusals() {
        let mut policy = policy();
        policy["spec"]["validations"] = json!([{
            "expression": "authorizer.check(namespaceObject)",
            "messageExpression": "'It is ' + name + ' and isn\\'t for ' + user + ', who has no verb'",
        }]);
        let missing = |seen: &Seen| {
            let expected = expected(std::slice::from_ref(&policy), seen);
            let of =
                |outcome: &&Outcome| outcome.expression == "validation 0" && !expected[*outcome];
            expected
                .keys()
                .filter(of)
                .map(|outcome| outcome.value.clone())
                .collect::<Vec<_>>()
        };
        let mut seen = Seen::default();
        assert_eq!(missing(&seen), ["false", "true"]);
        seen.take(&json!({ "responseStatus": { "code": 403,
            "message": "ValidatingAdmissionPolicy 'covenant-a' with binding 'b' denied request: It is x and isn't for y, who has no verb" } }));
        assert_eq!(missing(&seen), ["true"]);
        seen.take(&json!({ "responseStatus": { "code": 200 }, "annotations": { "coverage-0-covenant-a/n0": "=other" } }));
        assert_eq!(missing(&seen), [""; 0]);
    }

    #[test]
    fn what_asks_the_authorizer_has_a_shadow_for_each_outcome() {
        let shadows = shadows(&[policy()]);
        assert_eq!(shadows.len(), 1 + 2 + 2);
        let conditions: Vec<&str> = shadows
            .iter()
            .filter_map(|shadow| shadow["spec"]["matchConditions"][0]["expression"].as_str())
            .collect();
        assert_eq!(
            conditions,
            [
                "(variables.mayNot || (authorizer.check((['x']))))",
                "!(variables.mayNot || (authorizer.check((['x']))))",
                "((authorizer.check((['x']))))",
                "!((authorizer.check((['x']))))",
            ]
        );
    }
}
