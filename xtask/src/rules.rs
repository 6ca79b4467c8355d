//! House rules without exceptions: names that say nothing, where `unsafe` may stand, and the
//! sentence at the head of each file.

use std::path::Path;

use anyhow::{Context, Result};
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

use crate::sources::{self, RustFile};

/// Every breach, each as a sentence.
pub(crate) fn problems(root: &Path) -> Result<Vec<String>> {
    let files = sources::rust_files(root)?;
    let mut problems = Vec::new();
    for file in &files {
        problems.extend(file_problems(file)?);
    }
    for (path, attribute) in GUARANTEES {
        let held = files.iter().any(|file| file.path == path && file.text.contains(attribute));
        if !held {
            problems.push(format!("{path}: `{attribute}` is missing"));
        }
    }
    Ok(problems)
}

fn file_problems(file: &RustFile) -> Result<Vec<String>> {
    let tree = syn::parse_file(&file.text)
        .with_context(|| format!("{} cannot be parsed as Rust", file.path))?;
    let tokens: TokenStream = file
        .text
        .parse()
        .map_err(|error| anyhow::anyhow!("{} cannot be cut into tokens: {error}", file.path))?;
    let mut problems = Vec::new();
    let mut names = Names::default();
    names.visit_file(&tree);
    for (line, name) in names.hollow {
        problems.push(format!("{}:{line}: `{name}` does not say what it is", file.path));
    }
    if !unsafe_is_allowed(&file.path) {
        for line in unsafe_lines(tokens) {
            problems.push(format!(
                "{}:{line}: `unsafe` outside the places that xtask/src/rules.rs lists",
                file.path
            ));
        }
    }
    if !file.is_test() && !file.text.starts_with("//!") && !file.text.starts_with("#!") {
        problems.push(format!("{}: no `//!` that says what the file is for", file.path));
    }
    Ok(problems)
}

/// Finds types, functions and modules whose name has one of `HOLLOW_WORDS` in it.
#[derive(Default)]
struct Names {
    hollow: Vec<(usize, String)>,
}

impl Names {
    fn look_at(&mut self, name: &syn::Ident) {
        let text = name.to_string();
        if words(&text).iter().any(|word| HOLLOW_WORDS.contains(&word.as_str())) {
            self.hollow.push((name.span().start().line, text));
        }
    }
}

impl<'a> Visit<'a> for Names {
    fn visit_item_struct(&mut self, item: &'a syn::ItemStruct) {
        self.look_at(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'a syn::ItemEnum) {
        self.look_at(&item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_union(&mut self, item: &'a syn::ItemUnion) {
        self.look_at(&item.ident);
        visit::visit_item_union(self, item);
    }

    fn visit_item_type(&mut self, item: &'a syn::ItemType) {
        self.look_at(&item.ident);
        visit::visit_item_type(self, item);
    }

    fn visit_item_trait(&mut self, item: &'a syn::ItemTrait) {
        self.look_at(&item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        self.look_at(&item.ident);
        visit::visit_item_mod(self, item);
    }

    fn visit_item_impl(&mut self, item: &'a syn::ItemImpl) {
        // The names in an implementation of somebody else's trait are not ours to choose.
        if item.trait_.is_none() {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_signature(&mut self, signature: &'a syn::Signature) {
        self.look_at(&signature.ident);
        visit::visit_signature(self, signature);
    }
}

/// The words of a name in either spelling: `RxBurst` and `rx_burst` are both `rx`, `burst`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_small = false;
    for letter in name.chars() {
        if letter == '_' || (letter.is_uppercase() && after_small) {
            words.push(String::new());
        }
        after_small = letter.is_lowercase() || letter.is_ascii_digit();
        if letter != '_' {
            words.last_mut().expect("begins with one").extend(letter.to_lowercase());
        }
    }
    words
}

/// The lines with the keyword, those inside macro calls included; text and comments are not.
fn unsafe_lines(tokens: TokenStream) -> Vec<usize> {
    let mut lines = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Ident(word) if word == "unsafe" => lines.push(word.span().start().line),
            TokenTree::Group(group) => lines.extend(unsafe_lines(group.stream())),
            _ => {}
        }
    }
    lines
}

fn unsafe_is_allowed(path: &str) -> bool {
    UNSAFE_PLACES.iter().any(|place| match place.strip_suffix('/') {
        Some(_) => path.starts_with(place),
        None => path == *place,
    })
}

/// Where memory that somebody else writes is touched, or the processor itself is asked. A new
/// line here is a decision.
const UNSAFE_PLACES: &[&str] = &[
    "crates/mem/",
    "crates/driver/",
    // Reads the time-stamp counter.
    "crates/crore/src/clock.rs",
    // Binds a thread to its core.
    "crates/crore/src/pin.rs",
    // Counts allocations, and makes system calls fatal.
    "crates/crore/tests/steady_state/",
    // Looks at all memory of its own for what a core wrote.
    "crates/crore/tests/cache_lines/memory.rs",
    // System calls and shared rings of the kernel's side of a comparison.
    "bench/kernel/src/",
    // C's types at packetdrill's interface.
    "crates/packetdrill/src/ffi.rs",
    "crates/packetdrill/src/ffi/",
    "crates/packetdrill/tests/runner/library.rs",
];

/// What these crates promise to everybody above them.
const GUARANTEES: [(&str, &str); 3] = [
    ("crates/wire/src/lib.rs", "#![forbid(unsafe_code)]"),
    ("crates/stack/src/lib.rs", "#![forbid(unsafe_code)]"),
    ("crates/sim/src/lib.rs", "#![forbid(unsafe_code)]"),
];

const HOLLOW_WORDS: [&str; 10] = [
    "manager", "managers", "handler", "handlers", "util", "utils", "common", "helper", "helpers",
    "utility",
];

#[cfg(test)]
mod tests;
