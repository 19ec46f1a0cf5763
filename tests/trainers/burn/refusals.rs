//! What is refused of burn's modules, with nothing changed.

use crate::model::{Layer, Model, NAMES, get, tensor};
use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor};
use shrew_ema::burn::ModuleAverages;
use shrew_ema::{Config, Error};

/// The same names in another order.
#[derive(Module, Debug)]
struct Turned {
    bias: Option<Param<Tensor<1>>>,
    weight: Param<Tensor<2>>,
}

fn config() -> Config {
    Config::new(0.5).unwrap()
}

#[test]
fn a_module_that_has_changed_is_refused_and_nothing_is_averaged() {
    let device = Device::flex();
    let model = Model::new(&device);
    let mut averages = ModuleAverages::new(&model, config()).unwrap();
    let changed = |change: fn(&mut Model, &Device)| {
        let mut model = Model::new(&device);
        model.first.bias = Some(Param::from_tensor(tensor(&[9.0, 9.0], [2], DType::F32, &device)));
        change(&mut model, &device);
        model
    };
    let cases = [
        (changed(|model, _| drop(model.layers.pop())), "missing \"layers.1.weight\", \"layers.1.bias\""),
        (changed(|model, _| model.first.bias = None), "missing \"first.bias\""),
        (
            changed(|model, device| model.layers.push(Layer::new(&[1.0, 2.0], false, device))),
            "unexpected \"layers.2.weight\"",
        ),
        (
            changed(|model, device| model.layers[1] = Layer::new(&[1.0; 6], true, device)),
            "parameter \"layers.1.weight\" has shape (2, 3), expected (2, 2)",
        ),
        (
            changed(|model, device| {
                model.layers[1].weight = Param::from_tensor(tensor(&[1.0; 4], [2, 2], DType::F16, device));
            }),
            "parameter \"layers.1.weight\" is float16, expected float32",
        ),
    ];
    for (changed, problem) in cases {
        for error in [
            averages.update(&changed).unwrap_err(),
            averages.update_with_warmup(&changed).unwrap_err(),
            averages.averaged(&changed).unwrap_err(),
        ] {
            assert!(error.to_string().contains(problem), "{error}");
        }
        assert_eq!(averages.ledger().step(), 0);
        assert_eq!(averages.averaged(&model).unwrap().values(), model.values());
    }
    assert_eq!(averages.ledger().names(), NAMES);
}

#[test]
fn another_order_of_the_same_names_is_refused() {
    let device = Device::flex();
    let layer = Layer::new(&[1.0, 2.0], true, &device);
    let turned = Turned { bias: layer.bias.clone(), weight: layer.weight.clone() };
    let mut averages = ModuleAverages::new(&layer, config()).unwrap();
    for error in [averages.update(&turned).unwrap_err(), averages.averaged(&turned).unwrap_err()] {
        let expected = "module must be of the type that is averaged, got one with its parameters in another order";
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_module_without_float_parameters_is_refused() {
    let device = Device::flex();
    let steps = Model::new(&device).steps;
    assert!(matches!(ModuleAverages::new(&steps, config()), Err(Error::Config { .. })));
}

#[test]
fn quantized_parameters_are_refused() {
    use burn::module::Quantizer;
    use burn::tensor::quantization::{Calibration, QuantScheme};
    let device = Device::flex();
    let layer = Layer::new(&[1.0, 2.0, 3.0, 4.0], false, &device);
    let mut averages = ModuleAverages::new(&layer, config()).unwrap();
    let scheme = QuantScheme::default();
    let quantized = layer.quantize_weights(&mut Quantizer::new(Calibration::MinMax, scheme));
    for error in [
        ModuleAverages::new(&quantized, config()).unwrap_err(),
        averages.update(&quantized).unwrap_err(),
        averages.averaged(&quantized).unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(text.starts_with("parameter \"weight\" is QFloat") && text.contains("expected float"), "{text}");
    }
    assert_eq!(averages.ledger().num_updates(), 0);
}

#[test]
fn nan_is_named_and_does_not_stay_in_the_average() {
    let device = Device::flex();
    let layer = Layer::new(&[1.0, 1.0], false, &device);
    let mut averages = ModuleAverages::new(&layer, config()).unwrap();
    let bad = Layer::new(&[f32::NAN, 3.0], false, &device);
    let error = averages.update(&bad).unwrap_err();
    assert!(matches!(&error, Error::NonFinite { tensors, .. } if *tensors == [("weight".to_owned(), 1)]), "{error}");
    assert_eq!(get(&averages.averaged(&bad).unwrap().weight.val()), [1.0, 2.0]);
    assert!(matches!(ModuleAverages::new(&bad, config()), Err(Error::NonFinite { .. })));
}

#[test]
fn advice_comes_with_averages_that_are_still_mostly_the_start() {
    let device = Device::flex();
    let model = Model::new(&device);
    let mut averages = ModuleAverages::new(&model, Config::new(0.999).unwrap()).unwrap();
    averages.update(&model).unwrap();
    averages.averaged(&model).unwrap();
    assert_eq!(averages.take_notices().len(), 1);
    assert_eq!(averages.take_notices().len(), 0);
}
