//! Several horizons of several tensors: each is kept, shown, written and restored as if it were alone.

use crate::oracle::noise;
use shrew_ema::backend::ndarray::{Handle, NdArray, Shared, share};
use shrew_ema::schedule::Schedule;
use shrew_ema::{Config, EMA, Error};

const DECAYS: [f64; 3] = [0.9, 0.5, 0.99];
const SIZES: [usize; 4] = [3, 300, 1, 20];

struct Model {
    tensors: Vec<Shared<f64>>,
    params: Vec<Handle>,
    ema: EMA<NdArray>,
    /// One EMA for each horizon.
    single: [EMA<NdArray>; 3],
}

fn values(step: u64) -> Vec<Vec<f64>> {
    SIZES.iter().enumerate().map(|(i, &size)| noise(100 * step + i as u64, size)).collect()
}

impl Model {
    fn new() -> Self {
        let tensors: Vec<_> = values(0).into_iter().map(|values| share(ndarray::Array1::from(values))).collect();
        let params: Vec<_> = tensors.iter().map(Handle::from).collect();
        let schedules = DECAYS.map(|decay| Schedule::constant(decay).unwrap());
        let ema = EMA::with_config(params.clone(), Config::horizons(schedules).unwrap()).unwrap();
        let single = DECAYS.map(|decay| EMA::new(params.clone(), decay).unwrap());
        Model { tensors, params, ema, single }
    }

    /// A model that has been trained for three steps.
    fn trained() -> Self {
        let mut model = Model::new();
        for step in 1..=3 {
            for (tensor, values) in model.tensors.iter().zip(values(step)) {
                *tensor.write().unwrap() = ndarray::Array1::from(values).into_dyn();
            }
            model.ema.update(&model.params).unwrap();
            model.single.iter_mut().for_each(|single| single.update(&model.params).unwrap());
        }
        model
    }

    fn get(&self) -> Vec<Vec<f64>> {
        self.tensors.iter().map(|tensor| tensor.read().unwrap().iter().copied().collect()).collect()
    }

    fn averages(&self, horizon: usize) -> Vec<Vec<f64>> {
        (0..SIZES.len()).map(|i| self.single[horizon].shadow_values(i).to_vec()).collect()
    }

    fn check_shadows(&self) {
        for (i, size) in SIZES.into_iter().enumerate() {
            for (horizon, averages) in (0..3).map(|horizon| (horizon, self.averages(horizon))) {
                let shadow = self.ema.shadow(i, horizon).unwrap();
                assert_eq!(*shadow.shape(), [size]);
                assert_eq!(shadow.as_slice::<f64>(), averages[i], "tensor {i}, horizon {horizon}");
            }
            assert_eq!(self.ema.shadow_values(i), self.averages(0)[i]);
        }
    }
}

#[test]
fn every_horizon_of_every_tensor_starts_at_it_and_goes_its_own_way() {
    Model::new().check_shadows();
    let model = Model::trained();
    model.check_shadows();
    for (horizon, decay) in DECAYS.into_iter().enumerate() {
        assert!((model.ema.ledger().initial_share(horizon) - decay.powi(3)).abs() < 1e-15);
        assert_eq!(model.ema.ledger().decay(horizon), decay);
    }
}

#[test]
fn the_horizon_asked_for_is_applied_and_restored() {
    let mut model = Model::trained();
    let training = model.get();
    for horizon in [1, 0, 2] {
        model.ema.apply_horizon(horizon).unwrap();
        assert_eq!(model.get(), model.averages(horizon));
        model.ema.restore().unwrap();
        assert_eq!(model.get(), training);
    }
    model.ema.apply().unwrap();
    assert_eq!(model.get(), model.averages(0));
    model.ema.restore().unwrap();
}

#[test]
fn the_horizon_asked_for_is_copied_to() {
    for horizon in 0..3 {
        let mut model = Model::trained();
        model.ema.copy_horizon_to(horizon).unwrap();
        assert_eq!(model.get(), model.averages(horizon));
        assert!(!model.ema.is_applied());
    }
    let mut model = Model::trained();
    model.ema.copy_to().unwrap();
    assert_eq!(model.get(), model.averages(0));
}

#[test]
fn only_the_horizon_that_is_applied_can_be_copied_to() {
    for applied in 0..3 {
        let mut model = Model::trained();
        let training = model.get();
        model.ema.apply_horizon(applied).unwrap();
        for other in (0..3).filter(|&other| other != applied) {
            let error = model.ema.copy_horizon_to(other).unwrap_err();
            assert!(matches!(error, Error::State { call: "copy_to", .. }));
            assert!(error.to_string().ends_with("another horizon is applied: restore() first"), "{error}");
            assert_eq!((model.get(), model.ema.is_applied()), (model.averages(applied), true));
        }
        model.ema.restore().unwrap();
        assert_eq!(model.get(), training, "the backup was kept");
        model.ema.apply_horizon(applied).unwrap();
        model.ema.copy_horizon_to(applied).unwrap();
        assert_eq!((model.get(), model.ema.is_applied()), (model.averages(applied), false));
    }
}
