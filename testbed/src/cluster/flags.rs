//! The flags of etcd, API server and controller manager.
//!
//! May not: start anything or touch files. Secure where it costs nothing: RBAC, no anonymous requests, TLS.

use std::path::Path;

/// Files and ports that the flags name.
#[derive(Clone, Debug)]
pub(super) struct Layout<'a> {
    pub folder: &'a Path,
    pub etcd_client: u16,
    pub etcd_peer: u16,
    pub api_server: u16,
}

impl Layout<'_> {
    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

pub(super) fn etcd(layout: &Layout<'_>, more: &[String]) -> Vec<String> {
    let client = format!("http://127.0.0.1:{}", layout.etcd_client);
    let peer = format!("http://127.0.0.1:{}", layout.etcd_peer);
    merged(
        vec![
            format!("--data-dir={}", layout.file("etcd")),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            "--quota-backend-bytes=8589934592".to_owned(),
            "--log-level=warn".to_owned(),
            // Nothing of it is to survive anyway.
            "--unsafe-no-fsync".to_owned(),
        ],
        more,
    )
}

pub(super) fn api_server(
    layout: &Layout<'_>,
    audit: Option<&Path>,
    more: &[String],
) -> Vec<String> {
    let mut flags = vec![
        format!("--etcd-servers=http://127.0.0.1:{}", layout.etcd_client),
        "--bind-address=127.0.0.1".to_owned(),
        "--advertise-address=127.0.0.1".to_owned(),
        format!("--secure-port={}", layout.api_server),
        // There are no endpoints to reconcile, and its leases would be writes that no one asked for.
        "--endpoint-reconciler-type=none".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--allow-privileged=true".to_owned(),
        format!("--tls-cert-file={}", layout.file("server.crt")),
        format!("--tls-private-key-file={}", layout.file("server.key")),
        format!("--client-ca-file={}", layout.file("authority.crt")),
        "--anonymous-auth=false".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", layout.file("tokens.pub")),
        format!(
            "--service-account-signing-key-file={}",
            layout.file("tokens.key")
        ),
        "--enable-admission-plugins=OwnerReferencesPermissionEnforcement".to_owned(),
        // The history of the store is read by tests: keep all of it, in a form that can be read.
        "--storage-media-type=application/json".to_owned(),
        "--etcd-compaction-interval=0".to_owned(),
        "--profiling=false".to_owned(),
    ];
    if let Some(audit) = audit {
        flags.extend([
            format!("--audit-policy-file={}", layout.file("audit-policy.json")),
            format!("--audit-log-path={}", audit.display()),
            "--audit-log-format=json".to_owned(),
            // Nothing is answered that is not written down, and nothing is rotated away.
            "--audit-log-mode=blocking".to_owned(),
            "--audit-log-maxsize=8192".to_owned(),
        ]);
    }
    merged(flags, more)
}

/// What an API server needs besides when there is a real node: kubelets may do for their own pods what they must, and
/// it knows itself to them with a certificate of its own, for logs and `exec`.
pub(super) fn with_nodes(layout: &Layout<'_>) -> Vec<String> {
    vec![
        "--authorization-mode=Node,RBAC".to_owned(),
        format!(
            "--kubelet-client-certificate={}",
            layout.file(KUBELET_CLIENT.0)
        ),
        format!("--kubelet-client-key={}", layout.file(KUBELET_CLIENT.1)),
        // The address of a node is never loopback, its name may be.
        "--kubelet-preferred-address-types=Hostname".to_owned(),
    ]
}

/// What an API server needs besides when it encrypts what it stores.
pub(super) fn with_encryption(file: &Path) -> String {
    format!("--encryption-provider-config={}", file.display())
}

/// File of the API servers' EncryptionConfiguration.
pub(super) const ENCRYPTION: &str = "encryption.json";

/// Files of the certificate and the key with which an API server calls kubelets.
pub(super) const KUBELET_CLIENT: (&str, &str) = ("kubelet-client.crt", "kubelet-client.key");

pub(super) fn controller_manager(layout: &Layout<'_>, more: &[String]) -> Vec<String> {
    merged(
        vec![
            format!(
                "--kubeconfig={}",
                layout.file("controller-manager.kubeconfig")
            ),
            // Each loop shows up under a name of its own, in guards and in the audit log.
            "--use-service-account-credentials=true".to_owned(),
            format!(
                "--service-account-private-key-file={}",
                layout.file("tokens.key")
            ),
            format!("--root-ca-file={}", layout.file("authority.crt")),
            "--leader-elect=false".to_owned(),
            "--kube-api-qps=1000".to_owned(),
            "--kube-api-burst=1000".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
            "--secure-port=0".to_owned(),
            format!("--cert-dir={}", layout.file("controller-manager")),
        ],
        more,
    )
}

/// Everything but the request itself: which user did what to which object, and how it ended.
pub(super) const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1",
  "kind": "Policy",
  "omitStages": ["RequestReceived"],
  "rules": [{"level": "Metadata"}]
}
"#;

/// Our flags, but for those that the caller gives as well, and then the caller's.
fn merged(ours: Vec<String>, more: &[String]) -> Vec<String> {
    let name = |flag: &str| flag.split('=').next().unwrap_or(flag).to_owned();
    let replaced: Vec<String> = more.iter().map(|flag| name(flag)).collect();
    let kept = ours
        .into_iter()
        .filter(|flag| !replaced.contains(&name(flag)));
    kept.chain(more.iter().cloned()).collect()
}
