//! Where damage leads to another disk and nobody can notice.

/// What was done about the checksum of the structure that was damaged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Checksum {
    /// The structure has none.
    None,
    /// Left as it was: an accident.
    Stale,
    /// Made right again: malice, or a defect of the program that wrote the image.
    Renewed,
}

/// Fields whose damage may lead to another disk.
pub(crate) struct Class {
    pub(crate) checksum: Checksum,
    /// The fields by name, each with the subjects in which it must do so at least once.
    pub(crate) fields: &'static [(&'static str, &'static [&'static str])],
    /// Why nobody can notice.
    #[expect(dead_code, reason = "written for whoever reads the list, not for the test")]
    pub(crate) why: &'static str,
}

pub(crate) const CLASSES: &[Class] = &[
    Class {
        checksum: Checksum::None,
        fields: &[("payload", &["dynamic", "fixed", "child", "parent", "large sectors", "dirty", "growing"])],
        why: "The format has no checksum of what a guest stored. Only a digest from elsewhere tells, as a manifest's does for the \
              copy that was exported.",
    },
    Class {
        checksum: Checksum::None,
        fields: &[
            (
                "block table: entry in state 6: low byte",
                &["dynamic", "fixed", "child", "parent", "large sectors"],
            ),
            ("block table: entry in state 0: low byte", &["child", "large sectors"]),
            ("block table: entry in state 7: low byte", &["child", "large sectors"]),
        ],
        why: "The block table has no checksum and says each thing once. A state becomes another one that is as good: stored, \
              zero, the parent's. An offset that stays behind in a state without a block would tell of half of these changes, \
              but states 1 and 3 may keep one, state 0 leaves it open, and QEMU before 2.3 wrote one with state 2 into \
              every entry of a fixed image.",
    },
    Class {
        checksum: Checksum::None,
        fields: &[
            ("block table: entry in state 6: FileOffsetMB", &["dynamic", "fixed", "parent"]),
            ("block table: entry in state 7: FileOffsetMB", &["child", "large sectors"]),
        ],
        why: "An offset that leads to room in the file that nothing else uses is as good as the right one: blocks do not say whose \
              they are, and gaps are legal. Offsets outside the file, or to bytes that are used, are refused.",
    },
    Class {
        checksum: Checksum::None,
        fields: &[("sector bitmap: bits of a block in state 7", &["child", "large sectors"])],
        why: "A sector bitmap has no checksum, and every set of sectors is a possible one.",
    },
    Class {
        checksum: Checksum::None,
        fields: &[("VirtualDiskSize", &["dynamic", "fixed", "child", "parent", "large sectors", "growing"])],
        why: "The metadata has no checksum, and nothing else states the size. The table must be long enough for it, but its region has \
              whole MiBs, so a table of few blocks has room for many. Entries behind the end of the disk prove nothing: QEMU 1 to \
              5 wrote some. A parent of another size than its child is legal, too.",
    },
    Class {
        checksum: Checksum::None,
        fields: &[
            ("LogicalSectorSize", &["dynamic", "fixed", "growing"]),
            ("PhysicalSectorSize", &["dynamic", "fixed", "child", "large sectors", "growing"]),
        ],
        why: "The metadata has no checksum, and either size is possible for most disks. The bytes stay the same where no bitmap is \
              used; what a guest is told of its sectors changes. That the logical size is the parent's is checked along a chain.",
    },
    Class {
        checksum: Checksum::None,
        fields: &[("FileParameters: BlockSize", &["dynamic", "fixed", "parent"])],
        why: "The metadata has no checksum, and blocks are not said to have a size anywhere else. Larger ones that would share bytes \
              or reach over the end of the file are refused; where the blocks lie far enough apart they are not.",
    },
    Class {
        checksum: Checksum::Stale,
        fields: &[
            ("log, newest entry: Signature", &["growing"]),
            ("log, newest entry: Checksum", &["growing"]),
            ("log, newest entry: EntryLength", &["growing"]),
            ("log, newest entry: Tail", &["growing"]),
            ("log, newest entry: SequenceNumber", &["growing"]),
            ("log, newest entry: DescriptorCount", &["growing"]),
            ("log, newest entry: Reserved", &["growing"]),
            ("log, newest entry: LogGuid", &["growing"]),
            ("log, newest entry: FlushedFileOffset", &["growing"]),
            ("log, newest entry: LastFileOffset", &["growing"]),
            ("log, newest entry: rest of the descriptors", &["growing"]),
            ("log, newest entry, data descriptor: Signature", &["growing"]),
            ("log, newest entry, data descriptor: TrailingBytes", &["growing"]),
            ("log, newest entry, data descriptor: LeadingBytes", &["growing"]),
            ("log, newest entry, data descriptor: FileOffset", &["growing"]),
            ("log, newest entry, data descriptor: SequenceNumber", &["growing"]),
            ("log, newest entry, data sector: Signature", &["growing"]),
            ("log, newest entry, data sector: SequenceHigh", &["growing"]),
            ("log, newest entry, data sector: data", &["growing"]),
            ("log, newest entry, data sector: SequenceLow", &["growing"]),
        ],
        why: "An entry behind the active sequence that is not valid is what a crash leaves, and MS-VHDX 2.3.3 passes it over: its \
              changes were never made. Whether it was torn when it was written or damaged later, nothing tells. A damaged \
              entry with a valid one behind it is refused.",
    },
    Class {
        checksum: Checksum::Renewed,
        fields: &[
            ("log, newest entry: Signature", &["growing"]),
            ("log, newest entry: EntryLength", &["growing"]),
            ("log, newest entry: SequenceNumber", &["growing"]),
            ("log, newest entry: DescriptorCount", &["growing"]),
            ("log, newest entry: LogGuid", &["growing"]),
            ("log, newest entry, data descriptor: Signature", &["growing"]),
            ("log, newest entry, data descriptor: SequenceNumber", &["growing"]),
            ("log, newest entry, data sector: Signature", &["growing"]),
            ("log, newest entry, data sector: SequenceHigh", &["growing"]),
            ("log, newest entry, data sector: SequenceLow", &["growing"]),
        ],
        why: "As before: what can not be an entry of this log is taken for a torn or stale one, whatever its checksum says.",
    },
    Class {
        checksum: Checksum::Renewed,
        fields: &[
            ("log, newest entry: Tail", &["growing"]),
            ("log, newest entry, data descriptor: LeadingBytes", &["growing"]),
            ("log, newest entry, data descriptor: FileOffset", &["growing"]),
            ("log, middle entry: Tail", &["dirty"]),
            ("log, middle entry: DescriptorCount", &["dirty"]),
            ("log, middle entry, data descriptor: FileOffset", &["dirty"]),
            ("log, middle entry, data sector: data", &["dirty"]),
            ("log, middle entry, zero descriptor: FileOffset", &["dirty"]),
            ("log, middle entry, zero descriptor: ZeroLength", &["dirty"]),
        ],
        why: "A valid entry says what is to be done, and nothing else says it. It takes a right checksum to get here, so no accident \
              does, and whoever can make one can write any disk.",
    },
    Class {
        checksum: Checksum::Stale,
        fields: &[
            ("header 2: Signature", &["growing by one header"]),
            ("header 2: SequenceNumber", &["growing by one header"]),
        ],
        why: "Where the older header says that the log is empty, the newer one alone knows better. If it no longer looks like a header, \
              or like a newer one, it is passed over: MS-VHDX has two so that one can be spoilt. Damage to its other bytes is \
              noticed.",
    },
    Class {
        checksum: Checksum::Renewed,
        fields: &[
            ("header 1: SequenceNumber", &["growing by one header"]),
            ("header 2: SequenceNumber", &["growing by one header"]),
            ("header 2: Signature", &["growing by one header"]),
        ],
        why: "The number is what makes a header the current one. It takes a right checksum to get here, or the signature's own damage, \
              which is the case before.",
    },
];
