//! The averages one element at a time, too simple to be wrong.

/// The new average: `s + a(p - s)` below ½, `p - b(p - s)` from there on, each operation rounded to 32 bits.
pub fn next_f32(s: f32, p: f32, alpha: f64) -> f32 {
    if alpha == 0.0 {
        s
    } else if alpha == 1.0 {
        p
    } else if alpha < 0.5 {
        let step = (alpha as f32) * (p - s);
        s + step
    } else {
        let step = ((1.0 - alpha) as f32) * (p - s);
        p - step
    }
}

/// The same in 64 bits.
pub fn next_f64(s: f64, p: f64, alpha: f64) -> f64 {
    if alpha == 0.0 {
        s
    } else if alpha == 1.0 {
        p
    } else if alpha < 0.5 {
        let step = alpha * (p - s);
        s + step
    } else {
        let step = (1.0 - alpha) * (p - s);
        p - step
    }
}

/// Numbers that look random and are the same every time, between -1 and 1.
pub fn noise(seed: u64, length: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
        })
        .collect()
}

/// The bits of the 16-bit float nearest to a value that is within their range, ties to even. `value_of` says what some
/// bits mean, which grows with the bits.
pub fn nearest(value: f64, value_of: impl Fn(u16) -> f64) -> u16 {
    let magnitude = value.abs();
    let (mut low, mut high) = (0, 0x7fff);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if value_of(middle) <= magnitude { low = middle } else { high = middle }
    }
    // Both neighbours have so few digits that the middle between them is exact.
    let middle = (value_of(low) + value_of(high)) / 2.0;
    let up = magnitude > middle || magnitude == middle && low % 2 == 1;
    let bits = if up { high } else { low };
    if value.is_sign_negative() { bits | 0x8000 } else { bits }
}
