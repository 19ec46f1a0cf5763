//! `assign`: which dtypes and shapes it takes, and that it finds its way through both layouts.

use crate::oracle::noise;
use DType::{BF16, F16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64};
use half::{bf16, f16};
use ndarray::{Array1, Array3, Axis, ShapeBuilder, s};
use shrew_ema::backend::ndarray::assign;
use shrew_ema::dtype::{DType, Element};
use shrew_ema::{Error, View};

/// A view of two elements of any dtype: one of the bits 1, one of 0.
fn source(dtype: DType) -> View<'static> {
    let words: &[u64] = match dtype.size() {
        8 => &[1, 0],
        _ => &[1],
    };
    View::over(words, dtype, &[2])
}

fn targets<T: Element + PartialEq>(taken: &[DType]) {
    for &dtype in DType::ALL {
        let before = View::over(&[0x0707_0707_0707_0707], T::DTYPE, &[1]).as_slice::<T>().unwrap()[0];
        let mut array = Array1::from(vec![before; 2]);
        let result = assign(&mut array, &source(dtype));
        if taken.contains(&dtype) {
            result.unwrap();
            assert!(array[0] != before && array[1] == T::zeroed(), "{dtype} to {}", T::DTYPE);
        } else {
            let error = result.unwrap_err();
            assert!(matches!(&error, Error::DType { name, found, .. } if name == "array" && found == T::DTYPE.name()));
            assert!(error.to_string().contains(&format!("expected {dtype}, ")), "{error}");
            assert!(array[0] == before && array[1] == before, "a refused call changes nothing");
        }
    }
}

#[test]
fn averages_narrow_and_everything_else_keeps_its_dtype() {
    targets::<f64>(&[F64]);
    targets::<f32>(&[F64, F32]);
    targets::<f16>(&[F64, F32, F16]);
    targets::<bf16>(&[F64, F32, BF16]);
    targets::<i8>(&[I8]);
    targets::<i16>(&[I16]);
    targets::<i32>(&[I32]);
    targets::<i64>(&[I64]);
    targets::<u8>(&[U8]);
    targets::<u16>(&[U16]);
    targets::<u32>(&[U32]);
    targets::<u64>(&[U64]);
}

#[test]
fn another_shape_is_refused() {
    let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    for shape in [[3, 2], [6, 1], [2, 2], [2, 4]] {
        let mut array = ndarray::Array2::from_elem(shape, 9.0);
        let view = View::strided(&values, 0, &[2, 3], &[3, 1]).unwrap();
        let error = assign(&mut array, &view).unwrap_err();
        assert_eq!(error, Error::Shape { name: "array".to_owned(), expected: vec![2, 3], found: shape.to_vec() });
        assert!(array.iter().all(|&x| x == 9.0));
    }
    assign(&mut Array1::<f64>::zeros(6), &View::strided(&values, 0, &[2, 3], &[3, 1]).unwrap()).unwrap_err();
}

#[test]
fn every_layout_is_read_into_every_layout() {
    // More elements than pass over the stack at a time.
    let shape = [13, 11, 17];
    let length: usize = shape.iter().product();
    let values = noise(4, 8 * length);
    let sources = [
        (0, [187, 17, 1]),
        (0, [1, 13, 143]),
        (length - 1, [-187, -17, -1]),
        (5, [374, 34, 2]),
        (8 * length - 1, [-1, -13, -143 * 8]),
    ];
    for (first, strides) in sources {
        let view = View::strided(&values, first, &shape, &strides).unwrap();
        let at = |(i, j, k): (usize, usize, usize)| {
            let steps = [i, j, k].iter().zip(strides).map(|(&i, stride)| i as isize * stride).sum::<isize>();
            values[first.checked_add_signed(steps).unwrap()]
        };
        let plain = Array3::<f64>::zeros(shape);
        let fortran = Array3::zeros(shape.f());
        let mut backwards = Array3::zeros(shape);
        backwards.invert_axis(Axis(2));
        for mut same in [plain, fortran, backwards] {
            assign(&mut same, &view).unwrap();
            assert!(same.indexed_iter().all(|(place, &x)| x == at(place)), "{strides:?}");
            let mut narrower = same.mapv(|_| 0.0_f32);
            assign(&mut narrower, &view).unwrap();
            assert!(narrower.indexed_iter().all(|(place, &x)| x == at(place) as f32), "{strides:?}");
        }
        let mut around = Array3::from_elem((26, 11, 18), 9.0_f32);
        assign(&mut around.slice_mut(s![..;2, .., 1..]), &view).unwrap();
        for ((i, j, k), &x) in around.indexed_iter() {
            let inside = i % 2 == 0 && k > 0;
            assert_eq!(x, if inside { at((i / 2, j, k - 1)) as f32 } else { 9.0 }, "{strides:?}");
        }
    }
}
