//! A database as `pg_dump` writes it.

use std::path::Path;

use tokio::process::Command;

/// The whole database at `url`, with the bytes of its columns as text where they are text.
pub async fn dump(url: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let programs = Command::new(root.join("scripts/postgres")).arg("programs").output();
    let programs = String::from_utf8(programs.await.unwrap().stdout).unwrap();
    let output = Command::new(Path::new(programs.trim()).join("pg_dump"))
        .args(["--inserts", "--dbname", url])
        .env("PGOPTIONS", "-c bytea_output=escape")
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
