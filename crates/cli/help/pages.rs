//! The texts: one page for each command, in the order in which a newcomer meets them, and the table of exit codes.

use super::{Example, Page};

/// All exit codes. Those of a line belong together.
pub(crate) const EXIT_CODES: &[(&str, &str)] = &[
    ("0", "ok"),
    ("1", "anything else"),
    ("2", "wrong usage"),
    ("3", "the copy differs"),
    ("4", "not found or ambiguous"),
    ("5", "chain broken"),
    ("6", "source corrupt or unsupported"),
    ("7", "refused for safety"),
    ("8", "no space, or a limit of the target"),
    ("9", "source in use or changed"),
    ("10", "some jobs of a batch are not done"),
    ("75", "temporary I/O error, trying again may help"),
    ("129/130/143", "stopped by a signal"),
];

/// The page of the program, whose first examples the short help shows by their first lines, and those of its commands.
pub(crate) const PAGES: &[Page] = &[
    Page {
        command: "vhdx-export",
        purpose: "\
Reads the folder of a Hyper-V VM, or a backup copy of one, and writes the disk as of one checkpoint into a single VHDX, \
raw or compressed image, or onto a device, with digests and a manifest by which a copy can be verified anywhere.

Sources are opened read-only; a dirty log is replayed in memory. No file appears under the target's name until it is \
complete and durable. What can not be read for certain is an error that says what is wrong and where, never a guess.

Without a command it exports. The other commands tell what there is, whether it is whole, and whether a copy is right.",
        examples: &[
            Example {
                question: "Which checkpoints are there, and which file holds the state of each?",
                lines: &["vhdx-export list /backup/web01"],
            },
            Example {
                question: "Is this backup complete and in order?",
                lines: &["vhdx-export check /backup/web01"],
            },
            Example {
                question: "The disk as of a checkpoint:",
                lines: &["vhdx-export /backup/web01 --checkpoint 'Before update' --out merged.vhdx"],
            },
            Example {
                question: "All disks of the running state, one file each:",
                lines: &["vhdx-export /backup/web01 --checkpoint @current --out /restore/"],
            },
            Example {
                question: "Is the restored copy right? Anywhere, without the source:",
                lines: &["vhdx-export verify /dev/vg0/web01 --manifest merged.vhdx.manifest.json"],
            },
            Example {
                question: "A disk file without any configuration, compressed:",
                lines: &["vhdx-export web01_5C2A….avhdx --out web01.raw.zst"],
            },
            Example {
                question: "What is this file, and what is it built on?",
                lines: &["vhdx-export info --chain web01_5C2A….avhdx"],
            },
        ],
    },
    Page {
        command: "vhdx-export list",
        purpose: "\
Says which VMs, checkpoints and disks a folder holds, and in which file each state is. Nothing is read beyond the metadata \
of the images, so it takes moments; start here.

Of each disk of a checkpoint it names two files that are easily mixed up: the one whose state the checkpoint is, and the \
.avhdx that the checkpoint created, which holds what came after. Checkpoints have numbers, which `--checkpoint '#N'` takes. \
Files that no configuration uses come last; without configurations, states go by the names of their disk files.",
        examples: &[
            Example {
                question: "What is in the folder I am in?",
                lines: &["vhdx-export list"],
            },
            Example {
                question: "One VM of a folder of many:",
                lines: &["vhdx-export list /backup --vm web01"],
            },
            Example {
                question: "Parents that a backup has put elsewhere:",
                lines: &["vhdx-export list /backup/web01 --parent-dir /backup/templates"],
            },
            Example {
                question: "The names of all checkpoints, for a script:",
                lines: &["vhdx-export list /backup/web01 --json | jq -r '.vms[].checkpoints[].name'"],
            },
        ],
    },
    Page {
        command: "vhdx-export tree",
        purpose: "\
Draws which state came from which: the checkpoints of each VM with their disk files, and where the running state (@current) \
hangs. It shows what `list` shows, as a picture.",
        examples: &[
            Example {
                question: "On the terminal, or in ASCII for a mail:",
                lines: &["vhdx-export tree /backup/web01", "vhdx-export tree /backup/web01 --ascii"],
            },
            Example {
                question: "For a ticket or a wiki that draws Mermaid:",
                lines: &["vhdx-export tree /backup/web01 --format mermaid"],
            },
            Example {
                question: "As a picture:",
                lines: &["vhdx-export tree /backup/web01 --format dot | dot -Tsvg > web01.svg"],
            },
        ],
    },
    Page {
        command: "vhdx-export check",
        purpose: "\
Says everything that is wrong with a folder, worst first: what was found, why it matters, which states can not be exported \
because of it, and what to do. Every image and configuration is opened once, block tables included, but not the data: \
whether that is what it was, only digests tell (`hash`, `verify`).

The exit code is that of the worst finding: 6 for damaged files, 5 for broken chains, 4 for disks that are not there, 1 for \
files that can not be read, 0 if there are only warnings and notes, or nothing.",
        examples: &[
            Example {
                question: "Is this backup complete and in order?",
                lines: &["vhdx-export check /backup/web01"],
            },
            Example {
                question: "Only what concerns one VM:",
                lines: &["vhdx-export check /backup --vm web01"],
            },
            Example {
                question: "In a script, by the exit code:",
                lines: &["vhdx-export check /backup/web01 > found.txt || mail -s web01 ops < found.txt"],
            },
            Example {
                question: "The errors alone:",
                lines: &[
                    "vhdx-export check /backup/web01 --json |",
                    "  jq -r '.findings[] | select(.severity == \"error\") | .what'",
                ],
            },
        ],
    },
    Page {
        command: "vhdx-export export",
        purpose: "\
Writes the disk as of one state into one image: what happens without a command, too. The state is a checkpoint or the \
running state (@current); a VM that has checkpoints wants to be told which. The form is chosen by the suffix of --out.

The result is printed when the image is complete and durable: the files that it was made of, how much data it holds, its \
digests, and where the manifest is. Beside the image stands that manifest, NAME.manifest.json, by which `verify` tells a \
right copy from a wrong one. After an error or Ctrl-C nothing is left; nothing is replaced without --force, and a source \
never.",
        examples: &[
            Example {
                question: "The disk as of a checkpoint, from inside the VM's folder:",
                lines: &["vhdx-export export --checkpoint 'Before update' --out merged.vhdx"],
            },
            Example {
                question: "One disk of several:",
                lines: &[
                    "vhdx-export export web01 --checkpoint '#2' --disk scsi0:1 --out data.raw",
                ],
            },
            Example {
                question: "All disks of the running state, one file each:",
                lines: &["vhdx-export export /backup/web01 --checkpoint @current --out /restore/"],
            },
            Example {
                question: "Disk files without any configuration, one of several states:",
                lines: &[
                    "vhdx-export export 'Virtual Hard Disks' --checkpoint web01_5C2A… \\",
                    "  --out web01.vhdx",
                ],
            },
            Example {
                question: "Parents that a backup has put elsewhere:",
                lines: &["vhdx-export export child.avhdx --parent-dir /backup/base --out merged.raw"],
            },
            Example {
                question: "Compressed, with a list for sha256sum -c beside it:",
                lines: &["vhdx-export export web01_5C2A….avhdx --out web01.raw.zst --sums"],
            },
            Example {
                question: "To another machine, which verifies what came:",
                lines: &[
                    "vhdx-export export web01.vhdx --out - -O raw.zst --manifest web01.json |",
                    "  ssh host 'cat > web01.raw.zst'",
                    "scp web01.json host: && ssh host vhdx-export verify web01.raw.zst \\",
                    "  --manifest web01.json",
                ],
            },
            Example {
                question: "Straight onto a device, zeroed where the disk is zero, and read back:",
                lines: &["vhdx-export export web01_5C2A….avhdx --device --out /dev/vg0/web01"],
            },
            Example {
                question: "At once and without room, beside the source on XFS or btrfs:",
                lines: &[
                    "vhdx-export export web01_5C2A….avhdx --out web01.raw --reflink always \\",
                    "  --digest none",
                ],
            },
        ],
    },
    Page {
        command: "vhdx-export verify",
        purpose: "\
Compares a restored copy with the manifest of its export, without the source: a raw file or a device (as far as the disk \
goes, since a device is mostly larger), a .raw.zst, a VHDX, or the bare bytes on standard input. It says which ranges of \
64 MiB differ and where in each the first difference is, and then ends with code 3.

Verify before the first boot or mount: both write.",
        examples: &[
            Example {
                question: "Is the image still what was written? (its manifest stands beside it)",
                lines: &["vhdx-export verify merged.vhdx"],
            },
            Example {
                question: "Is the restored device right?",
                lines: &["vhdx-export verify /dev/vg0/web01 --manifest web01.raw.zst.manifest.json"],
            },
            Example {
                question: "Images compressed with gzip or xz, as a stream:",
                lines: &[
                    "gzip -dc web01.raw.gz |",
                    "  vhdx-export verify - --manifest web01.raw.gz.manifest.json",
                ],
            },
            Example {
                question: "A first look at a large copy, which proves nothing:",
                lines: &["vhdx-export verify merged.vhdx --quick"],
            },
        ],
    },
    Page {
        command: "vhdx-export hash",
        purpose: "\
Prints the digests of disks without writing anything: of a checkpoint's state, an image with all that it is built on, a \
bare file, a .raw.zst or a device. They are digests of what a guest sees, zeros included, so they are the same for every \
form of the same disk. One `sha256:HEX` and `blksum:HEX` a line; of several disks, each with its name behind it.

SHA-256 takes the time of the whole virtual size; `--digest blksum` costs next to nothing for zeros and uses all cores.",
        examples: &[
            Example {
                question: "The digests of a disk as of a checkpoint:",
                lines: &["vhdx-export hash /backup/web01 --checkpoint 'Before update' --disk scsi0:0"],
            },
            Example {
                question: "Do these two hold the same disk?",
                lines: &["vhdx-export hash --digest blksum web01_5C2A….avhdx merged.raw.zst"],
            },
            Example {
                question: "What `sha256sum` must print of the restored disk:",
                lines: &["vhdx-export hash --digest sha256 web01_5C2A….avhdx"],
            },
        ],
    },
    Page {
        command: "vhdx-export info",
        purpose: "\
Says what an image is: its size, kind, block size, identities, log, parent and how full it is; with --chain, the same of \
each image that it is built on. Of a VM configuration (.vmcx, .xml) it says name, version and disks; of any store of \
Hyper-V, --keys prints every key.",
        examples: &[
            Example {
                question: "What is this file, and what is it built on?",
                lines: &["vhdx-export info --chain web01_5C2A….avhdx"],
            },
            Example {
                question: "Which files is the state at a checkpoint made of?",
                lines: &["vhdx-export info --chain --checkpoint 'Before update' /backup/web01"],
            },
            Example {
                question: "Which disks does this configuration name?",
                lines: &["vhdx-export info 'Virtual Machines/993F….vmcx'"],
            },
            Example {
                question: "Every key of a store, to attach to a question:",
                lines: &["vhdx-export info --keys 'Virtual Machines/993F….vmcx' > keys.txt"],
            },
        ],
    },
    Page {
        command: "vhdx-export map",
        purpose: "\
Says what each run of the disk holds, one run a line: data or zeros, and which file of the chain holds it, at which offset. \
Together the runs cover the disk from its first byte to its last.",
        examples: &[
            Example {
                question: "What does the disk hold, and which file holds it?",
                lines: &["vhdx-export map web01_5C2A….avhdx"],
            },
            Example {
                question: "Of a disk of a VM, in the state of a checkpoint:",
                lines: &["vhdx-export map /backup/web01 --checkpoint '#1' --disk scsi0:0"],
            },
            Example {
                question: "How many bytes of data does each file contribute?",
                lines: &[
                    "vhdx-export map web01_5C2A….avhdx --json | jq 'map(select(.data)) |",
                    "  group_by(.filename)[] | {file: .[0].filename, bytes: map(.length) | add}'",
                ],
            },
        ],
    },
    Page {
        command: "vhdx-export batch",
        purpose: "\
Exports many disks, unattended: a plan is a file with a line for each disk, which can be read, searched, edited and split \
before anything is done; a run does what is not done yet; and the status sums up.

A job is done when its manifest stands beside its image and names the same chain and the same options. Nothing else \
remembers it, so a run can be stopped, killed, repeated, or spread over machines that know nothing of each other.",
        examples: &[
            Example {
                question: "All VMs of a backup share, as they were running:",
                lines: &[
                    "vhdx-export batch plan /bak --checkpoint @current --out-dir /out > j.jsonl",
                    "vhdx-export batch run j.jsonl --jobs 4 --results results.jsonl",
                    "vhdx-export batch status j.jsonl --results results.jsonl",
                ],
            },
        ],
    },
    Page {
        command: "vhdx-export batch plan",
        purpose: "\
Looks at everything below some folders and prints one line of JSON for each disk of each VM, in the state that is asked for: \
where it is, where its image will go, how many bytes there are to read. Each chain is opened and proved for that.

What can not be exported is a line as well, with the status `blocked`, the reason and the exit code that an export would \
have. The fields are described in docs/batch.md. Ends with 10 where lines are blocked.",
        examples: &[
            Example {
                question: "The newest checkpoint of every VM, compressed:",
                lines: &[
                    "vhdx-export batch plan /bak --checkpoint @latest -O raw.zst --out-dir /out",
                ],
            },
            Example {
                question: "What is in the way?",
                lines: &["vhdx-export batch plan /backup --out-dir /out | grep '\"blocked\"'"],
            },
        ],
    },
    Page {
        command: "vhdx-export batch run",
        purpose: "\
Exports what the lines of a plan say, several disks at a time on the processors that there are, and leaves out what is done. \
A table (CSV) with the columns source and out, and any other field of a line, does as well.

Each job is done wholly or not at all, with the code, the words and the manifest of an export of its own; one that fails does \
not stop the others. Temporary errors are tried again. After Ctrl-C nothing is left of what was being written, and the next \
run goes on. With --shard, or in an array of Slurm or an Indexed Job of Kubernetes, it does its part of the jobs only.

Ends with 0 if every job is done, now or before, with 10 if some are not, and with 75 if that is for temporary errors only.",
        examples: &[
            Example {
                question: "What would be done, how much is it, and is there room?",
                lines: &["vhdx-export batch run jobs.jsonl --dry-run"],
            },
            Example {
                question: "Four disks at a time, no more than 200 MiB a second, with a history:",
                lines: &["vhdx-export batch run jobs.jsonl --jobs 4 --bwlimit 200M --results r.jsonl"],
            },
            Example {
                question: "On the third of eight machines:",
                lines: &["vhdx-export batch run jobs.jsonl --shard 3/8 --results results-3.jsonl"],
            },
            Example {
                question: "At night, for a monitoring system:",
                lines: &[
                    "vhdx-export batch run jobs.jsonl --log-format json --metrics-file vhdx.prom",
                ],
            },
            Example {
                question: "Are the images of earlier runs still what was written?",
                lines: &["vhdx-export batch run jobs.jsonl --verify-existing"],
            },
        ],
    },
    Page {
        command: "vhdx-export batch status",
        purpose: "\
Says how many jobs of a plan are done, from the manifests beside their images, and why others are not, from the results of \
runs. It opens no source and reads no image, so it works anywhere the images can be seen. Ends with 0 if all are done, else \
with 10.",
        examples: &[
            Example {
                question: "How far is it, over all machines?",
                lines: &["vhdx-export batch status jobs.jsonl --results r1.jsonl --results r2.jsonl"],
            },
        ],
    },
    Page {
        command: "vhdx-export completions",
        purpose: "\
Prints a script that lets a shell complete commands, options and their values. The packages bring it along; otherwise save \
it where the shell looks for such scripts.",
        examples: &[
            Example {
                question: "bash, for this user:",
                lines: &[
                    "mkdir -p ~/.local/share/bash-completion/completions",
                    "vhdx-export completions bash \\",
                    "  > ~/.local/share/bash-completion/completions/vhdx-export",
                ],
            },
            Example {
                question: "zsh, into a folder of $fpath:",
                lines: &["vhdx-export completions zsh > ~/.zfunc/_vhdx-export"],
            },
            Example {
                question: "fish, for this user:",
                lines: &["vhdx-export completions fish > ~/.config/fish/completions/vhdx-export.fish"],
            },
            Example {
                question: "PowerShell, for this session:",
                lines: &["vhdx-export completions powershell | Out-String | Invoke-Expression"],
            },
        ],
    },
];
