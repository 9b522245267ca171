//! Go's bounds on the size and the nesting of an expression.
//!
//! Owns the arithmetic over the tree Go would build, one group at a time; no tree is
//! built here. Go counts neighbouring literals as one node and folds a sequence in a
//! sequence (and an alternative in an alternative) into one, so that is done here too.

/// A copy of the innermost thing per step of the repetitions around it.
pub(super) const MAX_COPIES: u32 = 1000;
/// Levels of the tree.
pub(super) const MAX_HEIGHT: u32 = 1000;
/// Instructions of the compiled form.
pub(super) const MAX_SIZE: u64 = (128 << 20) / 40;

/// A part of an expression.
#[derive(Clone, Copy)]
pub(super) struct Part {
    kind: Kind,
    /// Instructions, as Go estimates them.
    pub(super) size: u64,
    /// Levels, groups that capture included.
    pub(super) height: u32,
    /// Levels, groups not included: what compiling recurses over.
    pub(super) depth: u32,
    /// Copies of its most repeated piece.
    pub(super) copies: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Literal { fold: bool },
    Sequence,
    Alternatives,
    Other,
}

impl Part {
    const EMPTY: Self = Self::leaf(Kind::Other);

    const fn leaf(kind: Kind) -> Self {
        Self {
            kind,
            size: 1,
            height: 1,
            depth: 1,
            copies: 1,
        }
    }

    pub(super) const fn literal(fold: bool) -> Self {
        Self::leaf(Kind::Literal { fold })
    }

    /// A class or an assertion.
    pub(super) const fn atom() -> Self {
        Self::leaf(Kind::Other)
    }

    pub(super) fn captured(self) -> Self {
        Self {
            kind: Kind::Other,
            size: self.size.saturating_add(2),
            height: self.height + 1,
            ..self
        }
    }

    /// `?`, `*`, `+`, which cost `overhead` instructions.
    pub(super) fn repeated(self, overhead: u64) -> Self {
        Self {
            kind: Kind::Other,
            size: self.size.saturating_add(overhead),
            height: self.height + 1,
            depth: self.depth + 1,
            copies: self.copies,
        }
    }

    /// `{min,max}`; no `max` is `{min,}`.
    pub(super) fn counted(self, min: u32, max: Option<u32>) -> Self {
        let size = match max {
            None if min == 0 => self.size.saturating_add(2),
            None => self.size.saturating_mul(min.into()).saturating_add(1),
            Some(max) => self
                .size
                .saturating_mul(max.into())
                .saturating_add(max.saturating_sub(min).into()),
        };
        let copies = if max == Some(0) {
            1
        } else {
            self.copies.saturating_mul(max.unwrap_or(min).max(1))
        };
        Self {
            size: size.max(1),
            copies,
            ..self.repeated(0)
        }
    }
}

/// Parts side by side, in order or as alternatives.
#[derive(Clone, Copy)]
struct Row {
    kind: Kind,
    parts: u32,
    size: u64,
    height: u32,
    depth: u32,
    copies: u32,
    last: Option<Kind>,
}

impl Row {
    const fn new(kind: Kind) -> Self {
        Self {
            kind,
            parts: 0,
            size: 0,
            height: 0,
            depth: 0,
            copies: 1,
            last: None,
        }
    }

    fn add(&mut self, part: Part) {
        let folds_in = part.kind == self.kind;
        let joins = self.kind == Kind::Sequence
            && matches!(part.kind, Kind::Literal { .. })
            && self.last == Some(part.kind);
        if !joins {
            self.parts += if folds_in { 2 } else { 1 };
        }
        let own_level = u32::from(folds_in);
        self.size = self.size.saturating_add(part.size);
        self.height = self.height.max(part.height - own_level);
        self.depth = self.depth.max(part.depth - own_level);
        self.copies = self.copies.max(part.copies);
        self.last = Some(part.kind);
    }

    fn finish(&self, only: Option<Part>) -> Part {
        match (self.parts, only) {
            (0, _) => Part::EMPTY,
            (1, Some(part)) => Part {
                size: self.size,
                ..part
            },
            (parts, _) => {
                let level = u32::from(parts > 1);
                let separators = if self.kind == Kind::Alternatives {
                    u64::from(parts - 1)
                } else {
                    0
                };
                Part {
                    kind: if parts > 1 { self.kind } else { Kind::Other },
                    size: self.size.saturating_add(separators),
                    height: self.height + level,
                    depth: self.depth + level,
                    copies: self.copies,
                }
            }
        }
    }
}

/// What is known of a group that is still open.
pub(super) struct Measure {
    alternatives: Row,
    only_alternative: Option<Part>,
    sequence: Row,
    /// The newest part of the sequence, which a repetition may still change.
    last: Option<Part>,
}

impl Measure {
    pub(super) const fn new() -> Self {
        Self {
            alternatives: Row::new(Kind::Alternatives),
            only_alternative: None,
            sequence: Row::new(Kind::Sequence),
            last: None,
        }
    }

    pub(super) fn push(&mut self, part: Part) {
        if let Some(last) = self.last.replace(part) {
            self.sequence.add(last);
        }
    }

    /// Takes the part a repetition applies to; push what becomes of it.
    pub(super) fn take_last(&mut self) -> Option<Part> {
        self.last.take()
    }

    /// A `|` or the end of the group.
    pub(super) fn end_alternative(&mut self) {
        let last = self.last.take();
        if let Some(last) = last {
            self.sequence.add(last);
        }
        let part = self.sequence.finish(last);
        self.sequence = Row::new(Kind::Sequence);
        self.only_alternative = Some(part);
        self.alternatives.add(part);
    }

    /// The whole group, once its last alternative has ended.
    pub(super) fn whole(&self) -> Part {
        self.alternatives.finish(self.only_alternative)
    }
}
