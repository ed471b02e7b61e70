//! Drawing how far an export is, on standard error: a bar, lines, or JSON.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use export_sinks::{NoProgress, Progress, Tally};
use indicatif::{ProgressBar, ProgressStyle as BarStyle};
use serde::Serialize;

use crate::args::ProgressStyle;
use crate::terminal::say;
use crate::units::show_size;

/// What draws the progress of a disk of `total` bytes.
pub(crate) fn drawn(style: ProgressStyle, total: u64) -> Box<dyn Progress> {
    match style {
        ProgressStyle::Auto if std::io::stderr().is_terminal() => Box::new(Bar::new(total)),
        ProgressStyle::Bar => Box::new(Bar::new(total)),
        ProgressStyle::Auto | ProgressStyle::Lines => Box::new(Lines::new(total)),
        ProgressStyle::Json => Box::new(JsonLines { total, last: Mutex::new(None) }),
        ProgressStyle::None => Box::new(NoProgress),
    }
}

struct Bar(ProgressBar);

impl Bar {
    fn new(total: u64) -> Self {
        let bar = ProgressBar::new(total);
        let template = "{percent:>3}% [{bar:24}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} \
                        ETA {eta} ({msg})";
        // The template is a constant; should it be wrong, indicatif's own bar is better than none.
        if let Ok(style) = BarStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self(bar)
    }
}

impl Progress for Bar {
    fn advance(&self, done: Tally) {
        self.0.set_message(format!("{} zeros skipped", show_size(done.zeros)));
        self.0.set_position(done.total());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A line at each tenth of the disk, but not more often than every other second; at least every half minute while
/// something happens; and one at the end.
struct Lines {
    total: u64,
    start: Instant,
    last: Mutex<(u64, Instant)>,
}

const LINE_AT_LEAST_EVERY: Duration = Duration::from_secs(30);
const LINE_AT_MOST_EVERY: Duration = Duration::from_secs(2);

impl Lines {
    fn new(total: u64) -> Self {
        let start = Instant::now();
        Self { total, start, last: Mutex::new((0, start)) }
    }
}

impl Progress for Lines {
    fn advance(&self, done: Tally) {
        let Ok(mut last) = self.last.lock() else { return };
        let tenth = (u128::from(done.total()) * 10 / u128::from(self.total.max(1))) as u64;
        let since = last.1.elapsed();
        let is_due = since >= LINE_AT_MOST_EVERY && tenth > last.0 || since >= LINE_AT_LEAST_EVERY;
        if !is_due && done.total() < self.total {
            return;
        }
        *last = (tenth, Instant::now());
        let percent = u128::from(done.total()) * 100 / u128::from(self.total.max(1));
        say(&format!(
            "{percent:>3}% of {}: {} data, {} zeros skipped, {:.1} s\n",
            show_size(self.total),
            show_size(done.data),
            show_size(done.zeros),
            self.start.elapsed().as_secs_f64()
        ));
    }
}

/// One object a second at most, and one at the end.
struct JsonLines {
    total: u64,
    last: Mutex<Option<Instant>>,
}

#[derive(Serialize)]
struct JsonLine {
    event: &'static str,
    done: u64,
    total: u64,
    data: u64,
    zeros: u64,
}

impl Progress for JsonLines {
    fn advance(&self, done: Tally) {
        let Ok(mut last) = self.last.lock() else { return };
        let soon = last.is_some_and(|last| last.elapsed() < Duration::from_secs(1));
        if soon && done.total() < self.total {
            return;
        }
        *last = Some(Instant::now());
        let line = JsonLine {
            event: "progress",
            done: done.total(),
            total: self.total,
            data: done.data,
            zeros: done.zeros,
        };
        if let Ok(text) = serde_json::to_string(&line) {
            say(&format!("{text}\n"));
        }
    }
}
