//! `vhdx-export batch`: many disks, unattended. Planned as lines of a file, run from it, summed up from what is there.
//!
//! Whether a job is done is told by its manifest alone: nothing else remembers it, so a run can be killed, moved, split
//! over machines and started again.

mod done;
mod error;
mod estimate;
mod folders;
mod job;
mod metrics;
mod plan;
mod queue;
mod read;
mod reporter;
mod results;
mod run;
mod shard;
mod status;
mod summary;

pub(crate) use self::error::BatchError;
pub(crate) use self::shard::Shard;

use crate::args::{BatchArgs, BatchCommand};
use crate::failure::Failure;

pub(crate) fn run(args: BatchArgs) -> Result<u8, Failure> {
    match args.command {
        BatchCommand::Plan(args) => plan::run(&args),
        BatchCommand::Run(args) => run::run(&args),
        BatchCommand::Status(args) => status::run(&args),
    }
}
