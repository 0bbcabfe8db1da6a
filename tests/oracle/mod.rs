//! A second opinion: from raw objects alone, may this grant's path be open at this instant, and until when?
//!
//! It shares no type and no function with the planner: it reads JSON, and counts days by itself. Seconds since 1970.

use std::collections::BTreeMap;

use serde_json::Value;

/// Seconds since 1970 of an instant `YYYY-MM-DDTHH:MM:SSZ` or of the beginning of a date.
pub fn seconds(text: &str) -> i64 {
    let number = |range: std::ops::Range<usize>| {
        text.get(range)
            .and_then(|part| part.parse::<i64>().ok())
            .unwrap_or(0)
    };
    let day = days(number(0..4), number(5..7), number(8..10));
    if text.len() == 10 {
        day * 86_400
    } else {
        day * 86_400 + number(11..13) * 3600 + number(14..16) * 60 + number(17..19)
    }
}

/// Days since 1970-01-01, counted year by year and month by month.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let mut sum = 0;
    for past in 1970..year {
        sum += if leap(past) { 366 } else { 365 };
    }
    for past in 1..month {
        sum += length(year, past);
    }
    sum + day - 1
}

fn leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn length(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The end that a text means: the instant, or the end of the day.
fn end(text: &str) -> i64 {
    seconds(text) + if text.len() == 10 { 86_400 } else { 0 }
}

/// The same text a year later, 29 February becoming 28.
fn year_later(text: &str) -> String {
    let year: i64 = text.get(..4).unwrap().parse().unwrap();
    let rest = text.get(4..).unwrap();
    let rest = if rest.starts_with("-02-29") && !leap(year + 1) {
        rest.replacen("-02-29", "-02-28", 1)
    } else {
        rest.to_owned()
    };
    format!("{}{rest}", year + 1)
}

/// Everything there is, by kind and key.
pub struct Cluster<'a>(BTreeMap<(String, String, String), &'a Value>);

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

fn list<'a>(value: &'a Value, pointer: &str) -> Vec<&'a Value> {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map(|items| items.iter().collect())
        .unwrap_or_default()
}

fn texts<'a>(value: &'a Value, pointer: &str) -> Vec<&'a str> {
    list(value, pointer)
        .into_iter()
        .filter_map(Value::as_str)
        .collect()
}

impl<'a> Cluster<'a> {
    pub fn new(objects: impl IntoIterator<Item = &'a Value>) -> Self {
        let key = |object: &Value| {
            (
                text(object, "/kind").to_owned(),
                text(object, "/metadata/namespace").to_owned(),
                text(object, "/metadata/name").to_owned(),
            )
        };
        Self(
            objects
                .into_iter()
                .map(|object| (key(object), object))
                .collect(),
        )
    }

    fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<&'a Value> {
        self.0
            .get(&(kind.to_owned(), namespace.to_owned(), name.to_owned()))
            .copied()
    }

    fn all(&self, kind: &str) -> impl Iterator<Item = &'a Value> {
        self.0
            .iter()
            .filter(move |((is, ..), _)| is == kind)
            .map(|(_, object)| *object)
    }

    /// The tenant of a namespace that is enforced on a readable baseline, with that baseline.
    fn enforced(&self, name: &str) -> Option<(&'a str, &'a Value)> {
        let namespace = self.get("Namespace", "", name)?;
        let labels = namespace.pointer("/metadata/labels")?;
        let tenant = labels.get("privacy.cloudnexus.io/tenant")?.as_str()?;
        let observing = labels
            .get("privacy.cloudnexus.io/stage")
            .and_then(Value::as_str)
            == Some("observe");
        if observing
            || name.starts_with("kube-")
            || namespace.pointer("/metadata/deletionTimestamp").is_some()
        {
            return None;
        }
        let baseline = labels
            .get("privacy.cloudnexus.io/baseline")
            .and_then(Value::as_str)
            .unwrap_or("default");
        Some((tenant, self.get("TenantBaseline", "", baseline)?))
    }

    /// Until when the grant's path may be open at this instant; none where it must be closed.
    /// Whether a hold that nobody released stops sharing or processing there. One without effects stops both.
    fn is_still(&self, namespace: &str) -> bool {
        let here = self
            .all("ProcessingHold")
            .filter(|hold| text(hold, "/metadata/namespace") == namespace);
        here.into_iter().any(|hold| {
            let decided = |what: &str| {
                let made = list(hold, "/status/decisions");
                made.into_iter()
                    .find(|decision| text(decision, "/type") == what)
            };
            let lifted = decided("Narrowed")
                .map(|decision| texts(decision, "/effects"))
                .unwrap_or_default();
            let effects = texts(hold, "/spec/effects");
            let stops = |effect: &str| {
                (effects.is_empty() || effects.contains(&effect)) && !lifted.contains(&effect)
            };
            decided("Released").is_none() && (stops("SuspendSharing") || stops("SuspendProcessing"))
        })
    }

    /// Whether the opt-out of a namespace stops an agent that is the grant's vendor, or one of these pods of this namespace.
    fn is_opted_out(&self, namespace: &str, vendor: &str, pods: Option<(&str, &str)>) -> bool {
        let Some((_, baseline)) = self.enforced(namespace) else {
            return false;
        };
        let Some(opt_out) = self.get("TelemetryOptOut", namespace, "default") else {
            return false;
        };
        let channels = texts(opt_out, "/spec/channels");
        list(baseline, "/spec/telemetry/agents")
            .into_iter()
            .any(|agent| {
                let counts =
                    channels.contains(&"Newer") || channels.contains(&text(agent, "/channel"));
                let selected = |path: &str| text(agent, path);
                let is_vendor = !vendor.is_empty() && text(agent, "/processorRef/name") == vendor;
                let is_among = pods.is_some_and(|(there, app)| {
                    selected("/namespaceSelector/matchLabels/kubernetes.io~1metadata.name") == there
                        && selected("/podSelector/matchLabels/app") == app
                });
                counts && (is_vendor || is_among)
            })
    }

    /// The agents that a namespace stops.
    fn stopped(&self, namespace: &str) -> Vec<&Value> {
        let stopped = || {
            let (_, baseline) = self.enforced(namespace)?;
            let opt_out = self.get("TelemetryOptOut", namespace, "default")?;
            let channels = texts(opt_out, "/spec/channels");
            let agents = list(baseline, "/spec/telemetry/agents").into_iter();
            let counts = agents.filter(|agent| {
                channels.contains(&"Newer") || channels.contains(&text(agent, "/channel"))
            });
            Some(counts.collect())
        };
        stopped().unwrap_or_default()
    }

    pub fn open_until(&self, grant: &Value, now: i64) -> Option<i64> {
        let (spec, namespace) = (grant.get("spec")?, text(grant, "/metadata/namespace"));
        let (tenant, baseline) = self.enforced(namespace)?;
        let recipient = text(spec, "/recipient/namespace/name");
        if self.is_still(namespace) || self.is_still(recipient) {
            return None;
        }
        let mut until = end(text(spec, "/window/notAfter"));
        let begins = text(spec, "/window/notBefore");
        if (!begins.is_empty() && now < seconds(begins))
            || spec.get("revoked").is_some()
            || grant.pointer("/metadata/deletionTimestamp").is_some()
        {
            return None;
        }
        let purpose = text(spec, "/purpose");
        if ["SellDataToThirdParties", "Advertising"].contains(&purpose) {
            return None;
        }
        let categories = texts(spec, "/dataCategories");
        if self
            .all("SharingProhibition")
            .any(|prohibition| prohibits(prohibition, tenant, namespace, spec, &categories))
        {
            return None;
        }
        let vendor = text(spec, "/recipient/processor/name");
        if self.is_opted_out(namespace, vendor, Some((recipient, "collector")))
            || self.is_opted_out(recipient, "", Some((namespace, "agent")))
        {
            return None;
        }
        let telemetry = texts(spec, "/dataCategories").contains(&"InfrastructureTelemetry");
        let there = self.stopped(recipient);
        let goes_on = |agent: &&Value| !there.contains(agent);
        if telemetry && !recipient.is_empty() && self.stopped(namespace).iter().any(goes_on) {
            return None;
        }
        let created = seconds(text(grant, "/metadata/creationTimestamp"));
        let from = if begins.is_empty() {
            created
        } else {
            created.max(seconds(begins))
        };
        // The random baselines count in days, so that a second calendar is not needed for this.
        let days: i64 = text(baseline, "/spec/grants/maximumDuration")
            .trim_matches(['P', 'D'])
            .parse()
            .unwrap();
        until = until.min(from + days * 86_400);
        if grant.pointer("/status/observedGeneration") == grant.pointer("/metadata/generation") {
            let fixed = text(grant, "/status/closesAt");
            if !fixed.is_empty() && seconds(fixed) <= now {
                return None;
            }
        }
        until = match spec.pointer("/recipient/processor") {
            Some(recipient) => {
                until.min(self.vendor(recipient, spec, tenant, purpose, &categories, now)?)
            }
            None => until.min(self.sibling(
                grant,
                text(spec, "/recipient/namespace/name"),
                tenant,
                &categories,
                now,
            )?),
        };
        (now < until).then_some(until)
    }

    fn vendor(
        &self,
        recipient: &Value,
        spec: &Value,
        tenant: &str,
        purpose: &str,
        categories: &[&str],
        now: i64,
    ) -> Option<i64> {
        let vendor = self.get("DataProcessor", "", text(recipient, "/name"))?;
        let mut covered = now;
        // As long as some agreement carries on from where the others end.
        loop {
            let further = list(vendor, "/spec/agreements")
                .into_iter()
                .filter(|agreement| text(agreement, "/type") == "DataProcessingAgreement")
                .filter(|agreement| seconds(text(agreement, "/effectiveFrom")) <= covered)
                .map(|agreement| end(text(agreement, "/effectiveUntil")))
                .max()?;
            if further <= covered {
                break;
            }
            covered = further;
        }
        if covered <= now {
            return None;
        }
        let completed = list(vendor, "/spec/assessments")
            .into_iter()
            .filter(|assessment| seconds(text(assessment, "/completedOn")) <= now);
        let latest = completed.max_by_key(|assessment| {
            (
                seconds(text(assessment, "/completedOn")),
                text(assessment, "/outcome") != "AuditApproved",
            )
        })?;
        if text(latest, "/outcome") != "AuditApproved" {
            return None;
        }
        let mut until = covered.min(end(&year_later(text(latest, "/completedOn"))));
        if text(vendor, "/spec/category") == "PaymentProcessing" {
            let level_one = list(vendor, "/spec/certifications")
                .into_iter()
                .filter(|held| text(held, "/scheme") == "PCI-DSS" && text(held, "/level") == "1");
            until = until.min(level_one.map(|held| end(text(held, "/validUntil"))).max()?);
        }
        let fits = list(vendor, "/spec/approvedFor").into_iter().any(|entry| {
            let tenants = texts(entry, "/tenants");
            (tenants.is_empty() || tenants.contains(&tenant))
                && texts(entry, "/purposes").contains(&purpose)
                && categories
                    .iter()
                    .all(|category| texts(entry, "/dataCategories").contains(category))
        });
        let reachable = texts(recipient, "/endpoints").into_iter().all(|name| {
            list(vendor, "/spec/endpoints").into_iter().any(|endpoint| {
                text(endpoint, "/name") == name
                    && list(endpoint, "/hosts").is_empty()
                    && (text(spec, "/direction") == "Pull" || !list(endpoint, "/ports").is_empty())
                    && texts(endpoint, "/cidrs").iter().all(|cidr| {
                        cidr.starts_with("203.0.113.") || cidr.starts_with("198.51.100.")
                    })
            })
        });
        (fits && reachable).then_some(until)
    }

    fn sibling(
        &self,
        grant: &Value,
        name: &str,
        tenant: &str,
        categories: &[&str],
        now: i64,
    ) -> Option<i64> {
        let (other, _) = self.enforced(name)?;
        let wide = |policy: &&Value| {
            text(policy, "/metadata/namespace") == name
                && !list(policy, "/spec/egress").is_empty()
                && text(policy, "/metadata/name") == "wide"
        };
        if other != tenant
            || name == text(grant, "/metadata/namespace")
            || self.all("NetworkPolicy").any(|policy| wide(&policy))
        {
            return None;
        }
        let agreed = self.all("SharingAcceptance").filter(|acceptance| {
            text(acceptance, "/metadata/namespace") == name
                && text(acceptance, "/spec/from/namespace") == text(grant, "/metadata/namespace")
                && text(acceptance, "/spec/from/grant") == text(grant, "/metadata/name")
                && categories
                    .iter()
                    .all(|category| texts(acceptance, "/spec/dataCategories").contains(category))
                && (text(grant, "/spec/direction") == "Pull"
                    || !list(acceptance, "/spec/ports").is_empty())
        });
        let ends = agreed.map(|acceptance| match text(acceptance, "/spec/notAfter") {
            "" => i64::MAX,
            ending => end(ending),
        });
        // The random worlds hold at most one acceptance for each grant.
        ends.max().filter(|until| *until > now)
    }
}

fn prohibits(
    prohibition: &Value,
    tenant: &str,
    namespace: &str,
    spec: &Value,
    categories: &[&str],
) -> bool {
    let (processors, namespaces) = (
        texts(prohibition, "/spec/recipients/processors"),
        texts(prohibition, "/spec/recipients/namespaces"),
    );
    let any_of = |names: &[&str], name: &str| names.is_empty() || names.contains(&name);
    let recipient = if processors.is_empty() && namespaces.is_empty() {
        true
    } else if let Some(processor) = spec
        .pointer("/recipient/processor/name")
        .and_then(Value::as_str)
    {
        processors.contains(&processor)
    } else {
        namespaces.contains(&text(spec, "/recipient/namespace/name"))
    };
    let prohibited = texts(prohibition, "/spec/dataCategories");
    any_of(&texts(prohibition, "/spec/tenants"), tenant)
        && any_of(&texts(prohibition, "/spec/namespaces"), namespace)
        && recipient
        && (prohibited.is_empty()
            || categories
                .iter()
                .any(|category| prohibited.contains(category)))
}
