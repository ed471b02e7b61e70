//! What the numbers were measured on: they say little without it.

use std::fs;
use std::path::Path;
use std::thread;

use serde::Serialize;

use super::job::Runner;
use super::place::memory;
use super::statistics::quotient;
use super::tools::Tool;

/// Facts about a machine and the programs on it.
#[derive(Serialize)]
pub(super) struct Machine {
    processor: String,
    cores: usize,
    /// Whether the processor computes SHA-256 itself.
    sha_extensions: bool,
    kernel: String,
    memory_bytes: u64,
    /// What the machine was doing before: the mean number of busy threads in the last minute.
    load: String,
    program: String,
    tools: Vec<String>,
}

impl Machine {
    /// Looks around.
    pub(super) fn here(runner: &Runner) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let flags = field(&cpuinfo, "flags").or_else(|| field(&cpuinfo, "Features")).unwrap_or_default();
        let version = runner.run("vhdx-export --version", Path::new("/"));
        let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        Self {
            processor: field(&cpuinfo, "model name").unwrap_or("unknown processor").to_owned(),
            cores: thread::available_parallelism().map_or(0, usize::from),
            sha_extensions: flags.split(' ').any(|flag| matches!(flag, "sha_ni" | "sha2")),
            kernel: first_word("/proc/sys/kernel/osrelease"),
            memory_bytes: memory("MemTotal").unwrap_or(0),
            load: first_word("/proc/loadavg"),
            program: version.unwrap_or_default(),
            tools: Tool::ALL.into_iter().filter_map(Tool::version).collect(),
        }
    }

    /// One line about the machine, and one about the programs.
    pub(super) fn lines(&self) -> String {
        let sha = if self.sha_extensions { "with" } else { "without" };
        format!(
            "machine: {}, {} cores, {sha} SHA extensions, {:.1} GiB of memory, Linux {}, load {} before\n\
             programs: {}; {}\n",
            self.processor,
            self.cores,
            quotient(self.memory_bytes, 1 << 30),
            self.kernel,
            self.load,
            self.program,
            self.tools.join("; "),
        )
    }
}

fn field<'a>(cpuinfo: &'a str, key: &str) -> Option<&'a str> {
    cpuinfo.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then_some(value.trim())
    })
}

fn first_word(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().next().unwrap_or("?").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let cpuinfo = "model\t\t: 2\nmodel name\t: A processor: fast\nflags\t\t: fpu sha_ni\n";
        assert_eq!(field(cpuinfo, "model name"), Some("A processor: fast"));
        assert_eq!(field(cpuinfo, "name"), None);
    }
}
