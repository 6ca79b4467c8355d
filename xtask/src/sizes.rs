//! How large things are: lines in columns, files in lines, functions in lines.
//!
//! A function is measured from its `fn` to its closing brace, comments included: what a reader has
//! to scroll. Functions that a macro writes are not seen.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::sources::RustFile;

/// What is larger than the house rules say, by kind and by name.
pub(crate) type Excess = BTreeMap<Kind, BTreeMap<String, usize>>;

/// What has a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Files,
    Functions,
    WideLines,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Files, Self::Functions, Self::WideLines];

    /// The table of this kind in `ratchet.toml`.
    pub(crate) fn table(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Functions => "functions",
            Self::WideLines => "wide_lines",
        }
    }

    /// The limit and what to do about it.
    pub(crate) fn rule(self) -> &'static str {
        match self {
            Self::Files => "lines; a file is cut by topic before 600",
            Self::Functions => "lines; a function is split into named steps before 70",
            Self::WideLines => "line(s) wider than 100 columns",
        }
    }
}

/// What in these files is over a limit.
pub(crate) fn excess(files: &[RustFile]) -> Result<Excess> {
    let mut excess: Excess = Kind::ALL.into_iter().map(|kind| (kind, BTreeMap::new())).collect();
    let mut note = |kind, name: &str, size: usize, limit: usize| {
        if size > limit {
            excess.entry(kind).or_default().insert(name.to_owned(), size);
        }
    };
    for file in files {
        if !file.is_test() {
            note(Kind::Files, &file.path, file.text.lines().count(), FILE_LINES_MAX);
        }
        note(Kind::WideLines, &file.path, wide_lines(&file.text), 0);
        for (name, lines) in functions(file)? {
            note(Kind::Functions, &format!("{}::{name}", file.path), lines, FUNCTION_LINES_MAX);
        }
    }
    Ok(excess)
}

fn wide_lines(text: &str) -> usize {
    text.lines().filter(|line| line.chars().count() > LINE_COLUMNS_MAX).count()
}

/// Each function's name within the file, and its length.
fn functions(file: &RustFile) -> Result<Vec<(String, usize)>> {
    let tree = syn::parse_file(&file.text)
        .with_context(|| format!("{} cannot be parsed as Rust", file.path))?;
    let mut measure = Measure::default();
    measure.visit_file(&tree);
    Ok(measure.found)
}

/// Walks a file; `place` is the way down to the function, such as `tests::Peer::send`.
#[derive(Default)]
struct Measure {
    place: Vec<String>,
    found: Vec<(String, usize)>,
}

impl Measure {
    fn add(&mut self, signature: &syn::Signature, end: Span) {
        let lines = end.end().line - signature.span().start().line + 1;
        let mut name = self.place.join("::");
        if !name.is_empty() {
            name.push_str("::");
        }
        name.push_str(&signature.ident.to_string());
        // Two `impl From<_>` of one type have a `from` each.
        let twins = self.found.iter().filter(|(other, _)| *other == name).count();
        if twins > 0 {
            name = format!("{name}#{}", twins + 1);
        }
        self.found.push((name, lines));
    }

    fn inside(&mut self, name: String, walk: impl FnOnce(&mut Self)) {
        self.place.push(name);
        walk(self);
        self.place.pop();
    }
}

impl<'a> Visit<'a> for Measure {
    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        self.add(&item.sig, item.block.span());
        self.inside(item.sig.ident.to_string(), |this| visit::visit_item_fn(this, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        self.add(&item.sig, item.block.span());
        self.inside(item.sig.ident.to_string(), |this| visit::visit_impl_item_fn(this, item));
    }

    fn visit_trait_item_fn(&mut self, item: &'a syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.add(&item.sig, block.span());
        }
        self.inside(item.sig.ident.to_string(), |this| visit::visit_trait_item_fn(this, item));
    }

    fn visit_item_impl(&mut self, item: &'a syn::ItemImpl) {
        self.inside(type_name(&item.self_ty), |this| visit::visit_item_impl(this, item));
    }

    fn visit_item_trait(&mut self, item: &'a syn::ItemTrait) {
        self.inside(item.ident.to_string(), |this| visit::visit_item_trait(this, item));
    }

    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        self.inside(item.ident.to_string(), |this| visit::visit_item_mod(this, item));
    }
}

fn type_name(kind: &syn::Type) -> String {
    match kind {
        syn::Type::Path(path) => {
            path.path.segments.last().map_or_else(String::new, |last| last.ident.to_string())
        }
        syn::Type::Reference(reference) => type_name(&reference.elem),
        _ => "impl".to_owned(),
    }
}

const LINE_COLUMNS_MAX: usize = 100;
const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

#[cfg(test)]
mod tests;
