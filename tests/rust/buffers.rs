//! The memory of averages and backups: snapshots never change, nothing is copied without need, too much is an error.

use shrew_ema::backend::ndarray::{Handle, NdArray, share};
use shrew_ema::descriptor::Descriptor;
use shrew_ema::engine::{Buffer, Engine, HostBackup};
use shrew_ema::{DType, EMA, Error, View};

#[test]
fn a_snapshot_never_changes_and_nothing_is_copied_without_one() {
    let w = share(ndarray::arr1(&[1.0, 1.0]));
    let params = vec![Handle::from(&w)];
    let mut ema = EMA::<NdArray>::new(params.clone(), 0.5).unwrap();
    let mut snapshots = Vec::new();
    let mut expected = 1.0;
    for step in 0..5 {
        let snapshot = ema.shadow(0, 0).unwrap();
        assert_eq!(snapshot.as_slice::<f64>().as_ptr(), ema.shadow_values(0).as_ptr(), "it shares the memory");
        snapshots.push((snapshot, expected));
        let value = f64::from(step * step);
        w.write().unwrap().fill(value);
        ema.update(&params).unwrap();
        expected = f64::midpoint(expected, value);
        assert_eq!(ema.shadow_values(0), [expected; 2]);
        for (snapshot, then) in &snapshots {
            assert_eq!(snapshot.as_slice::<f64>(), [*then; 2]);
        }
    }
    drop(ema.shadow(0, 0).unwrap());
    let address = ema.shadow_values(0).as_ptr();
    ema.update(&params).unwrap();
    assert_eq!(ema.shadow_values(0).as_ptr(), address, "without a snapshot it stays where it is");
    let last = ema.shadow(0, 0).unwrap();
    let values = ema.shadow_values(0).to_vec();
    drop(ema);
    assert_eq!(last.as_slice::<f64>(), values, "it outlives the EMA");
}

#[test]
fn what_is_written_to_a_snapshot_is_nobody_elses() {
    let params: Vec<_> = (0..5).map(|value| Handle::from(&share(ndarray::arr1(&[f64::from(value); 3])))).collect();
    let ema = EMA::<NdArray>::new(params, 0.5).unwrap();
    let values = |ema: &EMA<NdArray>| (0..5).map(|index| ema.shadow_values(index).to_vec()).collect::<Vec<_>>();
    let before = values(&ema);
    let (mut snapshot, mut last) = (ema.shadow(2, 0).unwrap(), ema.shadow(3, 0).unwrap());
    snapshot.as_mut_slice::<f64>().fill(7.0);
    assert_eq!((snapshot.as_slice::<f64>(), values(&ema)), (&[7.0; 3][..], before));
    let (neighbour, kept) = (ema.shadow(4, 0).unwrap(), last.clone());
    drop(ema);
    last.as_mut_slice::<f64>().fill(8.0);
    let all = [&last, &kept, &neighbour, &snapshot].map(|buffer| buffer.as_slice::<f64>()[0]);
    assert_eq!(all, [8.0, 3.0, 4.0, 7.0]);
    drop((kept, neighbour));
    last.as_mut_bytes().fill(0);
    assert_eq!((last.as_slice::<f64>(), last.descriptor().shape[..].to_vec()), (&[0.0; 3][..], vec![3]));
}

#[test]
fn a_snapshot_that_is_left_alone_in_its_memory_is_written_where_it_is() {
    let params: Vec<_> = (0..3).map(|value| Handle::from(&share(ndarray::arr1(&[f64::from(value); 3])))).collect();
    let ema = EMA::<NdArray>::new(params, 0.5).unwrap();
    let mut snapshot = ema.shadow(1, 0).unwrap();
    drop(ema);
    let address = snapshot.as_slice::<f64>().as_ptr();
    assert_eq!(snapshot.as_mut_slice::<f64>(), [1.0; 3]);
    assert_eq!(snapshot.as_slice::<f64>().as_ptr(), address);
}

#[test]
fn a_call_that_writes_no_average_leaves_the_memory_shared() {
    let w = share(ndarray::arr1(&[1.0]));
    let params = vec![Handle::from(&w)];
    let mut ema = EMA::<NdArray>::new(params.clone(), 1.0).unwrap();
    let snapshot = ema.shadow(0, 0).unwrap();
    ema.update(&params).unwrap();
    ema.apply().unwrap();
    ema.restore().unwrap();
    ema.copy_to().unwrap();
    assert_eq!(snapshot.as_slice::<f64>().as_ptr(), ema.shadow_values(0).as_ptr());
}

#[test]
fn only_shared_memory_is_copied_to_own_it() {
    let mut buffer = Buffer::zeroed(Descriptor::new(DType::U16, &[3])).unwrap();
    let address = buffer.as_slice::<u16>().as_ptr();
    buffer.own().unwrap();
    buffer.as_mut_slice::<u16>().copy_from_slice(&[1, 2, 3]);
    assert_eq!(buffer.as_slice::<u16>().as_ptr(), address);
    let snapshot = buffer.clone();
    buffer.own().unwrap();
    assert_ne!(buffer.as_slice::<u16>().as_ptr(), address);
    assert_eq!(buffer.as_slice::<u16>(), [1, 2, 3]);
    let owned = buffer.as_slice::<u16>().as_ptr();
    buffer.as_mut_slice::<u16>().fill(9);
    assert_eq!(buffer.as_slice::<u16>().as_ptr(), owned, "one copy is enough");
    assert_eq!(snapshot.as_slice::<u16>(), [1, 2, 3]);
}

#[test]
fn too_much_memory_is_an_error() {
    let zeroed = |shape: &[usize]| Buffer::zeroed(Descriptor::new(DType::F64, shape));
    // The bytes of the first three wrap; those of the last one are a number, and more than there are.
    for shape in [&[1 << 61][..], &[1 << 32, 1 << 32], &[usize::MAX, usize::MAX]] {
        assert_eq!(zeroed(shape).unwrap_err(), Error::Memory { bytes: usize::MAX }, "{shape:?}");
    }
    assert_eq!(zeroed(&[1 << 30, 1 << 29]).unwrap_err(), Error::Memory { bytes: 1 << 62 });
    let empty = zeroed(&[1 << 40, 0, 1 << 40]).unwrap();
    assert_eq!((empty.elements(), empty.as_slice::<f64>()), (0, &[][..]));
    assert_eq!(zeroed(&[]).unwrap().as_slice::<f64>(), [0.0]);
}

#[test]
fn the_memory_of_a_backup_is_used_again_only_for_the_same_dtype_and_shape() {
    let engine = Engine::new();
    let mut backup = HostBackup::default();
    let (first, second) = ([1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0], [6.0_f32, 5.0, 4.0, 3.0, 2.0, 1.0]);
    let whole = [7_i32; 6];
    let (wide, tall) = ([2, 3], [3, 2]);
    let mut address = std::ptr::null();
    for (view, again) in [
        (View::strided(&first, 0, &wide, &[3, 1]).unwrap(), false),
        (View::strided(&second, 0, &wide, &[3, 1]).unwrap(), true),
        (View::strided(&second, 0, &tall, &[2, 1]).unwrap(), false),
        (View::from(&second[..]), false),
        (View::from(&whole[..]), false),
        (View::from(&first[..5]), false),
    ] {
        backup_one(&engine, &mut backup, view);
        let kept = backup.get(0);
        assert_eq!(kept.descriptor(), view.descriptor());
        assert_eq!(kept.as_slice::<u32>(), view.as_slice::<u32>().unwrap());
        let now = kept.as_slice::<u32>().as_ptr();
        if again {
            assert_eq!(now, address, "the memory was not used again");
        }
        address = now;
    }
}

fn backup_one(engine: &Engine, backup: &mut HostBackup, view: View<'_>) {
    engine.backup(backup, 0..1, &[0], |_| view).unwrap();
}
