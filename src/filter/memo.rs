//! Answers kept per dictionary id, so that a pattern runs once per distinct text.

/// What is known of the ids of one epoch.
#[derive(Clone, Debug, Default)]
pub(super) struct Memo {
    epoch: u64,
    /// Per id: 0 not asked yet, 1 no, 2 yes. As long as the dictionary at most.
    answers: Vec<u8>,
}

impl Memo {
    /// The answer for `id`, from `ask` the first time. Another epoch forgets all.
    #[inline]
    pub(super) fn answer(&mut self, epoch: u64, id: u32, ask: impl FnOnce() -> bool) -> bool {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.answers.clear();
        }
        let at = id as usize;
        match self.answers.get(at) {
            Some(1) => false,
            Some(2) => true,
            _ => {
                let answer = ask();
                if at >= self.answers.len() {
                    self.answers.resize(at + 1, 0);
                }
                self.answers[at] = 1 + u8::from(answer);
                answer
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_for_its_epoch_only() {
        let mut memo = Memo::default();
        assert!(memo.answer(1, 5, || true));
        assert!(memo.answer(1, 5, || unreachable!()));
        assert!(!memo.answer(1, 3, || false));
        assert!(!memo.answer(1, 3, || unreachable!()));
        assert!(!memo.answer(2, 5, || false));
    }
}
