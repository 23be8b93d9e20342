//! Runs work on a thread of its own and awaits the result. Async executors need this, because their threads must not
//! block while a driver compiles or a file is read.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::error::{Error, Result};

/// The place where the thread leaves its result.
struct Place<T>(Mutex<Slot<T>>);

struct Slot<T> {
    result: Option<Result<T>>,
    waker: Option<Waker>,
}

impl<T> Place<T> {
    fn slot(&self) -> MutexGuard<'_, Slot<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's end. If it is dropped without a result, as when the thread panics, it leaves an error.
struct Giver<T> {
    op: &'static str,
    place: Arc<Place<T>>,
}

impl<T> Giver<T> {
    fn give(&self, result: impl FnOnce() -> Result<T>) {
        let mut slot = self.place.slot();
        if slot.result.is_none() {
            slot.result = Some(result());
        }
        if let Some(waker) = slot.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Drop for Giver<T> {
    fn drop(&mut self) {
        self.give(|| Err(Error::device(self.op, "a result", "a panic in the background thread")));
    }
}

/// Runs `work` on a new thread and waits for its result without blocking. If the future is dropped, the thread still
/// finishes its work.
///
/// # Errors
/// The errors of `work`; [`Error::Device`] if `work` panics or no thread can be started.
pub(crate) async fn in_background<T: Send + 'static>(
    op: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let place = Arc::new(Place(Mutex::new(Slot { result: None, waker: None })));
    let giver = Giver { op, place: place.clone() };
    std::thread::Builder::new()
        .name("tcvit".into())
        .spawn(move || {
            let result = work();
            giver.give(|| result);
        })
        .map_err(|error| Error::device(op, "to start a thread", error.to_string()).caused_by(error))?;
    poll_fn(|task| {
        let mut slot = place.slot();
        match slot.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                slot.waker = Some(task.waker().clone());
                Poll::Pending
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_errors_and_panics_arrive() {
        let run = |work: fn() -> Result<u32>| pollster::block_on(in_background("test", work));
        assert_eq!(run(|| Ok(7)).unwrap(), 7);
        assert!(run(|| Err(Error::config("test", "success", "failure"))).unwrap_err().to_string().contains("failure"));
        assert!(run(|| panic!("on purpose")).unwrap_err().to_string().contains("a panic"));
    }
}
