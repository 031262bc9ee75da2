//! What `#[setting(…)]` says of a field, and whether that fits the field's type.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, ExprLit, ExprRange, ExprUnary, Lit, LitBool, RangeLimits, Result, UnOp};

use crate::kind::Kind;

const KEYS: &str = "#[setting(…)] takes required, editable, default, min, max and range";

/// What `#[setting(…)]` says, checked.
#[derive(Default)]
pub(crate) struct FieldAttributes {
    pub(crate) required: Option<Span>,
    pub(crate) not_editable: bool,
    pub(crate) default: Option<Given>,
    pub(crate) min: Option<Given>,
    pub(crate) max: Option<Given>,
}

/// A value as written in an attribute.
pub(crate) struct Given {
    span: Span,
    value: Written,
}

enum Written {
    Bool(bool),
    Integer(i64),
    Number(f64),
    Text(String),
    /// A variant of a choice, left to the compiler.
    Variant(TokenStream),
}

impl FieldAttributes {
    /// Reads the attributes of one field.
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut read = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("setting")) {
            attribute.parse_nested_meta(|meta| read.read_one(&meta))?;
        }
        Ok(read)
    }

    fn read_one(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        match name.as_str() {
            "required" => self.required = Some(meta.path.span()),
            "editable" => self.not_editable = !meta.value()?.parse::<LitBool>()?.value,
            "default" => set(&mut self.default, given(&meta.value()?.parse()?)?, "default")?,
            "min" => set(&mut self.min, given(&meta.value()?.parse()?)?, "min")?,
            "max" => set(&mut self.max, given(&meta.value()?.parse()?)?, "max")?,
            "range" => self.read_range(&meta.value()?.parse()?)?,
            _ => return Err(meta.error(format!("`{name}` is not known here: {KEYS}"))),
        }
        Ok(())
    }

    fn read_range(&mut self, range: &Expr) -> Result<()> {
        let Expr::Range(ExprRange { start, limits, end, .. }) = range else {
            return Err(Error::new_spanned(range, "write a range, for example `range = 1..=100`"));
        };
        if let (Some(_), RangeLimits::HalfOpen(_)) = (end, limits) {
            return Err(Error::new_spanned(range, "write `..=`: the greatest value belongs to the range"));
        }
        if let Some(start) = start {
            set(&mut self.min, given(start)?, "least value")?;
        }
        if let Some(end) = end {
            set(&mut self.max, given(end)?, "greatest value")?;
        }
        Ok(())
    }

    /// The expression of the field's value type, narrowed to the range given.
    pub(crate) fn value_type(&self, kind: Kind, value_type: &TokenStream) -> Result<TokenStream> {
        let Some(span) = self.min.as_ref().or(self.max.as_ref()).map(|given| given.span) else {
            return Ok(value_type.clone());
        };
        let as_text = |given: &Option<Given>| matches!(given, Some(Given { value: Written::Text(_), .. }));
        if kind == Kind::Duration || kind == Kind::Other && (as_text(&self.min) || as_text(&self.max)) {
            let (min, max) = (duration_bound(self.min.as_ref())?, duration_bound(self.max.as_ref())?);
            ordered(min.map(|ms| ms as f64), max.map(|ms| ms as f64), span)?;
            let (min, max) = (option(min), option(max));
            return Ok(quote_spanned!(span=> #value_type.with_duration_range(#min, #max)));
        }
        if !matches!(kind, Kind::Integer | Kind::Float | Kind::Other) {
            let what = kind.words();
            return Err(Error::new(span, format!("only numbers and durations have a range, and this is {what}")));
        }
        let (min, max) = (number_bound(self.min.as_ref(), kind)?, number_bound(self.max.as_ref(), kind)?);
        ordered(min, max, span)?;
        if let Some(default) = &self.default {
            default.within(min, max)?;
        }
        let (min, max) = (option(min), option(max));
        Ok(quote_spanned!(span=> #value_type.with_range(#min, #max)))
    }

    /// The expression of the field's default.
    pub(crate) fn default_const(&self, kind: Kind, value_type: &TokenStream) -> Result<TokenStream> {
        let Some(default) = &self.default else { return Ok(quote!(::core::option::Option::None)) };
        let span = default.span;
        let refuse = |message: &str| Err(Error::new(span, message));
        let path = quote!(::gatehouse_plugin_api::settings::DefaultConst);
        let value = match (kind, &default.value) {
            (Kind::Secret, _) => {
                return refuse("a secret takes no default: it would stand in the plugin's file for everyone to read");
            }
            (Kind::Switch | Kind::Other, Written::Bool(on)) => quote!(#path::Bool(#on)),
            (Kind::Integer | Kind::Float | Kind::Other, Written::Integer(number)) => quote!(#path::Integer(#number)),
            (Kind::Float | Kind::Other, Written::Number(number)) => quote!(#path::Number(#number)),
            (Kind::Duration, Written::Text(_)) => {
                let ms = duration_bound(Some(default))?.unwrap_or_default();
                let bound = |bound| duration_bound(bound).map(|ms| ms.map(|ms| ms as f64));
                if !in_range(ms as f64, bound(self.min.as_ref())?, bound(self.max.as_ref())?) {
                    return refuse("the default is outside the field's range");
                }
                let ms = i64::try_from(ms).unwrap_or(i64::MAX);
                quote!(#path::Integer(#ms))
            }
            (Kind::Url, Written::Text(text)) if !text.contains("://") => {
                return refuse("the default is not an absolute URL: begin with the scheme, for example \"http://…\"");
            }
            (Kind::FilePath, Written::Text(text)) if !text.starts_with('/') => {
                return refuse("the default is not an absolute path: begin with \"/\"");
            }
            (Kind::Text | Kind::Url | Kind::FilePath, Written::Text(text)) => quote!(#path::Text(#text)),
            (Kind::Other, Written::Text(text)) => quote!(#path::text_for(&#value_type, #text)),
            (Kind::Other, Written::Variant(variant)) => quote!(#path::Text((#variant).__gatehouse_choice_value())),
            (kind, _) => {
                let (what, example) = (kind.words(), example(kind));
                return refuse(&format!("the field is {what} and its default is not: write `default = {example}`"));
            }
        };
        Ok(quote_spanned!(span=> ::core::option::Option::Some(#value)))
    }
}

impl Given {
    fn within(&self, min: Option<f64>, max: Option<f64>) -> Result<()> {
        let number = match self.value {
            Written::Integer(number) => number as f64,
            Written::Number(number) => number,
            _ => return Ok(()),
        };
        if in_range(number, min, max) {
            return Ok(());
        }
        Err(Error::new(self.span, "the default is outside the field's range"))
    }
}

fn in_range(number: f64, min: Option<f64>, max: Option<f64>) -> bool {
    min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max)
}

fn example(kind: Kind) -> &'static str {
    match kind {
        Kind::Integer => "30",
        Kind::Float => "0.5",
        Kind::Switch => "true",
        Kind::Duration => "\"30s\"",
        Kind::Url => "\"http://localhost:8123\"",
        Kind::FilePath => "\"/var/lib\"",
        Kind::Text | Kind::Secret | Kind::Other => "\"text\"",
    }
}

fn set(slot: &mut Option<Given>, given: Given, what: &str) -> Result<()> {
    if slot.is_some() {
        return Err(Error::new(given.span, format!("the {what} is given twice")));
    }
    *slot = Some(given);
    Ok(())
}

fn given(expression: &Expr) -> Result<Given> {
    let span = expression.span();
    let (negative, inner) = match expression {
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => (true, &**expr),
        other => (false, other),
    };
    let value = match inner {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => {
            let sign = if negative { "-" } else { "" };
            let text = format!("{sign}{}", number.base10_digits());
            let number = text.parse().map_err(|_| Error::new(span, "the number does not fit into 64 bits"))?;
            Written::Integer(number)
        }
        Expr::Lit(ExprLit { lit: Lit::Float(number), .. }) => {
            let number: f64 = number.base10_parse()?;
            Written::Number(if negative { -number } else { number })
        }
        Expr::Lit(ExprLit { lit: Lit::Bool(on), .. }) if !negative => Written::Bool(on.value),
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) if !negative => Written::Text(text.value()),
        Expr::Path(path) if !negative => Written::Variant(quote!(#path)),
        _ => return Err(Error::new(span, "write a number, a text, true, false or a variant of the field's enum")),
    };
    Ok(Given { span, value })
}

fn number_bound(bound: Option<&Given>, kind: Kind) -> Result<Option<f64>> {
    match bound {
        None => Ok(None),
        Some(Given { value: Written::Integer(number), .. }) => Ok(Some(*number as f64)),
        Some(Given { value: Written::Number(number), .. }) if kind != Kind::Integer => Ok(Some(*number)),
        Some(given) => {
            let what = if kind == Kind::Integer { "a whole number" } else { "a number" };
            Err(Error::new(given.span, format!("the bound must be {what}, as the field is")))
        }
    }
}

fn duration_bound(bound: Option<&Given>) -> Result<Option<u64>> {
    const HOW: &str = "write a duration as \"30s\", \"5m\", \"1h30m\" or \"250ms\"";
    match bound {
        None => Ok(None),
        Some(Given { value: Written::Text(text), span }) => match duration_ms(text) {
            Some(ms) => Ok(Some(ms)),
            None => Err(Error::new(*span, format!("{text:?} is not a duration: {HOW}"))),
        },
        Some(given) => Err(Error::new(given.span, HOW)),
    }
}

/// The same reading as `gatehouse_plugin_api::duration::parse_ms`, which a macro cannot call: this crate stands below
/// that one.
fn duration_ms(text: &str) -> Option<u64> {
    let mut units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)].into_iter();
    let (mut rest, mut total) = (text, 0_u64);
    loop {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let tail = &rest[digits..];
        let unit_end = tail.find(|letter: char| letter.is_ascii_digit()).unwrap_or(tail.len());
        let (_, length) = units.find(|(unit, _)| *unit == &tail[..unit_end])?;
        total = total.checked_add(number.checked_mul(length)?).filter(|total| *total <= i64::MAX as u64)?;
        rest = &tail[unit_end..];
        if rest.is_empty() {
            return Some(total);
        }
    }
}

fn ordered(min: Option<f64>, max: Option<f64>, span: Span) -> Result<()> {
    match (min, max) {
        (Some(min), Some(max)) if min > max => Err(Error::new(span, "the least value is more than the greatest")),
        _ => Ok(()),
    }
}

fn option<T: quote::ToTokens>(value: Option<T>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}

#[cfg(test)]
mod tests {
    use super::duration_ms;

    #[test]
    fn durations_read_as_the_library_reads_them() {
        for (text, ms) in [
            ("90s", Some(90_000)),
            ("1h30m", Some(5_400_000)),
            ("250ms", Some(250)),
            ("1d2h3m4s5ms", Some(93_784_005)),
            ("0s", Some(0)),
        ] {
            assert_eq!(duration_ms(text), ms, "{text}");
        }
        for text in ["", "90", "s", "30m1h", "1m1m", "1.5h", "-5s", "5 m", "5min", "300000000000d"] {
            assert_eq!(duration_ms(text), None, "{text}");
        }
    }
}
