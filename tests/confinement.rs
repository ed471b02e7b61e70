//! What hostile files ask for and do not get: to be led out of the folders that are searched, to make anybody wait, to be
//! written where a link points, to talk to a terminal, to have others quoted.
//!
//! One fact a test, all of them through the executable. Here is where names lead, on the way in; on the way out they are
//! in [`targets`], on a screen in [`terminal`], and what of a file is said in [`canary`].

mod canary;
mod targets;
mod terminal;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;

use chain_resolve::forge::vm::{Disk, Slot};
use vhdx_format::forge::{Kind, Locator};

use crate::harness::{Bench, Confinement, Web01, chain, succeeds};

/// A base outside of `vm`, and `vm/1.vhdx` that names it as a hostile image would.
fn outside(locator: impl FnOnce(Locator) -> Locator) -> Bench {
    let mut stack = chain("vm");
    let linked = Locator::empty().linkage(stack[0].ids.data_write);
    stack[1].kind = Kind::Differencing(locator(linked));
    let bench = Bench::new();
    bench.forge("elsewhere/0.vhdx", &stack[0]);
    bench.forge("vm/1.vhdx", &stack[1]);
    bench
}

/// A chain of which `vm/0.vhdx` leads to the base, which lies elsewhere.
fn linked(link: &str, to: &str) -> Bench {
    let bench = Bench::with_stack(&chain("vm"));
    fs::create_dir(bench.path("elsewhere")).unwrap();
    fs::rename(bench.path("vm/0.vhdx"), bench.path("elsewhere/0.vhdx")).unwrap();
    bench.link(link, to);
    bench
}

fn fifo(bench: &Bench, name: &str) {
    assert!(Command::new("mkfifo").arg(bench.path(name)).status().unwrap().success());
}

/// Makes a node of the device that `/dev/null` is, or of a block device; false where this user may make none.
fn node(bench: &Bench, name: &str, kind: &str) -> bool {
    let path = bench.path(name);
    succeeds(&["mknod", path.to_str().unwrap(), kind, "1", "3"])
}

#[test]
fn a_stored_path_that_leads_out_is_not_followed() {
    for stored in [r"..\elsewhere\0.vhdx", "../elsewhere/0.vhdx", r".\..\vm\..\elsewhere\0.vhdx"] {
        let bench = outside(|locator| locator.relative_path(stored));
        let refused = bench.run(&["vm/1.vhdx", "--out", "out/m.raw"]).fails(5);
        refused.says(&["outside the folders that are searched", "1 image looked at"]);
    }
}

#[test]
fn a_stored_path_that_is_absolute_is_not_followed_whichever_key_has_it() {
    let keys: [fn(Locator, &str) -> Locator; 3] =
        [Locator::relative_path, Locator::volume_path, Locator::absolute_path];
    for key in keys {
        for stored in
            ["/proc/self/fd/0", "/dev/stdin", r"C:\elsewhere\0.vhdx", r"\\?\Volume{1}\elsewhere\0.vhdx"]
        {
            let bench = outside(|locator| key(locator, stored));
            bench.run(&["vm/1.vhdx", "--out", "out/m.raw"]).fails(5).says(&["1 image looked at"]);
        }
        let bench = outside(|locator| key(locator, "/"));
        let absolute = bench.path("elsewhere/0.vhdx");
        let bench = outside(|locator| key(locator, absolute.to_str().unwrap()));
        bench.run(&["vm/1.vhdx", "--out", "out/m.raw"]).fails(5).says(&["1 image looked at"]);
    }
}

#[test]
fn a_disk_path_of_a_configuration_leads_nowhere_outside() {
    for path in [
        "/dev/stdin",
        r"..\..\elsewhere\web01_A.avhdx",
        "../elsewhere/web01_A.avhdx",
        r"C:\elsewhere\web01_A.avhdx",
    ] {
        let mut web01 = Web01::new();
        web01.vm.disks = vec![Disk { slot: Slot::Scsi(0, 0), path: path.to_owned() }];
        web01.put();
        fs::create_dir(web01.bench.path("elsewhere")).unwrap();
        fs::rename(web01.bench.path(Web01::CURRENT), web01.bench.path("elsewhere/web01_A.avhdx")).unwrap();
        let args = ["vm", "--checkpoint", "@current", "--out", "out/m.raw"];
        web01.bench.run(&args).fails(4).says(&["is not here"]);
    }
}

#[test]
fn a_parent_behind_a_link_that_leads_out_is_found_only_where_its_folder_is_named() {
    let bench = linked("vm/0.vhdx", "../elsewhere/0.vhdx");
    let args = ["vm/2.vhdx", "--out", "out/m.raw"];
    bench.run(&args).fails(5).says(&["0.vhdx`: outside the folders that are searched"]);
    bench.run(&[&args[..], &["--parent-dir", "elsewhere"]].concat()).succeeds();
}

#[test]
fn a_link_to_a_folder_is_not_searched() {
    let bench = linked("vm/more", "../elsewhere");
    bench.run(&["vm/2.vhdx", "--out", "out/m.raw"]).fails(5).says(&["2 images looked at"]);
}

#[test]
fn links_that_lead_in_circles_end_no_search_and_hide_nothing() {
    let bench = Bench::with_stack(&chain("vm"));
    bench.link("vm/round", ".");
    bench.link("vm/self", "self");
    bench.link("vm/a", "b");
    bench.link("vm/b", "a");
    bench.run(&["vm", "--out", "out/m.raw"]).fails(4).says(&["self (cannot be read"]);
    bench.run(&["vm", "--checkpoint", "2", "--out", "out/m.raw"]).succeeds();
}

/// A file has as many names as it has; which of them lies where it should not is known to nobody. Who may make a hard
/// link is for the system to say.
#[test]
fn a_hard_link_is_a_file_of_the_folder_it_lies_in() {
    let bench = Bench::with_stack(&chain("vm"));
    fs::create_dir(bench.path("elsewhere")).unwrap();
    fs::hard_link(bench.path("vm/0.vhdx"), bench.path("elsewhere/0.vhdx")).unwrap();
    bench.run(&["vm", "--out", "out/m.raw"]).succeeds();
}

/// What is mounted below a folder was put there by the administrator, who means it to be there.
#[test]
fn what_is_mounted_below_a_folder_belongs_to_it() {
    let Some(wrapper) = Confinement::OwnMounts.wrapper("a mount below the folder") else { return };
    let bench = linked("unused", "nowhere");
    fs::create_dir(bench.path("vm/mounted")).unwrap();
    let script = "mount --bind elsewhere vm/mounted && exec \"$@\"";
    let wrapper = [wrapper, &["sh", "-c", script, "sh"]].concat();
    bench.call(&["vm/2.vhdx", "--out", "out/m.raw"]).within(&wrapper).run().succeeds();
}

/// No copy makes one of an image, so it hides none; and nobody waits for a writer.
#[test]
fn what_is_called_like_an_image_and_is_no_file_is_passed_over_and_refused_by_name() {
    let puts: [fn(&Bench) -> bool; 5] = [
        |bench| {
            fifo(bench, "vm/2.vhdx");
            true
        },
        |bench| UnixListener::bind(bench.path("vm/2.vhdx")).is_ok(),
        |bench| symlink(".", bench.path("vm/2.vhdx")).is_ok(),
        |bench| node(bench, "vm/2.vhdx", "c"),
        |bench| node(bench, "vm/2.vhdx", "b"),
    ];
    for put in puts {
        let bench = Bench::with_stack(&chain("vm")[..2]);
        if !put(&bench) {
            continue;
        }
        for command in ["list", "tree", "check"] {
            bench.run(&[command, "vm"]).succeeds();
        }
        bench.run(&["vm", "--out", "out/m.raw"]).succeeds();
        bench
            .run(&["vm", "--checkpoint", "2", "--out", "out/n.raw"])
            .fails(4)
            .says(&["no disk file is called `2`"]);
    }
}

#[test]
fn folders_that_are_called_like_files_are_searched_like_any() {
    let bench = Bench::with_stack(&chain("vm"));
    fs::create_dir(bench.path("vm/x.vhdx")).unwrap();
    fs::rename(bench.path("vm/0.vhdx"), bench.path("vm/x.vhdx/0.vhdx")).unwrap();
    fs::create_dir(bench.path("vm/y.vmcx")).unwrap();
    bench.run(&["vm", "--out", "out/m.raw"]).succeeds();
}

/// Whatever is no regular file, and has a name that means nothing here or that of a configuration, is passed over.
#[test]
fn what_lies_about_in_a_folder_makes_nobody_wait() {
    let web01 = Web01::new();
    fifo(&web01.bench, "vm/pipe");
    fifo(&web01.bench, "vm/pipe.xml");
    fifo(&web01.bench, "vm/Virtual Machines/00000000-0000-0000-0000-000000000099.vmcx");
    let _socket = UnixListener::bind(web01.bench.path("vm/socket.vmcx")).unwrap();
    web01.bench.link("vm/zero.xml", "/dev/zero");
    for command in ["list", "tree", "check"] {
        web01.bench.run(&[command, "vm"]).succeeds();
    }
    web01.bench.run(&["vm", "--checkpoint", "@current", "--out", "out/m.raw"]).succeeds();
}

#[test]
fn a_configuration_that_pretends_to_be_endless_is_not_read() {
    let web01 = Web01::new();
    let name = "vm/Virtual Machines/00000000-0000-0000-0000-000000000099.vmcx";
    // Hashing a tebibyte of holes, as the watch over sources does, takes too long: this one lies beside.
    fs::create_dir(web01.bench.path("elsewhere")).unwrap();
    File::create(web01.bench.path("elsewhere/large.vmcx")).unwrap().set_len(1 << 40).unwrap();
    let refused = web01.bench.run(&["info", "elsewhere/large.vmcx"]).fails(6);
    refused.says(&["has 1099511627776 bytes, more than the limit of 67108864 for a configuration"]);
    File::create(web01.bench.path(name)).unwrap().set_len((64 << 20) + 1).unwrap();
    let found = web01.bench.run(&["check", "vm"]).ends_with(1);
    assert!(found.text().contains("more than the limit of 67108864"), "{}", found.text());
}

#[test]
fn a_source_that_is_no_file_is_refused_at_once() {
    let bench = Bench::new();
    fifo(&bench, "vm/pipe.vhdx");
    fifo(&bench, "vm/pipe.raw");
    fifo(&bench, "vm/pipe.vmcx");
    bench.link("vm/null.raw", "/dev/null");
    bench.link("vm/stdin.vhdx", "/dev/stdin");
    let cases = [
        ("vm/pipe.vhdx", "a FIFO"),
        ("vm/pipe.raw", "a FIFO"),
        ("vm/null.raw", "a character device"),
        ("/dev/null", "a character device"),
        ("vm/stdin.vhdx", "a character device"),
    ];
    for (source, kind) in cases {
        for args in
            [&[source, "--out", "out/m.raw"][..], &["info", source], &["hash", source], &["map", source]]
        {
            bench.run(args).fails(6).says(&[source, kind]);
        }
    }
    bench.run(&["info", "vm/pipe.vmcx"]).fails(6).says(&["a FIFO"]);
}

/// A file of the kernel has no length before it is read; it is no disk and no image.
#[test]
fn a_file_of_the_kernel_is_no_source() {
    let bench = Bench::new();
    bench.link("vm/proc.raw", "/proc/self/environ");
    bench.link("vm/proc.vmcx", "/proc/self/environ");
    for args in [
        ["info", "/proc/self/environ"],
        ["hash", "/proc/self/environ"],
        ["info", "vm/proc.raw"],
        ["hash", "vm/proc.raw"],
        ["info", "vm/proc.vmcx"],
    ] {
        let outcome = bench.call(&args).env("SECRET", "tell-nobody").run().fails(6);
        outcome.says_nothing_of("tell-nobody");
    }
}

#[test]
fn a_parent_dir_that_is_no_folder_is_refused_at_once() {
    let bench = Bench::with_stack(&chain("vm"));
    fifo(&bench, "pipe");
    bench
        .run(&["vm", "--parent-dir", "pipe", "--out", "out/m.raw"])
        .fails(4)
        .says(&["`pipe`", "Not a directory"]);
}

/// Nobody named it, so nobody means to wait for it.
#[test]
fn a_fifo_in_the_place_of_the_manifest_is_no_manifest() {
    let bench = Bench::with_stack(&chain("vm"));
    bench.run(&["vm", "--out", "out/m.raw"]).succeeds();
    bench.remove("out/m.raw.manifest.json");
    fifo(&bench, "out/m.raw.manifest.json");
    bench.run(&["verify", "out/m.raw"]).fails(6).says(&["m.raw.manifest.json` is a FIFO"]);
}

/// Kept elsewhere, which is where it proves most, it may come through a pipe.
#[test]
fn a_manifest_that_is_named_may_be_a_pipe() {
    let bench = Bench::with_stack(&chain("vm"));
    bench.run(&["vm", "--out", "out/m.raw"]).succeeds();
    fs::rename(bench.path("out/m.raw.manifest.json"), bench.path("kept.json")).unwrap();
    let script = "cat kept.json | \"$@\"";
    let call = bench.call(&["verify", "out/m.raw", "--manifest", "/dev/stdin"]);
    call.within(&["sh", "-c", script, "sh"]).run().succeeds();
}
