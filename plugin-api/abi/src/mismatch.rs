//! What the layout checker found, in one line that a person understands.
//!
//! The checker reports the whole tree of types twice, some tens of kilobytes. One difference is enough: the deepest
//! place where something differs is the cause, all above it follows.

use std::fmt;

use abi_stable::abi_stability::abi_checking::{
    AbiInstability, AbiInstabilityError, AbiInstabilityErrors, ExpectedFound,
};
use abi_stable::type_layout::{TLField, TLFieldOrFunction, TLFunction, TypeLayout};

/// How a type of the boundary differs between the host and the plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutMismatch {
    /// The type that differs, as the host names it.
    pub type_name: String,
    /// What differs, for example "the size in bytes".
    pub what: String,
    /// The host's value of what differs.
    pub host: String,
    /// The plugin's value of what differs.
    pub plugin: String,
}

impl fmt::Display for LayoutMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { type_name, what, host, plugin } = self;
        write!(
            f,
            "the plugin was built for another layout of {type_name}: {what} is {host} in the host and {plugin} in the plugin"
        )
    }
}

/// The cause among all that the checker found.
pub(crate) fn in_short(errors: &AbiInstabilityErrors) -> LayoutMismatch {
    let cause = errors.errors.iter().filter(|error| !error.errs.is_empty()).max_by_key(|error| error.stack_trace.len());
    let found = cause.and_then(|error| error.errs.first().map(|difference| (error, difference)));
    let Some((error, difference)) = found else {
        return LayoutMismatch {
            type_name: errors.interface.name().to_owned(),
            what: "its layout".to_owned(),
            host: "as published".to_owned(),
            plugin: "another".to_owned(),
        };
    };
    let (what, host, plugin) = describe(error, difference);
    // A type with another name differs as a part of the type that holds it.
    let parts = match difference {
        AbiInstability::Name(_) => error.stack_trace.len().saturating_sub(1),
        _ => error.stack_trace.len(),
    };
    let named = error.stack_trace[..parts].iter().rev().find_map(|at| match at.expected {
        TLFieldOrFunction::Field(field) => boundary_name(field.layout()),
        TLFieldOrFunction::Function(_) => None,
    });
    LayoutMismatch { type_name: named.unwrap_or_else(|| errors.interface.name().to_owned()), what, host, plugin }
}

/// The name of one of this crate's types as its author wrote it; none for what lies between them.
fn boundary_name(layout: &TypeLayout) -> Option<String> {
    let path = layout.mod_path().to_string();
    if !path.starts_with("gatehouse_abi") {
        return None;
    }
    // `#[sabi_trait] trait HostAbi` becomes types in a module `HostAbi_trait`.
    match path.rsplit("::").next().and_then(|module| module.strip_suffix("_trait")) {
        Some(name) => Some(name.to_owned()),
        None => Some(layout.name().to_owned()),
    }
}

fn describe(error: &AbiInstabilityError, difference: &AbiInstability) -> (String, String, String) {
    let both = |what: &str, host: String, plugin: String| (what.to_owned(), host, plugin);
    macro_rules! pair {
        ($what:expr, $values:expr) => {
            both($what, format!("{:?}", $values.expected), format!("{:?}", $values.found))
        };
    }
    match difference {
        AbiInstability::UnexpectedField(_)
        | AbiInstability::MismatchedPrefixSize(_)
        | AbiInstability::FieldCountMismatch(_) => members(error).unwrap_or_else(|| match difference {
            AbiInstability::FieldCountMismatch(count) => pair!("the number of arguments and results", count),
            _ => both("the list of its parts", "as published".into(), "another".into()),
        }),
        AbiInstability::Name(names) => both(&place(error), names.expected.to_string(), names.found.to_string()),
        AbiInstability::Size(v) => pair!("the size in bytes", v),
        AbiInstability::Alignment(v) => pair!("the alignment in bytes", v),
        AbiInstability::ReprAttr(v) => pair!("the repr attribute", v),
        AbiInstability::NonZeroness(v) => pair!("that it is never zero", v),
        AbiInstability::MismatchedPrimitive(v) => pair!("the primitive type", v),
        AbiInstability::TLDataDiscriminant(v) => pair!("the kind of type", v),
        AbiInstability::TooManyVariants(v) => pair!("the number of variants", v),
        AbiInstability::Package(v) => both("the package", v.expected.to_string(), v.found.to_string()),
        AbiInstability::PackageVersion(v) => {
            both("the version of its package", v.expected.to_string(), v.found.to_string())
        }
        AbiInstability::UnexpectedVariant(v) => both("a variant", v.expected.to_string(), v.found.to_string()),
        AbiInstability::GenericParamCount(v) => {
            both("the list of its parameters", v.expected.to_string(), v.found.to_string())
        }
        AbiInstability::FieldLifetimeMismatch(v) => {
            both("the lifetime of a part", v.expected.name().to_owned(), v.found.name().to_owned())
        }
        AbiInstability::FnLifetimeMismatch(v) | AbiInstability::FnQualifierMismatch(v) => {
            both("a function's signature", v.expected.to_string(), v.found.to_string())
        }
        AbiInstability::ExtraCheckError(extra) => {
            let reason = extra.err.to_string();
            let reason = reason.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("less");
            both("what it promises beside its layout", "as published".into(), reason.to_owned())
        }
        other => {
            let text = format!("{other:?}");
            let name = text.split(['(', ' ', '{']).next().unwrap_or("layout");
            both(&format!("its layout ({name})"), "as published".into(), "another".into())
        }
    }
}

/// The names of all fields or methods, when the difference is in a type that has some.
fn members(error: &AbiInstabilityError) -> Option<(String, String, String)> {
    let ExpectedFound { expected: TLFieldOrFunction::Field(host), found: TLFieldOrFunction::Field(plugin) } =
        error.stack_trace.last()?
    else {
        return None;
    };
    let names = |field: &TLField| {
        let fields = field.layout().get_fields()?;
        // A trait's own table begins with what the library keeps there.
        let names: Vec<_> = fields.iter().map(|field| field.name()).filter(|name| !name.starts_with("_sabi")).collect();
        Some(names.join(", "))
    };
    let what = if host.layout().name() == "VTable" { "the list of its methods" } else { "the list of its fields" };
    Some((what.to_owned(), names(host)?, names(plugin)?))
}

/// Where a part of another type stands: an argument, a result or a field.
fn place(error: &AbiInstabilityError) -> String {
    let mut trace = error.stack_trace.iter().rev().map(|at| &at.expected);
    let Some(TLFieldOrFunction::Field(part)) = trace.next() else { return "the type".to_owned() };
    match trace.next() {
        Some(TLFieldOrFunction::Function(function)) => argument(function, part),
        _ => format!("the type of its field {}", part.name()),
    }
}

fn argument(function: &TLFunction, part: &TLField) -> String {
    const ORDINALS: [&str; 4] = ["first", "second", "third", "fourth"];
    let of = function.name;
    if part.name() == "__returns" {
        return format!("the type that {of} returns");
    }
    // The checker names arguments by their place; only a plain function's have names of their own.
    let at = part.name().strip_prefix("param_").and_then(|at| at.parse::<usize>().ok()).unwrap_or(0);
    let names: Vec<_> = function.param_names.as_str().split([',', ';']).collect();
    let is_method = names.first().is_some_and(|name| *name == "_self");
    match names.get(at) {
        Some(name) if !is_method && !name.is_empty() => format!("the type of the argument {name} of {of}"),
        _ => {
            let ordinal = ORDINALS.get(at.wrapping_sub(usize::from(is_method))).unwrap_or(&"last");
            format!("the type of the {ordinal} argument of {of}")
        }
    }
}
