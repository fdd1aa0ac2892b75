//! A directory for backups on a disk that hangs, as one on the network may: nobody else waits for it, nor does the stop.
//! Must not be sure that it may mount: what only root can do says that it was skipped.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::process_support::{KEY, Machine, Server, event};
use crate::skipped::skip;

/// A file system whose server never answers.
struct Hanging(PathBuf, Child);

impl Hanging {
    const MOUNT: &str = "exec 3<>/dev/fuse && \
        mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 none \"$1\" && echo mounted && exec cat";

    /// None where mounting is not allowed.
    fn mounted(machine: &Machine) -> Option<Self> {
        let place = machine.path("backups");
        std::fs::create_dir(&place).unwrap();
        let mut command = Command::new("bash");
        command.args(["-c", Self::MOUNT, "bash"]).arg(&place);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut hanging = Self(place, command.spawn().unwrap());
        let mut said = String::new();
        BufReader::new(hanging.1.stdout.take().unwrap()).read_line(&mut said).unwrap();
        if said == "mounted\n" {
            Some(hanging)
        } else {
            skip("DISK_TESTS", "right to mount a disk that hangs (run as root)")
        }
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).stderr(Stdio::null()).status();
        let _ = self.1.kill();
        let _ = self.1.wait();
    }
}

#[tokio::test]
async fn a_directory_for_backups_that_hangs_holds_up_neither_deliveries_nor_the_stop() {
    let machine = Machine::new();
    let Some(hanging) = Hanging::mounted(&machine) else { return };
    let mut command = machine.command(&["serve", "--listen", "127.0.0.1:0", "--signing-keys", KEY, "--backup-dir"]);
    // As on a machine with one processor.
    let mut server = Server::start(command.arg(&hanging.0).env("TOKIO_WORKER_THREADS", "1"));
    let http = reqwest::Client::builder().timeout(Duration::from_mins(1)).build().unwrap();
    for index in 0..20 {
        let body = event(&format!("e-{index}"), "scheduled", &format!("m-{index}"), 5).to_string();
        assert_eq!(server.post(&http, body).await.unwrap().0, 200);
    }
    server.process.signal("TERM");
    assert_eq!(server.process.ends_within(Duration::from_secs(10)), 0);
}
