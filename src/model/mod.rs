//! Parsed, valid-by-construction values, and [`World`], the indexed picture of the cluster.
//!
//! This is the only place where a spec is interpreted. It collects every error of an object, not the first, and keeps an
//! object that it cannot read as data, so that the planner can count it as the stricter case.
//!
//! May not: know the time, a client, the environment or randomness; decide what follows from a value.

mod address;
mod baseline;
mod dirty;
pub mod encryption;
mod error;
mod grant;
pub mod guard;
mod hold;
mod identity;
mod learned;
mod observed;
mod pod;
mod processor;
mod prohibition;
mod retention;
mod server;
pub mod telemetry;
mod tenancy;
pub mod time;
mod volume;
mod world;

pub use address::{Cidr, reserved_range};
pub use baseline::{AllowedEntry, Baseline, BaselineTerms, DisposalBounds, DnsTerms, Minimums};
pub use dirty::Dirty;
pub use encryption::{
    AtRestTerms, AttestationTerms, ClassGround, ClassRule, EncryptionTerms, ObservedClaim,
    ObservedClass, ObservedPublication, OwnDriver, PublishedTarget, Rests, SecretsAnswer,
    SecretsTerms, SecretsTrial, Unanswered,
};
pub use error::FieldError;
pub use grant::{
    Acceptance, AcceptanceTerms, Grant, GrantTerms, PortTerms, RecipientTerms, Validity,
};
pub use guard::ObservedGuard;
pub use hold::{HeldScope, Hold, Release};
pub use identity::{Kind, Meta, ObjectKey, Target, Unit};
pub use learned::{CanaryAnswer, Ended, Proof, Survey, SurveyedKind, SurveyedPod};
pub use observed::{ObservedPolicy, ObservedPosture, ObservedTimer};
pub use pod::{ObservedPod, PodProblem};
pub use processor::{ApprovedUseTerms, EndpointTerms, Processor, ProcessorTerms};
pub use prohibition::{Prohibition, Scope};
pub use retention::{
    Completion, Held, Item, Keep, KindState, LastRun, LedgerHead, LedgerState, Minimum,
    ObservedParameters, PolicyRun, RefusedItem, ResourceKind, RetainedSince, RetentionPolicy, Rule,
    RunResult, Selection, Shelf, Source, Terms, Touch, Tracker, completed, is_never_selected,
};
pub use server::{LABEL_IDENTITY, ServerLease};
pub use telemetry::{
    AgentTerms, Carried, MarkedPod, MarkerTerms, Marks, OptOut, PODS_MARKED_THROUGH, TelemetryTerms,
};
pub use tenancy::{Namespace, Stage};
pub use volume::ObservedVolume;
pub use world::{Settings, World, WriteFailure};
