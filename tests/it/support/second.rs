//! A second real control plane beside the test bed's, which a test may do anything to.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use kube::{Client, config::Kubeconfig};

use super::real;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/testbed/cluster");

/// A control plane of its own, in the folder `…-second` beside the test bed's. It ends when it is
/// dropped; `scripts/test` ends it too, in case the test was killed.
pub struct SecondControlPlane {
    folder: PathBuf,
}

impl SecondControlPlane {
    /// Starts it, from an empty cluster: it takes some seconds.
    pub async fn start() -> Self {
        let first = real::folder();
        let mut name = first.file_name().unwrap().to_owned();
        name.push("-second");
        let second = Self { folder: first.with_file_name(name) };
        std::fs::create_dir_all(&second.folder).unwrap();
        let programs = second.folder.join("bin");
        if !programs.exists() {
            std::os::unix::fs::symlink(first.join("bin"), &programs).unwrap();
        }
        second.run(&["down"]).await;
        second.run(&["up", "--nodes", "1"]).await;
        second
    }

    async fn run(&self, words: &[&str]) {
        let output = tokio::process::Command::from(self.script(words)).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}");
    }

    fn script(&self, words: &[&str]) -> Command {
        let mut command = Command::new(SCRIPT);
        command
            .args(words)
            .env("SLUICE_TESTBED", &self.folder)
            .env_remove("SLUICE_TESTBED_PORT")
            .env_remove("SLUICE_TESTBED_APISERVER")
            .stdin(Stdio::null());
        command
    }

    /// The administrator's kubeconfig, with a token.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("run/admin.kubeconfig")
    }

    pub async fn client(&self) -> Client {
        real::client_of(Kubeconfig::read_from(self.kubeconfig()).unwrap()).await
    }

    /// Sends a signal to one of its programs, such as `STOP` to `kube-apiserver`.
    pub fn signal(&self, program: &str, signal: &str) {
        let written = std::fs::read_to_string(self.folder.join("run/pid").join(program)).unwrap();
        let pid = written.split_whitespace().next().unwrap();
        let sent = Command::new("kill").args([&format!("-{signal}"), pid]).status().unwrap();
        assert!(sent.success(), "{program}: {signal}");
    }
}

impl Drop for SecondControlPlane {
    fn drop(&mut self) {
        // What is left running is said, though it may be that the test fails already.
        let ended = self.script(&["down"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !ended.is_ok_and(|it| it.success()) {
            eprintln!("the second control plane in {} still runs", self.folder.display());
        }
    }
}
