//! Room for large tensors that are about to be read, made by a second thread, ahead of the reading: to clear new memory takes
//! the system as long as to fill it from a file that it has in memory.

use crate::descriptor::Descriptor;
use crate::engine::Buffer;
use crate::error::Result;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// Bytes from which on a tensor is worth handing over.
const LARGE: usize = 4 << 20;

/// Tensors that wait for their values, besides the one that is being made ready.
const WAITING: usize = 1;

/// Gives the buffers of tensors in turn, all of them zeros.
pub struct Room<'d> {
    tensors: std::slice::Iter<'d, Descriptor>,
    large: Receiver<Result<Buffer>>,
}

fn is_large(tensor: &Descriptor) -> bool {
    tensor.elements() * tensor.dtype.size() >= LARGE
}

/// Calls `work` with room for these tensors. What it leaves is not made.
pub fn ahead<R>(tensors: &[Descriptor], work: impl FnOnce(Room<'_>) -> R) -> R {
    let (send, large) = sync_channel(WAITING);
    let make = move || {
        for tensor in tensors.iter().filter(|tensor| is_large(tensor)) {
            if send.send(Buffer::zeroed_now(tensor.clone())).is_err() {
                break;
            }
        }
    };
    thread::scope(|scope| {
        // Without a thread nobody sends anything, and the room is made when it is wanted.
        if tensors.iter().any(is_large) {
            let _ = thread::Builder::new().name("shrew-ema-room".to_owned()).spawn_scoped(scope, make);
        }
        work(Room { tensors: tensors.iter(), large })
    })
}

impl Iterator for Room<'_> {
    type Item = Result<Buffer>;

    /// [`Error::Memory`](crate::Error::Memory) if there is not enough for the next one.
    fn next(&mut self) -> Option<Result<Buffer>> {
        let tensor = self.tensors.next()?;
        let made = if is_large(tensor) { self.large.recv().ok() } else { None };
        Some(made.unwrap_or_else(|| Buffer::zeroed(tensor.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;

    fn tensors(elements: &[usize]) -> Vec<Descriptor> {
        elements.iter().map(|&elements| Descriptor::new(DType::F32, &[elements])).collect()
    }

    #[test]
    fn large_and_small_ones_come_in_turn_and_are_zeros() {
        let tensors = tensors(&[3, LARGE / 4, 0, LARGE / 4 - 1, LARGE / 4 + 1, LARGE, 7]);
        let made = ahead(&tensors, |room| room.collect::<Result<Vec<_>>>()).unwrap();
        assert_eq!(made.iter().map(Buffer::descriptor).collect::<Vec<_>>(), tensors);
        assert!(made.iter().all(|buffer| buffer.as_slice::<f32>().iter().all(|&value| value.to_bits() == 0)));
    }

    #[test]
    fn who_leaves_early_is_not_waited_for() {
        let tensors = tensors(&[LARGE; 20]);
        for left in [0, 1, 3] {
            assert_eq!(ahead(&tensors, |room| room.take(left).count()), left);
        }
        assert!(std::panic::catch_unwind(|| ahead(&tensors, |_| panic!("as a reader might"))).is_err());
    }

    #[test]
    fn what_there_is_no_room_for_is_an_error_of_its_turn() {
        let tensors = tensors(&[LARGE, 1 << 59, LARGE]);
        let made = ahead(&tensors, |room| room.map(|buffer| buffer.is_ok()).collect::<Vec<_>>());
        assert_eq!(made, [true, false, true]);
    }
}
