//! The text form of Prometheus, read as strictly as its own tools do: every family told of before its samples, names and
//! endings by the conventions, histograms whose buckets add up.

use std::collections::{BTreeMap, BTreeSet};

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The family's name with its ending.
    pub name: String,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

/// Everything that was told.
#[derive(Debug, Clone, Default)]
pub struct Exposition {
    /// The type of each family.
    pub families: BTreeMap<String, String>,
    /// The samples, in order.
    pub samples: Vec<Sample>,
}

impl Exposition {
    /// Reads a text.
    ///
    /// # Errors
    /// What is wrong with which line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut read = Self::default();
        let mut helped = BTreeSet::new();
        let mut family = String::new();
        if !text.is_empty() && !text.ends_with('\n') {
            return Err("the last line does not end".to_owned());
        }
        for line in text.lines() {
            let wrong = |what: &str| format!("{what}: {line}");
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').ok_or_else(|| wrong("no help"))?;
                if help.is_empty() || !helped.insert(name.to_owned()) {
                    return Err(wrong("help that is empty or told twice"));
                }
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').ok_or_else(|| wrong("no type"))?;
                if !is_name(name) || !["counter", "gauge", "histogram"].contains(&kind) || !helped.contains(name) {
                    return Err(wrong("a family with a wrong name or type, or without help"));
                }
                if (kind == "counter") != name.ends_with("_total") {
                    return Err(wrong("_total is for counters, and counters have it"));
                }
                if read.families.insert(name.to_owned(), kind.to_owned()).is_some() {
                    return Err(wrong("a family told of twice"));
                }
                name.clone_into(&mut family);
            } else {
                let sample = sample(line).ok_or_else(|| wrong("no sample"))?;
                let kind = read.families.get(&family).ok_or_else(|| wrong("a sample before its family"))?;
                let ending = sample.name.strip_prefix(&family).ok_or_else(|| wrong("a sample of no family"))?;
                let of_histogram = ["_bucket", "_sum", "_count"].contains(&ending);
                if (kind == "histogram") != of_histogram || (!of_histogram && !ending.is_empty()) {
                    return Err(wrong("a sample with a wrong ending"));
                }
                if sample.labels.contains_key("le") != (ending == "_bucket") {
                    return Err(wrong("le is for buckets"));
                }
                let before = |other: &Sample| other.name == sample.name && other.labels == sample.labels;
                if read.samples.iter().any(before) {
                    return Err(wrong("a sample told twice"));
                }
                read.samples.push(sample);
            }
        }
        read.histograms_add_up()?;
        Ok(read)
    }

    fn histograms_add_up(&self) -> Result<(), String> {
        for (name, _) in self.families.iter().filter(|(_, kind)| *kind == "histogram") {
            let counts = self.samples.iter().filter(|sample| sample.name == format!("{name}_count"));
            for count in counts {
                let of_it = |sample: &&Sample| {
                    let mut labels = sample.labels.clone();
                    labels.remove("le");
                    sample.name == format!("{name}_bucket") && labels == count.labels
                };
                let buckets: Vec<_> = self.samples.iter().filter(of_it).collect();
                let rising = |pair: &[&Sample]| pair[0].value <= pair[1].value && bound(pair[0]) < bound(pair[1]);
                let last = buckets.last().ok_or_else(|| format!("{count:?} has no buckets"))?;
                if !buckets.windows(2).all(rising) || bound(last) != Some(f64::INFINITY) || last.value != count.value {
                    return Err(format!("the buckets of {count:?} do not add up: {buckets:?}"));
                }
                if !self.samples.iter().any(|s| s.name == format!("{name}_sum") && s.labels == count.labels) {
                    return Err(format!("{count:?} has no sum"));
                }
            }
        }
        Ok(())
    }

    /// The value of a sample with these labels and perhaps more; of several their sum.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has =
            |sample: &Sample| labels.iter().all(|(key, value)| sample.labels.get(*key).is_some_and(|v| v == value));
        let mut values = self.samples.iter().filter(|s| s.name == name && has(s)).map(|s| s.value).peekable();
        values.peek()?;
        Some(values.sum())
    }

    /// Every value of a label.
    pub fn values_of(&self, label: &str) -> BTreeSet<&str> {
        self.samples.iter().filter_map(|sample| sample.labels.get(label).map(String::as_str)).collect()
    }
}

fn bound(sample: &Sample) -> Option<f64> {
    sample.labels.get("le")?.parse().ok()
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    !name.is_empty() && name.chars().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// `name{label="value",…} value`
fn sample(line: &str) -> Option<Sample> {
    let (head, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, rest)) = head.split_once('{') else {
        return is_name(head).then(|| Sample { name: head.to_owned(), labels: BTreeMap::new(), value });
    };
    let mut labels = BTreeMap::new();
    let mut rest = rest.strip_suffix('}')?;
    while !rest.is_empty() {
        let (key, after) = rest.split_once("=\"")?;
        let mut text = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at + 1,
                (_, '\\') => text.push(match chars.next()?.1 {
                    'n' => '\n',
                    other @ ('\\' | '"') => other,
                    _ => return None,
                }),
                (_, c) => text.push(c),
            }
        };
        if !is_name(key) || labels.insert(key.to_owned(), text).is_some() {
            return None;
        }
        rest = after.get(end..)?;
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    is_name(name).then(|| Sample { name: name.to_owned(), labels, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_prometheus_would_not_take_is_not_taken() {
        let good = "# HELP a_total What.\n# TYPE a_total counter\na_total{b=\"c\\\"d\"} 1\n";
        let read = Exposition::parse(good).expect("good");
        assert_eq!(read.value("a_total", &[("b", "c\"d")]), Some(1.0));
        let histogram =
            "# HELP h What.\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n";
        Exposition::parse(histogram).expect("good");
        for bad in [
            "a 1\n",
            "# TYPE a gauge\na 1\n",
            "# HELP a What.\n# TYPE a counter\na 1\n",
            "# HELP a_total What.\n# TYPE a_total gauge\na_total 1\n",
            "# HELP a What.\n# TYPE a gauge\na 1\na 1\n",
            "# HELP a What.\n# TYPE a gauge\na 1",
            "# HELP a What.\n# TYPE a gauge\na{b=c} 1\n",
            &histogram.replace("h_count 2", "h_count 3"),
            &histogram.replace("\"1\"} 2", "\"1\"} 3"),
        ] {
            assert!(Exposition::parse(bad).is_err(), "{bad}");
        }
    }
}
