//! Parallel work on many files, with a few threads.

/// Number of threads. A disk handles several syncs in one go.
const THREADS: usize = 16;

/// Calls `work` for each item, in any order. Each thread stops at its first failure; one of the failures is returned.
pub fn for_each<T: Sync, E: Send>(items: &[T], work: impl Fn(&T) -> Result<(), E> + Sync) -> Result<(), E> {
    if items.len() < THREADS {
        return items.iter().try_for_each(work);
    }
    std::thread::scope(|scope| {
        let work = &work;
        let spawn = |part| scope.spawn(move || <[T]>::iter(part).try_for_each(work));
        let running: Vec<_> = items.chunks(items.len().div_ceil(THREADS)).map(spawn).collect();
        running.into_iter().try_for_each(|thread| match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn for_each_visits_all_and_returns_failures() {
        for count in [0, 1, 15, 16, 17, 1000] {
            let items: Vec<usize> = (0..count).collect();
            let sum = AtomicUsize::new(0);
            let add = |item: &usize| {
                sum.fetch_add(item + 1, Ordering::Relaxed);
                Ok::<(), usize>(())
            };
            assert_eq!(for_each(&items, add), Ok(()));
            assert_eq!(sum.into_inner(), count * (count + 1) / 2);
            let fail = |item: &usize| if *item == 5 { Err(5) } else { Ok(()) };
            assert_eq!(for_each(&items, fail), if count > 5 { Err(5) } else { Ok(()) });
        }
    }
}
