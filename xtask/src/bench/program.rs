//! The program that is measured, built as a user would build it.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;

use crate::cargo;

/// Why there is no program to measure.
#[derive(Debug, thiserror::Error)]
pub(super) enum BuildError {
    #[error("cargo did not start")]
    Start(#[from] io::Error),
    #[error("`cargo build --release` failed")]
    Failed,
    #[error("`cargo build --release` names no executable")]
    NoExecutable,
}

/// Builds it, and says where it is.
pub(super) fn build() -> Result<PathBuf, BuildError> {
    let output = cargo()
        .args([
            "build",
            "--release",
            "--package",
            "vhdx-export",
            "--message-format",
            "json-render-diagnostics",
        ])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(BuildError::Failed);
    }
    executable(&String::from_utf8_lossy(&output.stdout)).ok_or(BuildError::NoExecutable)
}

/// The last executable that cargo's messages name.
fn executable(messages: &str) -> Option<PathBuf> {
    let message = |line| serde_json::from_str::<Value>(line).ok();
    let path = |message: Value| Some(PathBuf::from(message.get("executable")?.as_str()?));
    messages.lines().rev().filter_map(message).find_map(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_says_where_the_program_is() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
                        {\"reason\":\"compiler-artifact\",\"executable\":\"/t/release/vhdx-export\"}\n\
                        {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(executable(messages), Some(PathBuf::from("/t/release/vhdx-export")));
        assert_eq!(executable("warning: text\n"), None);
    }
}
