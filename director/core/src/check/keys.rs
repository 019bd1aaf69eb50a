//! Who is served by one check.

/// Who is served by a check. Most often it is one; room for more is only taken when there are more.
#[derive(Debug)]
pub(super) struct Keys<K> {
    pub(super) first: K,
    pub(super) more: Vec<K>,
}

impl<K: Ord> Keys<K> {
    pub(super) fn iter(&self) -> impl Iterator<Item = &K> {
        core::iter::once(&self.first).chain(&self.more)
    }

    /// Takes one out, unless it is the only one.
    pub(super) fn remove(&mut self, key: &K) {
        if self.first == *key {
            if let Some(next) = self.more.pop() {
                self.first = next;
            }
        } else {
            self.more.retain(|other| other != key);
        }
    }
}
