//! Updates of shrew's tensors, which are lent. Swaps go through shrew, which takes memory for each tensor that it writes.

use super::{BATCH, Call, Case, check};
use shrew_core::{DType, Tensor};
use shrew_cpu::{CpuBackend, CpuDevice};
use shrew_ema::EMA;
use shrew_ema::backend::shrew::Shrew;

/// An EMA of tensors, each third of which is the one before under another name.
pub fn check_shrew(case: Case, failures: &mut Vec<String>) {
    let mut params: Vec<Tensor<CpuBackend>> = Vec::new();
    let dtype = if case.bf16 { DType::BF16 } else { DType::F32 };
    for index in 0..case.tensors {
        params.push(match params.last() {
            Some(last) if index % 3 == 2 => last.clone(),
            _ => Tensor::ones((case.shape[0], case.shape[1]), dtype, &CpuDevice).unwrap(),
        });
    }
    let names = (0..case.tensors).map(|index| index.to_string()).collect();
    let backend = Shrew::new(case.engine());
    let mut ema = EMA::with_backend(backend, names, params.clone(), case.config()).unwrap();
    let batches = case.tensors.div_ceil(BATCH);
    let calls: [Call<'_, EMA<_>>; 2] = [
        ("update", batches, &|ema| ema.update(&params).unwrap()),
        ("update_with_warmup", batches, &|ema| ema.update_with_warmup(&params).unwrap()),
    ];
    check(case, "shrew", &mut ema, &calls, failures);
}
