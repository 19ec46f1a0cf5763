//! A 64-bit float as text, exactly: the C99 hexadecimal form that Python's `float.hex` writes.

/// The text of a number, such as `0x1.8000000000000p+0` for 1.5, and `nan` for whatever is none.
pub fn print(value: f64) -> String {
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let (exponent, fraction) = (value.to_bits() >> 52 & 0x7ff, value.to_bits() & ((1 << 52) - 1));
    match (exponent, fraction) {
        (0x7ff, 0) => format!("{sign}inf"),
        (0x7ff, _) => "nan".into(),
        (0, 0) => format!("{sign}0x0.0p+0"),
        (0, _) => format!("{sign}0x0.{fraction:013x}p-1022"),
        (_, _) => format!("{sign}0x1.{fraction:013x}p{:+}", exponent as i64 - 1023),
    }
}

/// The number that has this text. No other text of it is read, so that nothing is ever rounded, and a NaN has none.
pub fn parse(text: &str) -> Option<f64> {
    let magnitude = text.strip_prefix('-').unwrap_or(text);
    let sign = u64::from(magnitude.len() < text.len()) << 63;
    let bits = match magnitude {
        "inf" => f64::INFINITY.to_bits(),
        "0x0.0p+0" => 0,
        _ => {
            let (fraction, exponent) = magnitude.get("0x1.".len()..)?.split_once('p')?;
            let biased = i64::from(exponent.parse::<i16>().ok()?) + 1023;
            let exponent = if magnitude.starts_with("0x0.") { 0 } else { biased as u64 };
            exponent << 52 | u64::from_str_radix(fraction, 16).ok()?
        }
    };
    // A digit out of place, too many or too few, shows here.
    let value = f64::from_bits(sign | bits);
    (print(value) == text).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `(value.hex(), value)`, as Python has them.
    const PYTHON: &[(&str, f64)] = &[
        ("0x0.0p+0", 0.0),
        ("-0x0.0p+0", -0.0),
        ("0x1.0000000000000p+0", 1.0),
        ("-0x1.0000000000000p+0", -1.0),
        ("0x1.8000000000000p+0", 1.5),
        ("0x1.0000000000000p+1", 2.0),
        ("0x1.999999999999ap-4", 0.1),
        ("-0x1.999999999999ap-4", -0.1),
        ("0x1.ccccccccccccdp-1", 0.9),
        ("0x1.ff7ced916872bp-1", 0.999),
        ("0x1.fff2e48e8a71ep-1", 0.9999),
        ("0x1.f400000000000p+10", 2000.0),
        ("0x1.52d02c7e14af6p+76", 1e+23),
        ("0x1.56e1fc2f8f359p-997", 1e-300),
        ("0x1.7e43c8800759cp+996", 1e+300),
        ("0x1.d6f3454800000p+26", 123456789.125),
        ("0x1.94c583ada5b53p+1", 3.1622776601683795),
        ("0x1.5555555555555p-2", 0.3333333333333333),
        ("0x1.0000000000000p+53", 9007199254740992.0),
        ("0x0.0000000000001p-1022", 5e-324),
        ("-0x0.0000000000001p-1022", -5e-324),
        ("0x0.8000000000000p-1022", 1.1125369292536007e-308),
        ("0x0.fffffffffffffp-1022", 2.225073858507201e-308),
        ("0x1.0000000000000p-1022", 2.2250738585072014e-308),
        ("-0x1.0000000000000p-1022", -2.2250738585072014e-308),
        ("0x1.fffffffffffffp-1022", 4.4501477170144023e-308),
        ("0x1.fffffffffffffp+1023", 1.7976931348623157e+308),
        ("-0x1.fffffffffffffp+1023", -1.7976931348623157e+308),
        ("inf", f64::INFINITY),
        ("-inf", f64::NEG_INFINITY),
    ];

    #[test]
    fn numbers_print_as_in_python_and_are_read_again() {
        for &(text, value) in PYTHON {
            assert_eq!(print(value), text);
            assert_eq!(parse(text).map(f64::to_bits), Some(value.to_bits()), "{text}");
        }
    }

    #[test]
    fn only_what_is_printed_is_read() {
        let refused = [
            "",
            "-",
            "nan",
            "-nan",
            "NaN",
            "infinity",
            "+inf",
            "--inf",
            "Inf",
            "1.5",
            "0",
            "0x1",
            "0x1.",
            "0x1.p+0",
            "0x1p+0",
            "0x1.8p+0",
            "0x1.800000000000p+0",
            "0x1.80000000000000p+0",
            "0x1.8000000000000p0",
            "0x1.8000000000000p+00",
            "0x1.8000000000000p-0",
            "0x1.8000000000000p",
            "0x1.8000000000000p+",
            "0x1.8000000000000",
            "0x1.8000000000000P+0",
            "0x1.800000000000Ap+0",
            "0x1.+800000000000p+0",
            "0X1.8000000000000p+0",
            "1x1.8000000000000p+0",
            "0x2.8000000000000p+0",
            "0x0.8000000000000p+0",
            "0x0.8000000000000p-1023",
            "0x0.0000000000000p-1022",
            "0x0.0p-0",
            "0x1.0000000000000p-1023",
            "0x1.0000000000000p+1024",
            "0x1.8000000000000p+1024",
            "0x1.0000000000000p+32767",
            "0x1.0000000000000p+32768",
            "0x1.0000000000000p+99999999999999999999",
            "0x1.10000000000000000000p+0",
            "+0x1.8000000000000p+0",
            " 0x1.8000000000000p+0",
            "0x1.8000000000000p+0\n",
            "0x1.8000000000000p+0p+0",
            "0x1,8000000000000p+0",
            "0x1\u{e9}8000000000000p+0",
            "\u{2212}0x1.8000000000000p+0",
        ];
        for text in refused {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_not_a_number_prints_so() {
        for bits in [f64::NAN.to_bits(), (-f64::NAN).to_bits(), 0x7ff0_0000_0000_0001, u64::MAX] {
            assert_eq!(print(f64::from_bits(bits)), "nan");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 20_000, ..ProptestConfig::default() })]

        #[test]
        fn every_number_comes_back(bits in any::<u64>(), exponent in prop::sample::select(vec![0_u64, 1, 2046, 2047])) {
            // Of random bits, one in a thousand is a subnormal number.
            for bits in [bits, bits & !(0x7ff << 52) | exponent << 52] {
                let value = f64::from_bits(bits);
                let expected = if value.is_nan() { None } else { Some(bits) };
                prop_assert_eq!(parse(&print(value)).map(f64::to_bits), expected);
            }
        }

        #[test]
        fn whatever_is_read_prints_the_same(
            bits in any::<u64>(), at in any::<prop::sample::Index>(), other in "[-+.0-9a-fpinx]?",
        ) {
            let text = print(f64::from_bits(bits));
            let at = at.index(text.len());
            for end in [at, at + 1] {
                let changed = format!("{}{other}{}", &text[..at], &text[end..]);
                if let Some(value) = parse(&changed) {
                    prop_assert_eq!(print(value), changed);
                }
            }
        }
    }
}
