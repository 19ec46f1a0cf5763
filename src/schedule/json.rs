//! A schedule as a JSON object and back: the rule's name, and its arguments by name.

use super::Schedule;
use super::call::{Argument, Arguments, RULES};
use super::rules::MAX_NESTED;
use crate::error::Error;
use crate::hex;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fmt;

/// An object with the rule's name, as [`Schedule::call`] has it, and the arguments by name. Numbers are strings in the
/// hexadecimal form of Python's `float.hex`, which is exact and has infinity; counts are integers.
impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (rule, arguments) = self.call();
        let mut object = serializer.serialize_map(Some(1 + arguments.len()))?;
        object.serialize_entry("rule", rule)?;
        for (name, argument) in arguments {
            match argument {
                Argument::Number(value) => object.serialize_entry(name, &hex::print(value))?,
                Argument::Count(value) => object.serialize_entry(name, &value)?,
                Argument::Flag(value) => object.serialize_entry(name, &value)?,
                Argument::Schedule(inner) => object.serialize_entry(name, inner)?,
            }
        }
        object.end()
    }
}

/// Reads what is written, in any order, and nothing else: each argument once and none besides, numbers letter by letter
/// as they are printed, values that the rule's constructor lets through. It takes a format that says what a value is, as
/// JSON does.
impl<'de> de::Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Reader { depth: 0 }.deserialize(deserializer)?;
        schedule(value).map_err(de::Error::custom)
    }
}

/// A value before anything is known of the argument that it is for: the rule's name may come last.
enum Value {
    Text(String),
    Count(u64),
    Flag(bool),
    Object(Vec<(String, Value)>),
    /// What no argument takes, as it is to be called.
    Other(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => write!(f, "{text:?}"),
            Value::Count(count) => write!(f, "{count}"),
            Value::Flag(flag) => write!(f, "{flag}"),
            Value::Object(_) => f.write_str("an object"),
            Value::Other(name) => f.write_str(name),
        }
    }
}

fn refused(argument: &'static str, found: Option<&Value>, valid: impl Into<String>) -> String {
    match found {
        Some(value) => Error::config(argument, value, valid),
        None => Error::config(argument, "nothing", valid),
    }
    .to_string()
}

fn schedule(value: Value) -> Result<Schedule, String> {
    let Value::Object(entries) = value else {
        return Err(refused("a schedule", Some(&value), "an object with a rule and its arguments"));
    };
    let (rules, rest): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(name, _)| name == "rule");
    if let [(_, one), (_, other), ..] = &rules[..] {
        return Err(refused_again("rule", one, other));
    }
    let name = rules.first().map(|(_, value)| value);
    let rule = RULES.iter().find(|rule| matches!(name, Some(Value::Text(name)) if name == rule.name));
    let rule = rule.ok_or_else(|| {
        let names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        refused("rule", name, format!("one of {}", names.join(", ")))
    })?;
    let values = Values::of(rule.arguments, rest);
    values.and_then(|mut values| (rule.make)(&mut values)).map_err(|error| format!("{}: {error}", rule.name))
}

fn refused_again(argument: &'static str, one: &Value, other: &Value) -> String {
    Error::config(argument, format_args!("{one} and {other}"), "given once").to_string()
}

/// The arguments of one call, until they are taken.
struct Values(Vec<(&'static str, Value)>);

impl Values {
    fn of(names: &[&'static str], given: Vec<(String, Value)>) -> Result<Self, String> {
        let mut values: Vec<(&'static str, Value)> = Vec::with_capacity(names.len());
        for (given, value) in given {
            let Some(name) = names.iter().find(|name| **name == given) else {
                let valid = format!("one of {}", names.join(", "));
                return Err(Error::config("an argument", format_args!("{given:?}"), valid).to_string());
            };
            if let Some((_, before)) = values.iter().find(|(seen, _)| seen == name) {
                return Err(refused_again(name, before, &value));
            }
            values.push((name, value));
        }
        Ok(Values(values))
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        let at = self.0.iter().position(|(given, _)| *given == name)?;
        Some(self.0.swap_remove(at).1)
    }
}

impl Arguments for Values {
    fn number(&mut self, name: &'static str) -> Result<f64, String> {
        let value = self.take(name);
        let number = if let Some(Value::Text(text)) = &value { hex::parse(text) } else { None };
        let like = "a number as Python's float.hex writes it, such as \"0x1.8000000000000p+0\"";
        number.ok_or_else(|| refused(name, value.as_ref(), like))
    }

    fn count(&mut self, name: &'static str) -> Result<u64, String> {
        match self.take(name) {
            Some(Value::Count(count)) => Ok(count),
            other => Err(refused(name, other.as_ref(), format!("an integer from 0 to {}", u64::MAX))),
        }
    }

    fn flag(&mut self, name: &'static str) -> Result<bool, String> {
        match self.take(name) {
            Some(Value::Flag(flag)) => Ok(flag),
            other => Err(refused(name, other.as_ref(), "true or false")),
        }
    }

    fn schedule(&mut self, name: &'static str) -> Result<Schedule, String> {
        match self.take(name) {
            Some(value) => schedule(value).map_err(|error| format!("{name}: {error}")),
            None => Err(refused(name, None, "a schedule")),
        }
    }
}

/// Reads a value inside `depth` objects.
struct Reader {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Reader {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a schedule, or an argument of one")
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.into()))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_u64<E>(self, count: u64) -> Result<Value, E> {
        Ok(Value::Count(count))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(u64::try_from(value).map_or_else(|_| Value::Other(value.to_string()), Value::Count))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Other(format!("{value:?}")))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Other("null".into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other("a list".into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        // Before it is read any deeper: not every format has a limit of its own.
        if self.depth > MAX_NESTED {
            return Err(de::Error::custom(format_args!("schedules must be nested at most {MAX_NESTED} deep")));
        }
        let mut entries = Vec::new();
        while let Some(name) = object.next_key()? {
            entries.push((name, object.next_value_seed(Reader { depth: self.depth + 1 })?));
        }
        Ok(Value::Object(entries))
    }
}
