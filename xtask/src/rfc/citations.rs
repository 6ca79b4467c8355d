//! Citations in comments: which requirement, in which function of which file.
//!
//! ```text
//!   RFC 9293 MUST-13, SHLD-4     by the numbers of RFC 9293's appendix B
//!   RFC 6298-5.7                 by RFC and section, with a letter where a section asks for more
//!   RFC 6298 2.2, 2.3            a section; it counts when a requirement has just its number
//! ```
//!
//! Only comments on lines of their own are read.

use anyhow::{Context, Result};
use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::requirements::{Rfc, Status};
use crate::sources::RustFile;

/// A comment that says which requirement is obeyed, or shown, where it stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Citation {
    pub(crate) id: String,
    pub(crate) path: String,
    /// For messages; the generated pages do without, or each edit would make them old.
    pub(crate) line: usize,
    /// The function or type around it; empty at the head of a file.
    pub(crate) item: String,
    pub(crate) is_test: bool,
}

/// All citations of a Rust file.
pub(crate) fn of_rust(file: &RustFile, rfcs: &[Rfc]) -> Result<Vec<Citation>> {
    let blocks = comment_blocks(&file.text, "//");
    let mut found: Vec<(Block, String)> = Vec::new();
    for block in blocks {
        found.extend(ids(&block.text, rfcs).into_iter().map(|id| (block.clone(), id)));
    }
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let tree = syn::parse_file(&file.text)
        .with_context(|| format!("{} cannot be parsed as Rust", file.path))?;
    let mut items = Items::default();
    items.visit_file(&tree);
    let mut citations = Vec::new();
    for (block, id) in found {
        let line = block.first;
        // A comment in front of an item is the item's.
        let item = items.around(line).or_else(|| items.around(block.last + 1));
        citations.push(Citation {
            id,
            path: file.path.clone(),
            line,
            item: item.map_or_else(String::new, |item| item.name.clone()),
            is_test: file.is_test() || item.is_some_and(|item| item.is_test),
        });
    }
    Ok(citations)
}

/// All citations of a packetdrill script, which is a test as a whole.
pub(crate) fn of_script(path: &str, text: &str, rfcs: &[Rfc]) -> Vec<Citation> {
    let mut citations = Vec::new();
    for block in comment_blocks(text, "//") {
        for id in ids(&block.text, rfcs) {
            let (path, item, line) = (path.to_owned(), String::new(), block.first);
            citations.push(Citation { id, path, line, item, is_test: true });
        }
    }
    citations
}

/// A run of whole-line comments as one text, and its lines.
#[derive(Clone)]
struct Block {
    first: usize,
    last: usize,
    text: String,
}

fn comment_blocks(text: &str, mark: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (number, line) in text.lines().enumerate() {
        let Some(comment) = line.trim_start().strip_prefix(mark) else {
            open = false;
            continue;
        };
        let comment = comment.trim_start_matches(['/', '!']);
        if let Some(block) = blocks.last_mut().filter(|_| open) {
            block.last = number + 1;
            block.text.push(' ');
            block.text.push_str(comment);
        } else {
            let (first, text) = (number + 1, comment.to_owned());
            blocks.push(Block { first, last: first, text });
        }
        open = true;
    }
    blocks
}

/// The requirements that a comment names, each once.
fn ids(comment: &str, rfcs: &[Rfc]) -> Vec<String> {
    let mut found = Vec::new();
    let mut words = comment.split_whitespace().peekable();
    // The RFC whose sections are being listed.
    let mut listing: Option<u32> = None;
    while let Some(word) = words.next() {
        let goes_on = word.ends_with(',');
        let bare = bare(word);
        if is_numbered(bare) {
            found.push(bare.to_owned());
        } else if bare == "RFC" {
            listing = None;
            let Some(next) = words.peek().map(|next| self::bare(next)) else { break };
            match next.split_once('-') {
                Some((rfc, section)) if rfc.parse::<u32>().is_ok() && is_section(section) => {
                    found.push(next.to_owned());
                    words.next();
                }
                _ => {
                    listing = next.parse().ok();
                    if listing.is_some() {
                        words.next();
                    }
                }
            }
        } else if let Some(rfc) = listing {
            if is_section(bare) {
                let id = format!("{rfc}-{bare}");
                let asked = |rfc: &Rfc| {
                    rfc.requirements.iter().any(|r| r.id == id && r.status == Status::Done)
                };
                // A section by itself may just be where to read on; with a letter it is a claim.
                if rfcs.iter().any(asked) || bare.ends_with(|c: char| c.is_ascii_lowercase()) {
                    found.push(id);
                }
            }
            let joins = |word: &str| word == "and" || word == "to";
            let goes_on = goes_on || words.peek().is_some_and(|next| joins(next));
            if !(goes_on && is_section(bare) || joins(bare)) {
                listing = None;
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// A word without the punctuation around it.
fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_ascii_alphanumeric())
}

/// `MUST-13` and the like.
fn is_numbered(word: &str) -> bool {
    word.split_once('-').is_some_and(|(kind, number)| {
        ["MUST", "SHLD", "MAY", "REC"].contains(&kind)
            && !number.is_empty()
            && number.chars().all(|c| c.is_ascii_digit())
    })
}

/// `3.8.4`, `2.3a`.
fn is_section(word: &str) -> bool {
    let digits = word.strip_suffix(|c: char| c.is_ascii_lowercase()).unwrap_or(word);
    let is_number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    digits.split('.').all(is_number)
}

/// One function, type or constant, and the lines it takes, its documentation included.
struct Item {
    name: String,
    first: usize,
    last: usize,
    is_test: bool,
}

#[derive(Default)]
struct Items {
    found: Vec<Item>,
    /// The type whose methods are being looked at.
    of_type: Option<String>,
    in_tests: bool,
}

impl Items {
    /// The innermost item around a line: it begins last.
    fn around(&self, line: usize) -> Option<&Item> {
        let around = self.found.iter().filter(|item| item.first <= line && line <= item.last);
        around.max_by_key(|item| item.first)
    }

    fn add(&mut self, name: &str, attrs: &[syn::Attribute], span: Span) {
        let first = attrs.iter().map(|attr| attr.span().start().line).min();
        let first = first.unwrap_or(usize::MAX).min(span.start().line);
        let is_test = self.in_tests || attrs.iter().any(|attr| last_is(attr.path(), "test"));
        let name = match &self.of_type {
            Some(of_type) => format!("{of_type}::{name}"),
            None => name.to_owned(),
        };
        self.found.push(Item { name, first, last: span.end().line, is_test });
    }
}

fn last_is(path: &syn::Path, name: &str) -> bool {
    path.segments.last().is_some_and(|segment| segment.ident == name)
}

impl<'a> Visit<'a> for Items {
    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        self.add(&item.sig.ident.to_string(), &item.attrs, item.span());
    }

    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        self.add(&item.sig.ident.to_string(), &item.attrs, item.span());
    }

    fn visit_trait_item_fn(&mut self, item: &'a syn::TraitItemFn) {
        self.add(&item.sig.ident.to_string(), &item.attrs, item.span());
    }

    fn visit_item_struct(&mut self, item: &'a syn::ItemStruct) {
        self.add(&item.ident.to_string(), &item.attrs, item.span());
    }

    fn visit_item_enum(&mut self, item: &'a syn::ItemEnum) {
        self.add(&item.ident.to_string(), &item.attrs, item.span());
    }

    fn visit_item_const(&mut self, item: &'a syn::ItemConst) {
        self.add(&item.ident.to_string(), &item.attrs, item.span());
    }

    fn visit_impl_item_const(&mut self, item: &'a syn::ImplItemConst) {
        self.add(&item.ident.to_string(), &item.attrs, item.span());
    }

    fn visit_item_trait(&mut self, item: &'a syn::ItemTrait) {
        let name = item.ident.to_string();
        self.add(&name, &item.attrs, item.span());
        let before = self.of_type.replace(name);
        visit::visit_item_trait(self, item);
        self.of_type = before;
    }

    fn visit_item_impl(&mut self, item: &'a syn::ItemImpl) {
        let name = match &*item.self_ty {
            syn::Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
            _ => None,
        };
        let before = core::mem::replace(&mut self.of_type, name);
        visit::visit_item_impl(self, item);
        self.of_type = before;
    }

    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        let before = self.in_tests;
        self.in_tests |= item.attrs.iter().any(|attr| {
            attr.path().is_ident("cfg")
                && attr.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
        });
        visit::visit_item_mod(self, item);
        self.in_tests = before;
    }
}

#[cfg(test)]
mod tests;
