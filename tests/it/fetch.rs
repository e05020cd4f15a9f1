//! `sluice fetch-package` as a program, against a server on loopback: its exit
//! code, its line on standard error and in the termination message, its file.

use std::{path::PathBuf, process::Output, time::Duration};

use rstest::rstest;
use tokio::process::Command;

use test_support::files::{Files, GOOD, GOOD_MD5, GOOD_SHA256};

/// A folder of its own, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("sluice-fetch-{}", domain::OrderId::new()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn message(&self) -> String {
        std::fs::read_to_string(self.0.join("termination-log")).unwrap_or_default()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The command as the init container runs it: nothing on its command line.
async fn fetch(folder: &Folder, url: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command
        .arg("fetch-package")
        .env("SLUICE_PACKAGE_URL", url)
        .env("SLUICE_PACKAGE_FOLDER", folder.0.join("app"))
        .env("SLUICE_PACKAGE_FILE", "webapps/ROOT.war")
        .env("SLUICE_PACKAGE_ALLOW_ADDRESSES", "127.0.0.1/32")
        .env("SLUICE_PACKAGE_LIMIT", "1")
        .env("SLUICE_PACKAGE_PAUSE", "10ms")
        .env("SLUICE_PACKAGE_ATTEMPTS", "3")
        .env("SLUICE_TERMINATION_LOG", folder.0.join("termination-log"))
        // A proxy of the environment must not be asked: nobody listens there.
        .env("http_proxy", "http://127.0.0.1:1")
        .env("all_proxy", "http://127.0.0.1:1")
        .kill_on_drop(true);
    command.envs(variables.iter().copied());
    tokio::time::timeout(Duration::from_secs(60), command.output())
        .await
        .expect("it must end")
        .unwrap()
}

#[rstest]
#[case("/good.war?Signature=geheim", "")]
#[case("/good.war", GOOD_SHA256)]
#[case("/good.war", GOOD_MD5)]
#[case("/flaky.jar", "")]
#[case("/redirect.jar?%2Fgood.war", "")]
#[tokio::test]
async fn a_package_is_put_in_its_place(#[case] path: &str, #[case] checksum: &str) {
    let (files, folder) = (Files::start().await, Folder::new());
    let mut variables = vec![("SLUICE_PACKAGE_SERVER_XML", "<Server/>")];
    if !checksum.is_empty() {
        variables.push(("SLUICE_PACKAGE_CHECKSUM", checksum));
    }
    let output = fetch(&folder, &files.url(path), &variables).await;
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{said}");
    assert!(said.contains(&format!("{} bytes", GOOD.len())) && !said.contains("geheim"), "{said}");
    assert_eq!(std::fs::read(folder.0.join("app/webapps/ROOT.war")).unwrap(), GOOD);
    assert_eq!(
        std::fs::read_dir(folder.0.join("app/webapps")).unwrap().count(),
        1,
        "no temporary file is left"
    );
    assert_eq!(std::fs::read_to_string(folder.0.join("app/server.xml")).unwrap(), "<Server/>");
    assert_eq!(folder.message(), "");
}

#[test]
fn folders_are_open_to_the_user_that_the_application_runs_as() {
    use std::os::unix::fs::PermissionsExt;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (files, folder) = (Files::start().await, Folder::new());
        assert!(fetch(&folder, &files.url("/good.war"), &[]).await.status.success());
        let mode = std::fs::metadata(folder.0.join("app/webapps")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o777);
    });
}

#[rstest]
#[case("/missing.jar?token=geheim", &[], 11, "PackageNotFound: http://127.0.0.1:", "the server answered 404")]
#[case("/forbidden.jar?token=geheim", &[], 12, "PackageDenied: ", "403")]
#[case("/teapot.jar", &[], 13, "PackageUnexpectedAnswer: ", "418")]
#[case("/large.jar", &[], 14, "PackageTooLarge: ", "3145728 bytes")]
#[case("/endless.jar", &[], 14, "PackageTooLarge: ", "at most 1048576")]
#[case("/good.jar", &[("SLUICE_PACKAGE_CHECKSUM", "00000000000000000000000000000000")], 15, "PackageWrongChecksum: ", GOOD_MD5)]
#[case("/good.jar#md5=00000000000000000000000000000000", &[], 15, "PackageWrongChecksum: ", GOOD_MD5)]
#[case("/good.jar", &[("SLUICE_PACKAGE_FILE", "../out.jar")], 16, "PackageCannotBeWritten: ", "no place within the folder")]
#[case("/good.jar", &[("SLUICE_PACKAGE_FOLDER", "/dev/null/app")], 16, "PackageCannotBeWritten: ", "/dev/null/app")]
#[case("/redirect.jar?http://169.254.169.254/%3Fgeheim", &[], 10, "PackageNotAllowed: http://169.254.169.254/: ", "metadata")]
#[case("/redirect.jar?http://none.invalid/%3Fgeheim", &[], 20, "PackageHostUnknown: http://none.invalid/: ", "attempt 3 of 3")]
#[case("/redirect.jar?http://127.0.0.1:1/%3Fgeheim", &[], 21, "PackageHostUnreachable: http://127.0.0.1:1/: ", "refused")]
#[case("/cut.jar?token=geheim", &[], 22, "PackageCutOff: ", "broke off")]
#[case("/busy.jar?token=geheim", &[], 23, "PackageServerTrouble: ", "503")]
#[case("/slow.jar?token=geheim", &[("SLUICE_PACKAGE_TIMEOUT", "300ms")], 24, "PackageTimedOut: ", "within 0.3 s")]
#[case("/good.jar?token=geheim", &[("SLUICE_PACKAGE_ALLOW_ADDRESSES", "10.0.0.0/8")], 10, "PackageNotAllowed: ", "loopback")]
#[case("/good.jar?token=geheim", &[("SLUICE_PACKAGE_HOSTS", "*.example.com")], 10, "PackageNotAllowed: ", "the host 127.0.0.1 is not allowed")]
#[case("/good.jar?token=geheim", &[("SLUICE_PACKAGE_SCHEMES", "https")], 10, "PackageNotAllowed: ", "the scheme http is not allowed")]
#[case("/good.jar#geheim", &[], 10, "PackageNotAllowed: the package's address: ", "only a checksum")]
#[tokio::test]
async fn a_package_that_cannot_be_had_ends_with_its_own_code_and_one_line(
    #[case] path: &str,
    #[case] variables: &[(&str, &str)],
    #[case] code: i32,
    #[case] begins: &str,
    #[case] says: &str,
) {
    let (files, folder) = (Files::start().await, Folder::new());
    let output = fetch(&folder, &files.url(path), variables).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.starts_with(begins) && said.contains(says), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert_eq!(
        folder.message(),
        said.trim_end(),
        "the reason is the container's termination message too"
    );
    assert!(!said.contains("geheim") && output.stdout.is_empty(), "{said}");
    let left: Vec<_> = std::fs::read_dir(folder.0.join("app/webapps"))
        .map(|entries| entries.flatten().collect())
        .unwrap_or_default();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_setting_that_makes_no_sense_is_named_without_the_address() {
    let folder = Folder::new();
    let output = fetch(&folder, "http://h/a.jar?geheim", &[("SLUICE_PACKAGE_ATTEMPTS", "0")]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(2)
            && said.contains("--package-attempts")
            && !said.contains("geheim"),
        "{said}"
    );
    let help = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(["fetch-package", "--help"])
        .env("SLUICE_PACKAGE_URL", "http://h/a.jar?geheim")
        .output()
        .await
        .unwrap();
    assert!(!String::from_utf8_lossy(&help.stdout).contains("geheim"));
}
