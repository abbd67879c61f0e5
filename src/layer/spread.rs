//! Stage 6: the same for many files, on all threads. Jobs in; what each gave that gave something, in their order, out, or the first failure
//! in that order. Touches nothing by itself.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, scope};

use crate::error::{Error, Result};

/// How many jobs a thread takes at once.
const HANDFUL: usize = 32;

/// Does all jobs. What they gave, each with its place among them; or where one failed, and how. `work` is given room that stays with its thread.
pub fn spread<J: Sync, T: Send>(
    threads: NonZeroUsize,
    jobs: &[J],
    work: impl Fn(&J, &mut Vec<u8>) -> Result<Option<T>> + Sync,
) -> Result<Vec<(usize, T)>, (usize, Error)> {
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
    let done: Mutex<Vec<(usize, Result<T>)>> = Mutex::default();
    let thread = || {
        let (mut room, mut own) = (Vec::new(), Vec::new());
        'jobs: loop {
            let first = next.fetch_add(HANDFUL, Ordering::Relaxed);
            for (at, job) in jobs.iter().enumerate().skip(first).take(HANDFUL) {
                if at > failed.load(Ordering::Relaxed) {
                    break 'jobs;
                }
                let gave = work(job, &mut room);
                if gave.is_err() {
                    failed.fetch_min(at, Ordering::Relaxed);
                }
                own.extend(gave.transpose().map(|gave| (at, gave)));
            }
            if first >= jobs.len() {
                break;
            }
        }
        done.lock().unwrap_or_else(PoisonError::into_inner).append(&mut own);
    };
    let threads = threads.get().min(jobs.len() / HANDFUL + 1);
    scope(|scope| {
        // One that cannot be started is missed by nobody: the others do its jobs.
        (1..threads).for_each(|_| drop(Builder::new().spawn_scoped(scope, thread)));
        thread();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(at, gave)| gave.map(|gave| (at, gave)).map_err(|error| (at, error))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_out_does_not_depend_on_threads() {
        let jobs: Vec<usize> = (0..1000).collect();
        for threads in [1, 2, 7].map(|threads| NonZeroUsize::new(threads).unwrap()) {
            let even = |job: &usize, _: &mut Vec<u8>| Ok(job.is_multiple_of(2).then_some(job * 10));
            let all = spread(threads, &jobs, even).ok().unwrap();
            assert!(all.into_iter().eq((0..1000).step_by(2).map(|at| (at, at * 10))), "{threads}");
            let fails = |job: &usize, _: &mut Vec<u8>| match job {
                333 | 334 | 999 => Err(Error::local(job.to_string())),
                _ => Ok(Some(())),
            };
            let (at, error) = spread(threads, &jobs, fails).err().unwrap();
            assert_eq!((at, error.message()), (333, "333"), "{threads}");
        }
    }
}
