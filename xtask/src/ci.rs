//! `cargo xtask ci`: every check that a change must pass, in order, the cheap ones first.
//!
//! Stops at the first failure and ends with its exit status. What a machine must have installed,
//! the sample images and the README's commands belong to `.ci/run`, which calls this.

use std::fmt;
use std::time::{Duration, Instant};

use crate::{cargo, fixtures, tidy};

/// Runs all steps, echoing each as a command line, and prints what each one took.
/// Returns the exit status of the first step that failed, or 0.
pub(crate) fn run() -> u8 {
    let (status, times) = run_until_failure(&STEPS, |step| {
        println!("$ {step}");
        step.run()
    });
    for (step, time) in &times {
        println!("{:>8.1} s  {step}", time.as_secs_f64());
    }
    match times.last() {
        Some((step, _)) if status != 0 => println!("failed: {step}"),
        _ => println!("all {} steps passed", times.len()),
    }
    status
}

enum Step {
    Cargo { environment: &'static [(&'static str, &'static str)], arguments: &'static [&'static str] },
    Tidy,
    Fixtures,
}

const STEPS: [Step; 6] = [
    Step::Cargo { environment: &[], arguments: &["fmt", "--all", "--check"] },
    Step::Cargo {
        environment: &[],
        arguments: &["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"],
    },
    // Without --all-targets: that flag would leave out the doc tests.
    Step::Cargo { environment: &[], arguments: &["test", "--workspace", "--all-features"] },
    Step::Cargo {
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
        arguments: &["doc", "--workspace", "--no-deps", "--all-features"],
    },
    Step::Tidy,
    Step::Fixtures,
];

impl Step {
    fn run(&self) -> u8 {
        match self {
            Self::Tidy => tidy::run(),
            Self::Fixtures => fixtures::run(true),
            Self::Cargo { environment, arguments } => {
                match cargo().args(*arguments).envs(environment.iter().copied()).status() {
                    // A child ended by a signal has no code.
                    Ok(status) if !status.success() => {
                        status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
                    }
                    Ok(_) => 0,
                    Err(error) => {
                        eprintln!("error: cargo did not start: {error}");
                        1
                    }
                }
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tidy => f.write_str("cargo xtask tidy"),
            Self::Fixtures => f.write_str("cargo xtask fixtures --check"),
            Self::Cargo { environment, arguments } => {
                for (name, value) in *environment {
                    write!(f, "{name}='{value}' ")?;
                }
                write!(f, "cargo {}", arguments.join(" "))
            }
        }
    }
}

/// Runs `steps` in order up to and including the first whose status is not 0.
fn run_until_failure<S>(steps: &[S], mut run: impl FnMut(&S) -> u8) -> (u8, Vec<(&S, Duration)>) {
    let mut times = Vec::new();
    for step in steps {
        let start = Instant::now();
        let status = run(step);
        times.push((step, start.elapsed()));
        if status != 0 {
            return (status, times);
        }
    }
    (0, times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_steps_run_in_order_when_none_fails() {
        let (status, times) = run_until_failure(&[1, 2, 3], |_| 0);
        assert_eq!(status, 0);
        assert_eq!(times.iter().map(|(step, _)| **step).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn the_first_failure_ends_the_run_and_gives_its_status() {
        let (status, times) = run_until_failure(&[0, 101, 7], |step| *step);
        assert_eq!(status, 101);
        assert_eq!(times.iter().map(|(step, _)| **step).collect::<Vec<_>>(), [0, 101]);
    }

    #[test]
    fn a_step_is_echoed_as_a_line_a_shell_accepts() {
        let lines: Vec<String> = STEPS.iter().map(Step::to_string).collect();
        assert_eq!(
            lines,
            [
                "cargo fmt --all --check",
                "cargo clippy --workspace --all-targets --all-features -- -D warnings",
                "cargo test --workspace --all-features",
                "RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --all-features",
                "cargo xtask tidy",
                "cargo xtask fixtures --check",
            ]
        );
    }
}
