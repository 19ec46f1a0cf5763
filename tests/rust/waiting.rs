//! Fails instead of hanging.

use std::sync::mpsc;
use std::time::Duration;

/// What `work` gives; fails if that takes longer, or if `work` panics.
pub fn within_a_minute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    wait.recv_timeout(Duration::from_secs(60)).expect("it hangs or has failed")
}
