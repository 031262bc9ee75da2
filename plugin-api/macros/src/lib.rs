//! The derive macros of the SDK: settings structs and the choices in them.
//!
//! Use them through `gatehouse-plugin-api`, which documents them beside the traits that they implement.

mod attributes;
mod choice;
mod docs;
mod kind;
mod settings;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Implements `gatehouse_plugin_api::Settings` for a struct with named fields.
#[proc_macro_derive(Settings, attributes(setting))]
pub fn derive_settings(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    settings::expand(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Implements `gatehouse_plugin_api::SettingChoice` and `SettingValue` for an enum without fields.
#[proc_macro_derive(SettingChoice, attributes(setting))]
pub fn derive_setting_choice(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    choice::expand(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
