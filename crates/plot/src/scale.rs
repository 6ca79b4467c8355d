//! Where a value lies on an axis, and which values are named.

use crate::Axis;

/// An axis with its ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    from: f64,
    to: f64,
    is_log: bool,
}

impl Scale {
    /// From the axis' range, or from the values that it must show.
    pub(crate) fn of(axis: &Axis, values: impl Iterator<Item = f64>) -> Self {
        let is_log = axis.is_log;
        if let Some((from, to)) = axis.range {
            return Self { from, to, is_log };
        }
        let usable = values.filter(|value| value.is_finite() && (!is_log || *value > 0.0));
        let ends = usable.fold(None, |ends: Option<(f64, f64)>, value| {
            Some(ends.map_or((value, value), |(from, to)| (from.min(value), to.max(value))))
        });
        let (from, to) = ends.unwrap_or((1.0, 10.0));
        // Some room beside the outermost points; a single one is in the middle.
        if is_log {
            return Self { from: from / 1.3, to: to * 1.3, is_log };
        }
        let from = from.min(0.0);
        let to = if to > from { to + (to - from) * 0.08 } else { from + 1.0 };
        Self { from, to, is_log }
    }

    /// 0 at its beginning, 1 at its end; what is outside lies at an end.
    pub(crate) fn part(&self, value: f64) -> f64 {
        let part = if self.is_log {
            (value.max(self.from) / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// The values to be named.
    pub(crate) fn ticks(&self) -> Vec<f64> {
        if self.is_log { self.log_ticks() } else { self.linear_ticks() }
    }

    /// Powers of ten; with few of them, twice and five times as much too.
    fn log_ticks(&self) -> Vec<f64> {
        let (first, last) = (self.from.log10().floor() as i32, self.to.log10().ceil() as i32);
        let factors: &[f64] = match last - first {
            ..=2 => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        // A range of very many decades names every second or third one.
        let step = ((last - first) / 8 + 1) as usize;
        let tens = (first..=last).step_by(step).map(|exponent| 10f64.powi(exponent));
        let all = tens.flat_map(|ten| factors.iter().map(move |factor| ten * factor));
        let slack = 1.0 + 1e-9;
        all.filter(|value| (self.from / slack..=self.to * slack).contains(value)).collect()
    }

    /// About five, at 1, 2 or 5 times a power of ten.
    fn linear_ticks(&self) -> Vec<f64> {
        let wanted = (self.to - self.from) / 5.0;
        let ten = 10f64.powf(wanted.log10().floor());
        let factors = [1.0, 2.0, 5.0, 10.0];
        let step = factors.iter().map(|factor| factor * ten).find(|step| *step >= wanted * 0.999);
        let step = step.unwrap_or(wanted);
        let first = (self.from / step).ceil() as i64;
        let last = (self.to / step + 1e-9).floor() as i64;
        (first..=last).map(|number| number as f64 * step).collect()
    }
}

/// A number as an axis has it: `10 k`, `2.5 M`, `0.01`.
pub(crate) fn label(value: f64) -> String {
    let (value, unit) = match value.abs() {
        1e9.. => (value / 1e9, " G"),
        1e6.. => (value / 1e6, " M"),
        1e4.. => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = if value == 0.0 { 0 } else { (2 - value.abs().log10().floor() as i32).max(0) };
    let text = format!("{value:.*}", digits as usize);
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}
