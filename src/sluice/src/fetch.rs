//! `sluice fetch-package`: what the init container of a package release runs.
//!
//! Ends with an exit code for each kind of failure, and with one line that says
//! it, on standard error and in the container's termination message, from where
//! Kubernetes shows it as the reason. The line holds nothing secret.

use std::{
    io,
    os::unix::fs::PermissionsExt,
    path::{Component, Path, PathBuf},
    process::ExitCode,
};

use crate::config::FetchPackage;
use domain::package::PackageAddress;
use package::{Client, Failure, Fetch, Reason};
use secrecy::ExposeSecret;

/// Longest termination message that Kubernetes keeps, in bytes.
const LONGEST_MESSAGE: usize = 4096;

/// The name of the web container's configuration in the folder.
const SERVER_XML: &str = "server.xml";

/// Runs the command.
pub async fn run(settings: &FetchPackage) -> ExitCode {
    match fetch(settings).await {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            let line = line_of(&failure);
            eprintln!("{line}");
            // Outside a container there is no such file, and none is made for it
            // in a folder that is not there.
            let _ = std::fs::write(&settings.termination_log, &line);
            ExitCode::from(failure.reason.exit_code())
        }
    }
}

async fn fetch(settings: &FetchPackage) -> Result<String, Failure> {
    let text = settings.url.expose_secret();
    let unread = |what: String| Failure {
        reason: Reason::NotAllowed,
        address: "the package's address".into(),
        what,
    };
    let url: PackageAddress = text.parse().map_err(|why| unread(format!("{why}")))?;
    let fail = |reason: Reason, what: String| Failure { reason, address: url.to_string(), what };
    let cannot = |path: &Path, error: &io::Error| {
        fail(Reason::CannotWrite, format!("{}: {error}", path.display()))
    };

    let file = settings.file.clone().unwrap_or_else(|| PathBuf::from(url.file_name()));
    if file.as_os_str().is_empty()
        || file.components().any(|part| !matches!(part, Component::Normal(_)))
    {
        return Err(fail(
            Reason::CannotWrite,
            format!("{} is no place within the folder (--file)", file.display()),
        ));
    }
    let target = settings.folder.join(file);
    let folder = target.parent().unwrap_or(&settings.folder);
    make_folder(folder, &settings.folder).map_err(|error| cannot(folder, &error))?;
    if let Some(text) = &settings.server_xml {
        let path = settings.folder.join(SERVER_XML);
        std::fs::write(&path, text).map_err(|error| cannot(&path, &error))?;
    }
    let rules = &settings.rules;
    let client = Client::new(rules.policy(), rules.most_bytes(), rules.package_connect_timeout)
        .map_err(|_| fail(Reason::Unreachable, "TLS cannot be set up".into()))?;
    let order = Fetch {
        url: &url,
        target: &target,
        checksum: settings.checksum.as_ref().or(url.checksum()),
        timeout: rules.package_timeout,
        attempts: rules.package_attempts,
        pause: rules.package_pause,
    };
    let fetched = client.fetch(&order).await?;
    Ok(format!(
        "{url}: {} bytes at attempt {}, now {}",
        fetched.bytes,
        fetched.attempts,
        target.display()
    ))
}

/// Makes the folder. What is made is open to every user, as Kubernetes' own
/// volumes are: the application may run as another one, and unpacks there.
fn make_folder(folder: &Path, root: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(folder)?;
    let made = folder.ancestors().take_while(|it| it.starts_with(root) && *it != root);
    for folder in made {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777))?;
    }
    Ok(())
}

/// One line without control characters, short enough to be kept whole.
fn line_of(failure: &Failure) -> String {
    let mut line: String =
        failure.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut end = LONGEST_MESSAGE.min(line.len());
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.truncate(end);
    line
}
