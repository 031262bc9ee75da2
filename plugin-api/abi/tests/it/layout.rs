//! The golden file: every type that crosses, with names, sizes, alignments and fields, as first published.
//!
//! A difference means that plugins already shipped would be refused, or worse. It is never mended by writing the file
//! anew: take the change back, or begin a second epoch (`docs/abi.md`).

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;

use abi_stable::StableAbi;
use abi_stable::std_types::UTypeId;
use abi_stable::type_layout::{TLData, TLField, TLFunction, TypeLayout};
use gatehouse_abi::PluginModuleRef;

const GOLDEN: &str = include_str!("../layout.golden");

#[test]
fn nothing_of_the_published_layout_moves() {
    let (mut seen, mut types) = (HashSet::new(), BTreeSet::new());
    collect(PluginModuleRef::LAYOUT, &mut seen, &mut types);
    let now: String = types.into_iter().collect();
    let line = GOLDEN.lines().zip(now.lines()).take_while(|(golden, now)| golden == now).count() + 1;
    assert!(
        GOLDEN == now,
        "the layout of the boundary moved, first in line {line} of layout.golden; it is frozen, see docs/abi.md. \
         Now it is:\n{now}"
    );
}

/// Describes a type and all that it is made of, once each.
fn collect(layout: &'static TypeLayout, seen: &mut HashSet<UTypeId>, types: &mut BTreeSet<String>) {
    if !seen.insert(layout.get_utypeid()) {
        return;
    }
    // Several instances of one generic type have one name; their texts tell them apart, or are the same.
    types.insert(describe(&named(layout), layout));
    for part in layout.shared_vars().type_layouts() {
        collect(part(), seen, types);
    }
    if let Some(checks) = layout.extra_checks() {
        for part in &*checks.nested_type_layouts() {
            collect(part, seen, types);
        }
    }
}

fn named(layout: &TypeLayout) -> String {
    format!("{}::{}", layout.mod_path(), short(layout.full_type()))
}

/// A type's name with single spaces.
fn short(name: impl ToString) -> String {
    name.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn describe(name: &str, layout: &'static TypeLayout) -> String {
    let mut text = String::new();
    let (package, version) = layout.package_and_version();
    writeln!(text, "{name}").expect("a String takes all");
    writeln!(
        text,
        "    {package} {version}, size {}, alignment {}, {:?}, never zero {}",
        layout.size(),
        layout.alignment(),
        layout.repr_attr(),
        layout.is_nonzero(),
    )
    .expect("a String takes all");
    match layout.data() {
        TLData::Primitive(primitive) => writeln!(text, "    primitive {primitive:?}").expect("a String takes all"),
        TLData::Opaque => text.push_str("    opaque\n"),
        TLData::Struct { .. } => text.push_str("    struct\n"),
        TLData::Union { .. } => text.push_str("    union\n"),
        TLData::Enum(variants) => {
            writeln!(
                text,
                "    enum {} with fields {:?} and discriminants {:?}",
                variants.variant_names,
                variants.field_count.as_slice(),
                variants.discriminants
            )
            .expect("a String takes all");
        }
        TLData::PrefixType(prefix) => {
            writeln!(text, "    prefix of {}", prefix.first_suffix_field).expect("a String takes all");
        }
    }
    for field in layout.get_fields().into_iter().flat_map(|fields| fields.to_vec()) {
        describe_field(&mut text, &field);
    }
    for field in layout.phantom_fields().to_vec() {
        writeln!(text, "    phantom {}: {}", field.name(), short(field.full_type())).expect("a String takes all");
    }
    text
}

fn describe_field(text: &mut String, field: &TLField) {
    writeln!(text, "    {}: {}", field.name(), short(field.full_type())).expect("a String takes all");
    for function in field.function_range().iter() {
        describe_function(text, &function);
    }
}

fn describe_function(text: &mut String, function: &TLFunction) {
    let arguments: Vec<_> = function.param_type_layouts.iter().map(|argument| short(argument().full_type())).collect();
    let result = function.return_type_layout().map_or_else(|| "()".to_owned(), |result| short(result().full_type()));
    writeln!(text, "        {}({}) -> {result}", function.name, arguments.join(", ")).expect("a String takes all");
}
