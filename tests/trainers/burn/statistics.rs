//! Running statistics, which a module and its clones have in common, and modules written by hand.

use crate::model::{get, tensor};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, RunningState};
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::{DType, Device, Tensor};
use shrew_ema::Config;
use shrew_ema::burn::ModuleAverages;

#[derive(Module, Debug)]
struct Normalised {
    norm: BatchNorm,
    weight: Param<Tensor<1>>,
}

fn vector(values: &[f32], device: &Device) -> Tensor<1> {
    tensor(values, [values.len()], DType::F32, device)
}

fn config(decay: f64) -> Config {
    Config::new(decay).unwrap()
}

#[test]
fn the_statistics_of_a_module_stay_when_its_averages_are_handed_out() {
    for device in [Device::flex(), Device::flex().autodiff()] {
        let norm = BatchNormConfig::new(2).init(&device);
        let mut model = Normalised { norm, weight: Param::from_tensor(vector(&[1.0, 2.0], &device)) };
        let mut averages = ModuleAverages::new(&model, config(0.5)).unwrap();
        model.norm.running_mean = RunningState::new(vector(&[8.0, 6.0], &device));
        averages.update(&model).unwrap();
        let averaged = averages.averaged(&model).unwrap();
        assert_eq!(get(&averaged.norm.running_mean.value()), [4.0, 3.0]);
        assert_eq!(get(&model.norm.running_mean.value()), [8.0, 6.0]);

        // Nor does a refusal touch them that comes after they were met.
        model.weight = Param::from_tensor(vector(&[1.0, 2.0, 3.0], &device));
        averages.averaged(&model).unwrap_err();
        assert_eq!(get(&model.norm.running_mean.value()), [8.0, 6.0]);
    }
}

#[test]
fn statistics_are_averaged_with_what_the_last_step_has_added() {
    let device = Device::flex().autodiff();
    let norm: BatchNorm = BatchNormConfig::new(1).init(&device);
    let mut averages = ModuleAverages::new(&norm, config(0.0)).unwrap();
    let at = averages.ledger().names().iter().position(|name| name == "running_mean").unwrap();
    for step in 1..4 {
        norm.forward(tensor(&[10.0 * step as f32, 20.0], [2, 1], DType::F32, &device));
        averages.update(&norm).unwrap();
        let now = get(&norm.running_mean.value_sync())[0];
        assert_eq!(averages.averages().shadow_values(at), [f64::from(now)]);
        assert_ne!(now, 0.0);
    }
}

/// A module whose author goes through it in one order to visit and in another one to map, or leaves one out.
#[derive(Clone, Debug)]
struct Hand {
    a: Param<Tensor<1>>,
    b: Param<Tensor<1>>,
    maps_both: bool,
}

impl Module for Hand {
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        for (name, param) in [("a", &self.a), ("b", &self.b)] {
            visitor.enter_module(name, "");
            param.visit(visitor);
            visitor.exit_module(name, "");
        }
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        let mut map = |name, param: Param<Tensor<1>>| {
            mapper.enter_module(name, "");
            let param = param.map_with(mapper);
            mapper.exit_module(name, "");
            param
        };
        if !self.maps_both {
            return Self { a: map("a", self.a), ..self };
        }
        let b = map("b", self.b);
        Self { a: map("a", self.a), b, ..self }
    }

    fn to_device(self, _: &Device) -> Self {
        self
    }

    fn fork(self, _: &Device) -> Self {
        self
    }

    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        devices
    }

    fn materialize(self) -> Self {
        self
    }

    fn valid(&self) -> Self {
        self.clone()
    }

    fn train(self) -> Self {
        self
    }
}

/// `Param` has a `map` of its own beside that of a module.
trait MapWith {
    fn map_with<M: ModuleMapper>(self, mapper: &mut M) -> Self;
}

impl MapWith for Param<Tensor<1>> {
    fn map_with<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        Module::map(self, mapper)
    }
}

#[test]
fn averages_are_never_put_in_the_place_of_others() {
    let device = Device::flex();
    let param = |value| Param::from_tensor(vector(&[value], &device));
    for maps_both in [true, false] {
        let module = Hand { a: param(1.0), b: param(2.0), maps_both };
        let mut averages = ModuleAverages::new(&module, config(0.5)).unwrap();
        let error = averages.averaged(&module).unwrap_err().to_string();
        let expected =
            "module must be one with a single order, got one that is mapped in another order than it is visited";
        assert_eq!(error, expected);
    }
}
