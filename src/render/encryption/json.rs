//! The report as JSON, in pieces: of ten thousand namespaces no more than a page is ever kept.
//!
//! May not: let out what a terminal would obey.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;

use super::namespace::{EncryptionSummary, NamespaceEncryption};
use crate::render::REPORT_API_VERSION;

/// JSON with every control character and every mark that turns the direction of text written as an escape, which means the same.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn escaped_json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string_pretty(value)?;
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        let turns = matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if turns || (letter.is_control() && letter != '\n') {
            let _ = write!(escaped, "\\u{:04x}", u32::from(letter));
        } else {
            escaped.push(letter);
        }
    }
    Ok(escaped)
}

/// What comes before the namespaces.
#[must_use]
pub fn encryption_begin(at: Timestamp) -> String {
    format!(
        "{{\n  \"apiVersion\": \"{REPORT_API_VERSION}\",\n  \"kind\": \"EncryptionReport\",\n  \"at\": \"{at}\",\n  \"namespaces\": ["
    )
}

/// One more namespace.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn encryption_next(
    namespace: &NamespaceEncryption,
    is_first: bool,
) -> Result<String, serde_json::Error> {
    let object = escaped_json(namespace)?.replace('\n', "\n    ");
    let comma = if is_first { "" } else { "," };
    Ok(format!("{comma}\n    {object}"))
}

/// What comes after the namespaces.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn encryption_end(summary: &EncryptionSummary) -> Result<String, serde_json::Error> {
    let summary = escaped_json(summary)?.replace('\n', "\n  ");
    Ok(format!("\n  ],\n  \"summary\": {summary}\n}}\n"))
}
