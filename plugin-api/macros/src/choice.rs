//! `#[derive(SettingChoice)]`: an enum without fields as a list of choices.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Error, Fields, LitStr, Result, Variant};

use crate::docs::{humanise, label_and_help, snake_case};

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let name = &input.ident;
    let Data::Enum(data) = &input.data else {
        return Err(Error::new_spanned(
            name,
            "SettingChoice is derived for an enum, one variant a choice; for a struct derive Settings",
        ));
    };
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(&input.generics, "a choice takes no parameters"));
    }
    if data.variants.is_empty() {
        return Err(Error::new_spanned(name, "there is nothing to choose from: the enum has no variants"));
    }
    let (mut values, mut labels, mut variants) = (Vec::<String>::new(), Vec::new(), Vec::new());
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(variant, "a choice holds no data: write the variant without fields"));
        }
        let value = value_of(variant)?;
        if values.contains(&value) {
            return Err(Error::new_spanned(variant, format!("two variants have the value {value:?}")));
        }
        labels.push(label_and_help(&variant.attrs, &humanise(&snake_case(&variant.ident.unraw().to_string()))).0);
        values.push(value);
        variants.push(&variant.ident);
    }
    Ok(quote! {
        #[automatically_derived]
        impl ::gatehouse_plugin_api::settings::SettingChoice for #name {
            const OPTIONS: &'static [(&'static str, &'static str)] = &[#((#values, #labels)),*];

            fn from_choice(value: &str) -> ::core::option::Option<Self> {
                match value {
                    #(#values => ::core::option::Option::Some(Self::#variants),)*
                    _ => ::core::option::Option::None,
                }
            }

            fn as_choice(&self) -> &'static str {
                self.__gatehouse_choice_value()
            }
        }

        #[automatically_derived]
        impl ::gatehouse_plugin_api::settings::SettingValue for #name {
            const VALUE_TYPE: ::gatehouse_plugin_api::settings::ValueTypeConst =
                ::gatehouse_plugin_api::settings::ValueTypeConst::Choice(
                    <Self as ::gatehouse_plugin_api::settings::SettingChoice>::OPTIONS,
                );

            fn from_value(
                value: ::core::option::Option<&::gatehouse_plugin_api::attribute::AttributeValue>,
            ) -> ::core::result::Result<Self, ::std::string::String> {
                ::gatehouse_plugin_api::settings::read_choice(value)
            }
        }

        #[automatically_derived]
        impl #name {
            #[doc(hidden)]
            #[allow(unreachable_pub, reason = "a default names a variant in a constant, from another crate too")]
            pub const fn __gatehouse_choice_value(&self) -> &'static str {
                match self {
                    #(Self::#variants => #values,)*
                }
            }
        }
    })
}

fn value_of(variant: &Variant) -> Result<String> {
    let mut value = snake_case(&variant.ident.unraw().to_string());
    for attribute in variant.attrs.iter().filter(|attribute| attribute.path().is_ident("setting")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("value") {
                return Err(meta.error("a variant's #[setting(…)] takes `value = \"…\"` alone"));
            }
            value = meta.value()?.parse::<LitStr>()?.value();
            Ok(())
        })?;
    }
    Ok(value)
}
