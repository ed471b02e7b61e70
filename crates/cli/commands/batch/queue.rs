//! In which order jobs are done, and who does which next.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::job::Job;

/// Jobs that nobody has begun.
pub(crate) struct Queue<'a>(Mutex<VecDeque<&'a Job>>);

impl<'a> Queue<'a> {
    /// Jobs of one base one behind the other, so that what they share is still in the page cache; else in their order.
    pub(crate) fn of(jobs: impl Iterator<Item = &'a Job>) -> Self {
        let mut groups: Vec<Vec<&Job>> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for job in jobs {
            let place = job.line.base.as_deref().map(|base| *places.entry(base).or_insert(groups.len()));
            match place.and_then(|place| groups.get_mut(place)) {
                Some(group) => group.push(job),
                None => groups.push(vec![job]),
            }
        }
        Self(Mutex::new(groups.into_iter().flatten().collect()))
    }

    /// The next one.
    pub(crate) fn next(&self) -> Option<&'a Job> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Leaves the rest for another run.
    pub(crate) fn leave(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::job::JobLine;
    use super::*;

    #[test]
    fn jobs_of_one_base_follow_each_other() {
        let job = |number: usize, base: Option<&str>| {
            let out = Some(format!("/{number}.raw").into());
            Job::new(JobLine { source: "s".into(), out, base: base.map(str::to_owned), ..JobLine::default() })
                .unwrap()
        };
        let jobs = [
            job(0, Some("a")),
            job(1, None),
            job(2, Some("b")),
            job(3, Some("a")),
            job(4, None),
            job(5, Some("b")),
        ];
        let queue = Queue::of(jobs.iter());
        let mut order = Vec::new();
        while let Some(job) = queue.next() {
            order.push(jobs.iter().position(|other| other.id == job.id).unwrap());
        }
        assert_eq!(order, [0, 3, 1, 2, 5, 4]);
    }
}
