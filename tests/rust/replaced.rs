//! Tensors that are not the ones held: an update says so once, and `bind` takes them.

use crate::lender::Lender;
use crate::lender::Lent;
use ndarray::arr1;
use shrew_ema::backend::ndarray::{Handle, NdArray, share};
use shrew_ema::{Config, EMA, Error, Notice};

fn handle(value: f32) -> (Handle, impl Fn() -> f32) {
    let shared = share(arr1(&[value]));
    (Handle::from(&shared), move || shared.read().unwrap()[[0]])
}

fn ema(params: &[&Handle]) -> EMA<NdArray> {
    let names = ["w", "b"].iter().map(|&name| name.to_owned());
    EMA::named(names.zip(params.iter().map(|&handle| handle.clone())), Config::new(0.5).unwrap()).unwrap()
}

#[test]
fn an_update_of_another_tensor_than_the_one_held_says_so_once() {
    let ((w, _), (b, of_b), (other, of_other)) = (handle(1.0), handle(2.0), handle(4.0));
    let mut ema = ema(&[&w, &b]);
    ema.update(&[w.clone(), b.clone()]).unwrap();
    assert_eq!(ema.take_notices(), [], "a clone of a handle is on the same tensor");
    for _ in 0..2 {
        ema.update(&[w.clone(), other.clone()]).unwrap();
    }
    let notices = ema.take_notices();
    assert_eq!(notices, [Notice::Replaced { name: "b".to_owned() }]);
    let said = notices[0].to_string();
    assert!(said.starts_with("update was given another tensor than the one held as \"b\", which apply"), "{said}");
    ema.apply().unwrap();
    assert_eq!((of_b(), of_other()), (3.5, 4.0), "what is held is written");
}

#[test]
fn bound_tensors_are_the_ones_that_are_written() {
    let ((w, _), (b, of_b), (other, of_other)) = (handle(1.0), handle(2.0), handle(4.0));
    let mut ema = ema(&[&w, &b]);
    ema.bind(vec![w.clone(), other.clone()]).unwrap();
    ema.update(&[w.clone(), other.clone()]).unwrap();
    assert!(!ema.take_notices().iter().any(|notice| matches!(notice, Notice::Replaced { .. })));
    ema.apply().unwrap();
    assert_eq!((of_b(), of_other()), (2.0, 3.0));
    ema.restore().unwrap();
    assert_eq!(of_other(), 4.0);
}

#[test]
fn what_is_no_such_model_is_not_bound() {
    let ((w, of_w), (b, _)) = (handle(1.0), handle(2.0));
    let wide = Handle::from(share(arr1(&[1.0_f32, 2.0])));
    let double = Handle::from(share(arr1(&[1.0_f64])));
    let mut ema = ema(&[&w, &b]);
    assert!(matches!(ema.bind(vec![w.clone()]), Err(Error::Names { .. })));
    assert!(matches!(ema.bind(vec![w.clone(), wide]), Err(Error::Shape { .. })));
    assert!(matches!(ema.bind(vec![w.clone(), double]), Err(Error::DType { .. })));
    ema.apply().unwrap();
    let refusal = ema.bind(vec![b.clone(), w.clone()]).unwrap_err().to_string();
    assert!(refusal.starts_with("bind: the averages are applied; restore() first"), "{refusal}");
    ema.restore().unwrap();
    ema.update(&[w.clone(), b.clone()]).unwrap();
    assert!(
        !ema.take_notices().iter().any(|notice| matches!(notice, Notice::Replaced { .. })),
        "the old ones are held"
    );
    assert_eq!(of_w(), 1.0);
}

#[test]
fn a_refused_update_says_nothing_of_it() {
    let (held, other) = (Lent::new(vec![1.0]), Lent::new(vec![2.0]));
    let mut ema = EMA::<Lender>::new(vec![held], 0.5).unwrap();
    other.fails.set("read");
    ema.update(std::slice::from_ref(&other)).unwrap_err();
    assert_eq!(ema.take_notices(), []);
}
