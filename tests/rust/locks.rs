//! Locked handles: errors instead of waiting for oneself, and no dead-lock found with other threads.

use ndarray::{ArrayD, arr1};
use shrew_ema::backend::HostMemory;
use shrew_ema::backend::ndarray::{Handle, NdArray, share};
use shrew_ema::descriptor::Descriptor;
use shrew_ema::engine::Engine;
use shrew_ema::{DType, EMA, Result, View, ViewMut};
use std::cell::{Cell, Ref, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// Fails instead of hanging.
fn within_a_minute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    wait.recv_timeout(Duration::from_secs(60)).expect("it hangs or has failed")
}

#[test]
fn a_caller_that_holds_the_lock_is_told_so() {
    let (a, b) = (share(arr1(&[1.0])), share(arr1(&[2.0])));
    let params = vec![Handle::from(&a), Handle::from(&b)];
    let names = ["a", "b"].map(str::to_owned);
    let config = shrew_ema::Config::new(0.5).unwrap();
    let mut ema = EMA::<NdArray>::named(names.into_iter().zip(params.clone()), config).unwrap();
    let writing = b.write().unwrap();
    let error = ema.update(&params).unwrap_err();
    assert_eq!(
        error.to_string(),
        "parameter \"b\" is locked, by this thread or another: give the guard back before the call"
    );
    drop(writing);
    ema.update(&params).unwrap();
    let reading = b.read().unwrap();
    ema.update(&params).unwrap();
    assert!(ema.apply().unwrap_err().to_string().contains("\"b\" is locked"));
    assert!(!ema.is_applied());
    drop(reading);
    ema.apply().unwrap();
    assert_eq!(ema.num_updates(), 2);
    ema.restore().unwrap();
}

#[test]
fn a_guard_restores_also_where_the_panic_poisoned_the_lock() {
    let w = share(arr1(&[1.0]));
    let mut ema = EMA::<NdArray>::new(vec![Handle::from(&w)], 0.5).unwrap();
    *w.write().unwrap() = arr1(&[3.0]).into_dyn();
    let evaluation = catch_unwind(AssertUnwindSafe(|| {
        let _applied = ema.applied().unwrap();
        let _guard = w.write().unwrap();
        panic!("in mid-evaluation");
    }));
    assert!(evaluation.is_err() && w.is_poisoned());
    w.clear_poison();
    assert_eq!((w.read().unwrap()[[0]], ema.is_applied()), (3.0, false));
}

/// A framework of one's own, in as many lines as it takes: it counts how often each tensor is lent at the same time.
#[derive(Clone)]
struct Lent {
    values: Rc<RefCell<Vec<f32>>>,
    now: Rc<Cell<usize>>,
    most: Rc<Cell<usize>>,
    /// Whether it grows whenever it is lent, as if another thread had done it.
    reshapes: Rc<Cell<bool>>,
}

impl Lent {
    fn new(values: Vec<f32>) -> Self {
        Self { values: Rc::new(RefCell::new(values)), now: Rc::default(), most: Rc::default(), reshapes: Rc::default() }
    }
}

struct Loan<'a> {
    values: Ref<'a, Vec<f32>>,
    now: &'a Cell<usize>,
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.now.set(self.now.get() - 1);
    }
}

#[derive(Default)]
struct Lender(Engine);

impl HostMemory for Lender {
    type Tensor = Lent;
    type Read<'a> = Loan<'a>;

    fn engine(&self) -> &Engine {
        &self.0
    }

    fn identity(tensor: &Lent) -> usize {
        Rc::as_ptr(&tensor.values).addr()
    }

    fn describe(tensor: &Lent) -> Result<Descriptor> {
        Ok(Descriptor::new(DType::F32, &[tensor.values.borrow().len()]))
    }

    fn writable(_: &Lent) -> Result<()> {
        Ok(())
    }

    fn read(tensor: &Lent) -> Result<Loan<'_>> {
        if tensor.reshapes.get() {
            tensor.values.borrow_mut().push(0.0);
        }
        tensor.now.set(tensor.now.get() + 1);
        tensor.most.set(tensor.most.get().max(tensor.now.get()));
        Ok(Loan { values: tensor.values.borrow(), now: &tensor.now })
    }

    fn view<'g>(_: &'g Lent, read: &'g Loan<'_>) -> Result<View<'g>> {
        Ok(View::from(&read.values[..]))
    }

    fn write(&self, tensor: &Lent, values: &View<'_>) -> Result<()> {
        self.0.assign(&mut ViewMut::from(&mut tensor.values.borrow_mut()[..]), values);
        Ok(())
    }
}

#[test]
fn tied_handles_are_lent_once_and_nothing_is_lent_between_calls() {
    let tied = Lent::new(vec![1.0, 2.0]);
    // More than a batch, and the last batch is not full.
    let single: Vec<Lent> = (0..150).map(|i| Lent::new(vec![i as f32; i])).collect();
    let params: Vec<Lent> = single.iter().flat_map(|lent| [lent.clone(), tied.clone()]).collect();
    let mut ema = EMA::<Lender>::new(params.clone(), 0.5).unwrap();
    tied.values.borrow_mut().fill(5.0);
    ema.update(&params).unwrap();
    assert_eq!((ema.shadow_values(1), ema.shadow_values(299)), (&[3.0, 3.5][..], &[3.0, 3.5][..]));
    ema.apply().unwrap();
    assert_eq!(*tied.values.borrow(), [3.0, 3.5]);
    ema.restore().unwrap();
    assert_eq!(*tied.values.borrow(), [5.0, 5.0]);
    for lent in &params {
        assert_eq!((lent.most.get(), lent.now.get()), (1, 0));
    }
}

#[test]
fn a_pass_that_another_thread_breaks_is_not_counted_and_leaves_no_news() {
    let params: Vec<Lent> = (0..70).map(|_| Lent::new(vec![1.0])).collect();
    let mut ema = EMA::<Lender>::new(params.clone(), 0.5).unwrap();
    params[3].values.borrow_mut()[0] = f32::NAN;
    params[69].reshapes.set(true);
    let error = ema.update(&params).unwrap_err();
    assert_eq!(error.to_string(), "parameter \"69\" was reshaped to [2] by another thread during the call");
    assert_eq!((ema.num_updates(), ema.ledger().skipped().count()), (0, 0));
    params[3].values.borrow_mut()[0] = 1.0;
    params[69].reshapes.set(false);
    params[69].values.borrow_mut().truncate(1);
    ema.update(&params).unwrap();
    assert_eq!(ema.num_updates(), 1);
}

#[test]
fn tied_handles_and_a_waiting_writer_do_not_hang() {
    within_a_minute(|| {
        let w = share(ArrayD::from_elem(vec![50_000], 1.0_f32));
        let params = vec![Handle::from(&w); 5];
        let mut ema = EMA::<NdArray>::new(params.clone(), 0.5).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let writer = {
            let (w, stop) = (Arc::clone(&w), Arc::clone(&stop));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    w.write().unwrap()[[0]] += 1.0;
                    // Leaves a chance to others, and mostly comes back while a pass has the lock.
                    std::thread::sleep(Duration::from_micros(100));
                }
            })
        };
        let mut done = 0;
        while done < 100 {
            // Refused while the writer is in; nothing is counted then.
            done += usize::from(ema.update(&params).is_ok());
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        assert_eq!(ema.num_updates(), 100);
    });
}

#[test]
fn updates_on_the_workers_of_a_pool_do_not_hang() {
    within_a_minute(|| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let w = share(ArrayD::from_elem(vec![1 << 20], 1.0_f32));
        pool.scope(|scope| {
            for _ in 0..8 {
                let params = vec![Handle::from(&w)];
                scope.spawn(move |_| {
                    let mut ema = EMA::<NdArray>::new(params.clone(), 0.5).unwrap();
                    for _ in 0..4 {
                        ema.update(&params).unwrap();
                    }
                    assert_eq!(ema.num_updates(), 4);
                });
            }
        });
    });
}
