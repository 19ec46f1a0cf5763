//! Work that is compiled for each level: what the verbs are to the instruction sets.

/// A verb with its arguments.
pub trait Work {
    type Output;

    /// Has to be inlined with all that it calls: only so it becomes a part of the function of a level.
    fn run(self) -> Self::Output;
}
