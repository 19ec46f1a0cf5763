//! A device that is no host memory implements `Backend` itself: the state machine needs no more than the trait.

use shrew_ema::backend::{Backend, Owners, Source, Visit};
use shrew_ema::descriptor::{Descriptor, Spec};
use shrew_ema::engine::Buffer;
use shrew_ema::nonfinite::Report;
use shrew_ema::{Config, DType, EMA, Error, NonFinite, Result};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// Memory that can only be reached by launching something on the device.
#[derive(Default)]
struct Device {
    memory: RefCell<Vec<Vec<f32>>>,
    launches: Cell<usize>,
    /// The writes that will fail, counted from now on.
    failing: RefCell<Vec<usize>>,
    writes: Cell<usize>,
    /// The write that will panic.
    panics: Cell<usize>,
}

type Handle = usize;

impl Device {
    fn launch(&self) {
        self.launches.set(self.launches.get() + 1);
    }

    fn write_one(&self, handle: Handle, values: Vec<f32>) -> Result<()> {
        self.writes.set(self.writes.get() + 1);
        assert_ne!(self.panics.get(), self.writes.get(), "the device panics");
        if self.failing.borrow().contains(&self.writes.get()) {
            return Err(Error::layout("can't be written: the device is busy"));
        }
        self.memory.borrow_mut()[handle] = values;
        Ok(())
    }
}

#[derive(Clone, Default)]
struct OnDevice(Rc<Device>);

/// For each tensor those of its horizons, of which the ones of an owner are kept up to date.
struct Shadows {
    owners: Vec<usize>,
    rows: Vec<Vec<Vec<f64>>>,
}

impl Backend for OnDevice {
    type Tensor = Handle;
    type Shadows = Shadows;
    type Backup = Vec<Vec<f32>>;

    fn describe(&self, params: &[Handle], each: Visit<'_>) -> Result<()> {
        let memory = self.0.memory.borrow();
        params.iter().enumerate().try_for_each(|(index, &handle)| each(index, DType::F32, &[memory[handle].len()]))
    }

    fn writable(&self, _: &[Handle]) -> Result<()> {
        Ok(())
    }

    fn owners(&self, params: &[Handle], into: &mut Owners) -> Result<()> {
        into.set(params.iter().map(|handle| params.iter().position(|other| other == handle).unwrap()));
        Ok(())
    }

    fn same(&self, a: &Handle, b: &Handle) -> Result<bool> {
        Ok(a == b)
    }

    fn shadows(&self, params: &[Handle], spec: Spec<'_>, _: &Report) -> Result<Self::Shadows> {
        self.0.launch();
        let memory = self.0.memory.borrow();
        let copy = |&handle: &Handle| memory[handle].iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        let rows = params.iter().map(|handle| vec![copy(handle); spec.horizons]).collect();
        Ok(Shadows { owners: spec.owners.to_vec(), rows })
    }

    fn average(
        &self,
        to: &mut Self::Shadows,
        params: &[Handle],
        alphas: &[f64],
        _: NonFinite,
        report: &Report,
    ) -> Result<()> {
        self.0.launch();
        let memory = self.0.memory.borrow();
        for (index, (shadows, &handle)) in to.rows.iter_mut().zip(params).enumerate() {
            if to.owners[index] != index {
                continue;
            }
            for (shadow, alpha) in shadows.iter_mut().zip(alphas) {
                for (s, &p) in shadow.iter_mut().zip(&memory[handle]) {
                    let next = *s + alpha * (f64::from(p) - *s);
                    if next.is_finite() { *s = next } else { report.refuse(index, 1) }
                }
            }
        }
        Ok(())
    }

    fn backup(&self, params: &[Handle], _: &[usize], into: &mut Self::Backup) -> Result<()> {
        self.0.launch();
        *into = params.iter().map(|&handle| self.0.memory.borrow()[handle].clone()).collect();
        Ok(())
    }

    fn write(&self, params: &[Handle], owners: &[usize], from: Source<'_, Self>) -> Result<()> {
        self.0.launch();
        for (index, &handle) in params.iter().enumerate().filter(|&(index, _)| owners[index] == index) {
            let values = match &from {
                Source::Averages { shadows, horizon } => {
                    shadows.rows[shadows.owners[index]][*horizon].iter().map(|&x| x as f32).collect()
                }
                Source::Backup(backup) => backup[index].clone(),
            };
            self.0.write_one(handle, values).map_err(|error| error.at(index))?;
        }
        Ok(())
    }

    fn export(&self, shadows: &Self::Shadows, horizon: usize, index: usize) -> Result<Buffer> {
        let values = &shadows.rows[shadows.owners[index]][horizon];
        let mut buffer = Buffer::zeroed(Descriptor::new(DType::F64, &[values.len()]))?;
        buffer.as_mut_slice().copy_from_slice(values);
        Ok(buffer)
    }

    fn import(&self, averages: Vec<Buffer>, spec: Spec<'_>) -> Result<Self::Shadows> {
        self.0.launch();
        let rows = averages.chunks(spec.horizons);
        let rows = rows.map(|row| row.iter().map(|buffer| buffer.as_slice().to_vec()).collect()).collect();
        Ok(Shadows { owners: spec.owners.to_vec(), rows })
    }
}

fn model() -> (OnDevice, EMA<OnDevice>) {
    let device = OnDevice::default();
    *device.0.memory.borrow_mut() = vec![vec![1.0, 2.0], vec![3.0], vec![]];
    let names = ["w", "b", "nothing"].map(str::to_owned).to_vec();
    let ema = EMA::with_backend(device.clone(), names, vec![0, 1, 2], Config::new(0.5).unwrap()).unwrap();
    *device.0.memory.borrow_mut() = vec![vec![3.0, 6.0], vec![5.0], vec![]];
    (device, ema)
}

#[test]
fn every_verb_is_one_launch_for_the_whole_model() {
    let (device, mut ema) = model();
    for (launches, call) in [
        (1, (|ema| ema.update(&[0, 1, 2])) as fn(&mut EMA<OnDevice>) -> Result<()>),
        (2, EMA::apply),
        (1, EMA::restore),
        (0, EMA::restore),
        (2, EMA::copy_to),
    ] {
        let before = device.0.launches.get();
        call(&mut ema).unwrap();
        assert_eq!(device.0.launches.get() - before, launches);
    }
    assert_eq!(*device.0.memory.borrow(), [vec![2.0, 4.0], vec![4.0], vec![]]);
    assert_eq!(ema.shadow(0, 0).unwrap().as_slice::<f64>(), [2.0, 4.0]);
}

#[test]
fn the_device_s_counts_become_errors_with_names() {
    let (device, mut ema) = model();
    device.0.memory.borrow_mut()[1][0] = f32::NAN;
    let error = ema.update(&[0, 1, 2]).unwrap_err();
    assert!(matches!(&error, Error::NonFinite { tensors, .. } if *tensors == [("b".to_owned(), 1)]), "{error}");
    assert_eq!(ema.num_updates(), 1, "the pass was made and counted");
    assert_eq!(ema.shadow(0, 0).unwrap().as_slice::<f64>(), [2.0, 4.0]);
    assert_eq!(ema.shadow(1, 0).unwrap().as_slice::<f64>(), [3.0]);
}

#[test]
fn an_apply_that_fails_half_way_is_rolled_back() {
    let (device, mut ema) = model();
    ema.update(&[0, 1, 2]).unwrap();
    let before = device.0.memory.borrow().clone();
    *device.0.failing.borrow_mut() = vec![2];
    let error = ema.apply().unwrap_err();
    assert_eq!(error.to_string(), "parameter \"b\" can't be written: the device is busy");
    assert_eq!(*device.0.memory.borrow(), before);
    assert!(!ema.is_applied());
    ema.apply().unwrap();
    assert_ne!(*device.0.memory.borrow(), before);
    ema.restore().unwrap();
    assert_eq!(*device.0.memory.borrow(), before);
}

#[test]
fn a_roll_back_that_fails_keeps_the_backup_for_restore() {
    let (device, mut ema) = model();
    ema.update(&[0, 1, 2]).unwrap();
    let before = device.0.memory.borrow().clone();
    *device.0.failing.borrow_mut() = vec![2, 3];
    ema.apply().unwrap_err();
    assert!(ema.is_applied(), "the model holds a mixture: only restore is right now");
    assert!(matches!(ema.update(&[0, 1, 2]), Err(Error::State { .. })));
    ema.restore().unwrap();
    assert_eq!(*device.0.memory.borrow(), before);
    assert!(!ema.is_applied());
}

#[test]
fn a_copy_to_that_fails_half_way_is_rolled_back_too() {
    let (device, mut ema) = model();
    ema.update(&[0, 1, 2]).unwrap();
    let before = device.0.memory.borrow().clone();
    *device.0.failing.borrow_mut() = vec![2];
    ema.copy_to().unwrap_err();
    assert_eq!(*device.0.memory.borrow(), before);
    assert!(!ema.is_applied());
    ema.copy_to().unwrap();
    assert_eq!(*device.0.memory.borrow(), [vec![2.0, 4.0], vec![4.0], vec![]]);
}

#[test]
fn a_mixture_can_be_finished_either_way() {
    let averages = [vec![2.0, 4.0], vec![4.0], vec![]];
    let mixture = || {
        let (device, mut ema) = model();
        ema.update(&[0, 1, 2]).unwrap();
        *device.0.failing.borrow_mut() = vec![2, 3];
        ema.apply().unwrap_err();
        (device, ema)
    };
    let (device, mut ema) = mixture();
    let error = ema.apply().unwrap_err();
    assert!(error.to_string().starts_with("apply: a write of the model failed half-way"), "{error}");
    ema.copy_to().unwrap();
    assert_eq!(*device.0.memory.borrow(), averages);
    assert!(!ema.is_applied());

    // A restore that fails half-way leaves a mixture as well, and the backup with it.
    let (device, mut ema) = model();
    let training = device.0.memory.borrow().clone();
    ema.update(&[0, 1, 2]).unwrap();
    ema.apply().unwrap();
    *device.0.failing.borrow_mut() = vec![device.0.writes.get() + 2];
    ema.restore().unwrap_err();
    assert!(ema.is_applied());
    ema.restore().unwrap();
    assert_eq!(*device.0.memory.borrow(), training);
}

#[test]
fn a_panic_in_a_write_leaves_the_training_values_to_restore() {
    let (device, mut ema) = model();
    ema.update(&[0, 1, 2]).unwrap();
    let before = device.0.memory.borrow().clone();
    device.0.panics.set(2);
    assert!(catch_unwind(AssertUnwindSafe(|| ema.apply())).is_err());
    assert!(ema.is_applied());
    ema.restore().unwrap();
    assert_eq!(*device.0.memory.borrow(), before);
}

#[test]
fn copy_to_while_applied_writes_what_it_says() {
    let (device, mut ema) = model();
    ema.update(&[0, 1, 2]).unwrap();
    ema.apply().unwrap();
    *device.0.memory.borrow_mut() = vec![vec![9.0, 9.0], vec![9.0], vec![]];
    ema.copy_to().unwrap();
    assert_eq!(*device.0.memory.borrow(), [vec![2.0, 4.0], vec![4.0], vec![]]);
    ema.restore().unwrap();
    assert_eq!(*device.0.memory.borrow(), [vec![2.0, 4.0], vec![4.0], vec![]]);
}

#[test]
fn tied_handles_are_averaged_and_written_once() {
    let device = OnDevice::default();
    *device.0.memory.borrow_mut() = vec![vec![1.0, f32::NAN], vec![3.0]];
    let names = ["w", "b", "tied", "tied too"].map(str::to_owned).to_vec();
    let config = Config::new(0.5).unwrap().nonfinite(NonFinite::Skip);
    let mut ema = EMA::with_backend(device.clone(), names, vec![0, 1, 0, 0], config).unwrap();
    *device.0.memory.borrow_mut() = vec![vec![3.0, f32::NAN], vec![5.0]];
    ema.update(&[0, 1, 0, 0]).unwrap();
    assert_eq!(ema.ledger().skipped().collect::<Vec<_>>(), [("w", 1)]);
    let before = device.0.writes.get();
    ema.apply().unwrap();
    assert_eq!(device.0.writes.get() - before, 2);
    assert_eq!(device.0.memory.borrow()[1], [4.0]);
    ema.restore().unwrap();
    assert_eq!(device.0.memory.borrow()[0][0], 3.0);
    for index in [0, 2, 3] {
        assert_eq!(ema.shadow(index, 0).unwrap().as_slice::<f64>()[0], 2.0);
    }
}

#[test]
fn handles_that_part_go_on_from_one_average() {
    let (device, _) = model();
    let names = ["w", "tied", "tied too"].map(str::to_owned).to_vec();
    let mut ema = EMA::with_backend(device.clone(), names, vec![1, 1, 1], Config::new(0.5).unwrap()).unwrap();
    device.0.memory.borrow_mut().push(vec![13.0]);
    // The first name leaves, and the others stay together.
    let before = device.0.launches.get();
    ema.update(&[3, 1, 1]).unwrap();
    assert_eq!(device.0.launches.get() - before, 2, "the average and one import");
    assert_eq!(ema.ledger().owners(), [0, 1, 1]);
    for (index, average) in [9.0, 5.0, 5.0].into_iter().enumerate() {
        assert_eq!(ema.shadow(index, 0).unwrap().as_slice::<f64>(), [average]);
    }
    let error = ema.apply().unwrap_err();
    assert_eq!(
        error.to_string(),
        "parameters \"w\" and \"tied\" are the same memory now, and have different averages: part them again"
    );
}
