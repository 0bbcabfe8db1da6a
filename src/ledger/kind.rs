//! The kinds of entry: one for each act. Their texts are part of the format and never change their meaning.
//!
//! May not: refuse a kind that it does not know. A newer version may have written it, and it counts as any other.

/// Writes the kinds, their texts and the way back from one list, so that none can be forgotten in one of them.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $kind:ident = $text:literal,)*) => {
        /// What was done. Its text is the CloudEvents `type` of the entry; whether it is intent or outcome says the phase.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum EntryKind {
            $($(#[doc = $doc])* $kind,)*
            /// One of a newer version.
            Other(String),
        }

        impl EntryKind {
            /// Every kind that this version knows.
            pub const KNOWN: &[Self] = &[$(Self::$kind,)*];

            /// Its CloudEvents `type`.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$kind => concat!("io.cloudnexus.privacy.", $text, ".v1"),)*
                    Self::Other(text) => text,
                }
            }
        }
    };
}

kinds! {
    /// A path of a grant was opened.
    PathOpened = "path.opened",
    /// A path of a grant was closed.
    PathClosed = "path.closed",
    /// A policy of the floor under a namespace was taken away.
    FloorRemoved = "floor.removed",
    /// A grant opens nothing.
    GrantRefused = "grant.refused",
    /// A hold was stored.
    HoldPlaced = "hold.placed",
    /// Every API server refuses in the name of a hold.
    HoldEnforced = "hold.enforced",
    /// A hold is not, or no longer, proven on every API server.
    HoldUnproven = "hold.unproven",
    /// A hold holds less from now on.
    HoldNarrowed = "hold.narrowed",
    /// A hold was released.
    HoldReleased = "hold.released",
    /// What a hold had changed is as it was before.
    HoldRestored = "hold.restored",
    /// Pods were ended under a hold.
    PodsEnded = "pods.ended",
    /// A volume was set to be retained under a hold.
    VolumeRetained = "volume.retained",
    /// A volume was given back after a hold.
    VolumeReturned = "volume.returned",
    /// The guards stand as they were released.
    GuardProven = "guard.proven",
    /// A guard is missing, altered, or does not refuse.
    GuardUnproven = "guard.unproven",
    /// An object was disposed of at the end of its retention.
    Disposal = "disposal",
    /// A run of disposal stopped because it matched more than its limit.
    DisposalStopped = "disposal.stopped",
    /// A stopped run goes on by a human's word.
    DisposalApproved = "disposal.approved",
    /// The instant before which nothing may be deleted moved on.
    BoundaryAdvanced = "boundary.advanced",
    /// A namespace opts out of other channels of telemetry, analytics and marketing than before.
    OptOutChanged = "optout.changed",
    /// A version of the written policy is announced to a tenant.
    PolicyAnnounced = "policy.announced",
    /// Two clocks do not agree.
    ClockDisagreed = "clock.disagreed",
    /// The ledger began.
    LedgerBegan = "ledger.began",
    /// The ledger was found other than it was left, and goes on.
    LedgerRecovered = "ledger.recovered",
}

impl EntryKind {
    /// The kind with this text; [`EntryKind::Other`] when this version has none.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self::KNOWN
            .iter()
            .find(|kind| kind.as_str() == text)
            .cloned()
            .unwrap_or_else(|| Self::Other(text.to_owned()))
    }

    /// What people read: the text without what all kinds have in common.
    #[must_use]
    pub fn short(&self) -> &str {
        let text = self.as_str();
        let text = text.strip_prefix("io.cloudnexus.privacy.").unwrap_or(text);
        text.strip_suffix(".v1").unwrap_or(text)
    }
}
