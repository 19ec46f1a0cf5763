//! Calls in steady state take no memory from the heap; with threads, rayon's queue of calls does, now and then.
//!
//! All of it is one test, because other tests beside it would be counted.

mod counting;
#[cfg(feature = "shrew")]
mod shrew;

use counting::{Count, count};
use half::bf16;
use ndarray::{Array, ShapeBuilder};
use shrew_ema::backend::ndarray::{Handle, NdArray, Shared, share};
use shrew_ema::dtype::Element;
use shrew_ema::engine::Engine;
use shrew_ema::kernel::overlap::Owners;
use shrew_ema::schedule::Schedule;
use shrew_ema::{Averages, Config, EMA, View, ViewMut};

/// How many tensors, and the shape of each.
const MODELS: [(usize, [usize; 2]); 3] = [(1, [80, 90]), (300, [6, 8]), (10_000, [1, 3])];

/// Rounds before the count begins.
const WARM: usize = 2;

/// Tensors that `NdArray` lends at a time, each time for one dispatch.
const BATCH: usize = 64;

/// The size of rayon's queue, less some.
const QUEUE: usize = 60;

#[derive(Clone, Copy, Debug)]
struct Case {
    tensors: usize,
    shape: [usize; 2],
    horizons: usize,
    /// Whether the first index steps to the next element in memory.
    fortran: bool,
    bf16: bool,
    threads: bool,
}

impl Case {
    /// Every combination for the small models; for the large one, whose calls take long on threads, both ends of them.
    fn all() -> impl Iterator<Item = Self> {
        let bits = |number: usize, place: usize| number >> place & 1 == 1;
        let cases = MODELS.into_iter().flat_map(move |(tensors, shape)| {
            (0..16).map(move |number| Case {
                tensors,
                shape,
                horizons: if bits(number, 3) { 4 } else { 1 },
                fortran: bits(number, 2),
                bf16: bits(number, 1),
                threads: bits(number, 0),
            })
        });
        let ends = |case: &Case| case.fortran == case.bf16 && case.fortran == (case.horizons > 1);
        cases.filter(move |case| case.tensors < 1000 || ends(case) && !(case.threads && case.bf16))
    }

    /// Rounds that are counted.
    fn rounds(&self) -> usize {
        if self.tensors < 1000 { 3 } else { 1 }
    }

    fn engine(&self) -> Engine {
        match self.threads {
            false => Engine::new().serial_below(usize::MAX),
            true => Engine::new().threads(2).serial_below(0).grain(256),
        }
    }

    fn config(&self) -> Config {
        let decays = [0.9, 0.3, 0.999, 0.0].into_iter().take(self.horizons);
        Config::horizons(decays.map(|decay| Schedule::constant(decay).unwrap())).unwrap()
    }
}

/// A call, what it is called, and how often it hands work to other threads.
type Call<'a, M> = (&'static str, usize, &'a dyn Fn(&mut M));

/// Adds to `failures` what calls in steady state took, if they should not have.
fn check<M>(case: Case, what: &str, model: &mut M, calls: &[Call<'_, M>], failures: &mut Vec<String>) {
    let mut counts = vec![Count::default(); calls.len()];
    for round in 0..WARM + case.rounds() {
        for ((_, _, call), sum) in calls.iter().zip(&mut counts) {
            let found = count(|| call(model));
            if round >= WARM {
                *sum = *sum + found;
            }
        }
    }
    // Over all calls together, because the queue may be full in any of them.
    let dispatches = case.rounds() * calls.iter().map(|(_, dispatches, _)| dispatches).sum::<usize>();
    let most = if case.threads { dispatches.div_ceil(QUEUE) } else { 0 };
    let all = counts.iter().fold(Count::default(), |sum, &found| sum + found);
    if all.here > most || all.elsewhere > 0 {
        let each = calls.iter().zip(counts).map(|((name, ..), found)| format!("    {name}: {found:?}"));
        let each = each.collect::<Vec<_>>().join("\n");
        failures.push(format!("{what}, {case:?}, {} calls of each:\n{each}", case.rounds()));
    }
}

/// An EMA of arrays, each third of which is the one before under another name.
fn check_ema<T: Element>(case: Case, one: T, failures: &mut Vec<String>)
where
    Handle: From<Shared<T>>,
{
    let mut params: Vec<Handle> = Vec::new();
    for index in 0..case.tensors {
        params.push(match params.last() {
            Some(last) if index % 3 == 2 => last.clone(),
            _ => share(Array::from_elem(case.shape.set_f(case.fortran), one)).into(),
        });
    }
    let names = (0..case.tensors).map(|index| index.to_string()).collect();
    let backend = NdArray::new(case.engine());
    let mut ema = EMA::with_backend(backend, names, params.clone(), case.config()).unwrap();
    let (batches, writes) = (case.tensors.div_ceil(BATCH), case.tensors - case.tensors / 3);
    let last = case.horizons - 1;
    let calls: [Call<'_, EMA<NdArray>>; 6] = [
        ("update", batches, &|ema| ema.update(&params).unwrap()),
        ("update_with_warmup", batches, &|ema| ema.update_with_warmup(&params).unwrap()),
        ("apply", batches + writes, &|ema| ema.apply().unwrap()),
        ("restore", writes, &|ema| ema.restore().unwrap()),
        ("apply_horizon", batches + writes, &|ema| ema.apply_horizon(last).unwrap()),
        ("restore after it", writes, &|ema| ema.restore().unwrap()),
    ];
    let calls = if last > 0 { &calls[..] } else { &calls[..4] };
    check(case, "EMA", &mut ema, calls, failures);
    assert_eq!(ema.num_updates(), 2 * (WARM + case.rounds()) as u64);
}

/// Averages of plain memory, with gaps in the place of the other order.
fn check_averages<T: Element>(case: Case, one: T, failures: &mut Vec<String>) {
    let step = if case.fortran { 2 } else { 1 };
    let (shape, strides) = ([case.shape.iter().product()], [step as isize]);
    let memories = vec![vec![one; step * shape[0]]; case.tensors];
    let mut targets = memories.clone();
    let views = memories.iter().map(|memory| View::strided(memory, 0, &shape, &strides).unwrap());
    let views: Vec<_> = views.collect();
    let targets = targets.iter_mut().map(|memory| ViewMut::strided(memory, 0, &shape, &strides).unwrap());
    let averages = Averages::new(&views, case.config()).unwrap().engine(case.engine());
    let calls: [Call<'_, (Averages, Vec<ViewMut<'_>>)>; 3] = [
        ("update", 1, &|(averages, _)| averages.update(&views).unwrap()),
        ("update_with_warmup", 1, &|(averages, _)| averages.update_with_warmup(&views).unwrap()),
        ("copy_to", case.tensors, &|(averages, into)| averages.copy_to(into, case.horizons - 1).unwrap()),
    ];
    check(case, "Averages", &mut (averages, targets.collect()), &calls, failures);
}

/// Which tensors are the same memory, where a look at their ends does not tell: columns of one matrix, each under two names.
fn check_owners() {
    let (memory, rows, steps) = (vec![0_f32; 12 * 50], [50], [12]);
    let column = |index: usize| View::strided(&memory, index / 2, &rows, &steps).unwrap();
    let mut owners = Owners::default();
    owners.find(24, column).unwrap();
    assert_eq!(count(|| owners.find(24, column).unwrap()), Count::default());
    assert_eq!(owners.to_vec(), (0..24).map(|index| index / 2 * 2).collect::<Vec<_>>());
}

/// Starts the threads, which takes memory, and sees to it that each has had something to do.
fn warm() {
    let memory = vec![1_f32; 200_000];
    let views = [View::from(&memory[..])];
    let case = Case { tensors: 1, shape: [1, 1], horizons: 1, fortran: false, bf16: false, threads: true };
    let mut averages = Averages::new(&views, case.config()).unwrap().engine(case.engine());
    for _ in 0..50 {
        averages.update(&views).unwrap();
    }
}

/// A counter that counts nothing would find nothing.
fn check_counter() {
    assert_eq!(count(|| drop(Box::new(1))), Count { here: 1, elsewhere: 0 });
    assert_eq!(count(|| drop(vec![0_u8; 10])), Count { here: 1, elsewhere: 0 });
    let mut list = Vec::with_capacity(1);
    assert_eq!(count(|| list.extend([1, 2])), Count { here: 1, elsewhere: 0 });
    let found = count(|| std::thread::scope(|scope| drop(scope.spawn(|| drop([1, 2].map(Box::new))))));
    assert!(found.elsewhere >= 2, "{found:?}");
}

#[test]
fn calls_in_steady_state_take_no_memory() {
    // Not on the harness's own thread, where `--test-threads=1` runs a test.
    let run = || {
        check_counter();
        warm();
        check_owners();
        let mut failures = Vec::new();
        for case in Case::all() {
            // What there is no other order of.
            #[cfg(feature = "shrew")]
            if !case.fortran {
                shrew::check_shrew(case, &mut failures);
            }
            if case.bf16 {
                check_ema(case, bf16::ONE, &mut failures);
                check_averages(case, bf16::ONE, &mut failures);
            } else {
                check_ema(case, 1_f32, &mut failures);
                check_averages(case, 1_f32, &mut failures);
            }
        }
        assert!(failures.is_empty(), "{} models took memory:\n{}", failures.len(), failures.join("\n"));
    };
    std::thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}
