//! Objects as they were told, and whether they ended.
//!
//! **Invariant:** what ended stays, as it was last told.

use std::{collections::BTreeMap, sync::Arc};

/// Whether something told is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    #[default]
    Present,
    Gone,
    /// Discord does not say, and a reader may take it either way.
    Unsaid,
}

impl End {
    /// Ends what has not.
    pub(super) fn end(&mut self) {
        *self = Self::Gone;
    }

    /// Leaves open whether it is still there.
    pub(super) fn leave_open(&mut self) {
        if *self == Self::Present {
            *self = Self::Unsaid;
        }
    }
}

/// An object as last told.
#[derive(Clone, Debug)]
pub(super) struct Entry<T> {
    pub(super) object: Arc<T>,
    pub(super) end: End,
}

/// Objects of one kind by key.
#[derive(Clone, Debug)]
pub(super) struct Shelf<K, T>(BTreeMap<K, Entry<T>>);

impl<K, T> Default for Shelf<K, T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, T> Shelf<K, T> {
    /// It is there, as told now.
    pub(super) fn put(&mut self, key: K, object: &Arc<T>) {
        self.0.insert(key, Entry { object: Arc::clone(object), end: End::Present });
    }

    /// It is gone; what was never told stays untold.
    pub(super) fn end(&mut self, key: &K) {
        if let Some(entry) = self.0.get_mut(key) {
            entry.end.end();
        }
    }

    /// It was told once more, and is gone.
    pub(super) fn put_ended(&mut self, key: K, object: &Arc<T>) {
        self.0.insert(key, Entry { object: Arc::clone(object), end: End::Gone });
    }

    /// Those that are chosen are gone; returns the keys of those that were not before.
    pub(super) fn end_where(&mut self, chosen: impl Fn(&K, &T) -> bool) -> Vec<K>
    where
        K: Clone,
    {
        let mut ended = Vec::new();
        for (key, entry) in &mut self.0 {
            if entry.end != End::Gone && chosen(key, &entry.object) {
                entry.end.end();
                ended.push(key.clone());
            }
        }
        ended
    }

    /// Whether it is gone is left open.
    pub(super) fn leave_open(&mut self, key: &K) {
        if let Some(entry) = self.0.get_mut(key) {
            entry.end.leave_open();
        }
    }

    /// These are all there are; returns the keys of those that are gone with it.
    pub(super) fn replace<'a>(&mut self, present: impl Iterator<Item = (K, &'a Arc<T>)>) -> Vec<K>
    where
        K: Clone,
        T: 'a,
    {
        let before: Vec<K> = self
            .0
            .iter_mut()
            .filter(|(_, entry)| entry.end != End::Gone)
            .map(|(key, entry)| {
                entry.end.end();
                key.clone()
            })
            .collect();
        for (key, object) in present {
            self.put(key, object);
        }
        before.into_iter().filter(|key| self.get(key).is_none()).collect()
    }

    /// The object, if it was told and is not gone.
    pub(super) fn get(&self, key: &K) -> Option<&Arc<T>> {
        self.0.get(key).filter(|entry| entry.end == End::Present).map(|entry| &entry.object)
    }

    /// Everything that was ever told, in the order of the keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &Entry<T>)> {
        self.0.iter()
    }
}
