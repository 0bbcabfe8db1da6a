//! The fixed names that people, guards and the operator share: group, labels, field managers, verbs.
//!
//! May not: hold logic. A name here is part of the API; the guards in `charts/covenant/guards` spell the
//! same strings, and a test compares the two.

/// API group of every kind of Covenant.
pub const GROUP: &str = "privacy.cloudnexus.io";
/// The one version served.
pub const VERSION: &str = "v1alpha1";

/// Group of the virtual resource `tenants`, on which authority is asked of RBAC.
pub const AUTHORITY_GROUP: &str = "authority.privacy.cloudnexus.io";
/// Virtual resource whose names are tenants.
pub const AUTHORITY_RESOURCE: &str = "tenants";
/// Verb that only the operator holds: it writes postures, statuses, timers and our network policies.
pub const VERB_ENFORCE: &str = "enforce";
/// Verb to enrol namespaces of a tenant (named), or to write vendors and baselines (for all tenants).
pub const VERB_ADMINISTER: &str = "administer";
/// Verb to write or lift a sharing prohibition.
pub const VERB_REVOKE: &str = "revoke";
/// Verb to release or narrow a hold, and to take a place among holds that is reserved for officers.
pub const VERB_RELEASE: &str = "release";
/// Verb to lift the limit of a disposal that takes more than a run may.
pub const VERB_APPROVE: &str = "approve";
/// Verb to ask for a token of [`BREAK_GLASS_ACCOUNT`], which ends by itself.
pub const VERB_BREAK_GLASS: &str = "break-glass";
/// Verb that nobody is ever given: whoever has it has it by a wildcard, and a wildcard carries no authority.
pub const VERB_NEVER_GRANTED: &str = "never-granted";

/// ServiceAccount in the operator's namespace with the authority for an emergency. Jobs and Secrets that bound it in time are
/// called by it and a dash.
pub const BREAK_GLASS_ACCOUNT: &str = "covenant-break-glass";
/// Annotation on a break-glass Job: why.
pub const ANNOTATION_REASON: &str = "privacy.cloudnexus.io/reason";
/// Annotation on a break-glass Job: who, as the API server knows them.
pub const ANNOTATION_REQUESTED_BY: &str = "privacy.cloudnexus.io/requested-by";

/// Namespace label that enrols it for a tenant.
pub const LABEL_TENANT: &str = "privacy.cloudnexus.io/tenant";
/// Namespace label that names its baseline; `default` when absent.
pub const LABEL_BASELINE: &str = "privacy.cloudnexus.io/baseline";
/// Namespace label for the stage of enrolment.
pub const LABEL_STAGE: &str = "privacy.cloudnexus.io/stage";
/// The one stage value that has a meaning: compile and report, cut nothing.
pub const STAGE_OBSERVE: &str = "observe";

/// Namespace label that says whether it takes holds. Absent: it does.
pub const LABEL_HOLDS: &str = "privacy.cloudnexus.io/holds";
/// The one value that has a meaning: the guards of holds leave the namespace alone, and no hold is taken.
pub const HOLDS_DISARMED: &str = "disarmed";

/// Label on every object that the operator makes for enforcement. Value: [`MANAGED_BY_COVENANT`].
pub const LABEL_MANAGED_BY: &str = "privacy.cloudnexus.io/managed-by";
/// Value of [`LABEL_MANAGED_BY`].
pub const MANAGED_BY_COVENANT: &str = "covenant";
/// Label that tells what an object of ours is: [`PART_BASELINE`], [`PART_PATH`] or [`PART_TIMER`].
pub const LABEL_PART: &str = "privacy.cloudnexus.io/part";
/// A policy of the floor under a namespace.
pub const PART_BASELINE: &str = "baseline";
/// The policy of one end of one grant's path.
pub const PART_PATH: &str = "path";
/// The podless Job whose deadline closes a path.
pub const PART_TIMER: &str = "timer";
/// Label on a path and its timer: uid of the grant.
pub const LABEL_GRANT_UID: &str = "privacy.cloudnexus.io/grant-uid";
/// Label on a path and its timer: namespace of the grant.
pub const LABEL_GRANT_NAMESPACE: &str = "privacy.cloudnexus.io/grant-namespace";
/// Annotation on a path and its timer: name of the grant (names are longer than label values may be).
pub const ANNOTATION_GRANT: &str = "privacy.cloudnexus.io/grant";
/// Annotation on a path and its timer: the instant at which it closes, RFC 3339.
pub const ANNOTATION_CLOSES_AT: &str = "privacy.cloudnexus.io/closes-at";
/// Annotation on a timer: the instant at which the operator asked for it, by its own clock, RFC 3339.
pub const ANNOTATION_REQUESTED_AT: &str = "privacy.cloudnexus.io/requested-at";
/// Label on a PersistentVolume behind a held claim: `true`.
pub const LABEL_HELD: &str = "privacy.cloudnexus.io/held";
/// Annotation on a held PersistentVolume: its reclaim policy before the hold.
pub const ANNOTATION_RECLAIM_POLICY: &str = "privacy.cloudnexus.io/reclaim-policy";
/// Annotation that is put on a workload controller's object and taken off again, so that it looks at its pods at once.
pub const ANNOTATION_NUDGE: &str = "privacy.cloudnexus.io/released-at";
/// Annotation on an object: the instant from which its retention counts under policies with `startsAt: RetainedSince`.
pub const ANNOTATION_RETAINED_SINCE: &str = "privacy.cloudnexus.io/retained-since";
/// Prefix of the label by which a pod opts in to a baseline's ingress entry: `allow.privacy.cloudnexus.io/<entry>: "true"`.
pub const LABEL_PREFIX_ALLOW: &str = "allow.privacy.cloudnexus.io/";

/// Label that the API server keeps on every namespace with its name.
pub const LABEL_NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Field manager for baseline and path policies.
pub const MANAGER_NETWORK: &str = "covenant-network";
/// Field manager for timers.
pub const MANAGER_TIMER: &str = "covenant-timer";
/// Field manager for postures.
pub const MANAGER_POSTURE: &str = "covenant-posture";
/// Field manager for what guards read.
pub const MANAGER_PARAMETERS: &str = "covenant-parameters";
/// Field manager for the reclaim policies of held volumes.
pub const MANAGER_VOLUME: &str = "covenant-volume";
/// Field manager for statuses.
pub const MANAGER_STATUS: &str = "covenant-status";
/// Field manager for the markers by which agents leave out a namespace and its pods.
pub const MANAGER_TELEMETRY: &str = "covenant-telemetry";
/// Field manager of canary Secrets.
pub const MANAGER_CANARY: &str = "covenant-canary";
/// Names of the canary Secrets in the operator's namespace. It may write no others; the chart lists the same.
pub const CANARY_SECRETS: [&str; 3] = [
    "covenant-canary-0",
    "covenant-canary-1",
    "covenant-canary-2",
];

/// Name of the policy that denies both ways in every namespace in force.
pub const POLICY_DEFAULT_DENY: &str = "covenant-default-deny";
/// Name of the policy with DNS, same-tenant traffic and the baseline's egress.
pub const POLICY_BASELINE: &str = "covenant-baseline";
/// Prefix of the policies of a baseline's ingress entries.
pub const POLICY_ALLOW_PREFIX: &str = "covenant-allow-";
/// Prefix of the names of a grant's path policy and timer.
pub const GRANT_OBJECT_PREFIX: &str = "grant-";
/// Name of the one posture of a namespace.
pub const POSTURE_NAME: &str = "current";
/// Name of the one GuardParameters of a namespace.
pub const PARAMETERS_NAME: &str = "current";
/// Name of the one TelemetryOptOut of a namespace.
pub const OPT_OUT_NAME: &str = "default";
/// Baseline of a namespace without [`LABEL_BASELINE`].
pub const BASELINE_DEFAULT: &str = "default";
