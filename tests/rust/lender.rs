//! A framework of one's own, in as many lines as it takes: it counts what it lends, and fails where it is told to.

use ndarray::ArrayD;
use shrew_ema::backend::HostMemory;
use shrew_ema::backend::ndarray::assign;
use shrew_ema::descriptor::Descriptor;
use shrew_ema::engine::Engine;
use shrew_ema::{DType, Error, Result, View};
use std::cell::{Cell, Ref, RefCell};
use std::ops::Deref;
use std::rc::Rc;

/// A handle; clones are on the same tensor.
#[derive(Clone)]
pub struct Lent(Rc<Tensor>);

pub type Meddler = fn(&mut ArrayD<f32>);

pub struct Tensor {
    pub values: RefCell<ArrayD<f32>>,
    /// Loans now, and the most there ever were at the same time.
    pub now: Cell<usize>,
    pub most: Cell<usize>,
    /// The call that fails.
    pub fails: Cell<&'static str>,
    /// What another thread does to the tensor just before it is lent.
    pub meddler: Cell<Option<Meddler>>,
}

impl Lent {
    pub fn new(values: Vec<f32>) -> Self {
        Lent(Rc::new(Tensor {
            values: RefCell::new(ndarray::Array1::from(values).into_dyn()),
            now: Cell::new(0),
            most: Cell::new(0),
            fails: Cell::new(""),
            meddler: Cell::new(None),
        }))
    }

    pub fn get(&self) -> Vec<f32> {
        self.values.borrow().iter().copied().collect()
    }

    fn may(&self, call: &str) -> Result<()> {
        if self.fails.get() == call { Err(Error::layout(format!("fails to {call}"))) } else { Ok(()) }
    }
}

impl Deref for Lent {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.0
    }
}

pub struct Loan<'a> {
    values: Ref<'a, ArrayD<f32>>,
    now: &'a Cell<usize>,
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.now.set(self.now.get() - 1);
    }
}

#[derive(Default)]
pub struct Lender(Engine);

impl HostMemory for Lender {
    type Tensor = Lent;
    type Read<'a> = Loan<'a>;

    fn engine(&self) -> &Engine {
        &self.0
    }

    fn identity(tensor: &Lent) -> usize {
        Rc::as_ptr(&tensor.0).addr()
    }

    fn describe(tensor: &Lent) -> Result<Descriptor> {
        tensor.may("describe")?;
        Ok(Descriptor::new(DType::F32, tensor.values.borrow().shape()))
    }

    fn writable(tensor: &Lent) -> Result<()> {
        tensor.may("be writable")
    }

    fn read(tensor: &Lent) -> Result<Loan<'_>> {
        tensor.may("read")?;
        if let Some(meddle) = tensor.meddler.take() {
            meddle(&mut tensor.values.borrow_mut());
        }
        tensor.now.set(tensor.now.get() + 1);
        tensor.most.set(tensor.most.get().max(tensor.now.get()));
        Ok(Loan { values: tensor.values.borrow(), now: &tensor.now })
    }

    fn view<'g>(tensor: &'g Lent, read: &'g Loan<'_>) -> Result<View<'g>> {
        tensor.may("view")?;
        View::try_from(&*read.values)
    }

    fn write(&self, tensor: &Lent, values: &View<'_>) -> Result<()> {
        tensor.may("write")?;
        assign(&mut *tensor.values.borrow_mut(), values)
    }
}
