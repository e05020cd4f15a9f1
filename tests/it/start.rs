//! The start commands of packages as a shell runs them, with a `java` and a
//! `catalina.sh` that only say how they were called.

use std::{os::unix::fs::PermissionsExt, path::PathBuf};

use domain::{
    package::{PackageKind, runtime::Runtime},
    template::java::{Running, Web},
};
use rstest::rstest;
use tokio::process::Command;

/// A folder with the two programs, gone with the test.
struct Programs(PathBuf);

impl Programs {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("sluice-start-{}", domain::OrderId::new()));
        std::fs::create_dir(&path).unwrap();
        for name in ["java", "catalina.sh"] {
            let file = path.join(name);
            std::fs::write(&file, "#!/bin/sh\nprintf '%s|' \"$CATALINA_OPTS\" \"$@\"\n").unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self(path)
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn running(kind: PackageKind, options: &str) -> Running {
    Running {
        kind,
        url: "https://h/web.jar".into(),
        file: "web.jar".into(),
        runtime: Runtime { jdk: "8".into(), web_container: None, image: "i".into() },
        jvm_options: options.into(),
        web: Web::default(),
        before: serde_json::Map::new(),
    }
}

/// What Kubernetes makes of `$$`.
fn expanded(words: &[String]) -> Vec<String> {
    words.iter().map(|word| word.replace("$$", "$")).collect()
}

async fn called(running: &Running, arguments: &[&str]) -> String {
    let programs = Programs::new();
    let words = expanded(&running.command());
    let path = format!("{}:{}", programs.0.display(), std::env::var("PATH").unwrap());
    let output = Command::new(&words[0])
        .args(&words[1..])
        .args(arguments)
        .env("PATH", path)
        .env("POD_IP", "10.0.0.1")
        .env("JAVA_OPTS", "-Djava")
        .env("CATALINA_OPTS", "-Dcatalina")
        .output()
        .await
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[rstest]
#[case("", &[], "-Djava|-Dcatalina|-jar|/home/admin/app/web.jar|")]
#[case("-Xms1m -Xmx2m", &["a b", "$HOME", "c'\"d"], "-Djava|-Dcatalina|-Xms1m|-Xmx2m|-jar|/home/admin/app/web.jar|a b|$HOME|c'\"d|")]
#[case("-Da='b c' -Dd=\"e $(echo f)\" -Xlog:gc-${POD_IP}.log", &[], "-Djava|-Dcatalina|-Da=b c|-Dd=e f|-Xlog:gc-10.0.0.1.log|-jar|/home/admin/app/web.jar|")]
#[tokio::test]
async fn a_jar_gets_the_options_as_a_shell_reads_them_and_its_arguments_untouched(
    #[case] options: &str,
    #[case] arguments: &[&str],
    #[case] expected: &str,
) {
    let said = called(&running(PackageKind::FatJar, options), arguments).await;
    assert_eq!(said, format!("-Dcatalina|{expected}"));
}

#[tokio::test]
async fn a_web_container_gets_the_options_and_its_configuration() {
    let said =
        called(&running(PackageKind::War, "-Xms1m -Xlog:gc-${POD_IP}.log"), &["-nonaming"]).await;
    assert_eq!(
        said,
        "-Dcatalina -Xms1m -Xlog:gc-${POD_IP}.log|run|-config|/home/admin/app/server.xml|-nonaming|"
    );
}
