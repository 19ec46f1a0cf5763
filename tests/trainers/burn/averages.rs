//! The averages of a module: the numbers, the bits, the names and the files.

use crate::model::{Layer, Model, NAMES, drawing, get, tensor};
use crate::oracle::next_f64;
use burn::module::{Lora, Module, ModuleMapper, Param};
use burn::nn::{LinearConfig, LinearLayout};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{DType, Device, Tensor, TensorData};
use half::{bf16, f16};
use shrew_ema::burn::ModuleAverages;
use shrew_ema::engine::Engine;
use shrew_ema::{Averages, Config, Schedule};

fn devices() -> [Device; 2] {
    [Device::flex(), Device::flex().autodiff()]
}

#[test]
fn float_parameters_are_averaged_by_their_paths_and_others_left_alone() {
    for device in devices() {
        let model = Model::new(&device);
        let mut averages = ModuleAverages::new(&model, Config::new(0.75).unwrap()).unwrap();
        assert_eq!(averages.ledger().names(), NAMES);
        assert_eq!(averages.averages().shadow_values(3), [7.0, 8.0, 9.0, 1.0]);

        let mut other = model.clone();
        other.first.weight = Param::from_tensor(tensor(&[3.0; 4], [2, 2], DType::F32, &device));
        averages.update(&other).unwrap();
        let averaged = averages.averaged(&other).unwrap();
        let mut expected = model.values();
        expected[0] = [1.0, 2.0, 3.0, 4.0].map(|s| s + 0.25 * (3.0 - s)).to_vec();
        assert_eq!(averaged.values(), expected);
        assert_eq!(get(&other.first.weight.val()), [3.0; 4], "the module given stays as it is");
        assert_eq!(averaged.steps.val().into_data().iter::<i64>().collect::<Vec<_>>(), [3, 4]);
        assert_eq!(averaged.mask.val().into_data().iter::<bool>().collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(averaged.name, "model");
    }
}

#[test]
fn every_step_of_the_optimizer_is_averaged() {
    let device = Device::flex().autodiff();
    let mut layer = Layer::new(&[0.5, -0.25, 1.0, 2.0], true, &device);
    let mut optimizer = AdamWConfig::new().init();
    let mut averages = ModuleAverages::new(&layer, Config::new(0.75).unwrap()).unwrap();
    let x = tensor(&[0.3, -0.7, 1.1, 0.2, 0.9, -1.3], [3, 2], DType::F32, &device);
    let mut expected: Vec<f64> = get(&layer.weight.val()).into_iter().map(f64::from).collect();
    for _ in 0..50 {
        let output = x.clone().matmul(layer.weight.val()) + layer.bias.as_ref().unwrap().val().unsqueeze();
        let gradients = GradientsParams::from_grads(output.powf_scalar(2.0).mean().backward(), &layer);
        layer = optimizer.step(0.05, layer, gradients);
        averages.update(&layer).unwrap();
        for (s, p) in expected.iter_mut().zip(get(&layer.weight.val())) {
            *s = next_f64(*s, f64::from(p), 0.25);
        }
    }
    assert_eq!(averages.averages().shadow_values(0), expected);
    assert_ne!(expected[0], 0.5);
}

#[test]
fn the_warm_up_is_that_of_the_averages_with_any_engine() {
    let device = Device::flex();
    let (layer, other) = (Layer::new(&[1.0, 2.0], false, &device), Layer::new(&[3.0, 6.0], false, &device));
    let averages = ModuleAverages::new(&layer, Config::new(0.999).unwrap()).unwrap();
    let mut averages = averages.engine(Engine::new().threads(2).serial_below(0).grain(1));
    let mut expected = [1.0, 2.0];
    for t in 1..6 {
        averages.update_with_warmup(&other).unwrap();
        let decay = (1.0 + f64::from(t)) / (10.0 + f64::from(t));
        for (s, p) in expected.iter_mut().zip([3.0, 6.0]) {
            *s = next_f64(*s, p, 1.0 - decay);
        }
    }
    for (found, expected) in averages.averages().shadow_values(0).iter().zip(expected) {
        assert!((found - expected).abs() < 1e-14, "{found} {expected}");
    }
    let written = expected.map(|value| value as f32);
    assert_eq!(get(&averages.averaged(&layer).unwrap().weight.val()), written);
}

#[test]
fn an_averaged_module_can_be_trained_on_or_not_as_the_one_given() {
    for device in devices() {
        let mut model = Model::new(&device);
        model.first.weight = model.first.weight.set_require_grad(false);
        let mut averages = ModuleAverages::new(&model, Config::new(0.75).unwrap()).unwrap();
        let averaged = averages.averaged(&model).unwrap();
        for (found, given) in [(&averaged.first, &model.first), (&averaged.layers[1], &model.layers[1])] {
            assert_eq!(found.weight.id, given.weight.id);
            assert_eq!(found.weight.val().is_require_grad(), given.weight.val().is_require_grad());
            assert_eq!(found.weight.val().is_autodiff(), device.is_autodiff());
        }
        assert!(!averaged.first.weight.val().is_require_grad());
        assert_eq!(averaged.layers[1].weight.val().is_require_grad(), device.is_autodiff());
        // What a validation copy is to require again when it is trained.
        let trained = averages.averaged(&model.valid()).unwrap().train();
        assert!(!trained.first.weight.val().is_require_grad() && trained.layers[0].weight.val().is_require_grad());
    }
}

macro_rules! exact {
    ($($test:ident $type:ty, $dtype:expr, $special:expr;)*) => {
        $(#[test]
        fn $test() {
            let special: Vec<$type> = $special.into_iter().map(<$type>::from_bits).collect();
            for device in devices() {
                let data = TensorData::new(special.clone(), [special.len()]);
                let param = Param::from_tensor(Tensor::<1>::from_data(data, (&device, $dtype)));
                let mut averages = ModuleAverages::new(&param, Config::new(0.5).unwrap()).unwrap();
                averages.update(&param).unwrap();
                let averaged = averages.averaged(&param).unwrap().val();
                assert_eq!(averaged.dtype(), $dtype);
                let bits = averaged.into_data().try_into_vec::<$type>().unwrap().into_iter().map(<$type>::to_bits);
                assert_eq!(bits.collect::<Vec<_>>(), $special);
            }
        })*
    };
}

// A negative zero, the least and the greatest of all numbers, and two in between.
exact! {
    f64_comes_back_to_the_bit f64, DType::F64, [1 << 63, 1, 0x7fef_ffff_ffff_ffff, 0x3ff0_0000_0000_0001, 0xc037];
    f32_comes_back_to_the_bit f32, DType::F32, [1 << 31, 1, 0x7f7f_ffff, 0x3f80_0001, 0xc037_1234];
    f16_comes_back_to_the_bit f16, DType::F16, [1 << 15, 1, 0x7bff, 0x3c01, 0xc037];
    bf16_comes_back_to_the_bit bf16, DType::BF16, [1 << 15, 1, 0x7f7f, 0x3f81, 0xc037];
}

#[test]
fn a_weight_that_lies_by_columns_is_averaged_in_the_order_of_its_indices() {
    let _drawing = drawing();
    let device = Device::flex();
    let columns = LinearConfig::new(3, 2).with_layout(LinearLayout::Col).init(&device);
    let rows: Vec<f64> = get(&columns.weight.val()).into_iter().map(f64::from).collect();
    let mut averages = ModuleAverages::new(&columns, Config::new(0.5).unwrap()).unwrap();
    assert_eq!(averages.averages().shadow_values(0), rows);
    assert_eq!(averages.ledger().descriptors()[0].shape[..], [3, 2]);
    let averaged = averages.averaged(&columns).unwrap();
    assert_eq!(get(&averaged.weight.val()), get(&columns.weight.val()));
}

/// Ones in the place of every parameter.
struct Ones;

impl ModuleMapper for Ones {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.ones_like())
    }
}

#[test]
fn adapters_are_averaged_beside_the_weight_that_they_adapt() {
    let _drawing = drawing();
    let plain = Layer::new(&[1.0, 2.0, 3.0, 4.0], false, &Device::flex());
    let layer = plain.apply_lora(Lora::new(1, 2.0)).map(&mut Ones);
    assert_eq!(get(&layer.weight.val()), [3.0; 4]);
    let mut averages = ModuleAverages::new(&layer, Config::new(0.5).unwrap()).unwrap();
    assert_eq!(averages.ledger().names(), ["weight", "weight.lora.a", "weight.lora.b"]);
    assert_eq!(averages.averages().shadow_values(0), [1.0; 4], "the weight without its adapter");
    averages.update(&layer).unwrap();
    let averaged = averages.averaged(&layer).unwrap();
    assert_eq!(get(&averaged.weight.val()), [3.0; 4]);
    assert!(averaged.weight.adapter().is_some());
}

#[test]
fn horizons_are_averaged_in_one_pass_and_each_gives_a_module() {
    let device = Device::flex();
    let (model, mut other) = (Model::new(&device), Model::new(&device));
    let schedules = [0.5, 0.75].map(|decay| Schedule::constant(decay).unwrap());
    let mut averages = ModuleAverages::new(&model, Config::horizons(schedules).unwrap()).unwrap();
    other.layers[0].weight = Param::from_tensor(tensor(&[9.0, 2.0], [2, 1], DType::F32, &device));
    averages.update(&other).unwrap();
    for (horizon, expected) in [(0, [7.0, 4.0]), (1, [6.0, 5.0])] {
        let averaged = averages.averaged_horizon(&model, horizon).unwrap();
        assert_eq!(get(&averaged.layers[0].weight.val()), expected);
    }
    let error = averages.averaged_horizon(&model, 2).unwrap_err();
    assert!(error.to_string().starts_with("horizon must be"), "{error}");
}

#[test]
fn a_file_resumes_to_the_bit_and_is_plain_averages_for_others() {
    let device = Device::flex();
    let (model, mut other) = (Model::new(&device), Model::new(&device));
    let mut averages = ModuleAverages::new(&model, Config::new(0.9).unwrap()).unwrap();
    other.first.weight = Param::from_tensor(tensor(&[0.1, 0.2, -7.0, 0.3], [2, 2], DType::F32, &device));
    averages.update(&other).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ema.safetensors");
    averages.save(&path).unwrap();
    let mut resumed = ModuleAverages::load(&path).unwrap();
    for averages in [&mut averages, &mut resumed] {
        averages.update_with_warmup(&other).unwrap();
        averages.update(&model).unwrap();
    }
    assert_eq!(resumed.ledger().num_updates(), 3);
    assert_eq!(averages.averages().shadow_values(0), resumed.averages().shadow_values(0));
    assert_eq!(averages.averaged(&model).unwrap().values(), resumed.averaged(&model).unwrap().values());
    let plain = Averages::load(&path).unwrap();
    assert_eq!((plain.ledger().names()[4].as_str(), plain.shadow_values(4)), ("layers.1.bias", &[7.0, 8.0][..]));
    averages.save_as(&path, Some(shrew_ema::DType::F32)).unwrap();
    assert!(ModuleAverages::load(&path).unwrap_err().to_string().contains("rounded to float32"));
}
