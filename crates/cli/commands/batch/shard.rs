//! Which of several machines does which job: by a number made of the job itself, so that nobody has to ask anybody.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use super::BatchError;
use super::job::JobId;

/// One of `of` parts, counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shard {
    number: NonZeroU64,
    of: NonZeroU64,
}

impl Shard {
    fn new(number: u64, of: u64) -> Result<Self, String> {
        let (Some(number), Some(of)) = (NonZeroU64::new(number), NonZeroU64::new(of)) else {
            return Err("shards are counted from 1".to_owned());
        };
        if number > of { Err(format!("there is no shard {number} of {of}")) } else { Ok(Self { number, of }) }
    }

    /// Whether the job is this shard's: each job is of exactly one of `of` shards, however many there are.
    pub(crate) fn has(self, job: JobId) -> bool {
        job.number() % self.of == self.number.get() - 1
    }

    /// What the scheduler that started this program says; `None` where none has.
    ///
    /// Kubernetes counts from 0 (`JOB_COMPLETION_INDEX`, and `JOB_COMPLETIONS` has to be set beside it); Slurm counts from
    /// wherever `--array` says, in steps.
    pub(crate) fn of_environment() -> Result<Option<Self>, BatchError> {
        of_scheduler(&|name| std::env::var(name).ok()).map_err(BatchError::Shard)
    }
}

fn of_scheduler(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Shard>, String> {
    let number = |name: &str| -> Result<Option<u64>, String> {
        let text = variable(name);
        text.map(|text| text.parse().map_err(|_| format!("{name} is `{text}`, expected a number")))
            .transpose()
    };
    if let Some(index) = number("JOB_COMPLETION_INDEX")? {
        let of = number("JOB_COMPLETIONS")?;
        let of = of.ok_or(
            "JOB_COMPLETION_INDEX is set, JOB_COMPLETIONS is not: set it to the Job's `completions`",
        )?;
        return Shard::new(index.saturating_add(1), of).map(Some);
    }
    let (Some(id), Some(count)) = (number("SLURM_ARRAY_TASK_ID")?, number("SLURM_ARRAY_TASK_COUNT")?) else {
        return Ok(None);
    };
    let first = number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(1);
    let step = number("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1).max(1);
    let last = first.saturating_add(step.saturating_mul(count.saturating_sub(1)));
    let is_regular = number("SLURM_ARRAY_TASK_MAX")?.is_none_or(|max| max == last);
    if id < first || (id - first) % step != 0 || !is_regular {
        return Err("the array is no plain range: give --array=1-N, or --shard".to_owned());
    }
    Shard::new((id - first) / step + 1, count).map(Some)
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    /// `I/N`.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts =
            text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        let (number, of) = parts.ok_or("expected I/N, for example 1/8")?;
        Self::new(number, of)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn every_job_is_of_exactly_one_shard_however_many_there_are() {
        let jobs: Vec<JobId> = (0..1000_u32).map(|number| JobId::of(&[number.to_string().into()])).collect();
        for of in 1..=40 {
            let shards: Vec<Shard> = (1..=of).map(|number| Shard::new(number, of).unwrap()).collect();
            for job in &jobs {
                assert_eq!(shards.iter().filter(|shard| shard.has(*job)).count(), 1);
            }
            // None has much more than its part.
            let most =
                shards.iter().map(|shard| jobs.iter().filter(|job| shard.has(**job)).count()).max().unwrap();
            assert!(most < 2 * 1000 / usize::try_from(of).unwrap() + 30, "{most} of 1000 in one of {of}");
        }
    }

    fn scheduled(variables: &[(&str, &str)]) -> Result<Option<Shard>, String> {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        of_scheduler(&|name| variables.get(name).map(ToString::to_string))
    }

    #[test]
    fn schedulers_say_which_shard_it_is() {
        let shard = |number, of| Ok(Some(Shard::new(number, of).unwrap()));
        let slurm = |id, count, min, step| {
            scheduled(&[
                ("SLURM_ARRAY_TASK_ID", id),
                ("SLURM_ARRAY_TASK_COUNT", count),
                ("SLURM_ARRAY_TASK_MIN", min),
                ("SLURM_ARRAY_TASK_STEP", step),
            ])
        };
        assert_eq!(scheduled(&[]), Ok(None));
        assert_eq!(scheduled(&[("JOB_COMPLETION_INDEX", "0"), ("JOB_COMPLETIONS", "8")]), shard(1, 8));
        assert_eq!(scheduled(&[("JOB_COMPLETION_INDEX", "7"), ("JOB_COMPLETIONS", "8")]), shard(8, 8));
        assert!(scheduled(&[("JOB_COMPLETION_INDEX", "0")]).unwrap_err().contains("JOB_COMPLETIONS"));
        assert!(scheduled(&[("JOB_COMPLETION_INDEX", "8"), ("JOB_COMPLETIONS", "8")]).is_err());
        assert_eq!(slurm("1", "4", "1", "1"), shard(1, 4));
        assert_eq!(slurm("3", "4", "0", "1"), shard(4, 4));
        assert_eq!(slurm("14", "3", "10", "2"), shard(3, 3));
        assert!(slurm("11", "3", "10", "2").is_err());
        let gap =
            [("SLURM_ARRAY_TASK_ID", "1"), ("SLURM_ARRAY_TASK_COUNT", "2"), ("SLURM_ARRAY_TASK_MIN", "1")];
        assert!(scheduled(&[&gap[..], &[("SLURM_ARRAY_TASK_MAX", "9")]].concat()).is_err());
        // A job outside of an array has none of them.
        assert_eq!(scheduled(&[("SLURM_JOB_ID", "17")]), Ok(None));
    }

    #[test]
    fn a_shard_is_written_as_a_fraction() {
        assert_eq!("2/8".parse(), Shard::new(2, 8));
        for wrong in ["0/8", "9/8", "1/0", "1", "a/b", "1/8/2", "-1/2"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
