//! What is refused whatever the images hold: wrong usage (2), sources that are none (4, 6), targets that must not be
//! written (7), targets without room (8).

use std::fs::{self, File};
use std::process::Command;

use vhdx_format::forge::Block;

use crate::harness::{Bench, Confinement, chain, skipped, small_base, succeeds, zeros_of};

const MIB: u64 = 1 << 20;

fn bench() -> Bench {
    Bench::with_stack(&chain("vm"))
}

#[test]
fn usage_that_makes_no_sense_is_refused_before_anything_is_read() {
    let bench = bench();
    let source = "vm/2.vhdx";
    let cases: [(&[&str], &str); 12] = [
        (&[], "--out"),
        (&["--out", "out/merged.qcow2"], "cannot tell the format from `out/merged.qcow2`"),
        (&["--out", "out/merged"], "cannot tell the format"),
        (&["--out", "-"], "--out - needs --format"),
        (
            &["--out", "out/m.vhdx", "--block-size", "3M"],
            "--block-size `3M` is no power of two from 1M to 256M",
        ),
        (&["--out", "out/m.vhdx", "--block-size", "512K"], "--block-size `512K`"),
        (&["--out", "out/m.vhdx", "--block-size", "512M"], "--block-size `512M`"),
        (&["--out", "out/m.vhdx", "--block-size", "much"], "--block-size `much`"),
        (&["--out", "out/m.raw", "--fixed"], "--fixed makes sense for VHDX only"),
        (&["--out", "out/m.raw", "--block-size", "1M"], "--block-size makes sense for VHDX only"),
        (&["--out", "out/m.raw", "--compress"], "--compress"),
        (&["--out", "out/m.raw", "--format", "vmdk"], "vmdk"),
    ];
    for (args, text) in cases {
        bench.run(&[&[source], args].concat()).fails(2).says(&[text]);
        // Usage comes first: it is wrong whether the source is there or not.
        bench.run(&[&["vm/absent.vhdx"], args].concat()).fails(2).says(&[text]);
    }
    bench.run(&["info", "--out", "x", source]).fails(2);
    bench.run(&["map", "--chain", source]).fails(2);
}

#[test]
fn a_source_that_is_not_there_is_not_found() {
    let bench = bench();
    for args in [
        &["vm/absent.vhdx", "--out", "out/m.raw"][..],
        &["vm/absent", "--out", "out/m.vhdx"],
        &["vm/2.vhdx/below", "--out", "out/m.vhdx"],
        &["info", "vm/absent.vhdx"],
        &["map", "vm/absent.vhdx"],
    ] {
        bench.run(args).fails(4).says(&["cannot look at `vm/"]);
    }
    bench
        .run(&["vm/2.vhdx", "--parent-dir", "vm/absent", "--out", "out/m.raw"])
        .fails(4)
        .says(&["vm/absent"]);
}

#[test]
fn a_folder_without_images_has_no_disk() {
    let bench = Bench::new();
    bench.write("vm/notes.txt", b"nothing here");
    fs::create_dir(bench.path("vm/Virtual Hard Disks")).unwrap();
    for args in [&["vm", "--out", "out/m.raw"][..], &["info", "vm"], &["map", "vm"]] {
        bench.run(args).fails(4).says(&["no VHDX image below `", "/vm`", "hint: "]);
    }
    bench.run(&["vm", "--checkpoint", "web01", "--out", "out/m.raw"]).fails(4).says(&["`web01`"]);
}

/// Opening a FIFO would wait for whoever writes into it.
#[test]
fn what_is_neither_file_nor_folder_is_refused_without_being_opened() {
    let bench = bench();
    assert!(Command::new("mkfifo").arg(bench.path("vm/pipe.vhdx")).status().unwrap().success());
    std::os::unix::net::UnixListener::bind(bench.path("vm/socket.vhdx")).unwrap();
    for (source, kind) in
        [("vm/pipe.vhdx", "a FIFO"), ("vm/socket.vhdx", "a socket"), ("/dev/zero", "a character device")]
    {
        let texts = [source, kind, "expected a regular file"];
        bench.run(&[source, "--out", "out/m.raw"]).fails(6).says(&texts);
        bench.run(&[source, "--out", "-", "--format", "vhdx"]).fails(6).says(&texts);
        bench.run(&["info", source]).fails(6).says(&texts);
        bench.run(&["map", source]).fails(6).says(&texts);
    }
    // Beside the images they are no obstacle.
    bench.run(&["vm", "--out", "out/m.raw"]).succeeds();
}

/// The parent's name leads to a FIFO: no parent, and no waiting either.
#[test]
fn a_fifo_in_the_place_of_a_parent_is_no_parent() {
    let bench = bench();
    bench.remove("vm/0.vhdx");
    assert!(Command::new("mkfifo").arg(bench.path("vm/0.vhdx")).status().unwrap().success());
    bench.run(&["vm/2.vhdx", "--out", "out/m.raw"]).fails(5).says(&["0.vhdx", "is a FIFO"]);
}

#[test]
fn a_link_that_leads_to_itself_is_said_so() {
    let bench = Bench::new();
    bench.link("vm/loop.vhdx", "loop.vhdx");
    for args in [&["vm/loop.vhdx", "--out", "out/m.raw"][..], &["info", "vm/loop.vhdx"]] {
        bench.run(args).fails(1).says(&["vm/loop.vhdx", "symbolic links"]);
    }
}

#[test]
fn a_source_that_may_not_be_read_is_said_so() {
    let Some(wrapper) = Confinement::NoPrivilege.wrapper("a source that may not be read") else { return };
    let unreadable = |bench: &Bench, name: &str| {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(bench.path(name), fs::Permissions::from_mode(0o000)).unwrap();
    };
    let run = |bench: &Bench, source| bench.call(&[source, "--out", "out/m.raw"]).within(wrapper).run();
    // Tests that may read everything look at the sources; others could not, so the targets must do.
    if !succeeds(&["sh", "-c", "test $(id -u) = 0"]) {
        skipped("a source that may not be read: it could not be watched either");
        return;
    }
    let bench = bench();
    unreadable(&bench, "vm/2.vhdx");
    run(&bench, "vm/2.vhdx").fails(1).says(&["cannot open `vm/2.vhdx`", "Permission denied"]);
    unreadable(&bench, "vm/0.vhdx");
    run(&bench, "vm/1.vhdx").fails(5).says(&["0.vhdx", "Permission denied"]);
    bench.call(&["info", "vm/2.vhdx"]).within(wrapper).run().fails(1).says(&["Permission denied"]);
    unreadable(&bench, "vm");
    run(&bench, "vm").fails(1).says(&["`", "vm`", "Permission denied"]);
}

#[test]
fn an_existing_target_is_replaced_by_force_only() {
    let bench = bench();
    for (target, format) in [("out/m.raw", "raw"), ("out/m.vhdx", "vhdx")] {
        bench.write(target, b"precious");
        let args = ["vm/2.vhdx", "--out", target, "--format", format];
        bench.run(&args).fails(7).says(&["exists", target, "hint: --force"]);
        bench.run(&[&args[..], &["--force"]].concat()).succeeds();
        assert!(bench.content(target).len > 4 * MIB);
    }
    // A link that leads nowhere has the name, too; what it names does not come into being.
    bench.link("out/dangling.raw", "nowhere.raw");
    bench.run(&["vm/2.vhdx", "--out", "out/dangling.raw"]).fails(7).says(&["exists"]);
    let names = ["dangling.raw", "m.raw", "m.raw.manifest.json", "m.vhdx", "m.vhdx.manifest.json"];
    assert_eq!(bench.names_in("out"), names);
}

/// Under any name, with and without --force, for the leaf and for what it is built on.
#[test]
fn a_source_is_never_the_target() {
    let bench = bench();
    bench.link("out/link.raw", "../vm/2.vhdx");
    fs::hard_link(bench.path("vm/2.vhdx"), bench.path("out/hard.vhdx")).unwrap();
    bench.link("out/link-to-base.raw", "../vm/0.vhdx");
    fs::hard_link(bench.path("vm/1.vhdx"), bench.path("out/hard-to-parent.vhdx")).unwrap();
    for target in [
        "vm/2.vhdx",
        "./vm/../vm/2.vhdx",
        "vm/1.vhdx",
        "vm/0.vhdx",
        "out/link.raw",
        "out/hard.vhdx",
        "out/link-to-base.raw",
        "out/hard-to-parent.vhdx",
    ] {
        for force in [&[][..], &["--force"]] {
            bench.run(&[&["vm/2.vhdx", "--out", target], force].concat()).fails(7).says(&[
                "is one of the sources",
                target,
                "hint: ",
            ]);
        }
    }
}

/// What a killed run has left is taken away, unless it is a source of this one.
#[test]
fn a_partial_file_that_is_a_source_is_left_alone() {
    let bench = Bench::new();
    let stack = chain("vm");
    bench.forge("out/merged.vhdx.partial", &stack[0]);
    bench
        .run(&["out/merged.vhdx.partial", "--out", "out/merged.vhdx"])
        .fails(7)
        .says(&["merged.vhdx.partial` is one of the sources"]);
    fs::hard_link(bench.path("out/merged.vhdx.partial"), bench.path("vm/0.vhdx")).unwrap();
    bench.forge("vm/1.vhdx", &stack[1]);
    bench
        .run(&["vm/1.vhdx", "--out", "out/merged.vhdx", "--force"])
        .fails(7)
        .says(&["is one of the sources"]);
    // A folder or a pipe of that name is not ours to remove either.
    fs::create_dir(bench.path("out/other.raw.partial")).unwrap();
    bench.run(&["vm/1.vhdx", "--out", "out/other.raw"]).fails(7).says(&["other.raw.partial` is a directory"]);
}

#[test]
fn a_target_that_can_not_be_a_file_is_refused() {
    let bench = bench();
    for force in [&[][..], &["--force"]] {
        for (target, code, text) in [
            ("out/absent/new.raw", 4, "`out/absent` is no directory"),
            ("vm/2.vhdx/new.raw", 4, "is no directory"),
            ("/dev/null", 7, "neither a file nor a directory"),
        ] {
            let args = ["vm/2.vhdx", "--format", "raw", "--out", target];
            bench.run(&[&args[..], force].concat()).fails(code).says(&[text]);
        }
    }
}

#[test]
fn a_full_device_behind_a_stream_is_no_space() {
    let bench = bench();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for format in ["raw", "vhdx"] {
        bench
            .call(&["vm/2.vhdx", "--out", "-", "--format", format])
            .stdout(full())
            .run()
            .fails(8)
            .says(&["no space left to write the stream"]);
    }
    bench.call(&["info", "vm/2.vhdx"]).stdout(full()).run().fails(8).says(&["cannot write the result"]);
}

/// A file system of its own, too small for the artifact: seen before the first byte.
#[test]
fn a_full_file_system_is_no_space_and_stays_empty() {
    let Some(wrapper) = Confinement::OwnMounts.wrapper("a full file system") else { return };
    let bench = bench();
    // The listing is the proof: the mount is gone when the program has ended.
    let script = "mount -t tmpfs -o size=128k none out && \"$@\"; code=$?; echo \"left:[$(ls -A out)]\" >&2; exit $code";
    for target in ["out/m.raw", "out/m.vhdx"] {
        bench
            .call(&["vm/2.vhdx", "--out", target])
            .within(&[wrapper, &["sh", "-c", script, "sh"]].concat())
            .run()
            .fails(8)
            .says(&["needs", "bytes, but its file system has", "hint: ", "left:[]"]);
    }
}

/// A limit of the process. Its signal would end the program with the partial file left behind.
#[test]
fn a_limit_on_file_sizes_is_an_error_and_not_the_end() {
    let bench = bench();
    for target in ["out/m.raw", "out/m.vhdx"] {
        // Blocks of 512 bytes or 1 KiB, as the shell likes: less than the disk either way.
        bench
            .call(&["vm/2.vhdx", "--out", target])
            .within(&["sh", "-c", "ulimit -f 2000; exec \"$@\"", "sh"])
            .run()
            .fails(8)
            .says(&["too large"]);
    }
}

#[test]
fn a_disk_of_zeros_fits_where_its_size_would_not() {
    let Some(wrapper) = Confinement::OwnMounts.wrapper("a sparse file on a small file system") else {
        return;
    };
    let bench = Bench::new();
    let mut image = small_base("base");
    image.geometry = crate::harness::geometry(1 << 40, 512);
    image.blocks.retain(|&number, _| number == 0);
    image.blocks.insert(7, Block::absent(2));
    bench.forge("vm/0.vhdx", &image);
    let script = "mount -t tmpfs -o size=16m none out && exec \"$@\"";
    for target in ["out/m.raw", "out/m.vhdx"] {
        bench
            .call(&["vm/0.vhdx", "--out", target, "--digest", "blksum"])
            .within(&[wrapper, &["sh", "-c", script, "sh"]].concat())
            .run()
            .succeeds();
    }
    // Stored zeros count, though: nobody knows them for zeros without reading them, unless they are holes of the source.
    bench.forge("vm/1.vhdx", &zeros_of(64 * MIB));
    let stored = bench.bytes("vm/1.vhdx");
    let export = || {
        let call = bench.call(&["vm/1.vhdx", "--out", "out/m.raw"]);
        call.within(&[wrapper, &["sh", "-c", script, "sh"]].concat()).run()
    };
    export().succeeds();
    bench.write("vm/1.vhdx", &stored);
    export().fails(8);
}
