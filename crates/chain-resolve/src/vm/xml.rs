//! Reads the XML form of a configuration (Server 2008 to 2012 R2): bytes in, key tree and warnings out.
//!
//! Files say UTF-16 and are that, or UTF-8 after an editor or git had them in hand: the bytes decide, the declaration
//! is ignored. The parser is a pull parser, so nesting costs no stack; document types are refused and no entity but
//! XML's own five is known, so nothing expands. Positions count bytes of the text as UTF-8. No error quotes the text, as the
//! parser's own do: what is called `.xml` may be any file.

use limits::configuration::{DEPTH_MAX, ELEMENTS_MAX, NAME_BYTES_MAX, WARNINGS_MAX, XML_DIVISOR};
use limits::{Limit, Limits};
use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::tree::{KeyTree, Node, Unreadable, Value};

mod text;
mod typed;

/// The keys of an XML file: its root element is the tree's only key of the first level.
#[derive(Clone, PartialEq, Debug)]
pub struct Document {
    /// The keys.
    pub tree: KeyTree,
    /// Values that are none of their type, at most as many as the limit allows.
    pub warnings: Vec<XmlWarning>,
    /// Warnings that were only counted.
    pub warnings_left_out: usize,
}

/// Nothing of the file can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum XmlError {
    /// The file goes over the limit.
    #[error("the file has {found} bytes, more than the limit of {limit} for XML")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
        /// The length in bytes.
        found: u64,
    },
    /// The file does not begin like XML in any encoding.
    #[error("neither a Hyper-V store nor XML: expected `<` at its beginning")]
    NotXml,
    /// The text is not well-formed.
    #[error("not well-formed XML at byte {at:#x}: {what}")]
    Syntax {
        /// Where the parser stopped.
        at: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// The file ends inside an element, or has none.
    #[error("XML at byte {at:#x}: expected {expected}, found the end of the file")]
    Ends {
        /// The end.
        at: u64,
        /// What should come.
        expected: &'static str,
    },
    /// There is something behind or before the root element.
    #[error("XML at byte {at:#x}: expected one root element, found more")]
    SecondRoot {
        /// Where.
        at: u64,
    },
    /// The file declares a document type; configurations have none, and types are where entity bombs are made.
    #[error("XML at byte {at:#x}: expected no document type, found one")]
    DocumentType {
        /// Where.
        at: u64,
    },
    /// The text refers to an entity that XML itself does not define.
    #[error("XML at byte {at:#x}: expected one of XML's own entities, found another")]
    Entity {
        /// Behind the reference.
        at: u64,
    },
    /// Elements lie too deep.
    #[error("XML at byte {at:#x}: expected at most {DEPTH_MAX} levels, found more")]
    TooDeep {
        /// Where.
        at: u64,
    },
    /// An element's name is too long.
    #[error("XML at byte {at:#x}: expected a name of at most {NAME_BYTES_MAX} bytes, found {found}")]
    NameTooLong {
        /// Where.
        at: u64,
        /// The length in bytes.
        found: usize,
    },
    /// There are too many elements.
    #[error("XML at byte {at:#x}: expected at most {ELEMENTS_MAX} elements, found more")]
    TooMany {
        /// Where.
        at: u64,
    },
}

impl XmlError {
    /// What the parser found, without the text of the file that it quotes.
    fn syntax(at: u64, error: &quick_xml::Error) -> Self {
        let what = match error {
            quick_xml::Error::Syntax(_) => "something is opened and not closed",
            quick_xml::Error::IllFormed(_) => "its tags do not match",
            quick_xml::Error::InvalidAttr(_) => "an attribute is malformed",
            quick_xml::Error::Escape(_) => "a character reference means no character",
            _ => "it cannot be read",
        };
        Self::Syntax { at, what }
    }
}

/// A value that is none of its type.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("XML at byte {at:#x}: expected {expected}, found other text")]
pub struct XmlWarning {
    /// Behind the value, in bytes of the text as UTF-8.
    pub at: u64,
    /// What the type asks for.
    pub expected: &'static str,
}

/// Reads a whole file.
pub fn read(bytes: &[u8]) -> Result<Document, XmlError> {
    read_within(bytes, &Limits::default())
}

/// The same, within limits that were raised.
pub fn read_within(bytes: &[u8], limits: &Limits) -> Result<Document, XmlError> {
    let limit = limits.of(Limit::ConfigurationSize).checked_div(XML_DIVISOR).unwrap_or(0);
    let found = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if found > limit {
        return Err(XmlError::TooLarge { limit, found });
    }
    let text = text::decode(bytes).ok_or(XmlError::NotXml)?;
    let mut reader = Reader::from_str(&text);
    reader.config_mut().expand_empty_elements = true;
    let mut parse = Parse::default();
    loop {
        let at = reader.buffer_position();
        let event = reader.read_event();
        let event = event.map_err(|error| XmlError::syntax(reader.error_position(), &error))?;
        match event {
            Event::Start(start) => parse.open(at, &start)?,
            Event::End(_) => parse.close(reader.buffer_position()),
            Event::Text(text) => parse.text(at, &text)?,
            Event::CData(text) => parse.text(at, &text)?,
            Event::GeneralRef(name) => parse.reference(reader.buffer_position(), &name)?,
            Event::DocType(_) => return Err(XmlError::DocumentType { at }),
            Event::Eof => return parse.finish(at),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::Empty(_) => {}
        }
    }
}

/// An element that is not closed yet.
struct Open {
    node: Node,
    kind: Option<String>,
    text: String,
}

#[derive(Default)]
struct Parse {
    open: Vec<Open>,
    root: Option<Node>,
    elements: usize,
    warnings: Vec<XmlWarning>,
    warnings_left_out: usize,
}

impl Parse {
    fn open(&mut self, at: u64, start: &BytesStart<'_>) -> Result<(), XmlError> {
        if self.root.is_some() {
            return Err(XmlError::SecondRoot { at });
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(XmlError::TooDeep { at });
        }
        if self.elements >= ELEMENTS_MAX {
            return Err(XmlError::TooMany { at });
        }
        let name = start.name();
        let name: &str = name.as_ref();
        if name.len() > NAME_BYTES_MAX {
            return Err(XmlError::NameTooLong { at, found: name.len() });
        }
        self.elements = self.elements.saturating_add(1);
        let kind = start.try_get_attribute("type");
        let kind = kind.map_err(|error| XmlError::syntax(at, &error.into()))?;
        // The names of types hold nothing that would have to be escaped.
        let kind = kind.map(|kind| kind.value.into_owned());
        self.open.push(Open { node: Node::new(name), kind, text: String::new() });
        Ok(())
    }

    fn close(&mut self, at: u64) {
        // The parser has seen to it that the tags match.
        let Some(Open { mut node, kind, text }) = self.open.pop() else { return };
        // An element with others in it is a node, and the text between them is how the file is laid out.
        if node.children.is_empty() && (kind.is_some() || !text.trim().is_empty()) {
            node.value = Some(self.value(at, kind.as_deref(), text));
        }
        match self.open.last_mut() {
            Some(parent) => parent.node.children.push(node),
            None => self.root = Some(node),
        }
    }

    fn value(&mut self, at: u64, kind: Option<&str>, text: String) -> Value {
        typed::value(kind, text).unwrap_or_else(|expected| {
            if self.warnings.len() < WARNINGS_MAX {
                self.warnings.push(XmlWarning { at, expected });
            } else {
                self.warnings_left_out = self.warnings_left_out.saturating_add(1);
            }
            Value::Unreadable(Unreadable::Malformed)
        })
    }

    fn text(&mut self, at: u64, text: &str) -> Result<(), XmlError> {
        match self.open.last_mut() {
            Some(open) => open.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err(XmlError::SecondRoot { at }),
        }
        Ok(())
    }

    fn reference(&mut self, at: u64, name: &BytesRef<'_>) -> Result<(), XmlError> {
        let number = name.resolve_char_ref().map_err(|error| XmlError::syntax(at, &error))?;
        let c = match number {
            Some(c) => c,
            None => match &**name {
                "lt" => '<',
                "gt" => '>',
                "amp" => '&',
                "apos" => '\'',
                "quot" => '"',
                _ => return Err(XmlError::Entity { at }),
            },
        };
        self.text(at, c.encode_utf8(&mut [0; 4]))
    }

    fn finish(self, at: u64) -> Result<Document, XmlError> {
        if !self.open.is_empty() {
            return Err(XmlError::Ends { at, expected: "an end tag" });
        }
        let root = self.root.ok_or(XmlError::Ends { at, expected: "an element" })?;
        Ok(Document {
            tree: KeyTree { root: Node::new("").with([root]), orphans: Vec::new() },
            warnings: self.warnings,
            warnings_left_out: self.warnings_left_out,
        })
    }
}
