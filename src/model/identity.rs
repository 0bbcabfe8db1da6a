//! What an object is called: kinds, keys, metadata, and the units of planning.

use std::fmt;

use jiff::Timestamp;
use kube::core::{ApiResource, DynamicObject, ObjectMeta};

use crate::api::names::{GROUP, VERSION};

/// The kinds that the World knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// core/v1 Namespace.
    Namespace,
    /// Our TenantBaseline.
    Baseline,
    /// Our DataProcessor.
    Processor,
    /// Our SharingProhibition.
    Prohibition,
    /// Our DataSharingGrant.
    Grant,
    /// Our SharingAcceptance.
    Acceptance,
    /// Our ProcessingHold.
    Hold,
    /// Our RetentionPolicy.
    RetentionPolicy,
    /// Our TelemetryOptOut.
    OptOut,
    /// Our GuardParameters.
    GuardParameters,
    /// Our DataHandlingPosture.
    Posture,
    /// networking.k8s.io/v1 NetworkPolicy.
    NetworkPolicy,
    /// batch/v1 Job; only the timers are in the World.
    Job,
    /// core/v1 Pod; of those that do not reach past network policies only what agents read is in the World.
    Pod,
    /// discovery.k8s.io/v1 EndpointSlice; only `default/kubernetes`, for the API server's addresses.
    EndpointSlice,
    /// core/v1 Service; only `default/kubernetes`.
    Service,
    /// core/v1 PersistentVolume; only those that are bound to a claim are in the World.
    Volume,
    /// admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy; only this release's.
    Guard,
    /// admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding; only this release's.
    GuardBinding,
    /// storage.k8s.io/v1 StorageClass.
    Class,
    /// core/v1 PersistentVolumeClaim.
    Claim,
    /// coordination.k8s.io/v1 Lease; only those by which API servers say that they are there.
    ServerLease,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::Namespace,
        Self::Baseline,
        Self::Processor,
        Self::Prohibition,
        Self::Grant,
        Self::Acceptance,
        Self::Hold,
        Self::RetentionPolicy,
        Self::OptOut,
        Self::GuardParameters,
        Self::Posture,
        Self::NetworkPolicy,
        Self::Job,
        Self::Pod,
        Self::EndpointSlice,
        Self::Service,
        Self::Volume,
        Self::Guard,
        Self::GuardBinding,
        Self::Class,
        Self::Claim,
        Self::ServerLease,
    ];

    const fn parts(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Namespace => ("", "v1", "Namespace", "namespaces"),
            Self::Baseline => (GROUP, VERSION, "TenantBaseline", "tenantbaselines"),
            Self::Processor => (GROUP, VERSION, "DataProcessor", "dataprocessors"),
            Self::Prohibition => (GROUP, VERSION, "SharingProhibition", "sharingprohibitions"),
            Self::Grant => (GROUP, VERSION, "DataSharingGrant", "datasharinggrants"),
            Self::Acceptance => (GROUP, VERSION, "SharingAcceptance", "sharingacceptances"),
            Self::Hold => (GROUP, VERSION, "ProcessingHold", "processingholds"),
            Self::RetentionPolicy => (GROUP, VERSION, "RetentionPolicy", "retentionpolicies"),
            Self::OptOut => (GROUP, VERSION, "TelemetryOptOut", "telemetryoptouts"),
            Self::GuardParameters => (GROUP, VERSION, "GuardParameters", "guardparameters"),
            Self::Posture => (
                GROUP,
                VERSION,
                "DataHandlingPosture",
                "datahandlingpostures",
            ),
            Self::NetworkPolicy => (
                "networking.k8s.io",
                "v1",
                "NetworkPolicy",
                "networkpolicies",
            ),
            Self::Job => ("batch", "v1", "Job", "jobs"),
            Self::Pod => ("", "v1", "Pod", "pods"),
            Self::EndpointSlice => ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::Volume => ("", "v1", "PersistentVolume", "persistentvolumes"),
            Self::Guard => (
                "admissionregistration.k8s.io",
                "v1",
                "ValidatingAdmissionPolicy",
                "validatingadmissionpolicies",
            ),
            Self::GuardBinding => (
                "admissionregistration.k8s.io",
                "v1",
                "ValidatingAdmissionPolicyBinding",
                "validatingadmissionpolicybindings",
            ),
            Self::Class => ("storage.k8s.io", "v1", "StorageClass", "storageclasses"),
            Self::Claim => ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
            Self::ServerLease => ("coordination.k8s.io", "v1", "Lease", "leases"),
        }
    }

    /// The kind as Kubernetes names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.parts().2
    }

    /// `group/version`, or `v1` for the core group.
    #[must_use]
    pub fn api_version(self) -> String {
        let (group, version, ..) = self.parts();
        if group.is_empty() {
            version.to_owned()
        } else {
            format!("{group}/{version}")
        }
    }

    /// What kube needs to make requests for this kind.
    #[must_use]
    pub fn api_resource(self) -> ApiResource {
        let (group, version, kind, plural) = self.parts();
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: self.api_version(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        }
    }

    /// Whether its objects live in namespaces.
    #[must_use]
    pub const fn is_namespaced(self) -> bool {
        !matches!(
            self,
            Self::Namespace
                | Self::Baseline
                | Self::Processor
                | Self::Prohibition
                | Self::Volume
                | Self::Guard
                | Self::GuardBinding
                | Self::Class
        )
    }

    /// The kind of an object by its `apiVersion` and `kind`, if the World knows it.
    #[must_use]
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|known| known.as_str() == kind && known.api_version() == api_version)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// An object's place: its namespace (empty for cluster-scoped kinds) and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Namespace; empty for cluster-scoped kinds.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectKey {
    /// A key in a namespace.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// A key of a cluster-scoped object.
    pub fn cluster(name: impl Into<String>) -> Self {
        Self::new("", name)
    }

    /// The key of an object.
    #[must_use]
    pub fn of(object: &DynamicObject) -> Self {
        Self::new(
            object.metadata.namespace.clone().unwrap_or_default(),
            object.metadata.name.clone().unwrap_or_default(),
        )
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            formatter.write_str(&self.name)
        } else {
            write!(formatter, "{}/{}", self.namespace, self.name)
        }
    }
}

/// An object by kind and key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// Kind.
    pub kind: Kind,
    /// Key.
    pub key: ObjectKey,
}

impl Target {
    /// A target.
    #[must_use]
    pub fn new(kind: Kind, key: ObjectKey) -> Self {
        Self { kind, key }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind, self.key)
    }
}

/// What is planned at once: a namespace with everything in it, one grant of it, or one cluster-scoped object's status.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// A namespace.
    Namespace(String),
    /// One grant, with the end of its path in its own namespace. Its namespace's plan says the same of it and is the one
    /// that counts; this one is cheap, however many grants there are.
    Grant(ObjectKey),
    /// What is kept and disposed of in a namespace: the statuses of its retention policies, what guards read, runs. Apart
    /// from the namespace, so that a burst of objects never delays a path.
    Retention(String),
    /// The status of a DataProcessor.
    Processor(String),
    /// The status of a SharingProhibition.
    Prohibition(String),
    /// The status of a TenantBaseline.
    Baseline(String),
}

impl Unit {
    /// The namespace that it is, or is in.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Namespace(name) | Self::Retention(name) => Some(name),
            Self::Grant(key) => Some(&key.namespace),
            Self::Processor(_) | Self::Prohibition(_) | Self::Baseline(_) => None,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace(name) => write!(formatter, "namespace {name}"),
            Self::Grant(key) => write!(formatter, "grant {key}"),
            Self::Retention(name) => write!(formatter, "retention in {name}"),
            Self::Processor(name) => write!(formatter, "processor {name}"),
            Self::Prohibition(name) => write!(formatter, "prohibition {name}"),
            Self::Baseline(name) => write!(formatter, "baseline {name}"),
        }
    }
}

/// The part of an object's metadata that decisions read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Uid; empty in files that were never stored.
    pub uid: String,
    /// Generation of the spec; 0 in files.
    pub generation: i64,
    /// When the API server stored it; absent in files.
    pub created: Option<Timestamp>,
    /// Whether it is being deleted.
    pub deleting: bool,
}

impl Meta {
    /// Reads the metadata.
    #[must_use]
    pub fn of(metadata: &ObjectMeta) -> Self {
        Self {
            key: ObjectKey::new(
                metadata.namespace.clone().unwrap_or_default(),
                metadata.name.clone().unwrap_or_default(),
            ),
            uid: metadata.uid.clone().unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0),
            deleting: metadata.deletion_timestamp.is_some(),
        }
    }
}
