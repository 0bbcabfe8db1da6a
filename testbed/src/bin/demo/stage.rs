//! How the story is shown: chapters, commands with their output, and tables. Colour only on a terminal.

use std::io::{IsTerminal as _, Write as _};

use anyhow::Context as _;
use testbed::{Identity, Output};

/// Where the story is told.
pub struct Stage {
    colour: bool,
}

impl Stage {
    /// Standard output.
    pub fn new() -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { colour }
    }

    /// Begins a chapter.
    pub fn chapter(&self, title: &str) -> anyhow::Result<()> {
        self.line(&format!("\n{}", self.paint("1;36", &format!("━━ {title}"))))
    }

    /// Says something.
    pub fn say(&self, text: &str) -> anyhow::Result<()> {
        self.line(text)
    }

    /// Says that something good was seen.
    pub fn seen(&self, text: &str) -> anyhow::Result<()> {
        self.line(&format!("{} {text}", self.paint("32", "✓")))
    }

    /// Runs kubectl as somebody, and shows the command and what came back.
    pub async fn kubectl(&self, who: &Identity, arguments: &[&str]) -> anyhow::Result<Output> {
        let output = who.kubectl(arguments).await?;
        self.show(who, &format!("kubectl {}", arguments.join(" ")), &output)?;
        Ok(output)
    }

    /// Applies a text as somebody, and shows it and what came back.
    pub async fn apply(&self, who: &Identity, yaml: &str) -> anyhow::Result<Output> {
        for line in yaml.trim().lines() {
            self.line(&self.paint("2", &format!("  │ {line}")))?;
        }
        let output = who.apply(yaml).await?;
        self.show(who, "kubectl apply --server-side -f -", &output)?;
        Ok(output)
    }

    /// Shows who may reach whom, before and after.
    pub fn table(
        &self,
        title: &str,
        columns: &[&str],
        rows: &[(String, Vec<bool>)],
    ) -> anyhow::Result<()> {
        let width = rows
            .iter()
            .map(|(name, _)| name.chars().count())
            .max()
            .unwrap_or(0)
            .max(title.chars().count());
        let head: Vec<String> = columns
            .iter()
            .map(|column| format!("{column:^8}"))
            .collect();
        self.line(&self.paint("1", &format!("  {title:<width$}  {}", head.join(" "))))?;
        for (name, cells) in rows {
            let cells: Vec<String> = cells
                .iter()
                .map(|&allowed| {
                    if allowed {
                        self.paint("33", &format!("{:^8}", "yes"))
                    } else {
                        format!("{:^8}", "·")
                    }
                })
                .collect();
            self.line(&format!("  {name:<width$}  {}", cells.join(" ")))?;
        }
        Ok(())
    }

    fn show(&self, who: &Identity, command: &str, output: &Output) -> anyhow::Result<()> {
        self.line(&format!(
            "{} {}",
            self.paint("1", &format!("$ {command}")),
            self.paint("2", &format!("# as {}", who.name()))
        ))?;
        for line in output.stdout.lines() {
            self.line(&format!("  {line}"))?;
        }
        for line in output.stderr.lines() {
            self.line(&format!("  {}", self.paint("31", line)))?;
        }
        Ok(())
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn line(&self, text: &str) -> anyhow::Result<()> {
        let mut output = std::io::stdout().lock();
        writeln!(output, "{text}").context("nobody listens")?;
        output.flush().context("nobody listens")
    }
}
