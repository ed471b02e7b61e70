//! A Slurm cluster of one node on this machine: its own keys, ports and state, all of which go when it is dropped.
//!
//! Everything runs in a process namespace whose first process waits for the end of its standard input. When the test has
//! closed that, or has died, the kernel ends whatever is left in there, tasks included. Clients need only `SLURM_CONF`.

use std::ffi::OsString;
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::harness::{Bench, has_tool, note, skipped, succeeds};

/// Where configuration, state and logs are, on the bench.
const PLACE: &str = "slurm";
const LOGS: [&str; 4] = ["munged.out", "munged.log", "slurmctld.log", "slurmd.log"];

/// No command for a cluster takes a tenth of it, even on a busy machine. In seconds.
const HANGS_AFTER: &str = "120";

/// `munged` returns once it can be asked, the others stay. The bench's folder is its owner's alone, which a socket that is
/// for everybody would not like: hence `--force`.
const DAEMONS: &str = "
    munged --force --socket=$PWD/socket --key-file=$PWD/key --seed-file=$PWD/seed --pid-file=$PWD/munged.pid \
        --log-file=$PWD/munged.log </dev/null >munged.out 2>&1 || exit
    slurmctld -D </dev/null >slurmctld.log 2>&1 &
    slurmd -D -N one </dev/null >slurmd.log 2>&1 &
    read -r end
";

const NAMESPACE: [&str; 4] = ["unshare", "--pid", "--fork", "--mount-proc"];

/// Runs until it is dropped. Has then told its logs, if a test has failed.
pub(super) struct Cluster<'a> {
    bench: &'a Bench,
    daemons: Child,
}

impl<'a> Cluster<'a> {
    /// A cluster that has done something. `None`, said aloud, where this machine has none for us; one that does not come
    /// up where it could is a failure.
    pub(super) fn start(bench: &'a Bench) -> Option<Self> {
        let tools = [
            ("slurmctld", "slurmctld"),
            ("slurmd", "slurmd"),
            ("sbatch", "slurm-client"),
            ("munged", "munge"),
        ];
        if !tools.iter().all(|(tool, package)| has_tool(tool, package)) {
            return None;
        }
        if !succeeds(&[&NAMESPACE[..], &["true"]].concat()) {
            skipped(&format!("a Slurm cluster: this machine does not allow `{}`", NAMESPACE.join(" ")));
            return None;
        }
        configure(bench);
        let mut command = Command::new(NAMESPACE[0]);
        command.args(&NAMESPACE[1..]).args(["sh", "-c", DAEMONS]).current_dir(bench.path(PLACE));
        command.env("SLURM_CONF", configuration(bench)).stdin(Stdio::piped());
        let cluster = Self { bench, daemons: command.spawn().unwrap() };
        // Waits for the controller, and for the node.
        cluster.run(&["srun", "true"]);
        Some(cluster)
    }

    /// What a command of Slurm's prints that is run on the bench, and succeeds.
    #[track_caller]
    pub(super) fn run(&self, command: &[&str]) -> String {
        let output = Command::new("timeout")
            .arg(HANGS_AFTER)
            .args(command)
            .current_dir(self.bench.path(""))
            .env("SLURM_CONF", configuration(self.bench))
            .env("PATH", path_with_executable())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`{}`: {}\n{said}", command.join(" "), output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    fn tell_logs(&self) {
        let logs = LOGS.map(|name| self.bench.path(PLACE).join(name));
        let tasks = self
            .bench
            .names_in("")
            .into_iter()
            .filter(|name| is_log(name))
            .map(|name| self.bench.path(&name));
        for path in logs.into_iter().chain(tasks) {
            let text = std::fs::read(&path).unwrap_or_default();
            note(&format!("--- {}\n{}", path.display(), String::from_utf8_lossy(&text)));
        }
    }
}

fn is_log(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "log")
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        drop(self.daemons.stdin.take());
        // After this nothing writes to the bench any more: the first process of a namespace outlives all others in it.
        let ended = self.daemons.wait();
        if std::thread::panicking() {
            self.tell_logs();
        } else {
            ended.unwrap();
        }
    }
}

fn configuration(bench: &Bench) -> PathBuf {
    bench.path(PLACE).join("slurm.conf")
}

/// Tasks get the environment of whoever submits them.
fn path_with_executable() -> OsString {
    let executable = Path::new(env!("CARGO_BIN_EXE_vhdx-export"));
    let mut path = OsString::from(executable.parent().unwrap());
    if let Some(rest) = std::env::var_os("PATH") {
        path.push(":");
        path.push(rest);
    }
    path
}

fn configure(bench: &Bench) {
    for folder in ["state", "spool"] {
        std::fs::create_dir_all(bench.path(PLACE).join(folder)).unwrap();
    }
    let mut key = [0; 128];
    std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut key).unwrap();
    bench.write(&format!("{PLACE}/key"), &key);
    bench.shell(PLACE, "chmod 400 key");
    let host = bench.shell("", "uname -n | cut -d . -f 1");
    let text = slurm_conf(&bench.path(PLACE), host.trim(), free_ports());
    bench.write(&format!("{PLACE}/slurm.conf"), text.as_bytes());
}

/// Two that nobody uses right now.
fn free_ports() -> [u16; 2] {
    let held = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

/// Nothing here asks for control groups, which a container may not have. The node has more processors and memory than
/// this machine may have, so that all tasks run at once.
fn slurm_conf(place: &Path, host: &str, [controller, node]: [u16; 2]) -> String {
    let place = place.display();
    format!(
        "\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
AuthInfo=socket={place}/socket
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0
MailProg=/bin/true
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 CPUs=16 RealMemory=16384
PartitionName=all Nodes=one Default=YES
"
    )
}
