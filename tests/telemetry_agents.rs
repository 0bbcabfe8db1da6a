//! Real agents that read what an opt-out writes and what it refuses: Prometheus scrapes, an OpenTelemetry Collector reads logs, and
//! the operator runs. No kubelet does: pods' endpoints, addresses and logs are served and written as one would.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[allow(
    dead_code,
    reason = "the stage is the stories', and this is one of them"
)]
#[path = "stories/stage.rs"]
mod stories;

#[path = "telemetry_agents/endpoint.rs"]
mod endpoint;
#[path = "telemetry_agents/logged.rs"]
mod logged;
#[path = "telemetry_agents/scraped.rs"]
mod scraped;
#[path = "telemetry_agents/stage.rs"]
mod stage;
#[path = "support/pod.rs"]
mod support;
