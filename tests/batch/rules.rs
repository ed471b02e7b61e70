//! When a job is done, and what becomes of what stands in its way.

use std::fs;

use serde_json::Value;
use vhdx_format::forge::Object;

use super::{few, plan, result, run, run_args};
use crate::harness::Bench;
use crate::killed::can_trace;

/// One job, done; `out/d0.vhdx` is its image.
fn done() -> Bench {
    let bench = few(1);
    plan(&bench, &["vm", "--sums"]);
    run(&bench, &[]).succeeds();
    bench
}

#[track_caller]
fn is(bench: &Bench, status: &str, code: u64) -> Value {
    let result = result(bench);
    assert_eq!((&result["status"], &result["exit_code"]), (&status.into(), &code.into()), "{result}");
    result
}

/// The option that differs is what is said; forced, the image is made anew, and then it is done.
#[test]
fn an_image_of_other_options_is_not_this_job_done() {
    for (options, why) in [
        (&["--sums", "--block-size", "4M"][..], "other blocks"),
        (&["--sums", "--fixed"], "other blocks"),
        (&["--sums", "--disk-id", "keep"], "--disk-id"),
        (&["--bmap", "--format", "raw"], ""),
        (&["--digest", "sha256"], ""),
        (&[], ""),
    ] {
        let bench = done();
        plan(&bench, &[&["vm"], options].concat());
        if why.is_empty() {
            // Another format has another name; less proof is none the worse.
            run(&bench, &[]).succeeds();
            continue;
        }
        let ran = run(&bench, &[]).ends_with(10).leaves_nothing();
        assert!(ran.text().contains("is there already: "), "{}", ran.text());
        assert!(is(&bench, "failed", 7)["error"].as_str().unwrap().contains(why), "{why}");
        run(&bench, &["--force"]).succeeds();
        is(&bench, "done", 0);
        run(&bench, &["--force"]).succeeds().leaves_nothing();
        is(&bench, "skipped", 0);
    }
}

#[test]
fn an_image_of_another_format_or_compression_under_the_same_name_is_not_this_job_done() {
    let bench = few(1);
    let line = |more: &str| format!("{{\"source\":\"vm/d0.vhdx\",\"out\":\"out/image\"{more}}}\n");
    bench.write("jobs.jsonl", line(r#","format":"raw.zst","digest":"blksum""#).as_bytes());
    run(&bench, &[]).succeeds();
    for (more, why) in [
        (r#","format":"raw""#, "it is raw.zst, not raw"),
        (r#","format":"raw.zst","compress":"zstd:7""#, "zstd:7"),
        (r#","format":"raw.zst","digest":"sha256""#, "no SHA-256"),
        (r#","format":"raw.zst","digest":"blksum","bmap":true"#, "no block map"),
    ] {
        bench.write("jobs.jsonl", line(more).as_bytes());
        run(&bench, &[]).ends_with(10).leaves_nothing();
        let error = is(&bench, "failed", 7)["error"].as_str().unwrap().to_owned();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_source_that_changed_after_the_plan_is_another_state() {
    for is_done in [false, true] {
        let bench = few(1);
        plan(&bench, &["vm", "--format", "raw"]);
        if is_done {
            run(&bench, &[]).succeeds();
        }
        bench.forge("vm/d0.vhdx", &super::estate::small("another state"));
        for force in [&[][..], &["--force"]] {
            run(&bench, force).ends_with(10).leaves_nothing();
            assert!(is(&bench, "failed", 9)["error"].as_str().unwrap().contains("not what was planned"));
        }
        // A plan of now can be done, over the image of then by force alone.
        plan(&bench, &["vm", "--format", "raw"]);
        if is_done {
            run(&bench, &[]).ends_with(10).leaves_nothing();
            assert!(is(&bench, "failed", 7)["error"].as_str().unwrap().contains("another state"));
        }
        run(&bench, &["--force"]).succeeds();
        is(&bench, "done", 0);
    }
}

#[test]
fn an_image_without_its_manifest_is_in_the_way_and_a_manifest_without_its_image_is_not() {
    let bench = done();
    let manifest = bench.bytes("out/d0.vhdx.manifest.json");
    bench.remove("out/d0.vhdx.manifest.json");
    run(&bench, &[]).ends_with(10).leaves_nothing();
    assert!(is(&bench, "failed", 7)["error"].as_str().unwrap().contains("no manifest"));
    bench.write("out/d0.vhdx.manifest.json", &manifest);
    run(&bench, &[]).succeeds().leaves_nothing();
    is(&bench, "skipped", 0);
    bench.remove("out/d0.vhdx");
    run(&bench, &[]).succeeds();
    is(&bench, "done", 0);
    assert_eq!(bench.bytes("out/d0.vhdx.manifest.json"), manifest);
    bench.write("out/d0.vhdx.manifest.json", &manifest[..manifest.len() / 2]);
    run(&bench, &[]).ends_with(10).leaves_nothing();
    is(&bench, "failed", 7);
    run(&bench, &["--force"]).succeeds();
    assert_eq!(bench.bytes("out/d0.vhdx.manifest.json"), manifest);
}

#[test]
fn images_are_read_again_when_that_is_asked_for() {
    let bench = done();
    run(&bench, &["--verify-existing"]).succeeds().leaves_nothing();
    is(&bench, "skipped", 0);
    let image = bench.bytes("out/d0.vhdx");
    let mut damaged = image.clone();
    let last = damaged.len() - MIB_AND_SOME;
    damaged[last] ^= 1;
    bench.write("out/d0.vhdx", &damaged);
    run(&bench, &[]).succeeds().leaves_nothing();
    is(&bench, "skipped", 0);
    run(&bench, &["--verify-existing"]).ends_with(10).leaves_nothing();
    is(&bench, "failed", 3);
    run(&bench, &["--verify-existing", "--force"]).succeeds();
    is(&bench, "done", 0);
    assert!(bench.bytes("out/d0.vhdx") == image);
    // Cut short it is seen without reading.
    bench.write("out/d0.vhdx", &image[..image.len() - 1]);
    run(&bench, &[]).ends_with(10).leaves_nothing();
    is(&bench, "failed", 7);
}

/// From the end of the image: in the block with the data.
const MIB_AND_SOME: usize = (2 << 20) - 4100;

/// Reads of files below `vm` or `out`, by where they begin.
fn reads(calls: &str) -> Vec<(String, u64)> {
    let read = |line: &str| {
        let (call, rest) = line.split_once(' ')?.1.trim_start().split_once('(')?;
        let name = rest.split_once('<')?.1.split_once('>')?.0.to_owned();
        let arguments: Vec<&str> = rest.rsplit_once(") = ")?.0.rsplit(", ").collect();
        let at = if call == "preadv2" { arguments.get(1)? } else { arguments.first()? };
        Some((name, at.parse().ok()?))
    };
    calls.lines().filter_map(read).collect()
}

#[test]
fn what_is_done_is_not_read_again() {
    if !can_trace() {
        return;
    }
    let bench = few(3);
    let image = super::estate::small("few 0");
    let payload = image.offset_of(Object::Block(0)).unwrap();
    plan(&bench, &["vm", "--format", "raw"]);
    let traced = || {
        let _ = fs::remove_file(bench.path("results.jsonl"));
        let watch =
            ["strace", "-f", "-y", "-qq", "-o", "calls", "-e", "trace=pread64,preadv2,copy_file_range"];
        let outcome = bench.call(&run_args(&["--jobs", "1"])).within(&watch).run().succeeds();
        let calls = String::from_utf8(bench.bytes("calls")).unwrap();
        assert!(!calls.contains("copy_file_range(") || !outcome.stdout.is_empty());
        let of_payload =
            reads(&calls).into_iter().filter(|(name, at)| name.contains("/vm/d") && *at >= payload);
        let of_images = calls.lines().filter(|line| line.contains("/out/") && line.contains(".raw>")).count();
        (of_payload.count(), of_images)
    };
    let (payload_first, _) = traced();
    assert!(payload_first >= 3, "{payload_first}");
    assert_eq!(traced(), (0, 0));
}
