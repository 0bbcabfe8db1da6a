//! What is kept and disposed of, for people and programs: a namespace's policies, what would go, and the story of one object.
//!
//! May not: decide. It repeats what [`crate::plan`] says of policies and objects.

mod lifted;
mod policy;
mod preview;
mod story;
mod text;
mod words;

pub use lifted::{LimitLifted, limit_lifted};
pub use policy::{BoundaryReport, RetentionReport, RetentionRuleReport, retention};
pub use preview::{
    KeptBy, NamespacePreview, ObjectFate, ObjectPreview, RetentionPreview, retention_preview,
};
pub use story::{NearRule, RetentionStory, StoryRule, retention_story};
pub use text::{limit_lifted_text, retention_preview_text, retention_story_text};
pub(super) use text::{policy_lines, retention_summary};
pub(super) use words::clean;
