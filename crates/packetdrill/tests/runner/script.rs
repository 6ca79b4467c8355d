//! A script's events (`packetdrill`'s language, as far as our scripts use it).

use super::packet::{self, Inbound, Outbound};
use super::text::Text;
use std::sync::Arc;

/// One line of a script, with its time.
pub(crate) struct Event {
    pub(crate) line: usize,
    pub(crate) when: When,
    pub(crate) what: What,
}

/// When something happens, in microseconds; all but `At` count from the event before.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    At(u64),
    After(u64),
    /// Between the two, counted from the event before, or from the start.
    Between {
        from_us: u64,
        to_us: u64,
        relative: bool,
    },
    /// A call that is made at the first and ends at the second.
    Lasts {
        from_us: u64,
        to_us: u64,
    },
    Any,
}

pub(crate) enum What {
    In(Inbound),
    Out(Outbound),
    Call(Arc<Call>),
    /// Between back quotes.
    Command(String),
}

/// A socket call and what must come of it.
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) arguments: Vec<Value>,
    pub(crate) result: i64,
    /// The name of the error, with a result of -1.
    pub(crate) errno: Option<String>,
}

/// An argument.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// `...`
    Any,
    Number(i64),
    /// `A|B`
    Names(Vec<String>),
    Text(String),
    List(Vec<Value>),
    /// `{name=value, ...}`; a value without a name has an empty one.
    Fields(Vec<(String, Value)>),
}

pub(crate) fn parse(script: &str) -> Result<Vec<Event>, String> {
    let mut text = Text::new(script);
    let mut events = Vec::new();
    while !text.is_empty() {
        let line = text.line();
        if text.starts_with("--") {
            return Err(format!("line {line}: options are not known here"));
        }
        let when = if text.starts_with("`") { When::After(0) } else { when(&mut text)? };
        let what = what(&mut text)?;
        events.push(Event { line, when, what });
    }
    Ok(events)
}

fn when(text: &mut Text<'_>) -> Result<When, String> {
    if text.eat("*") {
        return Ok(When::Any);
    }
    let relative = text.eat("+");
    let from_us = text.seconds_us()?;
    if text.eat("...") {
        return Ok(When::Lasts { from_us, to_us: text.seconds_us()? });
    }
    if text.eat("~") {
        let relative = text.eat("+") || relative;
        return Ok(When::Between { from_us, to_us: text.seconds_us()?, relative });
    }
    Ok(if relative { When::After(from_us) } else { When::At(from_us) })
}

fn what(text: &mut Text<'_>) -> Result<What, String> {
    if text.eat("<") {
        return packet::inbound(text).map(What::In);
    }
    if text.eat(">") {
        return packet::outbound(text).map(What::Out);
    }
    if text.eat("`") {
        return text.until('`').map(|command| What::Command(command.trim().to_string()));
    }
    let name = text.word().to_string();
    if name.is_empty() {
        return Err(text.unexpected("a packet or a call"));
    }
    text.expect("(")?;
    let arguments = values(text, ")")?;
    text.expect("=")?;
    let result = text.number()?;
    let mut errno = None;
    if result == -1 {
        errno = Some(text.word().to_string());
        if text.eat("(") {
            text.until(')')?;
        }
    }
    Ok(What::Call(Arc::new(Call { name, arguments, result, errno })))
}

/// Values between commas, up to `end`.
fn values(text: &mut Text<'_>, end: &str) -> Result<Vec<Value>, String> {
    let mut values = Vec::new();
    while !text.eat(end) {
        values.push(value(text)?);
        text.eat(",");
    }
    Ok(values)
}

fn value(text: &mut Text<'_>) -> Result<Value, String> {
    if text.eat("...") {
        return Ok(Value::Any);
    }
    if text.eat("[") {
        return values(text, "]").map(Value::List);
    }
    if text.eat("\"") {
        return text.until('"').map(|found| Value::Text(found.to_string()));
    }
    if text.eat("{") {
        let mut fields = Vec::new();
        while !text.eat("}") {
            fields.push(field(text)?);
            text.eat(",");
        }
        return Ok(Value::Fields(fields));
    }
    let mut names = Vec::new();
    loop {
        if text.starts_with("-") {
            return text.number().map(Value::Number);
        }
        let word = text.word();
        match word.chars().next() {
            None => return Err(text.unexpected("a value")),
            Some(digit) if digit.is_ascii_digit() => {
                return Text::new(word).number().map(Value::Number);
            }
            Some(_) => names.push(word.to_string()),
        }
        if !text.eat("|") {
            return Ok(Value::Names(names));
        }
    }
}

fn field(text: &mut Text<'_>) -> Result<(String, Value), String> {
    let first = value(text)?;
    match first {
        Value::Names(names) if names.len() == 1 && text.eat("=") => {
            Ok((names[0].clone(), value(text)?))
        }
        unnamed => Ok((String::new(), unnamed)),
    }
}
