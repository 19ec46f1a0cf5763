//! What the trainers' examples have in common: images of handwritten digits, a part of them with wrong labels to train on,
//! and what came of it.

use std::path::{Path, PathBuf};

/// Pixels of an image.
pub const PIXELS: usize = 64;
/// Digits there are.
pub const CLASSES: usize = 10;

const IMAGES: &[u8] = include_bytes!("digits.bin");
const TRAINING: usize = 1400;
const WRONG: f64 = 0.2;

/// Images, and the digit on each.
#[derive(Clone, Debug, Default)]
pub struct Digits {
    /// One after the other, pixels from 0 to 1.
    pub images: Vec<f32>,
    /// From 0 to 9.
    pub labels: Vec<u8>,
}

/// Images to train on, a fifth of which have a label drawn at random, and others to test with, all of them right.
pub fn load(random: &mut fastrand::Rng) -> (Digits, Digits) {
    let (mut training, mut test) = (Digits::default(), Digits::default());
    for (index, row) in IMAGES.chunks_exact(PIXELS + 1).enumerate() {
        let into = if index < TRAINING { &mut training } else { &mut test };
        into.images.extend(row[..PIXELS].iter().map(|&pixel| f32::from(pixel) / 16.0));
        into.labels.push(row[PIXELS]);
    }
    for label in &mut training.labels {
        if random.f64() < WRONG {
            *label = random.u8(..CLASSES as u8);
        }
    }
    (training, test)
}

impl Digits {
    /// How many images there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// All of them in a new order, so many at a time; what is left over at the end is left out.
    pub fn batches(&self, size: usize, random: &mut fastrand::Rng) -> impl Iterator<Item = Digits> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        random.shuffle(&mut order);
        (0..self.len() / size).map(move |batch| {
            let chosen = &order[batch * size..][..size];
            let image = |&index: &usize| self.images[index * PIXELS..][..PIXELS].iter().copied();
            Digits {
                images: chosen.iter().flat_map(image).collect(),
                labels: chosen.iter().map(|&index| self.labels[index]).collect(),
            }
        })
    }

    /// How many images are told right by `logits`, which has a number for each of the ten digits of each image.
    pub fn right(&self, logits: &[f32]) -> usize {
        assert_eq!(logits.len(), self.len() * CLASSES, "ten numbers an image");
        let told = |scores: &[f32]| (0..CLASSES).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
        let right = |&(scores, &label): &(&[f32], &u8)| told(scores) == Some(usize::from(label));
        logits.chunks_exact(CLASSES).zip(&self.labels).filter(right).count()
    }
}

/// How many of the images a classifier tells right that it was not trained on.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    /// With its weights as they are, at each evaluation.
    pub raw: Vec<usize>,
    /// With the averages.
    pub averaged: Vec<usize>,
    /// With the averages out of the file, in another classifier.
    pub reloaded: usize,
    /// Of so many.
    pub images: usize,
}

impl Outcome {
    /// Prints it as a table, with an evaluation after each `every` epochs, and what came back out of the file.
    pub fn print(&self, every: usize, path: &Path) {
        println!("right of {} images:\n\nepoch  raw  averaged", self.images);
        for (index, (raw, averaged)) in self.raw.iter().zip(&self.averaged).enumerate() {
            println!("{:5}  {raw:3}  {averaged:8}", every * (index + 1));
        }
        println!("\nright with the averages out of {}: {}", path.display(), self.reloaded);
    }
}

/// Where the averages are to end up: the program's argument, or else a file of this name among the temporary ones.
pub fn file(name: &str) -> PathBuf {
    std::env::args_os().nth(1).map_or_else(|| std::env::temp_dir().join(name), PathBuf::from)
}
