//! What a field's type is, as far as its spelling tells: enough for messages that point at the right word.

use quote::ToTokens;
use syn::{Error, GenericArgument, PathArguments, Result, Type, TypePath};

const ALLOWED: &str = "Settings fields may be String, a whole number (up to 64 bits), f32, f64, bool, url::Url, PathBuf, \
     Secret<String>, std::time::Duration, an enum with #[derive(SettingChoice)], and an Option of each";

/// A field's type by its last word. `Other` is whatever implements `SettingValue`; constants check its attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Integer,
    Float,
    Switch,
    Url,
    FilePath,
    Secret,
    Duration,
    Other,
}

impl Kind {
    /// The kind in words that fit after "this is".
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Integer => "a whole number",
            Self::Float => "a number",
            Self::Switch => "a switch",
            Self::Url => "a URL",
            Self::FilePath => "a path",
            Self::Secret => "a secret",
            Self::Duration => "a duration",
            Self::Other => "a type of its own",
        }
    }
}

/// The kind of a field's type and whether it is an `Option`.
pub(crate) fn kind_of(ty: &Type) -> Result<(Kind, bool)> {
    let Type::Path(path) = ty else { return Err(refused(ty)) };
    match option_of(path) {
        Some(inner @ Type::Path(inner_path)) => {
            if option_of(inner_path).is_some() {
                return Err(Error::new_spanned(ty, "an Option of an Option: one says that there may be no value"));
            }
            Ok((plain_kind(inner)?, true))
        }
        Some(other) => Err(refused(other)),
        None => Ok((plain_kind(ty)?, false)),
    }
}

fn option_of(path: &TypePath) -> Option<&Type> {
    let last = path.path.segments.last().filter(|last| last.ident == "Option")?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first() {
        Some(GenericArgument::Type(inner)) => Some(inner),
        _ => None,
    }
}

fn plain_kind(ty: &Type) -> Result<Kind> {
    let Type::Path(path) = ty else { return Err(refused(ty)) };
    let Some(last) = path.path.segments.last() else { return Err(refused(ty)) };
    Ok(match last.ident.to_string().as_str() {
        "String" => Kind::Text,
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => Kind::Integer,
        "f32" | "f64" => Kind::Float,
        "bool" => Kind::Switch,
        "Url" => Kind::Url,
        "PathBuf" => Kind::FilePath,
        "Secret" => secret(ty, &last.arguments)?,
        "Duration" => Kind::Duration,
        "u128" | "i128" | "char" | "str" | "Vec" | "VecDeque" | "HashMap" | "BTreeMap" | "HashSet" | "BTreeSet"
        | "Box" | "Rc" | "Arc" | "Cow" | "Path" | "OsString" | "Instant" | "SystemTime" => return Err(refused(ty)),
        _ => Kind::Other,
    })
}

fn secret(ty: &Type, arguments: &PathArguments) -> Result<Kind> {
    let PathArguments::AngleBracketed(arguments) = arguments else { return Ok(Kind::Secret) };
    match arguments.args.first() {
        Some(GenericArgument::Type(Type::Path(inner)))
            if inner.path.segments.last().is_none_or(|last| last.ident != "String") =>
        {
            Err(Error::new_spanned(ty, "a secret holds a text: write Secret<String>"))
        }
        _ => Ok(Kind::Secret),
    }
}

fn refused(ty: &Type) -> Error {
    let spelt = ty.to_token_stream().to_string().replace(" < ", "<").replace(" >", ">").replace("& ", "&");
    Error::new_spanned(ty, format!("a settings field cannot be a `{spelt}`. {ALLOWED}"))
}
