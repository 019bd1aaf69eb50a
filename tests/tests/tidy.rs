//! What the source must look like: lengths, import directions, a core without clock and input-output.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;
const LINE_CHARS: usize = 120;

/// The folders and files of the top level; more of them would be a second architecture.
const TOP_LEVEL: [&str; 16] = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "clippy.toml",
    "director",
    "image",
    "init",
    "qemu",
    "rootfs",
    "rustfmt.toml",
    "tests",
];

/// Names that say nothing about what is in the module.
const EMPTY_NAMES: [&str; 8] = [
    "util", "utils", "helper", "helpers", "common", "misc", "mgr", "manager",
];

/// What the core must not know of. Paths of `std` by their second word; everything of these is input-output, time or
/// order that depends on the run.
const NOT_IN_CORE: [&str; 8] = ["fs", "net", "thread", "time", "process", "env", "io", "os"];
const NO_NAME_IN_CORE: [&str; 7] = [
    "HashMap",
    "HashSet",
    "SystemTime",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "RandomState",
];

/// Macros that are a note to oneself.
const UNFINISHED: [&str; 3] = ["todo", "dbg", "unimplemented"];

#[test]
fn files_functions_and_lines_are_short() {
    let mut faults = String::new();
    for file in rust_files() {
        for (number, line) in file.text.lines().enumerate() {
            if line.chars().count() > LINE_CHARS {
                file.fault(&mut faults, number + 1, "line of more than 120 characters");
            }
        }
        if file.is_test() {
            continue;
        }
        let mut code = Code::default();
        code.read(file.tokens());
        let lines = file.text.lines().count() - code.test_lines;
        if lines > FILE_LINES {
            file.fault(&mut faults, 1, &format!("{lines} lines without tests"));
        }
        for (name, line, lines) in code.functions {
            if lines > FUNCTION_LINES {
                file.fault(
                    &mut faults,
                    line,
                    &format!("function {name} of {lines} lines"),
                );
            }
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
}

#[test]
fn the_core_imports_one_way() {
    let order = Order::of_the_doc(&read(&root().join("director/core/src/lib.rs")));
    let mut faults = String::new();
    for file in rust_files() {
        let Some(module) = file.core_module() else {
            continue;
        };
        let mut code = Code::default();
        code.read(file.tokens());
        if module != "lib" && !order.knows(&module) {
            file.fault(
                &mut faults,
                1,
                &format!("{module} is not in the order of lib.rs"),
            );
            continue;
        }
        for (import, line) in code.crate_paths {
            if module != "lib" && import != module && !order.allows(&module, &import) {
                file.fault(&mut faults, line, &format!("{module} imports {import}"));
            }
        }
    }
    assert!(faults.is_empty(), "\nthe order is {}\n{faults}", order.text);
}

#[test]
fn the_core_has_no_clock_no_input_output_and_no_chance() {
    let mut faults = String::new();
    for file in rust_files() {
        if file.core_module().is_none() {
            continue;
        }
        let mut code = Code::default();
        code.read(file.tokens());
        for (word, line) in code.std_paths {
            if NOT_IN_CORE.contains(&word.as_str()) {
                file.fault(&mut faults, line, &format!("std::{word} in the core"));
            }
        }
        for (word, line) in code.words {
            if NO_NAME_IN_CORE.contains(&word.as_str()) {
                file.fault(&mut faults, line, &format!("{word} in the core"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
}

#[test]
fn nothing_is_left_unfinished_or_named_after_nothing() {
    let mut faults = String::new();
    for file in rust_files() {
        let stem = file.path.file_stem().unwrap_or_default().to_string_lossy();
        if EMPTY_NAMES.contains(&stem.as_ref()) {
            file.fault(&mut faults, 1, "a name that says nothing");
        }
        let mut code = Code::default();
        code.read(file.tokens());
        for (name, line) in code.macros {
            if UNFINISHED.contains(&name.as_str()) {
                file.fault(&mut faults, line, &format!("{name}! is left"));
            }
        }
        for (name, line) in code.modules {
            if EMPTY_NAMES.contains(&name.as_str()) {
                file.fault(&mut faults, line, "a module name that says nothing");
            }
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    // Split, so that this file passes too.
    let paths = [["/wo", "rk/"], ["/ho", "me/"], ["/tmp/", "bash"]].map(|parts| parts.concat());
    let mut faults = String::new();
    for path in files() {
        let Ok(text) = fs::read_to_string(&path) else {
            continue; // not text
        };
        for (number, line) in text.lines().enumerate() {
            if paths.iter().any(|machine| line.contains(machine)) {
                let _ = writeln!(
                    faults,
                    "{}:{}: path of a machine",
                    path.display(),
                    number + 1
                );
            }
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
}

#[test]
fn the_top_level_is_fixed() {
    let mut strange = Vec::new();
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && name != "target" && !TOP_LEVEL.contains(&name.as_str()) {
            strange.push(name);
        }
    }
    assert!(strange.is_empty(), "not one of {TOP_LEVEL:?}: {strange:?}");
}

/// One source file.
struct File {
    path: PathBuf,
    text: String,
}

impl File {
    fn fault(&self, faults: &mut String, line: usize, what: &str) {
        let path = self.path.strip_prefix(root()).unwrap_or(&self.path);
        let _ = writeln!(faults, "{}:{line}: {what}", path.display());
    }

    fn tokens(&self) -> TokenStream {
        match self.text.parse() {
            Ok(tokens) => tokens,
            Err(error) => panic!("{}: {error}", self.path.display()),
        }
    }

    /// Whether all of it is test code: it lies in a package's or a module's `tests`.
    fn is_test(&self) -> bool {
        let inside = self.path.strip_prefix(root()).unwrap_or(&self.path);
        let mut parts = inside.components().skip(1);
        parts.any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
    }

    /// The top module of the core that it belongs to.
    fn core_module(&self) -> Option<String> {
        let inside = self
            .path
            .strip_prefix(root().join("director/core/src"))
            .ok()?;
        let first = Path::new(inside.components().next()?.as_os_str());
        (!self.is_test()).then(|| {
            first
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into()
        })
    }
}

/// The import order that the core's own page states: groups joined by `<-`, and each may import those before it. In a
/// plain list a module may also import those before it in the list; in braces stand siblings that may not.
struct Order {
    text: String,
    /// Module, group, place in the group; no place among siblings.
    ranks: Vec<(String, usize, Option<usize>)>,
}

impl Order {
    fn of_the_doc(lib: &str) -> Self {
        let doc: String = lib
            .lines()
            .filter_map(|line| line.strip_prefix("//!"))
            .collect();
        let text = doc.split('`').find(|part| part.contains("<-"));
        let text = text
            .expect("lib.rs states the order of imports in one `.. <- ..`")
            .to_string();
        let mut ranks = Vec::new();
        for (group, names) in text.split("<-").enumerate() {
            let siblings = names.contains('{');
            let names = names.split(|c: char| !c.is_alphanumeric() && c != '_');
            for (place, name) in names.filter(|name| !name.is_empty()).enumerate() {
                ranks.push((name.to_string(), group, (!siblings).then_some(place)));
            }
        }
        Self { text, ranks }
    }

    fn rank(&self, module: &str) -> Option<(usize, Option<usize>)> {
        let found = self.ranks.iter().find(|(name, ..)| name == module)?;
        Some((found.1, found.2))
    }

    fn knows(&self, module: &str) -> bool {
        self.rank(module).is_some()
    }

    fn allows(&self, module: &str, import: &str) -> bool {
        match (self.rank(module), self.rank(import)) {
            (Some((own, own_place)), Some((other, place))) => {
                other < own || other == own && own_place.zip(place).is_some_and(|(a, b)| b < a)
            }
            _ => false,
        }
    }
}

/// What a file's tokens tell, test code left out.
#[derive(Default)]
struct Code {
    test_lines: usize,
    /// Name, first line, number of lines.
    functions: Vec<(String, usize, usize)>,
    /// First segments of `crate::..` paths.
    crate_paths: Vec<(String, usize)>,
    /// First segments of `std::..` paths.
    std_paths: Vec<(String, usize)>,
    words: Vec<(String, usize)>,
    macros: Vec<(String, usize)>,
    modules: Vec<(String, usize)>,
}

impl Code {
    fn read(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let rest = &tokens[at..];
            if let Some(length) = test_item(rest) {
                let end = last_line(&rest[length - 1]);
                self.test_lines += end + 1 - token.span().start().line;
                at += length;
                continue;
            }
            match token {
                TokenTree::Ident(word) => self.word(&word.to_string(), word.span(), rest),
                TokenTree::Group(group) => self.read(group.stream()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            at += 1;
        }
    }

    fn word(&mut self, word: &str, span: Span, rest: &[TokenTree]) {
        let line = span.start().line;
        match (word, rest.get(1)) {
            ("fn", Some(TokenTree::Ident(name))) => {
                if let Some(body) = body(rest) {
                    let lines = body.span_close().end().line + 1 - line;
                    self.functions.push((name.to_string(), line, lines));
                }
            }
            ("mod", Some(TokenTree::Ident(name))) => self.modules.push((name.to_string(), line)),
            ("crate", Some(_)) => first_segments(rest, &mut self.crate_paths),
            ("std", Some(_)) => first_segments(rest, &mut self.std_paths),
            (_, Some(TokenTree::Punct(mark))) if mark.as_char() == '!' => {
                self.macros.push((word.to_string(), line));
            }
            _ => {}
        }
        self.words.push((word.to_string(), line));
    }
}

/// The number of tokens of an item that is only there for tests, when these begin with one.
fn test_item(tokens: &[TokenTree]) -> Option<usize> {
    let [TokenTree::Punct(hash), TokenTree::Group(attribute), ..] = tokens else {
        return None;
    };
    let text = attribute.stream().to_string().replace(' ', "");
    if hash.as_char() != '#' || text != "cfg(test)" {
        return None;
    }
    let end = |token: &TokenTree| match token {
        TokenTree::Punct(mark) => mark.as_char() == ';',
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        _ => false,
    };
    tokens.iter().position(end).map(|last| last + 1)
}

/// The body of the function that begins here; none for a declaration.
fn body(tokens: &[TokenTree]) -> Option<&Group> {
    for token in tokens {
        match token {
            TokenTree::Punct(mark) if mark.as_char() == ';' => return None,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return Some(group),
            _ => {}
        }
    }
    None
}

/// Reads `::a` or `::{a, b::c}` behind the root of a path.
fn first_segments(tokens: &[TokenTree], into: &mut Vec<(String, usize)>) {
    let [_, TokenTree::Punct(one), TokenTree::Punct(two), next, ..] = tokens else {
        return;
    };
    if (one.as_char(), two.as_char()) != (':', ':') {
        return;
    }
    match next {
        TokenTree::Ident(name) => into.push((name.to_string(), name.span().start().line)),
        TokenTree::Group(group) => {
            let mut first = true;
            for token in group.stream() {
                match token {
                    TokenTree::Ident(name) if first => {
                        into.push((name.to_string(), name.span().start().line));
                        first = false;
                    }
                    TokenTree::Punct(mark) => first = mark.as_char() == ',',
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn last_line(token: &TokenTree) -> usize {
    match token {
        TokenTree::Group(group) => group.span_close().end().line,
        other => other.span().end().line,
    }
}

fn rust_files() -> Vec<File> {
    let rust = files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ext| ext == "rs"));
    rust.map(|path| File {
        text: read(&path),
        path,
    })
    .collect()
}

/// All files of the workspace but those that are built, fetched or fuzzed.
fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        // A folder that another test removes meanwhile is no matter of this one.
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let hidden = name.starts_with('.') && name != ".ci" && name != ".cargo";
            if hidden || ["target", "corpus", "artifacts", "coverage"].contains(&name.as_ref()) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
