//! Memory for tensors that are about to be read, made ready by a second thread, ahead of the reading: to clear it takes the
//! system as long as to fill it from a file that it has in memory.

use crate::descriptor::Descriptor;
use crate::engine::Buffer;
use crate::error::Result;
use std::ops::RangeInclusive;
use std::slice;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// Bytes of a tensor that is handed over. Small ones are not worth it; and for a huge one the reader would wait, deaf to the
/// user.
const HANDED_OVER: RangeInclusive<usize> = 4 << 20..=256 << 20;

/// Tensors that wait for their values, besides the one that is being made ready.
const WAITING: usize = 1;

/// Gives the buffers of tensors in turn, all of them zeros.
pub struct Ready<'d> {
    tensors: slice::Iter<'d, Descriptor>,
    made: Receiver<Result<Buffer>>,
}

fn is_handed_over(tensor: &Descriptor) -> bool {
    HANDED_OVER.contains(&(tensor.elements() * tensor.dtype.size()))
}

/// Calls `work` with the memory of these tensors. What it leaves is not made.
pub fn ahead<R>(tensors: &[Descriptor], work: impl FnOnce(Ready<'_>) -> R) -> R {
    let (send, made) = sync_channel(WAITING);
    let make = move || {
        for tensor in tensors.iter().filter(|tensor| is_handed_over(tensor)) {
            if send.send(Buffer::zeroed_now(tensor.clone())).is_err() {
                break;
            }
        }
    };
    thread::scope(|scope| {
        // Without a thread nobody sends anything, and the memory is made when it is wanted.
        if tensors.iter().any(is_handed_over) {
            let _ = thread::Builder::new().name("shrew-ema-ready".to_owned()).spawn_scoped(scope, make);
        }
        work(Ready { tensors: tensors.iter(), made })
    })
}

impl Iterator for Ready<'_> {
    type Item = Result<Buffer>;

    /// [`Error::Memory`](crate::Error::Memory) if there is not enough for the next one.
    fn next(&mut self) -> Option<Result<Buffer>> {
        let tensor = self.tensors.next()?;
        let made = if is_handed_over(tensor) { self.made.recv().ok() } else { None };
        Some(made.unwrap_or_else(|| Buffer::zeroed(tensor.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;

    const LEAST: usize = *HANDED_OVER.start();

    fn tensors(bytes: &[usize]) -> Vec<Descriptor> {
        bytes.iter().map(|&bytes| Descriptor::new(DType::U8, &[bytes])).collect()
    }

    #[test]
    fn large_and_small_ones_come_in_turn_and_are_zeros() {
        let tensors = tensors(&[3, LEAST, 0, LEAST - 1, LEAST + 1, 4 * LEAST, HANDED_OVER.end() + 1, 7]);
        let made = ahead(&tensors, |ready| ready.collect::<Result<Vec<_>>>()).unwrap();
        assert_eq!(made.iter().map(Buffer::descriptor).collect::<Vec<_>>(), tensors);
        assert!(made.iter().all(|buffer| buffer.as_bytes().iter().all(|&byte| byte == 0)));
    }

    #[test]
    fn who_leaves_early_is_not_waited_for() {
        let tensors = tensors(&[LEAST; 20]);
        for left in [0, 1, 3] {
            assert_eq!(ahead(&tensors, |ready| ready.take(left).count()), left);
        }
        assert!(std::panic::catch_unwind(|| ahead(&tensors, |_| panic!("as a reader might"))).is_err());
    }

    #[test]
    fn what_there_is_no_memory_for_is_an_error_of_its_turn() {
        let tensors = tensors(&[LEAST, 1 << 62, LEAST]);
        let made = ahead(&tensors, |ready| ready.map(|buffer| buffer.is_ok()).collect::<Vec<_>>());
        assert_eq!(made, [true, false, true]);
    }
}
