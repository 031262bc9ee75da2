//! What can be done on a page: its links and forms, read from the HTML so that they become commands.
//!
//! The page was rendered by the daemon from a plugin's template. This reads tags and their attributes and no more; what
//! it does not understand it leaves out.

use std::collections::BTreeMap;

/// A link to another page of the same integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) text: String,
    pub(super) params: BTreeMap<String, String>,
}

/// A form that is sent to a page of the same integration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Form {
    /// The text of its button; may be empty.
    pub(super) button: String,
    /// Where it goes; `None` to the page that it stands on.
    pub(super) params: Option<BTreeMap<String, String>>,
    /// Its fields: name, and what may be given (the value that stands there, or the options).
    pub(super) fields: Vec<(String, String)>,
}

/// The page without its forms, its links and its forms.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) html: String,
    pub(super) links: Vec<Link>,
    pub(super) forms: Vec<Form>,
}

impl Page {
    /// Reads a page.
    pub(super) fn read(html: &str) -> Self {
        let mut page = Self::default();
        let mut form: Option<Form> = None;
        let mut link: Option<Link> = None;
        let mut options: Option<(String, Vec<String>)> = None;
        let mut in_button = false;
        for piece in pieces(html) {
            if form.is_none() && !matches!(&piece, Piece::Tag { name, .. } if name == "form") {
                page.html.push_str(piece.source());
            }
            match piece {
                Piece::Text(text) => {
                    if let Some(link) = &mut link {
                        link.text.push_str(&decoded(text));
                    }
                    if let (true, Some(form)) = (in_button, &mut form) {
                        form.button.push_str(&decoded(text));
                    }
                }
                Piece::Tag { name, attributes, closing, .. } => match (name.as_str(), closing) {
                    ("a", false) => {
                        let params = attributes.get("href").and_then(|href| own_params(href));
                        link = params.map(|params| Link { text: String::new(), params });
                    }
                    ("a", true) => page.links.extend(link.take()),
                    ("form", false) => {
                        let params = attributes.get("action").and_then(|action| own_params(action));
                        form = Some(Form { params, ..Form::default() });
                    }
                    ("form", true) => page.forms.extend(form.take()),
                    ("button", _) => in_button = !closing,
                    ("input" | "textarea", false) => {
                        if let (Some(form), Some(field)) = (&mut form, attributes.get("name")) {
                            let value = attributes.get("value").cloned().unwrap_or_else(|| "…".to_owned());
                            form.fields.push((field.clone(), value));
                        }
                    }
                    ("select", false) => options = attributes.get("name").map(|name| (name.clone(), Vec::new())),
                    ("option", false) => {
                        if let (Some((_, values)), Some(value)) = (&mut options, attributes.get("value")) {
                            values.push(value.clone());
                        }
                    }
                    ("select", true) => {
                        if let (Some(form), Some((name, values))) = (&mut form, options.take()) {
                            form.fields.push((name, values.join("|")));
                        }
                    }
                    _ => {}
                },
            }
        }
        page
    }
}

enum Piece<'a> {
    Text(&'a str),
    Tag { source: &'a str, name: String, attributes: BTreeMap<String, String>, closing: bool },
}

impl Piece<'_> {
    fn source(&self) -> &str {
        match self {
            Self::Text(source) | Self::Tag { source, .. } => source,
        }
    }
}

/// The text between tags, and the tags.
fn pieces(html: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        if start > 0 {
            pieces.push(Piece::Text(&rest[..start]));
        }
        let end = start + tag_length(&rest[start..]);
        let source = &rest[start..end];
        let inside = source.trim_start_matches('<').trim_end_matches('>').trim_end_matches('/');
        let (closing, inside) = inside.strip_prefix('/').map_or((false, inside), |inside| (true, inside));
        let name_end = inside.find(|c: char| c.is_ascii_whitespace()).unwrap_or(inside.len());
        let name = inside[..name_end].to_ascii_lowercase();
        pieces.push(Piece::Tag { source, name, attributes: attributes(&inside[name_end..]), closing });
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

/// To the `>` that ends the tag: one in quotes does not.
fn tag_length(tag: &str) -> usize {
    let mut quote = None;
    for (at, c) in tag.char_indices() {
        match (quote, c) {
            (None, '>') => return at + 1,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    tag.len()
}

fn attributes(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_ascii_whitespace()).unwrap_or(rest.len());
        let name = rest[..end].to_ascii_lowercase();
        rest = rest[end..].trim_start();
        let mut value = "";
        if let Some(after) = rest.strip_prefix('=') {
            let after = after.trim_start();
            match after.chars().next().filter(|quote| matches!(quote, '"' | '\'')) {
                Some(quote) => {
                    let inside = &after[1..];
                    let close = inside.find(quote).unwrap_or(inside.len());
                    value = &inside[..close];
                    rest = inside.get(close + 1..).unwrap_or("").trim_start();
                }
                None => {
                    let close = after.find(|c: char| c.is_ascii_whitespace()).unwrap_or(after.len());
                    value = &after[..close];
                    rest = after[close..].trim_start();
                }
            }
        }
        if name.is_empty() && value.is_empty() && !rest.starts_with('=') {
            // Something that is no attribute: its first character is skipped, so that this ends.
            rest = rest.get(rest.chars().next().map_or(0, char::len_utf8)..).unwrap_or("");
        }
        found.insert(name, decoded(value));
    }
    found
}

/// The parameters of an address on the same page, `?key=value&…`; others lead out of the integration.
fn own_params(href: &str) -> Option<BTreeMap<String, String>> {
    let query = href.strip_prefix('?')?;
    let decode =
        |text: &str| percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    Some(pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decode(k), decode(v))).collect())
}

/// The characters that minijinja's escaping writes as entities.
fn decoded(text: &str) -> String {
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&#39;", "'"), ("&#x2f;", "/"), ("&amp;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn links_and_forms_are_found() {
        let page = Page::read(
            "<h1>Rooms</h1><a href=\"?page=lamps&amp;room=1\">Liv&quot;ing <b>room</b></a> <a href='https://x.y'>out</a>\
             <form method=post action=\"?page=rooms\"><input type=hidden name=action value=\"add\"/>\
             <label>Name <input name=name title=\"a > b\"></label>\
             <select name=\"room\"><option value=1>One<option value=2>Two</select><button>Add it</button></form><p>end",
        );
        assert_eq!(
            page.links,
            [Link { text: "Liv\"ing room".into(), params: params(&[("page", "lamps"), ("room", "1")]) }]
        );
        let fields = [("action", "add"), ("name", "…"), ("room", "1|2")];
        assert_eq!(
            page.forms,
            [Form {
                button: "Add it".into(),
                params: Some(params(&[("page", "rooms")])),
                fields: fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            }]
        );
        assert!(page.html.starts_with("<h1>Rooms</h1>") && page.html.contains("<p>end"), "{}", page.html);
        assert!(!page.html.contains("Add it"));
    }

    #[test]
    fn broken_html_ends() {
        for html in
            ["<", "<a", "<a href", "<a href=", "<a href='", "a < b", "<form><form", "<x = = \"", "<ä=ö ü>", "</>"]
        {
            let _ = Page::read(html);
        }
    }
}
