//! `/healthz`, `/readyz` and `/metrics`, by TLS 1.3 alone.
//!
//! May not: change anything, or tell names of tenants' objects.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;
use std::net::TcpListener;

use super::clock;
use super::metrics::Metrics;

/// The engine looks up at least this often; a heart that did not beat three times as long has stopped.
pub const HEARTBEAT_SECONDS: i64 = 20;

/// What the endpoints tell.
#[derive(Clone, Default)]
pub struct Health {
    ready: Arc<AtomicBool>,
    beat: Arc<AtomicI64>,
    /// The metrics.
    pub metrics: Metrics,
}

impl Health {
    /// The engine is alive.
    pub fn beat(&self) {
        self.beat.store(clock::now().as_second(), Ordering::Relaxed);
    }

    /// Every kind was listed, and planning has begun.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    fn is_alive(&self) -> bool {
        clock::now().as_second() - self.beat.load(Ordering::Relaxed) <= 3 * HEARTBEAT_SECONDS
    }
}

/// The routes.
pub fn router(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health)
}

/// Serves until the task is dropped.
///
/// # Errors
/// When the socket fails.
pub async fn serve(
    listener: TcpListener,
    config: Arc<ServerConfig>,
    health: Health,
) -> std::io::Result<()> {
    let routes = router(health).into_make_service();
    axum_server::from_tcp_rustls(listener, RustlsConfig::from_config(config))?
        .serve(routes)
        .await
}

async fn healthz(State(health): State<Health>) -> impl IntoResponse {
    if health.is_alive() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the engine stands still\n")
    }
}

async fn readyz(State(health): State<Health>) -> impl IntoResponse {
    if health.ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "not every kind was listed yet\n",
        )
    }
}

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], health.metrics.text())
}
