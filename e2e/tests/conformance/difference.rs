//! Where two plays differ first.

use std::fmt;

use serde_json::Value;

use crate::play::Line;

/// The first answer in which two servers differ.
#[derive(Debug, Clone)]
pub struct Difference {
    /// What was asked before it, and what was answered.
    history: Vec<String>,
    real: Line,
    simulated: Line,
    fields: Vec<String>,
}

impl Difference {
    /// The first difference of two plays, if there is one.
    pub fn first(reals: &[Line], simulateds: &[Line]) -> Option<Self> {
        let nothing =
            Line { request: "nothing more".into(), what: None, code: 0, answer: Value::Null };
        let length = reals.len().max(simulateds.len());
        let line = |lines: &[Line], index| lines.get(index).unwrap_or(&nothing).clone();
        let index =
            (0..length).find(|index| !line(reals, *index).agrees(&line(simulateds, *index)))?;
        let (real, simulated) = (line(reals, index), line(simulateds, index));
        let mut fields = Vec::new();
        compare("", &real.answer, &simulated.answer, &mut fields);
        let history = lines_before(reals, index);
        Some(Self { history, real, simulated, fields })
    }

    /// What tells it apart from others.
    pub fn signature(&self) -> String {
        let method = self.real.request.split(' ').next().unwrap_or_default();
        let paths: Vec<&str> =
            self.fields.iter().map(|field| field.split(':').next().unwrap_or_default()).collect();
        format!(
            "{method} {:?} {} {} {}",
            self.real.what,
            self.real.code,
            self.simulated.code,
            paths.join(" ")
        )
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.history {
            writeln!(f, "    {line}")?;
        }
        writeln!(f, "{}", self.real.request)?;
        writeln!(f, "  real {}, simulated {}", self.real.code, self.simulated.code)?;
        write!(f, "  {}", self.fields.join("\n  "))
    }
}

fn lines_before(lines: &[Line], index: usize) -> Vec<String> {
    let before = lines[..index.min(lines.len())].iter();
    before.map(|line| format!("{} {}", line.code, line.request)).collect()
}

/// The fields in which two values differ.
fn compare(path: &str, real: &Value, simulated: &Value, found: &mut Vec<String>) {
    match (real, simulated) {
        (Value::Object(one), Value::Object(other)) => {
            let mut names: Vec<&String> = one.keys().chain(other.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let of = |value: &Value| value.get(name).cloned().unwrap_or(Value::Null);
                compare(&format!("{path}/{name}"), &of(real), &of(simulated), found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (real, simulated)) in one.iter().zip(other).enumerate() {
                compare(&format!("{path}/{index}"), real, simulated, found);
            }
        }
        _ if real == simulated => {}
        _ => found.push(format!("{path}: real {real}, simulated {simulated}")),
    }
}
