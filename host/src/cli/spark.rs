//! A history drawn in one line: ▁▂▃▄▅▆▇█ for numbers, █ and · for on and off.

use gatehouse_plugin_api::value::Value;

use crate::entity::HistoryRow;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The drawing over `since_ms..until_ms` in so many characters; `None` when the values cannot be drawn or there are
/// none. Before the first reading the line is blank; between two readings the earlier one stands.
pub(super) fn sparkline(rows: &[HistoryRow], since_ms: i64, until_ms: i64, width: usize) -> Option<String> {
    let first = rows.first()?;
    let width = i64::try_from(width.max(1)).ok()?;
    let length = (until_ms - since_ms).max(1);
    let mut levels = Vec::with_capacity(rows.len());
    for row in rows {
        levels.push(match row.value {
            Value::Number(number) => number,
            Value::OnOff(on) => f64::from(u8::from(on)),
            _ => return None,
        });
    }
    let switch = matches!(first.value, Value::OnOff(_));
    let (min, max) = levels.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), v| (min.min(*v), max.max(*v)));
    let mut line = String::new();
    let mut next = 0;
    let mut standing: Option<f64> = None;
    for column in 0..width {
        let end_ms = since_ms + (i128::from(length) * i128::from(column + 1) / i128::from(width)) as i64;
        // What a character stands for: the mean of its readings, "on at any time" for a switch.
        let (mut sum, mut count) = (0.0, 0_u32);
        while next < rows.len() && (rows[next].at_ms < end_ms || column + 1 == width) {
            sum += levels[next];
            count += 1;
            standing = Some(levels[next]);
            next += 1;
        }
        let shown = if count == 0 {
            standing
        } else if switch {
            Some(sum.ceil())
        } else {
            Some(sum / f64::from(count))
        };
        line.push(match shown {
            None => ' ',
            Some(value) if switch => {
                if value > 0.0 {
                    '█'
                } else {
                    '·'
                }
            }
            Some(value) => BARS[level(value, min, max)],
        });
    }
    Some(line)
}

/// Which of the eight bars; a value that never changes is drawn in the middle.
fn level(value: f64, min: f64, max: f64) -> usize {
    if max - min <= f64::EPSILON * max.abs().max(1.0) {
        return BARS.len() / 2 - 1;
    }
    // Between 0 and 7 by construction.
    (((value - min) / (max - min) * 7.0).round() as usize).min(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: &[(i64, Value)]) -> Vec<HistoryRow> {
        values.iter().map(|(at_ms, value)| HistoryRow { at_ms: *at_ms, value: value.clone() }).collect()
    }

    #[test]
    fn numbers_are_drawn_between_least_and_greatest() {
        let ramp: Vec<_> = (0..8).map(|i| (i * 10, Value::Number(i as f64))).collect();
        assert_eq!(sparkline(&rows(&ramp), 0, 80, 8).as_deref(), Some("▁▂▃▄▅▆▇█"));
        assert_eq!(sparkline(&rows(&[(40, Value::Number(5.0))]), 0, 80, 8).as_deref(), Some("    ▄▄▄▄"));
    }

    #[test]
    fn a_switch_is_a_bar_while_it_is_on() {
        let switch = rows(&[(0, false.into()), (20, true.into()), (50, false.into())]);
        assert_eq!(sparkline(&switch, 0, 80, 8).as_deref(), Some("··███···"));
    }

    #[test]
    fn the_last_reading_is_never_left_out() {
        let late = rows(&[(0, Value::Number(0.0)), (80, Value::Number(1.0))]);
        assert_eq!(sparkline(&late, 0, 80, 4).as_deref(), Some("▁▁▁█"));
    }

    #[test]
    fn text_and_nothing_cannot_be_drawn() {
        assert_eq!(sparkline(&rows(&[(0, "x".into())]), 0, 80, 8), None);
        assert_eq!(sparkline(&[], 0, 80, 8), None);
    }
}
