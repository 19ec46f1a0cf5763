//! What memory the averages of a module take, and what they hold on to.

use crate::counting::{Count, count};
use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Tensor};
use shrew_ema::Config;
use shrew_ema::burn::ModuleAverages;
use shrew_ema::engine::Engine;
use std::sync::Arc;

#[derive(Module, Debug)]
struct Weights {
    weights: Vec<Param<Tensor<2>>>,
}

impl Weights {
    fn new(tensors: usize, shape: [usize; 2], device: &Device) -> Self {
        Self { weights: (0..tensors).map(|_| Param::from_tensor(Tensor::ones(shape, device))).collect() }
    }
}

/// Asks burn for every parameter, and does nothing with it.
struct Handles;

impl ModuleVisitor for Handles {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        drop(storage(param));
    }
}

fn storage<const D: usize>(param: &Param<Tensor<D>>) -> FlexTensor {
    param.base().inner().try_into_primitive::<Flex>().unwrap()
}

fn serial() -> Engine {
    Engine::new().serial_below(usize::MAX)
}

/// burn gives a parameter's memory with a copy of its handle only, and that copy has lists of its own.
#[test]
fn an_update_in_steady_state_takes_no_memory_beyond_burns_handles() {
    for device in [Device::flex(), Device::flex().autodiff()] {
        for (tensors, shape) in [(1, [800, 900]), (300, [6, 8]), (10_000, [1, 3])] {
            let model = Weights::new(tensors, shape, &device);
            let mut averages = ModuleAverages::new(&model, Config::new(0.9).unwrap()).unwrap().engine(serial());
            for round in 0..4 {
                let handles = count(|| model.valid().visit(&mut Handles)).here;
                let update = count(|| averages.update(&model).unwrap()).here;
                let warmup = count(|| averages.update_with_warmup(&model).unwrap()).here;
                assert!(handles >= tensors, "or there would be nothing to compare with");
                if round > 1 {
                    assert_eq!((update, warmup), (handles, handles), "{tensors} tensors in round {round}");
                }
            }
        }
    }
}

/// An optimizer writes a parameter where it is only while nobody else has it.
#[test]
fn no_parameter_is_held_after_a_call() {
    let model = Weights::new(3, [2, 2], &Device::flex());
    let mut averages = ModuleAverages::new(&model, Config::new(0.9).unwrap()).unwrap();
    let holders = || {
        let count = |param| Arc::strong_count(&storage(param).data_arc());
        model.weights.iter().map(count).collect::<Vec<_>>()
    };
    let before = holders();
    averages.update(&model).unwrap();
    averages.averaged(&model).unwrap();
    assert_eq!(holders(), before);
    let mut others = [Weights { weights: model.weights[..2].to_vec() }, model.clone(), model.clone()];
    others[1].weights[2] = Weights::new(1, [2, 3], &Device::flex()).weights.remove(0);
    others[2].weights[2] = Param::from_tensor(Tensor::ones([2, 2], (&Device::flex(), DType::F16)));
    for other in others {
        averages.update(&other).unwrap_err();
        averages.averaged(&other).unwrap_err();
        drop(other);
    }
    assert_eq!(holders(), before);
}

#[test]
fn the_engine_does_both_the_averages_and_the_copies() {
    let model = Weights::new(1, [64, 64], &Device::flex());
    let averages = |engine| ModuleAverages::new(&model, Config::new(0.9).unwrap()).unwrap().engine(engine);
    // Numbers that no other test uses, so that the threads are yet to be started.
    let threads = |threads| Engine::new().threads(threads).serial_below(0).grain(1 << 10);
    let all = |Count { here, elsewhere }: Count| here + elsewhere;
    let update = |engine| count(|| averages(engine).update(&model).unwrap());
    let averaged = |engine| count(|| drop(averages(engine).averaged(&model).unwrap()));
    // Without threads everything is done here, and what is counted elsewhere is another test's.
    assert!(all(update(threads(11))) > update(serial()).here + 11);
    assert!(all(averaged(threads(13))) > averaged(serial()).here + 13);
}
