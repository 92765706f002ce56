//! One question for all who want its answer at the same time.

use super::signal::Later;
use std::cell::RefCell;
use std::rc::Rc;

/// Who waits for the same answer; `None` while nobody has asked.
#[derive(Debug)]
pub(super) struct Flight<T>(RefCell<Option<Vec<Rc<Later<T>>>>>);

impl<T> Default for Flight<T> {
    fn default() -> Self {
        Self(RefCell::new(None))
    }
}

impl<T: Clone> Flight<T> {
    /// A place to wait, and whether the caller has to see to it that the question is asked.
    pub(super) fn join(&self) -> (Rc<Later<T>>, bool) {
        let mut waiting = self.0.borrow_mut();
        let is_first = waiting.is_none();
        let later = Later::new();
        waiting.get_or_insert_default().push(Rc::clone(&later));
        (later, is_first)
    }

    /// Answers everybody.
    pub(super) fn land(&self, answer: &T) {
        let waiting = self.0.borrow_mut().take();
        waiting.into_iter().flatten().for_each(|later| later.set(answer.clone()));
    }
}
