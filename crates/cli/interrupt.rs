//! Signals: the first one stops the export in good order, a second one ends the program.
//!
//! A write into a pipe that nobody reads would never come back to look at a flag. Where the artifact is a stream there
//! is nothing to clean up either, so the program ends at once.

use export_sinks::Cancel;

/// Whether an interrupted export has something to clean up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Leftovers {
    /// A partial file.
    File,
    /// Nothing: a stream.
    None,
}

/// From here on, signals set `cancel`.
#[cfg(unix)]
pub(crate) fn listen(cancel: &Cancel, leftovers: Leftovers) -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
    // A limit on file sizes ends the program by a signal, partial file and all, unless somebody takes the signal: then
    // the write fails, which is an error like any other.
    signal_hook::flag::register(SIGXFSZ, std::sync::Arc::default())?;
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let cancel = cancel.clone();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in &mut signals {
            if leftovers == Leftovers::None || cancel.check().is_err() {
                std::process::exit(128 + signal);
            }
            cancel.set(signal.unsigned_abs() as usize);
        }
    })?;
    Ok(())
}

/// From here on, Ctrl-C sets `cancel`.
#[cfg(not(unix))]
pub(crate) fn listen(cancel: &Cancel, _: Leftovers) -> std::io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_usize(signal, cancel.flag(), signal.unsigned_abs() as usize)?;
    }
    Ok(())
}
