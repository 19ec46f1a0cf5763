//! Several horizons are several files of one save, also where a crash came between them.

use shrew_ema::{Averages, Config, Error, Schedule, View};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::{TempDir, tempdir};

fn averages() -> Averages {
    let schedules = [0.5, 0.75, 0.875].map(|decay| Schedule::constant(decay).unwrap());
    Averages::new(&[View::from(&[0.0; 3][..])], Config::horizons(schedules).unwrap()).unwrap()
}

fn update(averages: &mut Averages, times: usize) {
    (0..times).for_each(|_| averages.update(&[View::from(&[1.0, 2.0, 3.0][..])]).unwrap());
}

fn values(averages: &Averages) -> Vec<Vec<f64>> {
    let of = |horizon| averages.shadow(0, horizon).unwrap().as_slice().unwrap().to_vec();
    (0..averages.ledger().horizons()).map(of).collect()
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn message<T>(result: Result<T, Error>) -> String {
    match result {
        Err(error @ Error::Checkpoint { .. }) => error.to_string(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("was not refused"),
    }
}

/// What a crash of the second of two saves leaves once `renamed` of its files are in their places: the folder, its path,
/// and the averages of the two saves.
fn interrupted(renamed: usize) -> (TempDir, PathBuf, Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("ema.safetensors");
    let file = |horizon: usize| folder.path().join(format!("ema.h{horizon}.safetensors"));
    let mut saved = averages();
    update(&mut saved, 5);
    saved.save(&path).unwrap();
    let old = values(&saved);
    let kept: Vec<_> = (0..3).map(|horizon| fs::read(file(horizon)).unwrap()).collect();
    // As many calls, so that no counter tells the two apart.
    let mut again = averages();
    update(&mut again, 4);
    again.update(&[View::from(&[9.0, 9.0, 9.0][..])]).unwrap();
    again.save(&path).unwrap();
    for (horizon, kept) in kept.iter().enumerate().skip(renamed) {
        let draft = folder.path().join(format!(".ema.h{horizon}.safetensors.shrew-abcd123{horizon}.tmp"));
        fs::rename(file(horizon), draft).unwrap();
        fs::write(file(horizon), kept).unwrap();
    }
    (folder, path, old, values(&again))
}

#[test]
fn an_interrupted_save_is_the_old_one_or_the_new_one() {
    for renamed in 0..=3 {
        let (_folder, path, old, new) = interrupted(renamed);
        let found = values(&Averages::load(&path).unwrap());
        assert_eq!(found, if renamed == 0 { old } else { new }, "after {renamed} files");
    }
}

#[test]
fn the_first_save_ever_may_be_interrupted() {
    let (folder, path, _, new) = interrupted(2);
    fs::remove_file(folder.path().join("ema.h2.safetensors")).unwrap();
    assert_eq!(values(&Averages::load(&path).unwrap()), new);
}

#[test]
fn the_next_save_leaves_nothing_behind() {
    for renamed in 0..=3 {
        let (folder, path, _, _) = interrupted(renamed);
        let mut next = averages();
        update(&mut next, 7);
        next.save(&path).unwrap();
        assert_eq!(names(&folder), [0, 1, 2].map(|horizon| format!("ema.h{horizon}.safetensors")));
        assert_eq!(values(&Averages::load(&path).unwrap()), values(&next));
    }
}

#[test]
fn a_save_that_fails_leaves_what_an_interrupted_one_left() {
    let (folder, path, _, new) = interrupted(1);
    // The last file can't be replaced, so the save fails before the first takes its place.
    let last = folder.path().join("ema.h2.safetensors");
    fs::remove_file(&last).unwrap();
    fs::create_dir(&last).unwrap();
    let problem = message(averages().save(&path));
    assert!(problem.ends_with("ema.h2.safetensors: is a folder, and no file"), "{problem}");
    fs::remove_dir(&last).unwrap();
    assert_eq!(values(&Averages::load(&path).unwrap()), new);
}

#[test]
fn files_of_two_saves_are_refused() {
    let (folder, path, _, _) = interrupted(1);
    let file = |horizon: usize| folder.path().join(format!("ema.h{horizon}.safetensors"));
    for name in names(&folder).iter().filter(|name| name.starts_with('.')) {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    let second = fs::read(file(1)).unwrap();
    fs::remove_file(file(2)).unwrap();
    assert!(message(Averages::load(&path)).ends_with("they are not of one save"));
    fs::copy(file(0), file(1)).unwrap();
    assert!(message(Averages::load(&path)).ends_with("they are not of one save"), "the first horizon twice");
    fs::write(file(0), second).unwrap();
    assert!(message(Averages::load(&path)).ends_with("is of horizon 1, under the name of the first"));
}

#[test]
fn one_horizon_can_be_loaded_alone() {
    let (folder, _, _, new) = interrupted(3);
    for (horizon, new) in new.iter().enumerate() {
        let alone = Averages::load(folder.path().join(format!("ema.h{horizon}.safetensors"))).unwrap();
        assert_eq!(values(&alone)[..], *std::slice::from_ref(new));
    }
}

#[test]
fn a_path_is_for_one_horizon_or_for_several() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("ema");
    let mut single = Averages::new(&[View::from(&[0.0; 3][..])], Config::new(0.5).unwrap()).unwrap();
    single.save(&path).unwrap();
    let problem = message(averages().save(&path));
    assert!(problem.contains("would be of 3 horizons, and \"ema\" is there from another save"), "{problem}");
    fs::rename(&path, folder.path().join("aside")).unwrap();
    averages().save(&path).unwrap();
    assert!(message(single.save(&path)).contains("would be of 1 horizon, and \"ema.h0\" is there"));
    let config = Config::horizons([0.5, 0.25].map(|decay| Schedule::constant(decay).unwrap())).unwrap();
    let problem = message(Averages::new(&[View::from(&[0.0; 3][..])], config).unwrap().save(&path));
    assert!(problem.contains("would be of 2 horizons, and \"ema.h2\" is there from another save"), "{problem}");
    let [first, hidden] = ["ema.h0", "hidden"].map(|name| folder.path().join(name));
    fs::rename(&first, &hidden).unwrap();
    assert!(message(single.save(&path)).contains("would be of 1 horizon, and \"ema.h1\" is there"));
    fs::rename(&hidden, &first).unwrap();
    fs::rename(folder.path().join("aside"), &path).unwrap();
    let problem = message(Averages::load(&path));
    assert!(problem.contains("is there, and so is \"ema.h0\" of several horizons"), "{problem}");
}

#[test]
fn a_path_without_a_name_or_a_file_says_so() {
    let folder = tempdir().unwrap();
    assert!(message(averages().save("/")).ends_with("names no file"));
    assert!(message(Averages::load(folder.path())).ends_with("is a folder, and no file"));
    let missing = folder.path().join("nowhere").join("ema");
    assert!(message(averages().save(&missing)).ends_with("no such file or directory"));
    assert!(message(Averages::load(Path::new("no-such-file"))).starts_with("no-such-file: no such file"));
}
