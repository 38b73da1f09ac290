//! Two threads that take one case after the other.

use std::{
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use crate::engine::logs;

/// A whole scenario is one future. Without optimisation it is a large one.
const STACK: usize = 32 << 20;

/// Does every job and hands each result on as it comes, with the job's position, until one is the
/// last that is wanted.
pub(crate) fn each<J: Sync, R: Send>(
    threads: usize,
    jobs: &[J],
    work: impl Fn(&J) -> R + Sync,
    mut done: impl FnMut(usize, R) -> bool,
) {
    let next = AtomicUsize::new(0);
    let (results, arrived) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..threads {
            let (next, work, results) = (&next, &work, results.clone());
            let worker = move || {
                logs::kept(|| {
                    loop {
                        let position = next.fetch_add(1, Ordering::SeqCst);
                        let Some(job) = jobs.get(position) else {
                            break;
                        };
                        if results.send((position, work(job))).is_err() {
                            break;
                        }
                    }
                });
            };
            let thread = thread::Builder::new().stack_size(STACK);
            thread.spawn_scoped(scope, worker).expect("a thread");
        }
        drop(results);
        for (position, result) in arrived {
            if !done(position, result) {
                next.store(jobs.len(), Ordering::SeqCst);
            }
        }
    });
}
