//! Views for people and programs: reports of a plan, the story of a grant, tables of who may reach whom.
//!
//! A view repeats what the World and the plan say, in an order that does not change from run to run. May not: decide, do
//! I/O, or know whether a terminal reads it; styles are always there and taken off on the way out.

mod checks;
mod encryption;
mod gates;
mod hold;
mod reach;
mod report;
mod retention;
mod story;
mod table;
mod text;

pub use checks::{Check, CheckReport, Finding, checks_text};
pub use encryption::{
    CertificateSeen, EncryptionSummary, ItemCounts, ItemReport, NamespaceEncryption, Negotiated,
    NoPosture, Offers, TlsProbe, TlsProbes, Trust, encryption_begin, encryption_end,
    encryption_next, encryption_summary_text, escaped_json, namespace_encryption,
    namespace_encryption_text, namespace_without_posture, tls_probe_text, tls_probes_text,
};
pub use gates::Gate;
pub use hold::{
    ConditionReport, EffectReport, HoldDecided, HoldState, HoldStories, HoldStory, LeftOut,
    Refusals, Refused, decided_at, hold_decided, hold_decided_text, hold_stories,
    hold_stories_text, hold_story, hold_story_text,
};
pub use reach::{Party, PodAt, Probe, Verdict, reach, reach_table};
pub use report::{
    GrantReport, NamespaceReport, ObjectChange, PlanReport, Reason, Summary, VendorReport, report,
};
pub use retention::{
    BoundaryReport, KeptBy, LimitLifted, NamespacePreview, NearRule, ObjectFate, ObjectPreview,
    RetentionPreview, RetentionReport, RetentionRuleReport, RetentionStory, StoryRule,
    limit_lifted, limit_lifted_text, retention, retention_preview, retention_preview_text,
    retention_story, retention_story_text,
};
pub use story::{CandidateEnd, GateReport, PathReport, Story, story};
pub use table::Table;
pub use text::{plan_text, story_text};

/// Version of what `-o json` and `-o yaml` print.
pub const REPORT_API_VERSION: &str = "cli.privacy.cloudnexus.io/v1";
