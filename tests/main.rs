//! Black-box tests: everything here goes through the executable, as a user or a script would.
//!
//! One file per command or topic. Images come from the forge, outside programs judge what is written where they can,
//! and every command is watched for what it does to the sources and to the target's folder (see `harness`). What they
//! ask of the system (signals, FIFOs, limits) is Unix'.

#![cfg(unix)]

// Each room says that it is a test: only so do the lints that tests are free of let them be.

#[cfg(test)]
mod harness;

#[cfg(test)]
#[cfg(target_os = "linux")]
mod batch;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod changing;
#[cfg(test)]
mod check;
#[cfg(test)]
mod check_damaged;
#[cfg(test)]
mod confinement;
#[cfg(test)]
mod damaged;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod devices;
#[cfg(test)]
mod digests;
#[cfg(test)]
mod export;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod faults;
#[cfg(test)]
mod full;
#[cfg(test)]
mod info;
#[cfg(test)]
mod info_config;
#[cfg(test)]
mod interrupted;
#[cfg(test)]
mod killed;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod list;
#[cfg(test)]
mod manifest;
#[cfg(test)]
mod map;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod names;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod page_cache;
#[cfg(test)]
mod parents;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod plain_sources;
#[cfg(test)]
mod reflinks;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod sidecars;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod slurm;
#[cfg(test)]
mod stock_tools;
#[cfg(test)]
mod table;
#[cfg(test)]
mod traps;
#[cfg(test)]
mod tree;
#[cfg(test)]
mod verify;
#[cfg(test)]
mod vm;
