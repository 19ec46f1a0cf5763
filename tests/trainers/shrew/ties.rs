//! Tied and replaced tensors.

use crate::training::{Cpu, FLOATS, numbers, tensor, vector};
use shrew_core::DType;
use shrew_cpu::CpuBackend;
use shrew_ema::shrew::EMA;
use shrew_ema::{Error, Notice};
use shrew_nn::{Linear, Module};

fn values(param: &Cpu) -> Vec<f64> {
    param.to_f64_vec().unwrap()
}

#[test]
fn clones_and_whole_views_are_one_tensor_with_one_average() {
    for dtype in FLOATS {
        let weight = tensor(&numbers(6, 1), (2, 3), dtype);
        let params = [weight.clone(), vector(&[1.0], dtype), weight.clone().set_variable(), weight.detach()];
        let mut ema = EMA::new(params.to_vec(), 0.5).unwrap();
        assert_eq!(ema.ledger().owners(), [0, 1, 0, 0]);
        weight.update_data_inplace(&numbers(6, 2)).unwrap();
        ema.update(&params).unwrap();
        assert_eq!(ema.shadow_values(3).as_ptr(), ema.shadow_values(0).as_ptr());
        let training = values(&weight);
        ema.apply().unwrap();
        assert_ne!(values(&weight), training);
        ema.restore().unwrap();
        assert_eq!(values(&weight), training);
    }
}

#[test]
fn one_storage_in_two_shapes_has_an_average_in_each() {
    let weight = tensor(&[1.0, 2.0], (1, 2), DType::F32);
    let error = EMA::new(vec![weight.clone(), weight.reshape(2).unwrap()], 0.5);
    // Same memory and not the same tensor: which of the two averages to write would be anybody's guess.
    assert!(matches!(error, Err(Error::Overlap { indices: (0, 1), .. })), "{error:?}");
}

#[test]
fn a_replaced_tensor_is_averaged_where_it_is_given_and_another_shape_is_refused() {
    let layer = |outputs: usize, seed| {
        let weight = tensor(&numbers(4 * outputs, seed), (outputs, 4), DType::F32);
        Linear::<CpuBackend>::from_tensors(weight, None).unwrap()
    };
    let old = layer(3, 1);
    let mut ema = EMA::new(old.parameters(), 0.5).unwrap();
    let new = layer(3, 2);
    ema.update(&new.parameters()).unwrap();
    let expected: Vec<f64> =
        values(old.weight()).iter().zip(values(new.weight())).map(|(old, new)| old + 0.5 * (new - old)).collect();
    assert_eq!(ema.shadow_values(0), expected);
    let error = ema.update(&layer(2, 2).parameters()).unwrap_err();
    assert_eq!(error.to_string(), "parameter \"0\" has shape (2, 4), expected (3, 4)");

    // What is written are the handles that are held: a notice says so, and `bind` holds the new ones.
    assert_eq!(ema.take_notices(), [Notice::Replaced { name: "0".to_owned() }]);
    let before = (values(old.weight()), values(new.weight()));
    ema.apply().unwrap();
    assert_ne!(values(old.weight()), before.0);
    assert_eq!(values(new.weight()), before.1);
    ema.restore().unwrap();
    ema.bind(new.parameters()).unwrap();
    ema.apply().unwrap();
    assert_eq!(values(old.weight()), before.0);
    assert_eq!(values(new.weight()), expected.iter().map(|&value| value as f32 as f64).collect::<Vec<_>>());
}

#[test]
fn tied_tensors_that_are_replaced_by_others_part() {
    let (shared, other) = (vector(&[1.0], DType::F64), vector(&[5.0], DType::F64));
    let mut ema = EMA::new(vec![shared.clone(), shared.clone()], 0.5).unwrap();
    shared.update_data_inplace(&[3.0]).unwrap();
    ema.update(&[shared.clone(), other]).unwrap();
    assert_eq!((ema.shadow_values(0), ema.shadow_values(1)), (&[2.0][..], &[3.0][..]));
    let error = ema.apply().unwrap_err();
    assert!(error.to_string().contains("are the same memory now, and have different averages"), "{error}");
    assert_eq!(values(&shared), [3.0]);
}
