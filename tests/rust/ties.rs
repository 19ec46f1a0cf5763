//! Tied tensors: one average under several names, which parts when they part, exactly, and is never written in two minds.

use ndarray::arr1;
use shrew_ema::backend::HostMemory;
use shrew_ema::backend::ndarray::{Handle, NdArray, Shared, share};
use shrew_ema::descriptor::Descriptor;
use shrew_ema::engine::Engine;
use shrew_ema::ledger::Ledger;
use shrew_ema::{Averages, Config, DType, EMA, Error, NonFinite, Result, Schedule, View, ViewMut};
use std::cell::{Ref, RefCell};
use std::ops::Range;
use std::rc::Rc;

fn named(handles: &[&Shared<f64>], config: Config) -> EMA<NdArray> {
    let names = ["a", "b", "c"].map(str::to_owned);
    EMA::named(names.into_iter().zip(given(handles)), config).unwrap()
}

fn given(handles: &[&Shared<f64>]) -> Vec<Handle> {
    handles.iter().map(|&shared| Handle::from(shared)).collect()
}

fn set(shared: &Shared<f64>, values: [f64; 2]) {
    *shared.write().unwrap() = arr1(&values).into_dyn();
}

fn get(shared: &Shared<f64>) -> Vec<f64> {
    shared.read().unwrap().iter().copied().collect()
}

fn decays(decays: &[f64]) -> Config {
    Config::horizons(decays.iter().map(|&decay| Schedule::constant(decay).unwrap())).unwrap()
}

#[test]
fn one_memory_has_one_average_under_all_its_names() {
    let (w, b) = (share(arr1(&[1.0, 2.0])), share(arr1(&[3.0, 3.0])));
    let mut ema = named(&[&w, &b, &w], decays(&[0.5, 0.75]));
    set(&w, [3.0, 6.0]);
    ema.update(&given(&[&w, &b, &w])).unwrap();
    assert_eq!(ema.ledger().owners(), [0, 1, 0]);
    assert_eq!(ema.shadow_values(0), [2.0, 4.0]);
    assert_eq!(ema.shadow_values(0).as_ptr(), ema.shadow_values(2).as_ptr());
    for horizon in [0, 1] {
        assert_eq!(ema.shadow(0, horizon).unwrap(), ema.shadow(2, horizon).unwrap());
        ema.apply_horizon(horizon).unwrap();
        assert_eq!(get(&w), ema.shadow(0, horizon).unwrap().as_slice::<f64>());
        ema.restore().unwrap();
        assert_eq!((get(&w), get(&b)), (vec![3.0, 6.0], vec![3.0, 3.0]));
    }
    ema.copy_to().unwrap();
    assert_eq!(get(&w), [2.0, 4.0]);
}

#[test]
fn a_refused_element_counts_once_and_those_that_part_both_keep_the_count() {
    let (w, other) = (share(arr1(&[1.0, 1.0])), share(arr1(&[1.0, 1.0])));
    let mut ema = named(&[&w, &w, &w], decays(&[0.5]));
    set(&w, [f64::NAN, 1.0]);
    let error = ema.update(&given(&[&w, &w, &w])).unwrap_err();
    assert!(matches!(&error, Error::NonFinite { tensors, .. } if *tensors == [("a".to_owned(), 1)]), "{error}");
    assert_eq!(ema.ledger().skipped().collect::<Vec<_>>(), [("a", 1)]);
    // The first name leaves the others, of whom the second is the first now.
    let error = ema.update(&given(&[&other, &w, &w])).unwrap_err();
    assert!(matches!(&error, Error::NonFinite { tensors, .. } if *tensors == [("b".to_owned(), 1)]), "{error}");
    assert_eq!(ema.ledger().skipped().collect::<Vec<_>>(), [("a", 1), ("b", 2)]);

    let error = EMA::<NdArray>::new(given(&[&w, &w]), 0.5).unwrap_err();
    assert!(matches!(&error, Error::NonFinite { tensors, .. } if *tensors == [("0".to_owned(), 1)]), "{error}");
}

/// The ways of three names to be one, two or three tensors.
const PARTITIONS: [[usize; 3]; 5] = [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1], [0, 1, 2]];

#[test]
fn names_that_part_and_meet_have_the_averages_of_tensors_that_were_never_tied() {
    let together = |partition: [usize; 3], i: usize, j: usize| partition[i] == partition[j];
    let all = || PARTITIONS.into_iter();
    for history in all().flat_map(|first| all().flat_map(move |second| all().map(move |third| [first, second, third])))
    {
        let arrays = [(); 3].map(|()| share(arr1(&[1.0, -2.0])));
        let separate = [(); 3].map(|()| share(arr1(&[1.0, -2.0])));
        let alone = given(&separate.each_ref());
        let mut tied = named(&history[0].map(|which| &arrays[which]), decays(&[0.5, 0.9]));
        let mut never = named(&separate.each_ref(), decays(&[0.5, 0.9]));
        for (step, partition) in history.into_iter().enumerate() {
            for (which, array) in arrays.iter().enumerate() {
                set(array, [step as f64 * 1.7 + which as f64, 0.3 - which as f64]);
            }
            for (name, which) in partition.into_iter().enumerate() {
                separate[name].write().unwrap().assign(&arrays[which].read().unwrap());
            }
            tied.update(&given(&partition.map(|which| &arrays[which]))).unwrap();
            never.update(&alone).unwrap();
            for (name, horizon) in (0..3).flat_map(|name| [(name, 0), (name, 1)]) {
                let (found, expected) = (tied.shadow(name, horizon).unwrap(), never.shadow(name, horizon).unwrap());
                assert_eq!(found, expected, "{history:?} in step {step}");
            }
            // One average is what those have that were always together.
            let always = |i, j| history[..=step].iter().all(|&partition| together(partition, i, j));
            let owners = [0, 1, 2].map(|j| (0..j).find(|&i| always(i, j)).unwrap_or(j));
            assert_eq!(tied.ledger().owners(), owners, "{history:?} in step {step}");
        }
    }
}

#[test]
fn a_call_that_reads_nothing_parts_nothing_and_is_no_loss() {
    let (w, other) = (share(arr1(&[1.0, 1.0])), share(arr1(&[5.0, 5.0])));
    let mut ema = named(&[&w, &w], decays(&[0.5]).every(2).unwrap());
    ema.update(&given(&[&w, &other])).unwrap();
    assert_eq!(ema.ledger().owners(), [0, 0]);
    ema.update(&given(&[&w, &other])).unwrap();
    assert_eq!(ema.ledger().owners(), [0, 1]);
    assert_eq!((ema.shadow_values(0), ema.shadow_values(1)), (&[1.0, 1.0][..], &[4.0, 4.0][..]));
}

#[test]
fn snapshots_stay_what_they_were_when_names_part() {
    let (w, other) = (share(arr1(&[1.0, 1.0])), share(arr1(&[5.0, 5.0])));
    let mut ema = named(&[&w, &w], decays(&[0.5]));
    let before = ema.shadow(1, 0).unwrap();
    ema.update(&given(&[&w, &other])).unwrap();
    assert_eq!(before.as_slice::<f64>(), [1.0, 1.0]);
    assert_eq!(ema.shadow_values(1), [3.0, 3.0]);
}

#[test]
fn one_memory_can_t_hold_two_averages() {
    let (w, other) = (share(arr1(&[1.0, 1.0])), share(arr1(&[3.0, 3.0])));
    // A decay of 1 keeps the averages of the first horizon equal.
    let mut ema = named(&[&w, &w], decays(&[1.0, 0.5]));
    ema.update(&given(&[&w, &other])).unwrap();
    set(&w, [7.0, 8.0]);
    for call in [EMA::apply_horizon, EMA::copy_horizon_to] {
        let error = call(&mut ema, 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "parameters \"a\" and \"b\" are the same memory now, and have different averages: part them again"
        );
        assert_eq!((get(&w), ema.is_applied()), (vec![7.0, 8.0], false));
    }
    ema.apply_horizon(0).unwrap();
    assert_eq!(get(&w), [1.0, 1.0]);
    assert!(ema.copy_horizon_to(1).is_err() && ema.is_applied());
    ema.restore().unwrap();
    assert_eq!(get(&w), [7.0, 8.0]);
    // The update itself has no need of one value for both.
    ema.update(&given(&[&w, &w])).unwrap();
    assert_eq!(ema.shadow(1, 1).unwrap().as_slice::<f64>(), [4.5, 5.0]);
}

/// A stretch of what one cell guards.
#[derive(Clone)]
struct Stretch(Rc<RefCell<Vec<f64>>>, Range<usize>);

#[derive(Default)]
struct Stretches(Engine);

impl HostMemory for Stretches {
    type Tensor = Stretch;
    type Read<'a> = Ref<'a, Vec<f64>>;

    fn engine(&self) -> &Engine {
        &self.0
    }

    fn identity(tensor: &Stretch) -> usize {
        Rc::as_ptr(&tensor.0).addr()
    }

    fn describe(tensor: &Stretch) -> Result<Descriptor> {
        Ok(Descriptor::new(DType::F64, &[tensor.1.len()]))
    }

    fn writable(_: &Stretch) -> Result<()> {
        Ok(())
    }

    fn read(tensor: &Stretch) -> Result<Self::Read<'_>> {
        Ok(tensor.0.borrow())
    }

    fn view<'g>(tensor: &'g Stretch, read: &'g Self::Read<'_>) -> Result<View<'g>> {
        Ok(View::from(&read[tensor.1.clone()]))
    }

    fn write(&self, tensor: &Stretch, values: &View<'_>) -> Result<()> {
        self.0.assign(&mut ViewMut::from(&mut tensor.0.borrow_mut()[tensor.1.clone()]), values);
        Ok(())
    }
}

#[test]
fn several_tensors_behind_one_lock_are_told_apart() {
    let memory = Rc::new(RefCell::new((0..8).map(f64::from).collect::<Vec<_>>()));
    let part = |range| Stretch(Rc::clone(&memory), range);
    let params = vec![part(0..2), part(2..4), part(0..2), part(5..5), part(6..8)];
    let mut ema = EMA::<Stretches>::with_config(params.clone(), Config::new(0.5).unwrap()).unwrap();
    assert_eq!(ema.ledger().owners(), [0, 1, 0, 3, 4]);
    memory.borrow_mut().iter_mut().for_each(|x| *x += 2.0);
    ema.update(&params).unwrap();
    ema.apply().unwrap();
    assert_eq!(*memory.borrow(), [1.0, 2.0, 3.0, 4.0, 6.0, 7.0, 7.0, 8.0]);
    ema.restore().unwrap();
    assert_eq!(*memory.borrow(), [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    ema.update(&[params[0].clone(), params[1].clone(), part(4..6), part(5..5), part(6..8)]).unwrap();
    assert_eq!(ema.ledger().owners(), [0, 1, 2, 3, 4]);
    assert_eq!(ema.shadow_values(2), [3.5, 4.5]);

    let error = EMA::<Stretches>::new(vec![part(4..8), part(0..3), part(2..4)], 0.5).unwrap_err();
    assert!(matches!(error, Error::Overlap { indices: (1, 2), .. }), "{error}");
}

#[test]
fn a_large_tied_model_is_written_by_threads_and_restored_bit_for_bit() {
    let values = |seed: u64, length: usize| {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 40) as f64 / 1e5
        };
        share(ndarray::Array1::from_iter((0..length).map(|_| next())))
    };
    let (w, b) = (values(1, 3000), values(2, 700));
    let params = given(&[&w, &b, &w, &b, &w]);
    let engine = Engine::new().threads(3).serial_below(0).grain(256);
    let names = (0..params.len()).map(|index| index.to_string()).collect();
    let config = Config::new(0.5).unwrap().nonfinite(NonFinite::Raise);
    let mut ema = EMA::with_backend(NdArray::new(engine), names, params.clone(), config).unwrap();
    for array in [&w, &b] {
        array.write().unwrap().mapv_inplace(|x| 3.0 - x);
    }
    ema.update(&params).unwrap();
    let training = (get(&w), get(&b));
    ema.apply().unwrap();
    assert_eq!((&get(&w)[..], &get(&b)[..]), (ema.shadow_values(4), ema.shadow_values(3)));
    assert_ne!(get(&w), training.0);
    ema.restore().unwrap();
    assert_eq!((get(&w), get(&b)), training);
}

#[test]
fn ties_are_kept_in_files_whatever_the_order_and_end_where_there_are_no_handles() {
    let (w, b) = (share(arr1(&[1.0, 1.0])), share(arr1(&[3.0, 3.0])));
    let mut ema = named(&[&w, &b, &w], decays(&[0.5]).nonfinite(NonFinite::Skip));
    set(&w, [f64::NAN, 5.0]);
    ema.update(&given(&[&w, &b, &w])).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ema.safetensors");
    ema.save(&path).unwrap();

    let names = ["b", "c", "a"].map(str::to_owned);
    let mut loaded = EMA::<NdArray>::load(&path, names.into_iter().zip(given(&[&b, &w, &w]))).unwrap();
    assert_eq!(loaded.ledger().owners(), [0, 1, 1]);
    loaded.update(&given(&[&b, &w, &w])).unwrap();
    assert_eq!(loaded.ledger().skipped().collect::<Vec<_>>(), [("c", 2)]);
    assert_eq!((loaded.shadow_values(1), loaded.shadow_values(2)), (&[1.0, 4.0][..], &[1.0, 4.0][..]));

    let mut averages = Averages::load(&path).unwrap();
    averages.update(&[[7.0, 7.0], [3.0, 3.0], [9.0, 9.0]].each_ref().map(|values| View::from(&values[..]))).unwrap();
    assert_eq!((averages.shadow_values(0), averages.shadow_values(2)), (&[4.0, 5.0][..], &[5.0, 6.0][..]));
    assert_eq!(averages.ledger().skipped().collect::<Vec<_>>(), [("a", 1), ("c", 1)]);
}

#[test]
fn only_like_tensors_are_tied_and_to_one_that_owns_itself() {
    let shapes = [&[2][..], &[2], &[2], &[1, 2]];
    let books = || {
        let names = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let descriptors = shapes.iter().map(|shape| Descriptor::new(DType::F64, shape)).collect();
        Ledger::new(names, descriptors, Config::new(0.5).unwrap()).unwrap()
    };
    for (owners, tie) in
        [([0, 0, 1, 3], "\"c\" with \"b\""), ([1, 1, 2, 3], "\"a\" with \"b\""), ([0, 1, 2, 0], "\"d\" with \"a\"")]
    {
        let mut ledger = books();
        let error = ledger.tie(owners.to_vec()).unwrap_err();
        assert_eq!(error.to_string(), format!("ties must be sets of tensors of one dtype and shape, got {tie}"));
        assert_eq!(ledger.owners(), [0, 1, 2, 3]);
    }
    books().tie(vec![0, 0, 0, 3]).unwrap();
}
