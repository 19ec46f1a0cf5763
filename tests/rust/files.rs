//! Files: what was saved goes on as if the training had never stopped, and what is no such file is refused.

use crate::oracle::noise;
use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use shrew_ema::backend::ndarray::{Handle, NdArray, Shared, share};
use shrew_ema::checkpoint::Checkpoint;
use shrew_ema::{Averages, Config, DType, EMA, Error, NonFinite, Schedule, ShadowDType, View};
use std::fs;
use std::path::Path;
use tempfile::tempdir;

/// A model of all four float types, and how a step of training changes it.
struct Model {
    wide: Shared<f64>,
    single: Shared<f32>,
    half: Shared<f16>,
    brain: Shared<bf16>,
}

/// Handles with their names.
type Named = Vec<(String, Handle)>;

impl Model {
    fn new() -> Self {
        let of = |shape: &[usize]| ArrayD::<f64>::zeros(IxDyn(shape));
        Self {
            wide: share(of(&[2, 3])),
            single: share(of(&[]).mapv(|x| x as f32)),
            half: share(of(&[5]).mapv(f16::from_f64)),
            brain: share(of(&[1, 0, 2]).mapv(bf16::from_f64)),
        }
    }

    fn named(&self) -> Named {
        let all = [(&self.wide).into(), (&self.single).into(), (&self.half).into(), (&self.brain).into()];
        ["wide", "single", "half", "brain"].map(str::to_owned).into_iter().zip(all).collect()
    }

    fn handles(&self) -> Vec<Handle> {
        self.named().into_iter().map(|(_, handle)| handle).collect()
    }

    fn step(&self, step: u64) {
        let values = noise(step + 1, 12);
        let mut values = values.into_iter();
        let mut next = || values.next().unwrap();
        self.wide.write().unwrap().iter_mut().for_each(|x| *x = next());
        self.single.write().unwrap().iter_mut().for_each(|x| *x = next() as f32);
        self.half.write().unwrap().iter_mut().for_each(|x| *x = f16::from_f64(next()));
    }
}

/// Every bit of the averages, and the books as they are printed.
fn state(ema: &EMA<NdArray>) -> (Vec<Vec<u8>>, String) {
    let ledger = ema.ledger();
    let averages = (0..ledger.names().len()).flat_map(|index| {
        (0..ledger.horizons()).map(move |horizon| ema.shadow(index, horizon).unwrap().as_bytes().to_vec())
    });
    let shares: Vec<_> = (0..ledger.horizons()).map(|h| (ledger.initial_share(h), ledger.decay(h))).collect();
    let skipped: Vec<_> = ledger.skipped().collect();
    let books = format!("{:?} {} {} {shares:?} {skipped:?}", ledger.names(), ledger.step(), ledger.num_updates());
    (averages.collect(), books)
}

fn configs() -> Vec<Config> {
    let mut configs = Vec::new();
    for schedules in [
        vec![Schedule::constant(0.9).unwrap()],
        vec![Schedule::power(0.1).unwrap(), Schedule::timm(0.9999, 0.0, 2, 1.0, 2.0 / 3.0).unwrap()],
        vec![Schedule::constant(1.0).unwrap(), Schedule::constant(0.0).unwrap(), Schedule::swa(2).unwrap()],
    ] {
        for (every, start) in [(1, 0), (3, 0), (1, 4), (2, 5)] {
            for width in [ShadowDType::F64, ShadowDType::Auto] {
                let config = Config::horizons(schedules.clone()).unwrap().every(every).unwrap().start(start);
                configs.push(config.shadow_dtype(width).nonfinite(NonFinite::Skip));
            }
        }
    }
    configs
}

#[test]
fn a_resumed_training_is_the_one_that_never_stopped() {
    let folder = tempdir().unwrap();
    for (number, config) in configs().into_iter().enumerate() {
        for stop in [0, 1, 4, 5, 6, 9] {
            let model = Model::new();
            let mut ema = EMA::<NdArray>::named(model.named(), config.clone()).unwrap();
            let update = |ema: &mut EMA<NdArray>, step: u64| {
                model.step(step);
                if step == 3 {
                    model.wide.write().unwrap()[[0, 0]] = f64::NAN;
                }
                if step % 4 == 1 { ema.update_with_warmup(&model.handles()) } else { ema.update(&model.handles()) }
                    .unwrap();
            };
            (0..stop).for_each(|step| update(&mut ema, step));
            let path = folder.path().join(format!("{number}-{stop}.safetensors"));
            ema.save(&path).unwrap();
            let mut resumed = EMA::<NdArray>::load(&path, model.named()).unwrap();
            assert_eq!(state(&resumed), state(&ema), "{config:?} at {stop}");
            for step in stop..13 {
                update(&mut ema, step);
                update(&mut resumed, step);
                assert_eq!(state(&resumed), state(&ema), "{config:?} at {stop} and {step}");
            }
        }
    }
}

#[test]
fn averages_of_plain_memory_go_on_too() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("averages");
    let counts = [1_i64, 2];
    let mut averages =
        Averages::new(&[View::from(&[1.0_f32, 2.0][..]), View::from(&counts[..])], Config::new(0.5).unwrap()).unwrap();
    averages.update(&[View::from(&[3.0_f32, 2.0][..]), View::from(&[5_i64, 6][..])]).unwrap();
    averages.save(&path).unwrap();
    let mut resumed = Averages::load(&path).unwrap();
    assert_eq!(resumed.shadow_values(0), [2.0, 2.0]);
    assert_eq!(resumed.shadow(1, 0).unwrap().as_slice::<i64>().unwrap(), [5, 6]);
    for all in [&mut averages, &mut resumed] {
        all.update(&[View::from(&[4.0_f32, 2.0][..]), View::from(&[7_i64, 8][..])]).unwrap();
    }
    assert_eq!(resumed.shadow_values(0), averages.shadow_values(0));
    assert_eq!(resumed.ledger().num_updates(), 2);
}

#[test]
fn a_model_in_another_order_takes_its_own_averages() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("ema.safetensors");
    let model = Model::new();
    let mut ema = EMA::<NdArray>::named(model.named(), Config::new(0.9).unwrap()).unwrap();
    model.step(1);
    ema.update(&model.handles()).unwrap();
    ema.save(&path).unwrap();
    let mut reversed = model.named();
    reversed.reverse();
    let resumed = EMA::<NdArray>::load(&path, reversed).unwrap();
    assert_eq!(resumed.ledger().names(), ["brain", "half", "single", "wide"]);
    for index in 0..4 {
        assert_eq!(resumed.shadow(3 - index, 0).unwrap().as_bytes(), ema.shadow(index, 0).unwrap().as_bytes());
    }
}

#[test]
fn averages_are_saved_whatever_the_model_holds() {
    let folder = tempdir().unwrap();
    let [before, applied] = ["before", "applied"].map(|name| folder.path().join(name));
    let model = Model::new();
    let mut ema = EMA::<NdArray>::named(model.named(), Config::new(0.5).unwrap()).unwrap();
    for step in 0..9 {
        model.step(step);
        ema.update(&model.handles()).unwrap();
    }
    ema.save(&before).unwrap();
    ema.apply().unwrap();
    ema.save(&applied).unwrap();
    ema.restore().unwrap();
    assert_eq!(fs::read(before).unwrap(), fs::read(applied).unwrap());
}

#[test]
fn other_parameters_are_refused_by_name() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("ema.safetensors");
    let model = Model::new();
    EMA::<NdArray>::named(model.named(), Config::new(0.9).unwrap()).unwrap().save(&path).unwrap();
    let refused = |change: &dyn Fn(&mut Named)| {
        let mut named = model.named();
        change(&mut named);
        EMA::<NdArray>::load(&path, named).unwrap_err()
    };
    let missing = refused(&|named| drop(named.pop()));
    assert!(matches!(&missing, Error::Names { missing, unexpected } if missing == &["brain"] && unexpected.is_empty()));
    let renamed = refused(&|named| named[0].0 = "other".to_owned());
    assert!(
        matches!(&renamed, Error::Names { missing, unexpected } if missing == &["wide"] && unexpected == &["other"])
    );
    let shape = refused(&|named| named[0].1 = share(ArrayD::<f64>::zeros(IxDyn(&[3, 2]))).into());
    assert_eq!(shape.to_string(), "parameter \"wide\" has shape (3, 2), expected (2, 3)");
    let dtype = refused(&|named| named[0].1 = share(ArrayD::<f32>::zeros(IxDyn(&[2, 3]))).into());
    assert_eq!(dtype.to_string(), "parameter \"wide\" is float32, expected float64");
    let twice = refused(&|named| named.push(named[0].clone()));
    assert_eq!(twice.to_string(), "params must be tensors of different names, got \"wide\" twice");
}

#[test]
fn rounded_averages_are_a_model_and_nothing_to_resume_from() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let model = Model::new();
    let config = || Config::new(0.9).unwrap().shadow_dtype(ShadowDType::Auto);
    let mut ema = EMA::<NdArray>::named(model.named(), config()).unwrap();
    model.step(1);
    ema.update(&model.handles()).unwrap();
    ema.save_as(&path, Some(DType::BF16)).unwrap();
    let error = EMA::<NdArray>::load(&path, model.named()).unwrap_err().to_string();
    assert!(error.contains("rounded to bfloat16"), "{error}");
    let taken = Checkpoint::open(&path).unwrap().accept_rounded().resume(NdArray::default(), model.named()).unwrap();
    assert_eq!(taken.num_updates(), 1);
    let (exact, rounded) = (ema.shadow(0, 0).unwrap(), taken.shadow(0, 0).unwrap());
    for (exact, rounded) in exact.as_slice::<f64>().iter().zip(rounded.as_slice::<f64>()) {
        assert_eq!(bf16::from_f64(*exact).to_f64(), *rounded);
        assert_ne!(exact, rounded);
    }
    let error = ema.save_as(&path, Some(DType::F64)).unwrap_err().to_string();
    assert_eq!(error, "dtype must be a float dtype no wider than that of the averages, float32, got float64");
    assert!(matches!(ema.save_as(&path, Some(DType::I8)), Err(Error::Config { argument: "dtype", .. })));
}

/// The model of the file in tests/vectors, which tests/python/test_exchange.py makes as well.
fn exchanged(path: &Path) -> EMA<NdArray> {
    let single = share(ndarray::arr2(&[[1.0_f32, -2.0, 3.0], [0.5, 0.25, -0.125]]));
    let half = share(ndarray::arr1(&[f16::from_f32(1.5), f16::from_f32(-7.0)]));
    let wide = share(ndarray::arr0(0.1_f64));
    let named = || {
        let all = [Handle::from(&single), Handle::from(&half), Handle::from(&wide)];
        ["layer.weight", "layer.\"bias\"", "größe"].map(str::to_owned).into_iter().zip(all).collect::<Vec<_>>()
    };
    let config = Config::horizons([Schedule::power(0.1).unwrap()]).unwrap().every(2).unwrap().start(1);
    let config = config.shadow_dtype(ShadowDType::Auto).nonfinite(NonFinite::Skip);
    let mut ema = EMA::<NdArray>::named(named(), config).unwrap();
    for step in 0..6 {
        single.write().unwrap().mapv_inplace(|x| x + 0.75);
        half.write().unwrap().mapv_inplace(|x| f16::from_f32(x.to_f32() * 0.5));
        wide.write().unwrap().mapv_inplace(|x| x * 3.0);
        if step == 4 {
            wide.write().unwrap().fill(f64::INFINITY);
        }
        let handles: Vec<_> = named().into_iter().map(|(_, handle)| handle).collect();
        if step == 5 { ema.update_with_warmup(&handles) } else { ema.update(&handles) }.unwrap();
        wide.write().unwrap().fill(f64::from(step));
    }
    ema.save(path).unwrap();
    EMA::load(path, named()).unwrap()
}

#[test]
fn python_writes_the_same_bytes() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("ema.safetensors");
    let resumed = exchanged(&path);
    assert_eq!((resumed.num_updates(), resumed.ledger().step()), (2, 6));
    assert_eq!(resumed.ledger().skipped().collect::<Vec<_>>(), [("größe", 1)]);
    let vector = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/saved.safetensors");
    assert_eq!(fs::read(path).unwrap(), fs::read(vector).unwrap());
}
