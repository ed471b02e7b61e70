//! Which of the two headers is current, and what it says (MS-VHDX 2.2.2).
//!
//! Headers lie outside the log: they are read from the file itself, before replay, and tell where the log is.

use uuid::Uuid;
use zerocopy::{FromZeros, IntoBytes};

use crate::offset::MIB;
use crate::wire::{header as raw, identifier};
use crate::{Corruption, FileOffset, ImageError, Problem, ReadAt, Structure, Unsupported, checksum};

/// What the current header says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// The larger one of two valid headers is current.
    pub sequence_number: u64,
    /// Changes at the first write of any kind after an open.
    pub file_write_guid: Uuid,
    /// Changes before the first change that a guest could see: the identity that children link to.
    pub data_write_guid: Uuid,
    /// The log's identity; `None` when the log is empty.
    pub log_guid: Option<Uuid>,
    /// Where the log lies, in bytes from the start of the file. Whole MiBs.
    pub log_at: FileOffset,
    /// Length of the log in bytes: whole MiBs, 0 only where the log is empty.
    pub log_len: u64,
}

/// The header of the image in `source` that is current: valid, and of the larger sequence number.
pub fn read_header(source: &dyn ReadAt) -> Result<Header, ImageError> {
    let len = source.byte_len().map_err(ImageError::reading(Structure::File, FileOffset(0)))?;
    check_identifier(source, len)?;
    if len < MIB {
        return Err(ImageError::Truncated { structure: Structure::Headers, need: MIB, have: len });
    }
    let (slot, header) = current(read_slot(source, 0)?, read_slot(source, 1)?)?;
    validate(slot, &header, len)
}

fn check_identifier(source: &dyn ReadAt, len: u64) -> Result<(), ImageError> {
    let mut signature = [0; 8];
    if len < 8 {
        return Err(ImageError::NotVhdx);
    }
    source
        .read_exact_at(FileOffset(0), &mut signature)
        .map_err(ImageError::reading(Structure::FileIdentifier, FileOffset(0)))?;
    if signature == *identifier::SIGNATURE { Ok(()) } else { Err(ImageError::NotVhdx) }
}

/// The name of the program that made the file. Diagnostic only: whatever is there is shown as well as it can be.
pub(crate) fn read_creator(source: &dyn ReadAt) -> Result<String, ImageError> {
    let at = FileOffset(identifier::CREATOR_AT);
    let mut field = [0; identifier::CREATOR_LEN];
    source.read_exact_at(at, &mut field).map_err(ImageError::reading(Structure::FileIdentifier, at))?;
    let (units, _) = field.as_chunks::<2>();
    let text = units.iter().map(|unit| u16::from_le_bytes(*unit)).take_while(|unit| *unit != 0);
    Ok(char::decode_utf16(text).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
}

/// One header if signature and checksum hold. Its other fields do not decide validity: a newer header of an unknown
/// version is still the current one, and the file is then refused.
type Slot = Result<Box<raw::Sector>, Spoilt>;

/// A slot without a valid header.
struct Spoilt {
    problem: Problem,
    /// What it says where it looks like a header: its signature is there, and only its checksum does not hold.
    header: Option<raw::Header>,
}

fn read_slot(source: &dyn ReadAt, index: usize) -> Result<Slot, ImageError> {
    let (at, structure) = place(index);
    let mut sector = Box::new(raw::Sector::new_zeroed());
    source.read_exact_at(at, sector.as_mut_bytes()).map_err(ImageError::reading(structure, at))?;
    if sector.header.signature != *raw::SIGNATURE {
        return Ok(Err(Spoilt { problem: Problem::Signature { expected: "head" }, header: None }));
    }
    Ok(match checksum::verify(sector.as_bytes(), sector.header.checksum.get()) {
        Ok(()) => Ok(sector),
        Err(problem) => Err(Spoilt { problem, header: Some(sector.header) }),
    })
}

fn place(index: usize) -> (FileOffset, Structure) {
    let [first, second] = raw::OFFSETS;
    if index == 0 {
        (FileOffset(first), Structure::Header(1))
    } else {
        (FileOffset(second), Structure::Header(2))
    }
}

/// Equal sequence numbers make neither header current, unless both say the same to the byte: Disk2vhd writes that.
fn current(first: Slot, second: Slot) -> Result<(usize, raw::Header), ImageError> {
    let at = FileOffset(raw::OFFSETS[0]);
    let (slot, sector) = match (first, second) {
        (Ok(first), Err(spoilt)) => (0, stand_in(first, 1, spoilt)?),
        (Err(spoilt), Ok(second)) => (1, stand_in(second, 0, spoilt)?),
        (Err(first), Err(second)) => {
            let (first, second) = (Box::new(first.problem), Box::new(second.problem));
            let problem = Problem::NoValidHeader { first, second };
            return Err(ImageError::corrupt(Structure::Headers, at, problem));
        }
        (Ok(first), Ok(second)) => {
            let number = first.header.sequence_number.get();
            match number.cmp(&second.header.sequence_number.get()) {
                std::cmp::Ordering::Greater => (0, first),
                std::cmp::Ordering::Less => (1, second),
                std::cmp::Ordering::Equal if first.as_bytes() == second.as_bytes() => (0, first),
                std::cmp::Ordering::Equal => {
                    let problem = Problem::AmbiguousHeaders(number);
                    return Err(ImageError::corrupt(Structure::Headers, at, problem));
                }
            }
        }
    };
    Ok((slot, sector.header))
}

/// The one valid header, unless the other one seems to be newer and to speak of another log: then it is unknown which
/// log counts, if any, and so what the disk is.
///
/// No crash leaves that. What a header says lies in its first 80 bytes, inside one sector of any device, and the rest is
/// zero before and after, so a torn write leaves the old header or the new one; this one was damaged later.
fn stand_in(
    valid: Box<raw::Sector>,
    other_slot: usize,
    other: Spoilt,
) -> Result<Box<raw::Sector>, ImageError> {
    let newer = other.header.filter(|other| {
        other.sequence_number.get() > valid.header.sequence_number.get()
            && other.log_guid != valid.header.log_guid
    });
    let (at, structure) = place(other_slot);
    newer.map_or(Ok(valid), |_| Err(ImageError::corrupt(structure, at, other.problem)))
}

fn validate(slot: usize, header: &raw::Header, file_len: u64) -> Result<Header, ImageError> {
    let (at, structure) = place(slot);
    if header.version.get() != 1 {
        return Err(Unsupported::Version(header.version.get()).into());
    }
    let log_guid = Some(header.log_guid.get()).filter(|guid| !guid.is_nil());
    if log_guid.is_some() && header.log_version.get() != 0 {
        return Err(Unsupported::LogVersion(header.log_version.get()).into());
    }
    let log_len = u64::from(header.log_length.get());
    let log_at = FileOffset(header.log_offset.get());
    let value = |field, expected, found| {
        ImageError::from(Corruption { structure, at, problem: Problem::Value { field, expected, found } })
    };
    if !log_len.is_multiple_of(MIB) || log_len == 0 && log_guid.is_some() {
        return Err(value("LogLength", "whole MiBs, and not 0 while LogGuid is set", log_len));
    }
    if log_len > 0 && (!log_at.0.is_multiple_of(MIB) || log_at.0 < MIB) {
        return Err(value("LogOffset", "whole MiBs, from 1 MiB on", log_at.0));
    }
    let need = log_at.0.saturating_add(log_len);
    if log_len > 0 && need > file_len {
        return Err(ImageError::Truncated { structure: Structure::Log, need, have: file_len });
    }
    Ok(Header {
        sequence_number: header.sequence_number.get(),
        file_write_guid: header.file_write_guid.get(),
        data_write_guid: header.data_write_guid.get(),
        log_guid,
        log_at,
        log_len,
    })
}
