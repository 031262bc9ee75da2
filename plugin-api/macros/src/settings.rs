//! `#[derive(Settings)]`: one constant specification a field, and the reading of all fields.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Field, Fields, Result};

use crate::attributes::FieldAttributes;
use crate::docs::label_and_help;
use crate::kind::kind_of;

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let name = &input.ident;
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(
            name,
            "Settings is derived for a struct with one field a setting; for an enum derive SettingChoice",
        ));
    };
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &input.generics,
            "a settings struct takes no parameters: the manifest lists its fields once and for all",
        ));
    }
    let fields = match &data.fields {
        Fields::Named(fields) => fields.named.iter().collect(),
        Fields::Unit => Vec::new(),
        Fields::Unnamed(fields) => {
            return Err(Error::new_spanned(
                fields,
                "settings need names: write a struct with named fields, `struct Settings { url: Url }`",
            ));
        }
    };

    let mut errors: Option<Error> = None;
    let mut specs = Vec::new();
    for (at, field) in fields.iter().enumerate() {
        match spec(field, at) {
            Ok(spec) => specs.push(spec),
            Err(error) => match &mut errors {
                Some(errors) => errors.combine(error),
                None => errors = Some(error),
            },
        }
    }
    if let Some(errors) = errors {
        return Err(errors);
    }

    let idents: Vec<_> = fields.iter().filter_map(|field| field.ident.as_ref()).collect();
    let types: Vec<_> = fields.iter().map(|field| &field.ty).collect();
    let constants: Vec<_> = (0..fields.len()).map(spec_name).collect();
    // Locals of their own: a field may have any name.
    let locals: Vec<_> = (0..fields.len()).map(|at| format_ident!("field_{at}")).collect();
    Ok(quote! {
        const _: () = {
            #(#specs)*

            #[automatically_derived]
            impl ::gatehouse_plugin_api::settings::Settings for #name {
                const SPECS: &'static [::gatehouse_plugin_api::settings::AttributeSpecConst] = &[#(#constants),*];

                fn from_values(
                    values: &::gatehouse_plugin_api::attribute::AttributeValues,
                ) -> ::core::result::Result<Self, ::gatehouse_plugin_api::attribute::FieldErrors> {
                    let mut errors = ::gatehouse_plugin_api::attribute::FieldErrors::new();
                    let fields = (#(
                        ::gatehouse_plugin_api::settings::read_field::<#types>(&#constants, values, &mut errors),
                    )*);
                    if !errors.is_empty() {
                        return ::core::result::Result::Err(errors);
                    }
                    let (#(::core::option::Option::Some(#locals),)*) = fields else {
                        return ::core::result::Result::Err(errors);
                    };
                    ::core::result::Result::Ok(Self { #(#idents: #locals),* })
                }
            }
        };
    })
}

fn spec_name(at: usize) -> proc_macro2::Ident {
    format_ident!("SPEC_{at}")
}

/// The constant of one field. Its span is the field's, so that what only a constant can refuse points there.
fn spec(field: &Field, at: usize) -> Result<TokenStream> {
    let ident = field.ident.as_ref().ok_or_else(|| Error::new_spanned(field, "settings need names"))?;
    let key = ident.unraw().to_string();
    if !key.starts_with(|letter: char| letter.is_ascii_lowercase())
        || !key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        || key.len() > 64
    {
        return Err(Error::new_spanned(
            ident,
            "a setting's name begins with a lower-case letter and holds only lower-case letters, digits and \
             underscores, 64 at most",
        ));
    }
    let (kind, optional) = kind_of(&field.ty)?;
    let attributes = FieldAttributes::read(&field.attrs)?;
    if optional {
        if let Some(span) = attributes.required {
            return Err(Error::new(span, "an Option is never required: drop `required`, or the Option"));
        }
        if attributes.default.is_some() {
            return Err(Error::new_spanned(
                &field.ty,
                "a field with a default always has a value: write the type without Option",
            ));
        }
    }
    let ty = &field.ty;
    let span = ty.span();
    let base = quote_spanned!(span=> <#ty as ::gatehouse_plugin_api::settings::SettingValue>::VALUE_TYPE);
    let value_type = attributes.value_type(kind, &base)?;
    let default = attributes.default_const(kind, &base)?;
    let (label, help) = label_and_help(&field.attrs, &key);
    let required = attributes.required.is_some() || !optional && attributes.default.is_none();
    let editable = !attributes.not_editable;
    let name = spec_name(at);
    Ok(quote_spanned! {span=>
        const #name: ::gatehouse_plugin_api::settings::AttributeSpecConst =
            ::gatehouse_plugin_api::settings::AttributeSpecConst {
                key: #key,
                label: #label,
                help: #help,
                value_type: #value_type,
                required: #required,
                editable: #editable,
                default: #default,
            }
            .checked();
    })
}
