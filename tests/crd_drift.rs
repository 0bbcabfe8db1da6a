//! The definitions in `crds/` are the generated ones, bounded and described throughout, and Kubernetes takes them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and reads its switches from the environment"
)]

use std::path::Path;

use covenant::cli::crds;
use covenant::cli::files::{Sources, read};
use covenant::model::Kind;
use kube::api::{Patch, PatchParams, ValidationDirective};
use kube::core::DynamicObject;
use serde_json::Value;

/// Everything beyond makes `kubectl apply` and etcd slow.
const MOST_BYTES: usize = 200 * 1024;

fn generated() -> Vec<(String, String, Value)> {
    crds::files()
        .unwrap()
        .into_iter()
        .map(|(name, text)| {
            let value: Value = serde_saphyr::from_str(&text).unwrap();
            (name, text, value)
        })
        .collect()
}

fn schema(definition: &Value) -> &Value {
    &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

fn of_kind(kind: &str) -> Value {
    let all = generated();
    all.into_iter()
        .map(|(.., value)| value)
        .find(|value| value["spec"]["names"]["kind"] == kind)
        .unwrap()
}

/// Visits a schema and everything below it.
fn walk(schema: &Value, path: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            walk(property, &format!("{path}.{name}"), visit);
        }
    }
    for below in ["items", "additionalProperties"] {
        if schema[below].is_object() {
            walk(&schema[below], &format!("{path}.{below}"), visit);
        }
    }
}

#[test]
fn files_are_the_generated_ones() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    let mut expected: Vec<String> = Vec::new();
    for (name, text, _) in generated() {
        let stored = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert!(
            stored == text,
            "crds/{name} is not what `covenant crds` prints: run `make crds`"
        );
        assert!(text.len() < MOST_BYTES, "{name} has {} bytes", text.len());
        expected.push(name);
    }
    expected.sort();
    assert_eq!(names, expected);
}

#[test]
fn yaml_reads_back_as_what_was_written() {
    let read: Vec<Value> = generated().into_iter().map(|(.., value)| value).collect();
    let written: Vec<Value> = covenant::api::custom_resource_definitions()
        .iter()
        .map(|definition| serde_json::to_value(definition).unwrap())
        .collect();
    assert_eq!(read, written);
}

#[test]
fn every_property_is_described() {
    let mut silent = Vec::new();
    for (name, _, definition) in generated() {
        walk(schema(&definition), "", &mut |path, schema| {
            let properties = schema["properties"].as_object();
            for (property, schema) in properties.into_iter().flatten() {
                // The three that the API server describes itself.
                let known = path.is_empty()
                    && ["apiVersion", "kind", "metadata"].contains(&property.as_str());
                if !known
                    && schema["description"]
                        .as_str()
                        .unwrap_or_default()
                        .trim()
                        .is_empty()
                {
                    silent.push(format!("{name}: {path}.{property}"));
                }
            }
        });
    }
    assert!(
        silent.is_empty(),
        "without a description:\n{}",
        silent.join("\n")
    );
}

#[test]
fn every_string_list_and_map_is_bounded() {
    let mut unbounded = Vec::new();
    for (name, _, definition) in generated() {
        walk(schema(&definition), "", &mut |path, schema| {
            // Conditions are Kubernetes' own type; no rule of ours reads them.
            if path.contains(".conditions.items.") || path == ".metadata" {
                return;
            }
            let has = |key: &str| !schema[key].is_null();
            let bounded = match schema["type"].as_str() {
                Some("string") => has("maxLength") || has("enum") || has("format"),
                Some("array") => has("maxItems"),
                Some("object") => !has("additionalProperties") || has("maxProperties"),
                _ => true,
            };
            if !bounded {
                unbounded.push(format!("{name}: {path}"));
            }
            assert!(
                schema["x-kubernetes-preserve-unknown-fields"].is_null(),
                "{name}: {path} keeps unknown fields, so a typing error would go unseen"
            );
        });
    }
    assert!(unbounded.is_empty(), "unbounded:\n{}", unbounded.join("\n"));
}

#[test]
fn tables_categories_and_scopes_are_as_people_expect() {
    let namespaced = [
        "DataSharingGrant",
        "SharingAcceptance",
        "ProcessingHold",
        "DataHandlingPosture",
        "RetentionPolicy",
        "GuardParameters",
        "TelemetryOptOut",
    ];
    for (name, _, definition) in generated() {
        let spec = &definition["spec"];
        let kind = spec["names"]["kind"].as_str().unwrap();
        assert_eq!(
            spec["names"]["categories"],
            serde_json::json!(["covenant"]),
            "{name}"
        );
        assert!(
            !spec["names"]["shortNames"].as_array().unwrap().is_empty(),
            "{name}"
        );
        let scope = if namespaced.contains(&kind) {
            "Namespaced"
        } else {
            "Cluster"
        };
        assert_eq!(spec["scope"], scope, "{name}");
        assert!(
            spec["conversion"].is_null(),
            "{name}: no conversion webhook on what guards read"
        );
        let versions = spec["versions"].as_array().unwrap();
        assert_eq!(versions.len(), 1);
        // What guards read is all that there is to tell of it.
        if kind == "GuardParameters" {
            continue;
        }
        assert!(versions[0]["subresources"]["status"].is_object(), "{name}");
        let columns = versions[0]["additionalPrinterColumns"].as_array().unwrap();
        let names: Vec<&str> = columns
            .iter()
            .map(|column| column["name"].as_str().unwrap())
            .collect();
        assert!(
            names.len() >= 4 && names.contains(&"Age"),
            "{name}: {names:?}"
        );
    }
    let grant = of_kind("DataSharingGrant");
    let columns = grant["spec"]["versions"][0]["additionalPrinterColumns"]
        .as_array()
        .unwrap();
    let shown: Vec<&str> = columns
        .iter()
        .filter(|column| column["priority"].as_i64().unwrap_or(0) == 0)
        .map(|column| column["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        shown,
        [
            "Ready",
            "Open",
            "Reason",
            "Recipient",
            "Purpose",
            "Closes",
            "Age"
        ]
    );
}

#[test]
fn the_schema_holds_what_the_types_mean() {
    let grant = of_kind("DataSharingGrant");
    let spec = &schema(&grant)["properties"]["spec"]["properties"];
    let not_after = &spec["window"]["properties"]["notAfter"];
    assert_eq!(not_after["type"], "string");
    assert!(
        not_after["pattern"]
            .as_str()
            .unwrap()
            .starts_with("^[0-9]{4}-")
    );
    assert_eq!(not_after["maxLength"], 40);
    let port = &spec["ports"]["items"]["properties"]["port"];
    assert_eq!(port["x-kubernetes-int-or-string"], true);
    assert_eq!(spec["dataCategories"]["x-kubernetes-list-type"], "set");
    let selector = &spec["source"]["properties"]["podSelector"];
    assert!(selector["properties"]["matchLabels"]["additionalProperties"]["maxLength"].is_number());
    assert!(selector["x-kubernetes-validations"][0]["rule"].is_string());
    let rules = |schema: &Value| {
        schema["x-kubernetes-validations"]
            .as_array()
            .map_or(0, Vec::len)
    };
    assert_eq!(rules(&schema(&grant)["properties"]["spec"]), 2);
    assert_eq!(rules(&spec["recipient"]), 1);
    let conditions = &schema(&grant)["properties"]["status"]["properties"]["conditions"];
    assert_eq!(conditions["x-kubernetes-list-type"], "map");
    assert_eq!(
        conditions["x-kubernetes-list-map-keys"],
        serde_json::json!(["type"])
    );
    let vendor = of_kind("DataProcessor");
    let endpoints = &schema(&vendor)["properties"]["spec"]["properties"]["endpoints"];
    assert_eq!(
        endpoints["x-kubernetes-list-map-keys"],
        serde_json::json!(["name"])
    );
    assert_eq!(rules(&endpoints["items"]), 1);
    let posture = of_kind("DataHandlingPosture");
    assert_eq!(rules(schema(&posture)), 1);
}

/// On the release that `COVENANT_KUBERNETES` names; the oldest supported one has its own run.
#[tokio::test(flavor = "multi_thread")]
async fn kubernetes_accepts_every_definition_and_every_example() {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    use kube::api::{Api, PostParams};

    let cluster = testbed::Cluster::start(testbed::ClusterOptions::default())
        .await
        .unwrap();
    let api: Api<CustomResourceDefinition> = Api::all(cluster.admin().client().unwrap());
    for definition in covenant::api::custom_resource_definitions() {
        let name = definition.metadata.name.clone().unwrap();
        api.create(&PostParams::default(), &definition)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let deadline = std::time::Duration::from_secs(30);
    tokio::time::timeout(deadline, async {
        for definition in covenant::api::custom_resource_definitions() {
            let name = definition.metadata.name.unwrap();
            loop {
                let stored = api.get(&name).await.unwrap();
                let conditions = stored
                    .status
                    .and_then(|status| status.conditions)
                    .unwrap_or_default();
                let non_structural = conditions
                    .iter()
                    .find(|one| one.type_ == "NonStructuralSchema");
                assert!(non_structural.is_none(), "{name}: {non_structural:?}");
                if conditions
                    .iter()
                    .any(|one| one.type_ == "Established" && one.status == "True")
                {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    })
    .await
    .expect("not established in time");

    let client = cluster.admin().client().unwrap();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut stories: Vec<_> = std::fs::read_dir(examples)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    stories.sort();
    for story in stories {
        let manifests = read(&Sources {
            filenames: vec![story.clone()],
            ..Sources::default()
        });
        assert_eq!(manifests.problems, []);
        let strict = PatchParams {
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::apply("examples")
        };
        for (kind, mut object) in manifests.objects {
            // The pod's is a story about what was stored before; its image and account are nobody's here.
            if kind == Kind::Pod {
                continue;
            }
            let resource = kind.api_resource();
            let name = object.metadata.name.clone().unwrap();
            let api: Api<DynamicObject> = match object.metadata.namespace.clone() {
                Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
                None => Api::all_with(client.clone(), &resource),
            };
            object.metadata.uid = None;
            object.metadata.generation = None;
            api.patch(&name, &strict, &Patch::Apply(&object))
                .await
                .unwrap_or_else(|error| panic!("{}: {kind} {name}: {error}", story.display()));
        }
    }
}
