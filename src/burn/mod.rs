//! Averages of burn's modules: read out of one module after the other, and handed out as a module of their own.

mod read;
mod write;

use crate::averages::Averages;
use crate::dtype::DType;
use crate::engine::Engine;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::ledger::{Config, Ledger};
use crate::notice::Notice;
use ::burn::module::Module;
use ::burn::tensor::Device;
use read::{Kinds, Params, check};
use std::path::Path;
use write::Writer;

/// Averages of the float parameters of a burn module.
///
/// burn's modules are values: an optimizer's step takes one and gives another. So there are no handles, and nothing to
/// apply or to restore: [`update`](ModuleAverages::update) looks at the module as it is now, and
/// [`averaged`](ModuleAverages::averaged) gives a module with the averages. Parameters are called by their fields, such as
/// `encoder.layers.0.weight`. Statistics that burn keeps as float parameters, such as those of a batch normalization, are
/// averaged as well, with what the last step has added; integers and booleans are those of the module.
///
/// ```
/// use burn::module::Module;
/// use burn::nn::{Linear, LinearConfig};
/// use burn::optim::{AdamWConfig, GradientsParams};
/// use burn::tensor::{Device, Tensor};
/// use shrew_ema::Config;
/// use shrew_ema::burn::ModuleAverages;
///
/// let device = Device::flex().autodiff();
/// let mut model = LinearConfig::new(2, 1).init(&device);
/// let mut optimizer = AdamWConfig::new().init();
/// let mut averages = ModuleAverages::new(&model, Config::new(0.99)?)?;
/// let (x, y) = (Tensor::<2>::ones([8, 2], &device), Tensor::<2>::zeros([8, 1], &device));
/// for _ in 0..50 {
///     let loss = (model.forward(x.clone()) - y.clone()).powf_scalar(2.0).mean();
///     let gradients = GradientsParams::from_grads(loss.backward(), &model);
///     model = optimizer.step(0.1, model, gradients);
///     averages.update_with_warmup(&model)?;
/// }
/// assert_eq!(averages.ledger().names(), ["weight", "bias"]);
/// let averaged: Linear = averages.averaged(&model.valid())?;
/// # let _ = averaged;
/// # Ok::<(), shrew_ema::Error>(())
/// ```
///
/// Parameters on `burn-flex`, burn's backend for CPUs, are read where they are, however they lie in memory; those of other
/// backends are copied out at each update. An update on `burn-flex` takes no memory but the lists that burn makes for each
/// handle that it gives. A parameter that is not initialised yet is so by the first call that meets it.
#[derive(Debug)]
pub struct ModuleAverages {
    averages: Averages,
    engine: Engine,
    /// Empty between calls.
    params: Params,
}

impl ModuleAverages {
    /// Averages that start as copies of the module's float parameters.
    ///
    /// # Errors
    /// [`Error::Config`] without a parameter; [`Error::DType`] if one is of no float dtype that can be averaged, such as a
    /// quantized one, or its average would be narrower; [`Error::NonFinite`] if one is NaN or infinite under
    /// [`NonFinite::Raise`](crate::NonFinite::Raise); [`Error::Layout`] if its device gives an error.
    pub fn new<M: Module>(module: &M, config: Config) -> Result<Self> {
        let names = Kinds::of(module).names;
        let mut params = Params::default();
        params.read(module, &names)?;
        let views = (0..names.len()).map(|index| params.view(index));
        Ok(Self::of(Averages::named(names.into_iter().zip(views), config)?))
    }

    /// With another way of spreading work over threads.
    pub fn engine(self, engine: Engine) -> Self {
        Self { averages: self.averages.engine(engine), engine, ..self }
    }

    /// Averages the module's parameters in: `s + (1 - d)(p - s)`. Call it after each step of the optimizer.
    ///
    /// # Errors
    /// [`Error::Names`], [`Error::DType`] or [`Error::Shape`] if the parameters are not those of the construction, and
    /// [`Error::Config`] if they are so in another order; nothing is changed then. [`Error::NonFinite`] as
    /// [`Averages::update`] gives it: the call is made and counted.
    pub fn update<M: Module>(&mut self, module: &M) -> Result<()> {
        self.pass("update", module, false)
    }

    /// As [`ModuleAverages::update`], with the decay `min(d, (1 + t)/(10 + t))`. It is meant for constant decays: see
    /// [`schedule`](crate::schedule).
    ///
    /// # Errors
    /// As [`ModuleAverages::update`].
    pub fn update_with_warmup<M: Module>(&mut self, module: &M) -> Result<()> {
        self.pass("update_with_warmup", module, true)
    }

    fn pass<M: Module>(&mut self, call: &'static str, module: &M, warmup: bool) -> Result<()> {
        // A panic drops them with what they hold.
        let mut params = std::mem::take(&mut self.params);
        let result = params.read(module, self.ledger().names()).and_then(|()| {
            let count = self.ledger().names().len();
            self.averages.pass(call, count, |index| params.view(index), warmup)
        });
        params.clear();
        self.params = params;
        result
    }

    /// The module with the averages in place of its parameters, cast to nearest, on the same devices and with the same
    /// need of gradients. The module itself stays as it is.
    ///
    /// # Errors
    /// As [`ModuleAverages::update`] but for NaN.
    pub fn averaged<M: Module>(&mut self, module: &M) -> Result<M> {
        self.averaged_horizon(module, 0)
    }

    /// The same for one of several horizons.
    ///
    /// # Errors
    /// As [`ModuleAverages::averaged`], and [`Error::Config`] where there is no such horizon.
    pub fn averaged_horizon<M: Module>(&mut self, module: &M, horizon: usize) -> Result<M> {
        self.ledger().check_horizon(horizon)?;
        let kinds = Kinds::of(module);
        check(self.ledger().names(), &kinds.names)?;
        // A clone would have the statistics of a batch normalization in common with the module.
        let copy = module.valid();
        let copy = if kinds.devices.iter().any(Device::is_autodiff) { copy.train() } else { copy };
        let mut writer = Writer::new(self, horizon, &kinds.devices);
        let module = copy.map(&mut writer);
        writer.finish()?;
        self.averages.advise_on_share(horizon);
        Ok(module)
    }

    /// Saves the averages as [`EMA::save`](crate::EMA::save) does, under the parameters' names and in burn's shapes: the
    /// weight of a linear layer has its inputs first, and that of other frameworks last. Where there are as many of both,
    /// nothing tells the one from the other.
    ///
    /// # Errors
    /// As [`Averages::save`].
    pub fn save(&mut self, path: impl AsRef<Path>) -> Result<()> {
        self.averages.save(path)
    }

    /// As [`EMA::save_as`](crate::EMA::save_as).
    ///
    /// # Errors
    /// As [`Averages::save_as`].
    pub fn save_as(&mut self, path: impl AsRef<Path>, dtype: Option<DType>) -> Result<()> {
        self.averages.save_as(path, dtype)
    }

    /// The averages that were saved; the next call says whether they are those of its module.
    ///
    /// # Errors
    /// As [`Averages::load`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self::of(Averages::load(path)?))
    }

    fn of(averages: Averages) -> Self {
        Self { averages, engine: Engine::default(), params: Params::default() }
    }

    /// The averages by themselves.
    pub fn averages(&self) -> &Averages {
        &self.averages
    }

    /// Names, counters, and what is left of the start.
    pub fn ledger(&self) -> &Ledger {
        self.averages.ledger()
    }

    /// The advice that has come up since the last call of this.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        self.averages.take_notices()
    }
}
