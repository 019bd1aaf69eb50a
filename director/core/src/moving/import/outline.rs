//! Blocks of keepalived.conf and router.conf on their way to text.

/// A block with its lines and blocks.
#[derive(Clone, Debug)]
pub(super) struct Block {
    head: String,
    items: Vec<Item>,
    /// Written as a comment: what the old configuration had, but switched off.
    is_off: bool,
}

#[derive(Clone, Debug)]
enum Item {
    Line(String),
    Block(Block),
}

impl Block {
    pub(super) fn new(head: impl Into<String>) -> Self {
        Self {
            head: head.into(),
            items: Vec::new(),
            is_off: false,
        }
    }

    pub(super) fn line(&mut self, line: impl Into<String>) {
        self.items.push(Item::Line(line.into()));
    }

    pub(super) fn lines(&mut self, lines: impl IntoIterator<Item = String>) {
        self.items.extend(lines.into_iter().map(Item::Line));
    }

    /// Adds what another block has in it.
    pub(super) fn append(&mut self, other: Self) {
        self.items.extend(other.items);
    }

    pub(super) fn blocks(&mut self, blocks: impl IntoIterator<Item = Self>) {
        self.items.extend(blocks.into_iter().map(Item::Block));
    }

    pub(super) fn block(&mut self, block: Self) {
        self.items.push(Item::Block(block));
    }

    /// Writes it as a comment if it is switched off.
    pub(super) fn off(mut self, is_off: bool) -> Self {
        self.is_off = is_off;
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The text, one line for each item.
    pub(super) fn text(&self) -> String {
        let mut lines = vec![format!("{} {{", self.head)];
        for item in &self.items {
            match item {
                Item::Line(line) => lines.push(format!("    {line}")),
                // Importers nest a few blocks, not files: this is no hostile depth.
                Item::Block(block) => {
                    lines.extend(block.text().lines().map(|line| format!("    {line}")));
                }
            }
        }
        lines.push("}".to_owned());
        let mark = if self.is_off { "# " } else { "" };
        lines.iter().map(|line| format!("{mark}{line}\n")).collect()
    }
}
