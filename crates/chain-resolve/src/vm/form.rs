//! The two forms of a configuration, told apart by their first bytes, and the keys of either.

use limits::Limits;

use super::hvs::{self, StoreError};
use super::tree::KeyTree;
use super::xml::{self, XmlError, XmlWarning};

/// How a file keeps its keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// The binary store of Server 2016 and later (`.vmcx`, `.vmrs`).
    Store,
    /// The XML of Server 2008 to 2012 R2.
    Xml,
}

/// The keys of a file, whatever its form.
#[derive(Clone, PartialEq, Debug)]
pub struct Keys {
    /// The form.
    pub form: Form,
    /// All keys.
    pub tree: KeyTree,
    /// What was wrong with the file.
    pub warnings: Vec<FormWarning>,
    /// Warnings that were only counted.
    pub warnings_left_out: usize,
}

/// Something wrong with a file that could be read nevertheless.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormWarning {
    /// In a binary store.
    #[error(transparent)]
    Store(#[from] hvs::Warning),
    /// In an XML file.
    #[error(transparent)]
    Xml(#[from] XmlWarning),
}

/// A file is of neither form, or nothing of it can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadKeysError {
    /// It is a binary store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is no binary store, so it was read as XML.
    #[error(transparent)]
    Xml(#[from] XmlError),
}

/// Reads a file of either form: a binary store if the store's signature is in one of its two places, else XML.
pub fn read_keys(bytes: &[u8]) -> Result<Keys, ReadKeysError> {
    read_keys_within(bytes, &Limits::default())
}

/// The same, within limits that were raised.
pub fn read_keys_within(bytes: &[u8], limits: &Limits) -> Result<Keys, ReadKeysError> {
    if hvs::is_store(bytes) {
        let hvs::Store { tree, warnings, .. } = hvs::read_within(bytes, limits)?;
        let left_out = warnings.left_out;
        let warnings = warnings.first.into_iter().map(FormWarning::Store).collect();
        return Ok(Keys { form: Form::Store, tree, warnings, warnings_left_out: left_out });
    }
    let xml::Document { tree, warnings, warnings_left_out } = xml::read_within(bytes, limits)?;
    let warnings = warnings.into_iter().map(FormWarning::Xml).collect();
    Ok(Keys { form: Form::Xml, tree, warnings, warnings_left_out })
}
