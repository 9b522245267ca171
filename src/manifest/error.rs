//! Why a document could not be read.
//!
//! Owns the errors of reading text; those of files and trees are `load`'s.

use std::sync::Arc;

use super::placeholder::Placeholder;
use super::value::Place;

/// A document, or what stands beside one, that is not read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{file}:{at}: {kind}")]
pub struct ReadError {
    /// The file, as given.
    pub file: Arc<str>,
    /// Which document of the file, from 0.
    pub document: usize,
    /// Where.
    pub at: Place,
    /// What is the matter.
    pub kind: ReadErrorKind,
    /// Kinds of objects that the lost text names after `kind:`: those that hold policies,
    /// and a few others.
    pub lost_kinds: Vec<Box<str>>,
    /// The namespace that the lost text names, where it names one alone.
    pub lost_namespace: Option<Box<str>>,
    /// The first template or variable left over in the lost text, its likely cause.
    pub placeholder: Option<Placeholder>,
}

/// What is the matter with a document.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReadErrorKind {
    /// It is not YAML.
    #[error("not readable as YAML: {0}")]
    Syntax(Box<str>),
    /// A key twice in one mapping, also through a merge key.
    #[error("key {key:?} is already set at {first}")]
    DuplicateKey {
        /// The key.
        key: Box<str>,
        /// Where it was set first.
        first: Place,
    },
    /// A key that is null, a list, a mapping, or a number above 63 bits.
    #[error("a key must be a text")]
    KeyNotText,
    /// A scalar that its tag does not fit.
    #[error("{text:?} is no !!{tag}")]
    WrongTag {
        /// The scalar.
        text: Box<str>,
        /// The tag without its prefix.
        tag: Box<str>,
    },
    /// An infinite number or none at all.
    #[error("{text} cannot be written in JSON")]
    NotJson {
        /// The scalar.
        text: Box<str>,
    },
    /// `<<` with something else than a mapping or a list of mappings.
    #[error("a merge key needs a mapping or a list of mappings")]
    MergeNeedsMapping,
    /// An alias inside what it stands for.
    #[error("an anchor contains itself")]
    AnchorInItself,
    /// `%YAML` with another version than 1.1.
    #[error("%YAML {major}.{minor}: Kubernetes reads version 1.1 only")]
    OtherVersion {
        /// Before the point.
        major: u32,
        /// After it.
        minor: u32,
    },
    /// Something after the end of a document and before the next `---`: Kubernetes does
    /// not look at it.
    #[error("what follows the end of the document is not read")]
    AfterTheEnd,
    /// Nested more deeply than we go.
    #[error("nested more than {limit} levels deep")]
    TooDeep {
        /// Our bound.
        limit: usize,
    },
    /// More values than we keep, aliases counted as often as they are used.
    #[error("more than {limit} values in one file, aliases included")]
    TooManyValues {
        /// Our bound.
        limit: usize,
    },
    /// More texts than we keep, aliases counted as often as they are used.
    #[error("more than {limit} bytes of text in one file, aliases included")]
    TooMuchText {
        /// Our bound.
        limit: usize,
    },
    /// More keys in one mapping than we keep.
    #[error("more than {limit} keys in one mapping")]
    TooManyKeys {
        /// Our bound.
        limit: usize,
    },
    /// More documents, items of lists included, than we keep of one file.
    #[error("more than {limit} objects in one file")]
    TooManyDocuments {
        /// Our bound.
        limit: usize,
    },
    /// More documents that cannot be read than we name; nothing after them is read.
    #[error("more than {limit} documents are not readable, the rest is not looked at")]
    TooManyErrors {
        /// Our bound.
        limit: usize,
    },
    /// More bytes than we read.
    #[error("a document of {size} bytes is larger than {limit}")]
    TooLarge {
        /// Of the document.
        size: usize,
        /// Our bound.
        limit: usize,
    },
}
