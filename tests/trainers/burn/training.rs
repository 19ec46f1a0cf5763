//! The example trains, and its averages are the better classifier.

use crate::example::train;
use crate::model::drawing;

#[test]
fn the_averages_beat_the_weights_and_come_back_out_of_the_file() {
    let _drawing = drawing();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("digits.safetensors");
    let outcome = train(1, &path).unwrap();
    let sum = |rights: &[usize]| rights.iter().sum::<usize>();
    assert_eq!((outcome.raw.len(), outcome.averaged.len()), (6, 6));
    assert!(sum(&outcome.averaged) > sum(&outcome.raw) + outcome.images / 10, "{outcome:?}");
    assert_eq!(Some(&outcome.reloaded), outcome.averaged.last());
    assert_eq!(train(1, &path).unwrap(), outcome);
}
