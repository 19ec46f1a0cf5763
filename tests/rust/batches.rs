//! Models of more tensors than are lent at a time: each is averaged, written, restored, and named in an error.

use crate::lender::{Lender, Lent, Meddler};
use ndarray::ArrayD;
use shrew_ema::{Config, EMA, Error, Result};

/// More than two batches of 64, the last one not full.
const TENSORS: usize = 150;
/// Ends and insides of batches.
const PLACES: [usize; 6] = [0, 63, 64, 69, 128, 149];

fn tensors() -> Vec<Lent> {
    (0..TENSORS).map(|i| Lent::new(vec![i as f32; 1 + i % 7])).collect()
}

fn named(params: &[Lent]) -> Result<EMA<Lender>> {
    let names = (0..).map(|i| format!("t{i}"));
    EMA::named(names.zip(params.iter().cloned()), Config::new(0.5)?)
}

/// A model that went from `i` to `i + 2` in its tensor number `i`, so that the average there is `i + 1`.
fn moved() -> (Vec<Lent>, EMA<Lender>) {
    let params = tensors();
    let mut ema = named(&params).unwrap();
    params.iter().for_each(|lent| *lent.values.borrow_mut() += 2.0);
    ema.update(&params).unwrap();
    (params, ema)
}

/// Whether tensor number `i` is `i + more` throughout.
fn all_are(params: &[Lent], more: f32) -> bool {
    params.iter().enumerate().all(|(i, lent)| lent.get() == vec![i as f32 + more; 1 + i % 7])
}

#[test]
fn every_tensor_is_averaged_written_and_restored() {
    let (params, mut ema) = moved();
    for i in 0..TENSORS {
        assert_eq!(ema.shadow_values(i), vec![i as f64 + 1.0; 1 + i % 7], "tensor {i}");
    }
    ema.apply().unwrap();
    assert!(all_are(&params, 1.0));
    ema.restore().unwrap();
    assert!(all_are(&params, 2.0));
    ema.copy_to().unwrap();
    assert!(all_are(&params, 1.0));
}

#[test]
fn a_failure_names_its_tensor_and_changes_nothing() {
    type Call = fn(&mut EMA<Lender>, &[Lent]) -> Result<()>;
    let calls: [(Call, &[&str]); 3] = [
        (|ema, params| ema.update(params), &["describe", "read", "view"]),
        (|ema, _| ema.apply(), &["describe", "be writable", "read", "view", "write"]),
        (|ema, _| ema.copy_to(), &["describe", "be writable", "read", "view", "write"]),
    ];
    for place in PLACES {
        for (number, (call, failures)) in calls.into_iter().enumerate() {
            for failure in failures {
                let (params, mut ema) = moved();
                params[place].fails.set(failure);
                let error = call(&mut ema, &params).unwrap_err();
                assert_eq!(error.to_string(), format!("parameter \"t{place}\" fails to {failure}"), "call {number}");
                assert_eq!(ema.num_updates(), 1);
                params[place].fails.set("");
                // A failure in the middle of a write can only be undone where the tensor can be written again.
                if ema.is_applied() {
                    assert_eq!(*failure, "write");
                    ema.restore().unwrap();
                }
                assert!(all_are(&params, 2.0), "call {number} failed to {failure} and wrote");
            }
        }
        for failure in ["describe", "read", "view"] {
            let params = tensors();
            params[place].fails.set(failure);
            let error = named(&params).unwrap_err();
            assert_eq!(error.to_string(), format!("parameter \"t{place}\" fails to {failure}"));
        }
    }
}

#[test]
fn a_restore_that_can_t_write_keeps_all_averages_and_the_backup() {
    for place in PLACES {
        for failure in ["describe", "be writable"] {
            let (params, mut ema) = moved();
            ema.apply().unwrap();
            params[place].fails.set(failure);
            let error = ema.restore().unwrap_err();
            assert_eq!(error.to_string(), format!("parameter \"t{place}\" fails to {failure}"));
            assert!(all_are(&params, 1.0) && ema.is_applied());
            let error = ema.apply().unwrap_err().to_string();
            assert!(error.starts_with("apply: the averages are applied"), "no write was begun, but {error}");
            params[place].fails.set("");
            ema.restore().unwrap();
            assert!(all_are(&params, 2.0) && !ema.is_applied());
        }
    }
}

#[test]
fn another_shape_is_named_in_whatever_batch_it_is() {
    for place in PLACES {
        let (mut params, mut ema) = moved();
        params[place] = Lent::new(vec![0.0; 9]);
        let error = ema.update(&params).unwrap_err();
        assert!(matches!(&error, Error::Shape { name, .. } if *name == format!("t{place}")), "{error}");
    }
}

#[test]
fn a_pass_that_another_thread_breaks_is_not_counted_and_leaves_no_news() {
    let mut params = tensors();
    params[69] = Lent::new(vec![]);
    *params[69].values.borrow_mut() = ArrayD::ones(vec![2, 3]);
    let mut ema = named(&params).unwrap();
    let turn: Meddler = |values| *values = ArrayD::ones(vec![3, 2]);
    let grow: Meddler = |values| *values = ArrayD::ones(vec![7]);
    for (meddler, shown) in [(turn, "[3, 2]"), (grow, "[7]")] {
        params[3].values.borrow_mut().fill(f32::NAN);
        params[69].meddler.set(Some(meddler));
        let error = ema.update(&params).unwrap_err();
        let text = format!("parameter \"t69\" was reshaped to {shown} by another thread during the call");
        assert_eq!(error.to_string(), text);
        assert_eq!((ema.num_updates(), ema.ledger().skipped().count()), (0, 0));
        *params[69].values.borrow_mut() = ArrayD::ones(vec![2, 3]);
    }
    params[3].values.borrow_mut().fill(1.0);
    ema.update(&params).unwrap();
    assert_eq!(ema.num_updates(), 1);
}
