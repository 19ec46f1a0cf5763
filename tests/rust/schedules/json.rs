//! Schedules as JSON: every one comes back bit for bit, and nothing else is read.

use super::any::any_schedule;
use proptest::prelude::*;
use shrew_ema::Error;
use shrew_ema::schedule::Schedule;

/// What is read, or the message.
fn read(text: &str) -> Result<Schedule, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn write(schedule: &Schedule) -> String {
    serde_json::to_string(schedule).unwrap()
}

/// The names of all rules, as the refusal of another lists them.
fn rules() -> String {
    let message = read(r#"{"rule":"median"}"#).unwrap_err();
    let names = message.strip_prefix("rule must be one of ").and_then(|rest| rest.strip_suffix(", got \"median\""));
    names.unwrap_or_else(|| panic!("{message}")).to_owned()
}

#[test]
fn every_rule_has_its_text() {
    let texts = [
        (Schedule::constant(0.999), r#"{"rule":"constant","decay":"0x1.ff7ced916872bp-1"}"#),
        (
            Schedule::ratio(0.9999, 0.5, 10.0, 3, 4),
            r#"{"rule":"ratio","decay":"0x1.fff2e48e8a71ep-1","min_decay":"0x1.0000000000000p-1","width":"0x1.4000000000000p+3","delay":3,"copies":4}"#,
        ),
        (
            Schedule::inverse_power(1.0, 0.0, 1.5, 2.0 / 3.0, 1, u64::MAX),
            r#"{"rule":"inverse_power","decay":"0x1.0000000000000p+0","min_decay":"0x0.0p+0","inv_gamma":"0x1.8000000000000p+0","power":"0x1.5555555555555p-1","delay":1,"copies":18446744073709551615}"#,
        ),
        (
            Schedule::exponential(0.9999, 2000.0),
            r#"{"rule":"exponential","decay":"0x1.fff2e48e8a71ep-1","tau":"0x1.f400000000000p+10"}"#,
        ),
        (Schedule::mean_teacher(0.25), r#"{"rule":"mean_teacher","decay":"0x1.0000000000000p-2"}"#),
        (
            Schedule::annealing(0.0002, 100.0),
            r#"{"rule":"annealing","momentum":"0x1.a36e2eb1c432dp-13","gamma":"0x1.9000000000000p+6"}"#,
        ),
        (
            Schedule::half_life(f64::INFINITY, 5e-324),
            r#"{"rule":"half_life","half_life":"inf","interval":"0x0.0000000000001p-1022"}"#,
        ),
        (
            Schedule::edm(f64::INFINITY, 0.09, 2048.0, true),
            r#"{"rule":"edm","half_life":"inf","rampup_ratio":"0x1.70a3d70a3d70ap-4","batch":"0x1.0000000000000p+11","inclusive":true}"#,
        ),
        (Schedule::cosine(1000, 0.996), r#"{"rule":"cosine","steps":1000,"decay":"0x1.fdf3b645a1cacp-1"}"#),
        (Schedule::swa(100), r#"{"rule":"swa","every":100}"#),
        (Schedule::power_gamma(16.97219860230345), r#"{"rule":"power_gamma","gamma":"0x1.0f8e201f21c38p+4"}"#),
        (Schedule::delayed(0.99, 7), r#"{"rule":"delayed","decay":"0x1.fae147ae147aep-1","copies":7}"#),
        (
            Schedule::uncompensated(Schedule::constant(0.5).unwrap(), 10, 3),
            r#"{"rule":"uncompensated","inner":{"rule":"constant","decay":"0x1.0000000000000p-1"},"every":10,"first":3}"#,
        ),
    ];
    for (schedule, text) in &texts {
        let schedule = schedule.as_ref().unwrap();
        assert_eq!(write(schedule), *text);
        assert_eq!(read(text).as_ref(), Ok(schedule));
    }
    let covered: Vec<_> = texts.iter().map(|(schedule, _)| schedule.as_ref().unwrap().call().0).collect();
    assert_eq!(covered.join(", "), rules(), "a rule without a text here");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn every_schedule_comes_back(one in any_schedule(), nested in prop::collection::vec(1..9_u64, 0..4)) {
        let schedule = nested.iter().fold(one, |inner, &every| Schedule::uncompensated(inner, every, 1).unwrap());
        let text = write(&schedule);
        let found = read(&text).unwrap();
        // What is printed tells all numbers apart, and -0 from 0.
        prop_assert_eq!(found.to_string(), schedule.to_string());
        prop_assert_eq!(&found, &schedule);
        prop_assert_eq!(write(&found), text);
        // An object of sorted names, in which the rule comes after most arguments.
        let value = serde_json::to_value(&schedule).unwrap();
        prop_assert_eq!(serde_json::from_value::<Schedule>(value).unwrap(), schedule);
    }
}

#[test]
fn the_order_and_the_white_space_do_not_matter() {
    let text = r#" { "first": 2, "every" : 3, "inner": {"decay":"0x1.8000000000000p-1",
        "rule":"constant"}, "rule":"uncompensated"} "#;
    let expected = Schedule::uncompensated(Schedule::constant(0.75).unwrap(), 3, 2).unwrap();
    assert_eq!(read(text), Ok(expected));
    // Minus zero is a decay, and becomes zero as in a call.
    let zero = read(r#"{"rule":"constant","decay":"-0x0.0p+0"}"#).unwrap();
    assert_eq!(zero.to_string(), "constant(decay=0.0)");
}

#[test]
fn a_refusal_says_where_and_what_and_what_instead() {
    let rules = rules();
    let rule = |got: &str| format!("rule must be one of {rules}, got {got}");
    let schedule = |got: &str| format!("a schedule must be an object with a rule and its arguments, got {got}");
    let number = |name: &str, got: &str| {
        format!("{name} must be a number as Python's float.hex writes it, such as \"0x1.8000000000000p+0\", got {got}")
    };
    let count = |name: &str, got: &str| format!("{name} must be an integer from 0 to 18446744073709551615, got {got}");
    let cases = [
        // No schedule at all.
        ("3", schedule("3")),
        ("-3", schedule("-3")),
        ("0.999", schedule("0.999")),
        ("null", schedule("null")),
        ("[]", schedule("a list")),
        (r#"["constant",{"decay":1}]"#, schedule("a list")),
        (r#""constant""#, schedule("\"constant\"")),
        // No rule that there is.
        ("{}", rule("nothing")),
        (r#"{"decay":"0x0.0p+0"}"#, rule("nothing")),
        (r#"{"rule":"Constant"}"#, rule("\"Constant\"")),
        (r#"{"rule":"timm"}"#, rule("\"timm\"")),
        (r#"{"rule":"\u0000"}"#, rule("\"\\0\"")),
        (r#"{"rule":7}"#, rule("7")),
        (r#"{"rule":null}"#, rule("null")),
        (r#"{"rule":{"rule":"swa","every":1}}"#, rule("an object")),
        (r#"{"rule":"swa","every":1,"rule":"swa"}"#, r#"rule must be given once, got "swa" and "swa""#.into()),
        // Arguments that are not the rule's.
        (r#"{"rule":"swa"}"#, format!("swa: {}", count("every", "nothing"))),
        (r#"{"rule":"exponential","decay":"0x0.0p+0"}"#, format!("exponential: {}", number("tau", "nothing"))),
        (
            r#"{"rule":"edm","half_life":"inf","rampup_ratio":"0x1.0000000000000p+0","batch":"0x1.0000000000000p+0"}"#,
            "edm: inclusive must be true or false, got nothing".into(),
        ),
        (
            r#"{"rule":"uncompensated","every":1,"first":1}"#,
            "uncompensated: inner must be a schedule, got nothing".into(),
        ),
        (
            r#"{"rule":"exponential","decay":"0x0.0p+0","tau":"0x1.0000000000000p+0","gamma":3}"#,
            r#"exponential: an argument must be one of decay, tau, got "gamma""#.into(),
        ),
        (r#"{"rule":"swa","Every":1}"#, r#"swa: an argument must be one of every, got "Every""#.into()),
        (r#"{"rule":"swa","every":1,"every":2}"#, "swa: every must be given once, got 1 and 2".into()),
        (r#"{"rule":"swa","every":1,"every":1}"#, "swa: every must be given once, got 1 and 1".into()),
        // Other types.
        (r#"{"rule":"constant","decay":0.999}"#, format!("constant: {}", number("decay", "0.999"))),
        (r#"{"rule":"constant","decay":1}"#, format!("constant: {}", number("decay", "1"))),
        (r#"{"rule":"constant","decay":true}"#, format!("constant: {}", number("decay", "true"))),
        (r#"{"rule":"constant","decay":{}}"#, format!("constant: {}", number("decay", "an object"))),
        (r#"{"rule":"constant","decay":[[1],{}]}"#, format!("constant: {}", number("decay", "a list"))),
        (r#"{"rule":"swa","every":"1"}"#, format!("swa: {}", count("every", "\"1\""))),
        (r#"{"rule":"swa","every":1.0}"#, format!("swa: {}", count("every", "1.0"))),
        (r#"{"rule":"swa","every":-1}"#, format!("swa: {}", count("every", "-1"))),
        (r#"{"rule":"swa","every":18446744073709551616}"#, format!("swa: {}", count("every", "1.8446744073709552e19"))),
        (r#"{"rule":"swa","every":false}"#, format!("swa: {}", count("every", "false"))),
        (
            r#"{"rule":"edm","half_life":"inf","rampup_ratio":"0x1.0000000000000p+0","batch":"0x1.0000000000000p+0",
                "inclusive":1}"#,
            "edm: inclusive must be true or false, got 1".into(),
        ),
        // Numbers in another form, and what is none.
        (r#"{"rule":"constant","decay":"0.5"}"#, format!("constant: {}", number("decay", "\"0.5\""))),
        (r#"{"rule":"constant","decay":"0x1p-1"}"#, format!("constant: {}", number("decay", "\"0x1p-1\""))),
        (r#"{"rule":"constant","decay":"nan"}"#, format!("constant: {}", number("decay", "\"nan\""))),
        // What the constructor refuses.
        (
            r#"{"rule":"constant","decay":"0x1.0000000000000p+1"}"#,
            "constant: decay must be a number in [0, 1], got 2.0".into(),
        ),
        (
            r#"{"rule":"constant","decay":"-0x0.0000000000001p-1022"}"#,
            "constant: decay must be a number in [0, 1], got -5e-324".into(),
        ),
        (
            r#"{"rule":"exponential","decay":"0x0.0p+0","tau":"inf"}"#,
            "exponential: tau must be a finite number above 0, got inf".into(),
        ),
        (r#"{"rule":"swa","every":0}"#, "swa: every must be at least 1, got 0".into()),
        // One inside another.
        (
            r#"{"rule":"uncompensated","inner":3,"every":1,"first":1}"#,
            format!("uncompensated: inner: {}", schedule("3")),
        ),
        (
            r#"{"rule":"uncompensated","inner":{"rule":"swa","every":0},"every":1,"first":1}"#,
            "uncompensated: inner: swa: every must be at least 1, got 0".into(),
        ),
        (
            r#"{"rule":"uncompensated","inner":{"rule":"swa","every":1},"every":1,"first":2}"#,
            "uncompensated: first must be from 1 to 1, got 2".into(),
        ),
    ];
    for (text, message) in cases {
        assert_eq!(read(text).unwrap_err(), message, "{text}");
    }
}

/// The text of `innermost` inside so many schedules.
fn nested(levels: usize, innermost: &str) -> String {
    let (open, close) = (r#"{"rule":"uncompensated","inner":"#, r#","every":1,"first":1}"#);
    format!("{}{innermost}{}", open.repeat(levels), close.repeat(levels))
}

#[test]
fn schedules_nest_sixteen_deep_and_no_deeper() {
    let mut deep = Schedule::swa(1).unwrap();
    for _ in 0..16 {
        deep = Schedule::uncompensated(deep, 1, 1).unwrap();
    }
    let text = write(&deep);
    assert_eq!(text, nested(16, r#"{"rule":"swa","every":1}"#));
    assert_eq!(read(&text).as_ref(), Ok(&deep));

    let refused = Schedule::uncompensated(deep, 1, 1).unwrap_err();
    assert!(matches!(refused, Error::Config { argument: "inner", .. }), "{refused}");
    assert_eq!(
        refused.to_string(),
        "inner must be a schedule that nests fewer than 16 deep, got one that nests 16 deep"
    );
    // Of a text, before it is read any deeper. Lists, which no argument takes, are passed over at any depth.
    let lists = format!("{}1{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    for (text, message) in [
        (nested(17, r#"{"rule":"swa","every":1}"#), "schedules must be nested at most 16 deep"),
        (nested(1_000_000, "null"), "schedules must be nested at most 16 deep"),
        (r#"{"a":"#.repeat(1_000_000), "schedules must be nested at most 16 deep"),
        (format!("{{\"rule\":{lists}}}"), "rule must be one of"),
    ] {
        let found = read(&text).unwrap_err();
        assert!(found.starts_with(message), "{found}");
    }
}
