//! Processes the items of an iterator on several threads and gives the results in the iterator's order. No more than a
//! window of items is in memory.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};

/// Takes items from the iterator and keeps their results until they are taken.
pub(super) struct Feeder<I, T> {
    source: Mutex<Source<I>>,
    results: Mutex<Results<T>>,
    changed: Condvar,
    /// How many results may wait to be taken.
    window: usize,
}

struct Source<I> {
    /// `None` once the iterator has ended.
    items: Option<I>,
    /// The number of the next item.
    next: usize,
}

struct Results<T> {
    ready: BTreeMap<usize, Result<T>>,
    taken: usize,
    /// The number of items, once it is known.
    all: Option<usize>,
    stopped: bool,
}

impl<I: Iterator, T> Feeder<I, T> {
    pub(super) fn new(items: I, window: usize) -> Self {
        let results = Results { ready: BTreeMap::new(), taken: 0, all: None, stopped: false };
        Self {
            source: Mutex::new(Source { items: Some(items), next: 0 }),
            results: Mutex::new(results),
            changed: Condvar::new(),
            window: window.max(1),
        }
    }

    /// Processes items until they end or [`Feeder::stop`] is called. Each thread of the feeder runs this.
    pub(super) fn work(&self, prepare: impl Fn(I::Item) -> Result<T>) {
        while let Some((number, item)) = self.next_item() {
            // A panic in a decoder or in the caller's code must become a result, or the thread that waits for it would
            // wait forever.
            let result = catch_unwind(AssertUnwindSafe(|| prepare(item)))
                .unwrap_or_else(|_| Err(Error::image("prepare image", "a result", "a panic in the background thread")));
            self.results().ready.insert(number, result);
            self.changed.notify_all();
        }
    }

    /// The next item, once there is room for its result.
    fn next_item(&self) -> Option<(usize, I::Item)> {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let number = source.next;
        let mut results = self.results();
        while !results.stopped && number >= results.taken + self.window {
            results = self.changed.wait(results).unwrap_or_else(PoisonError::into_inner);
        }
        if results.stopped {
            source.items = None;
            return None;
        }
        drop(results);
        let items = source.items.as_mut()?;
        let item = catch_unwind(AssertUnwindSafe(|| items.next()));
        let Ok(Some(item)) = item else {
            source.items = None;
            let mut results = self.results();
            if item.is_err() {
                let error = Error::image("prepare images", "an iterator that does not panic", "a panic in it");
                results.ready.insert(number, Err(error));
            }
            results.all = Some(number + usize::from(item.is_err()));
            self.changed.notify_all();
            return None;
        };
        source.next += 1;
        Some((number, item))
    }

    /// The next result, in the order of the items. Waits for it. `None` after the last one.
    pub(super) fn take(&self) -> Option<Result<T>> {
        let mut results = self.results();
        loop {
            let number = results.taken;
            if let Some(result) = results.ready.remove(&number) {
                results.taken += 1;
                self.changed.notify_all();
                return Some(result);
            }
            if results.stopped || results.all == Some(number) {
                return None;
            }
            results = self.changed.wait(results).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets every thread end after its current item.
    pub(super) fn stop(&self) {
        let mut results = self.results();
        results.stopped = true;
        results.ready.clear();
        self.changed.notify_all();
    }

    fn results(&self) -> MutexGuard<'_, Results<T>> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    fn failed() -> Error {
        Error::image("test", "an even number", "an odd one")
    }

    #[test]
    fn results_come_in_order_and_within_the_window() {
        let begun = AtomicUsize::new(0);
        let feeder = Feeder::new(0..100usize, 5);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    feeder.work(|number| {
                        begun.fetch_add(1, Ordering::SeqCst);
                        // The first of two neighbours takes longer.
                        std::thread::sleep(Duration::from_micros(if number % 2 == 0 { 300 } else { 10 }));
                        if number % 10 == 3 { Err(failed()) } else { Ok(number) }
                    });
                });
            }
            for expected in 0..100 {
                let result = feeder.take().unwrap();
                assert_eq!(result.ok(), (expected % 10 != 3).then_some(expected));
                let ahead = begun.load(Ordering::SeqCst) - expected;
                assert!(ahead <= 5 + 1, "{ahead} items ahead");
            }
            assert!(feeder.take().is_none() && feeder.take().is_none());
        });
    }

    #[test]
    fn a_panic_is_an_error_in_its_place() {
        let feeder = Feeder::new(0..4, 9);
        feeder.work(|number| if number == 1 { panic!("on purpose") } else { Ok(number) });
        assert_eq!(feeder.take().unwrap().unwrap(), 0);
        assert!(feeder.take().unwrap().unwrap_err().to_string().contains("a panic"));
        assert_eq!((feeder.take().unwrap().unwrap(), feeder.take().unwrap().unwrap()), (2, 3));
        assert!(feeder.take().is_none());
        // A panic in the iterator ends the results.
        let feeder = Feeder::new((0..4).inspect(|number| assert!(*number < 2)), 9);
        feeder.work(Ok);
        assert_eq!((feeder.take().unwrap().unwrap(), feeder.take().unwrap().unwrap()), (0, 1));
        assert!(feeder.take().unwrap().is_err() && feeder.take().is_none());
    }

    #[test]
    fn stopping_ends_workers_that_wait_for_room() {
        let feeder = Feeder::new(0.., 3);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| feeder.work(Ok));
            }
            assert_eq!(feeder.take().unwrap().unwrap(), 0);
            feeder.stop();
            assert!(feeder.take().is_none());
        });
    }
}
