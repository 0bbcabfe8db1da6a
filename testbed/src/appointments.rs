//! Who may do what: the roles and bindings that tests need, made as an administrator would make them.
//!
//! May not: hand out wildcards in disguise. The verbs on the virtual resource `tenants` are given by name, because
//! authority that comes by a wildcard is none.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec,
};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::identity::{Identity, people};
use crate::names;
use crate::wait::eventually;

const RBAC: &str = "rbac.authorization.k8s.io";
/// The API server reads roles and bindings by watches of its own: a right that was just given is there a moment later.
const PATIENCE: Duration = Duration::from_secs(60);

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

    /// The officer: reads the API kinds, writes prohibitions and holds, decides about holds and about the limits of
    /// disposals, and has the verbs `revoke`, `release` and `approve` for every tenant.
    ///
    /// # Errors
    /// When the appointment cannot be made.
    pub async fn officer(&self) -> anyhow::Result<Identity> {
        let user = people::OFFICER;
        let rules = json!([
            { "apiGroups": [names::GROUP], "resources": ["sharingprohibitions", "processingholds", "processingholds/status"],
              "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"] },
            { "apiGroups": [names::GROUP], "resources": ["retentionpolicies/status"], "verbs": ["get", "update", "patch"] },
            { "apiGroups": [names::GROUP], "resources": ["*"], "verbs": ["get", "list", "watch"] },
            { "apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"] },
        ]);
        self.give(user, &format!("{user}-kinds"), &rules).await?;
        self.appoint(user, names::VERB_APPROVE, &[]).await?;
        self.appoint(user, names::VERB_REVOKE, &[]).await?;
        self.appoint(user, names::VERB_RELEASE, &[]).await?;
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

    /// A user with a ClusterRole bound in one namespace.
    ///
    /// # Errors
    /// When the binding cannot be made.
    pub async fn namespace_role(
        &self,
        user: &str,
        role: &str,
        namespace: &str,
    ) -> anyhow::Result<Identity> {
        let name = format!("testbed-{user}-{role}");
        let binding = binding("RoleBinding", &name, role, user);
        apply(
            &Api::<RoleBinding>::namespaced(self.admin().client()?, namespace),
            &name,
            &binding,
        )
        .await?;
        self.has_role(user, role, Some(namespace)).await?;
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
        self.give(
            user,
            &format!("{user}-{verb}-{}", scope(tenants)),
            &json!([rule]),
        )
        .await
    }

    /// Ends an appointment made by [`Cluster::appoint`] with the same arguments.
    ///
    /// # Errors
    /// When the binding cannot be removed.
    pub async fn dismiss(&self, user: &str, verb: &str, tenants: &[&str]) -> anyhow::Result<()> {
        let name = format!("testbed-{user}-{verb}-{}", scope(tenants));
        let bindings: Api<ClusterRoleBinding> = Api::all(self.admin().client()?);
        let gone = bindings.delete(&name, &DeleteParams::default()).await;
        gone.map(drop)
            .with_context(|| format!("cannot remove the binding {name}"))
    }

    /// Gives a user these RBAC rules cluster-wide, as a ClusterRole and a ClusterRoleBinding called `testbed-<name>`.
    ///
    /// # Errors
    /// When they cannot be made.
    pub async fn give(&self, user: &str, name: &str, rules: &Value) -> anyhow::Result<()> {
        let name = format!("testbed-{name}");
        let client = self.admin().client()?;
        let role = json!({
            "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole",
            "metadata": { "name": name }, "rules": rules,
        });
        apply(&Api::<ClusterRole>::all(client.clone()), &name, &role).await?;
        let binding = binding("ClusterRoleBinding", &name, &name, user);
        apply(&Api::<ClusterRoleBinding>::all(client), &name, &binding).await?;
        self.has_role(user, &name, None).await
    }

    /// Binds a user to a ClusterRole that is there, cluster-wide. A ServiceAccount is bound by its user name.
    ///
    /// # Errors
    /// When the binding cannot be made.
    pub async fn bind_cluster_role(&self, user: &str, role: &str) -> anyhow::Result<()> {
        let name = format!("testbed-{user}-{role}");
        let binding = binding("ClusterRoleBinding", &name, role, user);
        apply(
            &Api::<ClusterRoleBinding>::all(self.admin().client()?),
            &name,
            &binding,
        )
        .await?;
        self.has_role(user, role, None).await
    }

    /// Waits until the API server lets the user do the last thing that the role lists.
    async fn has_role(
        &self,
        user: &str,
        role: &str,
        namespace: Option<&str>,
    ) -> anyhow::Result<()> {
        let client = self.admin().client()?;
        let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
        let roles: Api<ClusterRole> = Api::all(client);
        let asked = format!("{user} has what the ClusterRole {role} gives");
        eventually(&asked, PATIENCE, async || {
            let role = roles.get(role).await.context("there is no such role")?;
            let Some(attributes) = last_right(&role, namespace) else {
                return Ok(());
            };
            let review = SubjectAccessReview {
                spec: SubjectAccessReviewSpec {
                    user: Some(user.to_owned()),
                    resource_attributes: Some(attributes),
                    ..SubjectAccessReviewSpec::default()
                },
                ..SubjectAccessReview::default()
            };
            let answer = reviews.create(&PostParams::default(), &review).await;
            let status = answer.context("RBAC does not answer")?.status;
            anyhow::ensure!(status.is_some_and(|status| status.allowed), "not yet");
            anyhow::Ok(())
        })
        .await
    }
}

/// One thing that the last rule about resources allows; none where there is no such rule.
fn last_right(role: &ClusterRole, namespace: Option<&str>) -> Option<ResourceAttributes> {
    let rules = role.rules.iter().flatten().rev();
    let mut of_resources = rules.filter_map(|rule| {
        let group = rule.api_groups.as_ref()?.last()?;
        let resource = rule.resources.as_ref()?.last()?;
        let (resource, subresource) = match resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
            None => (resource.as_str(), None),
        };
        Some(ResourceAttributes {
            group: Some(group.clone()),
            resource: Some(resource.to_owned()),
            subresource,
            name: rule
                .resource_names
                .as_ref()
                .and_then(|names| names.last().cloned()),
            namespace: namespace.map(str::to_owned),
            verb: Some(rule.verbs.last()?.clone()),
            version: Some("*".to_owned()),
            ..ResourceAttributes::default()
        })
    });
    of_resources.next()
}

impl Identity {
    /// Whether RBAC gives this identity a verb on a tenant, asked at cluster scope as the guards ask. A guard also
    /// asks for [`names::VERB_NEVER_GRANTED`], to tell an appointment from a wildcard.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn has_verb(&self, verb: &str, tenant: &str) -> anyhow::Result<bool> {
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    group: Some(names::AUTHORITY_GROUP.to_owned()),
                    resource: Some(names::AUTHORITY_RESOURCE.to_owned()),
                    name: Some(tenant.to_owned()),
                    verb: Some(verb.to_owned()),
                    version: Some("*".to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.client()?);
        let answer = reviews
            .create(&PostParams::default(), &review)
            .await
            .context("RBAC does not answer")?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

async fn apply<K>(api: &Api<K>, name: &str, object: &Value) -> anyhow::Result<()>
where
    K: Clone + DeserializeOwned + Debug,
{
    let done = api
        .patch(
            name,
            &PatchParams::apply("testbed").force(),
            &Patch::Apply(object),
        )
        .await;
    done.map(drop)
        .with_context(|| format!("cannot make the {} {name}", object["kind"]))
}

fn scope(tenants: &[&str]) -> String {
    if tenants.is_empty() {
        "all".to_owned()
    } else {
        tenants.join("-")
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

fn binding(kind: &str, name: &str, role: &str, user: &str) -> Value {
    json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": kind, "metadata": { "name": name },
        "roleRef": { "apiGroup": RBAC, "kind": "ClusterRole", "name": role },
        "subjects": [{ "apiGroup": RBAC, "kind": "User", "name": user }],
    })
}
