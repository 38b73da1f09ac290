//! Bounded memory for what costs a call: [`Memo`] for what never changes, [`TimedCache`] for what
//! does.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

/// Values that are made once, even if many ask at the same time. The oldest goes when there is no
/// room.
pub struct Memo<K, V> {
    cells: Mutex<BoundedMap<K, Arc<OnceCell<V>>>>,
}

impl<K: Clone + Eq + Hash, V: Clone> Memo<K, V> {
    /// With room for `limit` values.
    pub fn new(limit: usize) -> Self {
        Self {
            cells: Mutex::new(BoundedMap::new(limit)),
        }
    }

    /// The value for `key`, made by `make` if there is none. A failure is not cached: the next
    /// caller tries again.
    ///
    /// # Errors
    /// That of `make`.
    pub async fn get_or_try_make<E, F>(&self, key: &K, make: impl FnOnce() -> F) -> Result<V, E>
    where
        F: Future<Output = Result<V, E>>,
    {
        let cell = {
            let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
            match cells.get(key) {
                Some(cell) => Arc::clone(cell),
                None => {
                    let cell = Arc::new(OnceCell::new());
                    cells.put(key.clone(), Arc::clone(&cell));
                    cell
                }
            }
        };
        cell.get_or_try_init(make).await.cloned()
    }

    /// Keeps a value that is at hand already.
    pub fn put(&self, key: K, value: V) {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        cells.put(key, Arc::new(OnceCell::new_with(Some(value))));
    }
}

/// Does not show what is remembered: it may be secret.
impl<K, V> fmt::Debug for Memo<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memo").finish_non_exhaustive()
    }
}

/// Values that are good until a time. The oldest goes when there is no room.
pub struct TimedCache<K, V> {
    entries: Mutex<BoundedMap<K, Entry<V>>>,
}

struct Entry<V> {
    value: V,
    until_ms: i64,
}

impl<K: Clone + Eq + Hash, V: Clone> TimedCache<K, V> {
    /// With room for `limit` values.
    pub fn new(limit: usize) -> Self {
        Self {
            entries: Mutex::new(BoundedMap::new(limit)),
        }
    }

    /// The value for `key`, if it is still good at `now_ms`.
    pub fn get<Q>(&self, key: &Q, now_ms: i64) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .get(key)
            .filter(|entry| now_ms < entry.until_ms)
            .map(|entry| entry.value.clone())
    }

    /// Keeps a value until `until_ms`.
    pub fn put(&self, key: K, value: V, until_ms: i64) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.put(key, Entry { value, until_ms });
    }
}

impl<K, V> fmt::Debug for TimedCache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimedCache").finish_non_exhaustive()
    }
}

/// A map of at most `limit` entries. `order` holds each key once, oldest first.
struct BoundedMap<K, V> {
    entries: HashMap<K, V>,
    order: VecDeque<K>,
    limit: usize,
}

impl<K: Clone + Eq + Hash, V> BoundedMap<K, V> {
    fn new(limit: usize) -> Self {
        Self {
            entries: HashMap::new(),
            order: VecDeque::new(),
            limit,
        }
    }

    fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.entries.get(key)
    }

    fn put(&mut self, key: K, value: V) {
        if self.entries.insert(key.clone(), value).is_some() {
            return;
        }
        self.order.push_back(key);
        while self.order.len() > self.limit {
            if let Some(oldest) = self.order.pop_front() {
                self.entries.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn a_hundred_callers_at_once_make_a_value_once() {
        let (memo, made) = (Memo::new(4), AtomicU32::new(0));
        let callers = (0..100).map(|_| {
            memo.get_or_try_make(&"key", || async {
                tokio::task::yield_now().await;
                made.fetch_add(1, Ordering::SeqCst);
                Ok::<_, Infallible>(7)
            })
        });
        let values = futures_util::future::join_all(callers).await;
        assert!(values.iter().all(|value| *value == Ok(7)));
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_failure_is_not_remembered() {
        let memo = Memo::new(4);
        assert_eq!(
            memo.get_or_try_make(&1, || async { Err::<u8, _>("down") })
                .await,
            Err("down")
        );
        assert_eq!(
            memo.get_or_try_make(&1, || async { Ok::<_, &str>(2) })
                .await,
            Ok(2)
        );
    }

    #[tokio::test]
    async fn the_oldest_value_goes_when_there_is_no_room() {
        let memo = Memo::new(2);
        for key in [1, 2, 3] {
            memo.put(key, key);
        }
        assert_eq!(
            memo.get_or_try_make(&1, || async { Err::<i32, _>("gone") })
                .await,
            Err("gone")
        );
        assert_eq!(
            memo.get_or_try_make(&3, || async { Err::<i32, _>("gone") })
                .await,
            Ok(3)
        );
    }

    #[test]
    fn a_value_is_good_until_its_time_and_one_put_again_does_not_crowd_out_others() {
        let cache = TimedCache::new(2);
        cache.put("old".to_owned(), 1, 1000);
        cache.put("new".to_owned(), 2, 1000);
        cache.put("new".to_owned(), 3, 2000);
        assert_eq!(
            (cache.get("old", 999), cache.get("old", 1000)),
            (Some(1), None)
        );
        assert_eq!(cache.get("new", 1999), Some(3));
        cache.put("newest".to_owned(), 4, 2000);
        assert_eq!(
            (
                cache.get("old", 0),
                cache.get("new", 0),
                cache.get("newest", 0)
            ),
            (None, Some(3), Some(4))
        );
    }
}
