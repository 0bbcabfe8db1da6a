//! Who may do what: the roles and bindings that tests need, made as an administrator would make them.
//!
//! May not: hand out wildcards in disguise. The verbs on the virtual resource `tenants` are given by name, because
//! authority that comes by a wildcard is none.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::identity::{Identity, people};
use crate::names;

const RBAC: &str = "rbac.authorization.k8s.io";

impl Cluster {
    /// The platform engineer: built-in `admin` everywhere, the API kinds, and the verb `administer` for every tenant.
    ///
    /// # Errors
    /// When the appointment cannot be made.
    pub async fn platform_engineer(&self) -> anyhow::Result<Identity> {
        let user = people::PLATFORM_ENGINEER;
        self.bind_cluster_role(user, "admin").await?;
        self.give(user, &format!("{user}-kinds"), &platform_rules())
            .await?;
        self.appoint(user, names::VERB_ADMINISTER, &[]).await?;
        self.identity(user).await
    }

    /// The officer: reads the API kinds, writes prohibitions, and has the verb `revoke` for every tenant.
    ///
    /// # Errors
    /// When the appointment cannot be made.
    pub async fn officer(&self) -> anyhow::Result<Identity> {
        let user = people::OFFICER;
        let rules = json!([
            { "apiGroups": [names::GROUP], "resources": ["sharingprohibitions"],
              "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"] },
            { "apiGroups": [names::GROUP], "resources": ["*"], "verbs": ["get", "list", "watch"] },
            { "apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"] },
        ]);
        self.give(user, &format!("{user}-kinds"), &rules).await?;
        self.appoint(user, names::VERB_REVOKE, &[]).await?;
        self.identity(user).await
    }

    /// `acme-admin`, with the built-in ClusterRole `admin` in this namespace.
    ///
    /// # Errors
    /// When the binding cannot be made.
    pub async fn tenant_admin(&self, namespace: &str) -> anyhow::Result<Identity> {
        self.namespace_role(people::ACME_ADMIN, "admin", namespace)
            .await
    }

    /// `globex-admin`, with the built-in ClusterRole `admin` in this namespace.
    ///
    /// # Errors
    /// When the binding cannot be made.
    pub async fn second_tenant_admin(&self, namespace: &str) -> anyhow::Result<Identity> {
        self.namespace_role(people::GLOBEX_ADMIN, "admin", namespace)
            .await
    }

    /// A user with `cluster-admin`, bound in this namespace only.
    ///
    /// # Errors
    /// When the binding cannot be made.
    pub async fn namespace_cluster_admin(&self, namespace: &str) -> anyhow::Result<Identity> {
        self.namespace_role(
            &format!("{namespace}-cluster-admin"),
            "cluster-admin",
            namespace,
        )
        .await
    }

    /// The GitOps controller: `*` on everything through RBAC, and no member of `system:masters`.
    ///
    /// # Errors
    /// When the binding cannot be made.
    pub async fn gitops(&self) -> anyhow::Result<Identity> {
        let user = people::GITOPS;
        let rules = json!([
            { "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] },
            { "nonResourceURLs": ["*"], "verbs": ["*"] },
        ]);
        self.give(user, &format!("{user}-everything"), &rules)
            .await?;
        self.identity(user).await
    }

    /// A user with a ClusterRole bound in one namespace, both made when missing.
    ///
    /// # Errors
    /// When the binding cannot be made.
    pub async fn namespace_role(
        &self,
        user: &str,
        role: &str,
        namespace: &str,
    ) -> anyhow::Result<Identity> {
        let binding = binding(
            "RoleBinding",
            &format!("testbed-{user}-{role}"),
            Some(namespace),
            role,
            &subject(user),
        );
        self.admin()
            .apply_object(&binding)
            .await
            .with_context(|| format!("cannot bind {user} in {namespace}"))?;
        self.identity(user).await
    }

    /// Appoints a user: a verb on the virtual resource `tenants`, for these tenants, or for all when none is named.
    ///
    /// # Errors
    /// When the role or its binding cannot be made.
    pub async fn appoint(&self, user: &str, verb: &str, tenants: &[&str]) -> anyhow::Result<()> {
        let mut rule = json!({
            "apiGroups": [names::AUTHORITY_GROUP],
            "resources": [names::AUTHORITY_RESOURCE],
            "verbs": [verb],
        });
        if !tenants.is_empty() {
            rule["resourceNames"] = json!(tenants);
        }
        let scope = if tenants.is_empty() {
            "all".to_owned()
        } else {
            tenants.join("-")
        };
        self.give(user, &format!("{user}-{verb}-{scope}"), &json!([rule]))
            .await
    }

    /// Ends an appointment made by [`Cluster::appoint`] with the same arguments.
    ///
    /// # Errors
    /// When the binding cannot be removed.
    pub async fn dismiss(&self, user: &str, verb: &str, tenants: &[&str]) -> anyhow::Result<()> {
        let scope = if tenants.is_empty() {
            "all".to_owned()
        } else {
            tenants.join("-")
        };
        let name = format!("testbed-{user}-{verb}-{scope}");
        self.admin()
            .kubectl(&["delete", "clusterrolebinding", &name])
            .await?
            .success()
            .map(drop)
    }

    /// Gives a user these RBAC rules cluster-wide, as a ClusterRole and a ClusterRoleBinding called `testbed-<name>`.
    ///
    /// # Errors
    /// When they cannot be made.
    pub async fn give(&self, user: &str, name: &str, rules: &Value) -> anyhow::Result<()> {
        let name = format!("testbed-{name}");
        let role = json!({
            "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole",
            "metadata": { "name": name }, "rules": rules,
        });
        let admin = self.admin();
        admin
            .apply_object(&role)
            .await
            .with_context(|| format!("cannot make the role {name}"))?;
        let binding = binding("ClusterRoleBinding", &name, None, &name, &subject(user));
        admin
            .apply_object(&binding)
            .await
            .with_context(|| format!("cannot bind {user} to {name}"))
    }

    /// Binds a user to a ClusterRole that is there, cluster-wide.
    ///
    /// # Errors
    /// When the binding cannot be made.
    pub async fn bind_cluster_role(&self, user: &str, role: &str) -> anyhow::Result<()> {
        let binding = binding(
            "ClusterRoleBinding",
            &format!("testbed-{user}-{role}"),
            None,
            role,
            &subject(user),
        );
        self.admin()
            .apply_object(&binding)
            .await
            .with_context(|| format!("cannot bind {user} to {role}"))
    }
}

fn platform_rules() -> Value {
    let every = [
        "get", "list", "watch", "create", "update", "patch", "delete",
    ];
    json!([
        { "apiGroups": [names::GROUP], "resources": ["*"], "verbs": every },
        { "apiGroups": [""], "resources": ["namespaces"], "verbs": every },
    ])
}

fn subject(user: &str) -> Value {
    json!({ "apiGroup": RBAC, "kind": "User", "name": user })
}

fn binding(kind: &str, name: &str, namespace: Option<&str>, role: &str, subject: &Value) -> Value {
    let mut metadata = json!({ "name": name });
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": kind, "metadata": metadata,
        "roleRef": { "apiGroup": RBAC, "kind": "ClusterRole", "name": role },
        "subjects": [subject],
    })
}
