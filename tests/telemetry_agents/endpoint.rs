//! What a pod serves: metrics on loopback, and a count of who asked for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The address of every pod; pods are told apart by their ports, as not every machine has more of them on loopback.
pub const ADDRESS: &str = "127.0.0.1";

/// A server of metrics. Dropping it ends it.
pub struct Endpoint {
    pub port: u16,
    scraped: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

impl Endpoint {
    /// One on a port that is free.
    pub async fn new() -> Self {
        let listener = TcpListener::bind((ADDRESS, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let scraped = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&scraped);
        let metrics = move || async move {
            count.fetch_add(1, Ordering::SeqCst);
            "# TYPE orders_total counter\norders_total 7\n"
        };
        let router = Router::new().route("/metrics", get(metrics));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            port,
            scraped,
            server,
        }
    }

    /// How often it was scraped.
    pub fn scraped(&self) -> usize {
        self.scraped.load(Ordering::SeqCst)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.server.abort();
    }
}
