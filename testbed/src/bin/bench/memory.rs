//! Resident size of the operator over the number of open grants, and its slope.
//!
//! May not: look into the operator. The kernel knows its size.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use testbed::eventually;

use crate::objects::{self, grant, grants, namespace};
use crate::say;

/// Measures and prints.
pub async fn measure(covenant: &Path, counts: &[usize]) -> anyhow::Result<()> {
    let (cluster, engineer) = objects::cluster().await?;
    let client = cluster.admin().client()?;
    let operator = cluster.start_operator(covenant).await?;
    say(&format!(
        "  without a grant: {} KiB",
        resident(operator.pid())?
    ))?;
    let mut points: Vec<(f64, f64)> = Vec::new();
    let mut made = 0;
    for (index, &count) in counts.iter().enumerate() {
        let name = format!("acme-{index}");
        engineer.apply_object(&namespace(&name)).await?;
        let list = (made..count)
            .map(|number| grant(&name, &format!("grant-{number}")))
            .collect();
        objects::create(&client, &grants(), list, 16).await?;
        made = count;
        eventually("all are open", Duration::from_secs(300), async || {
            let text = operator.get("/metrics").await?.text;
            anyhow::ensure!(
                text.contains(&format!("covenant_open_paths {count}\n")),
                "not yet"
            );
            anyhow::Ok(())
        })
        .await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let size = resident(operator.pid())?;
        say(&format!("  {count:>5} open grants: {size} KiB"))?;
        #[expect(clippy::cast_precision_loss, reason = "a few thousand grants")]
        points.push((count as f64, size as f64));
    }
    if let [first, .., last] = points.as_slice() {
        say(&format!(
            "  slope: {:.1} KiB a grant",
            (last.1 - first.1) / (last.0 - first.0)
        ))?;
    }
    operator.stop().await?;
    Ok(())
}

fn resident(pid: i32) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).context("no such process")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no resident size")?;
    line.trim()
        .trim_end_matches("kB")
        .trim()
        .parse()
        .context("no number")
}
