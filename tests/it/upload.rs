//! A package from a client's disk to a pod's: uploaded over the network as OSS
//! clients do it, released by the address that they make of it, and fetched by
//! the init container's own program with what stands in the Deployment.

use std::time::Duration;

use domain::{
    OrderId,
    order::State,
    package::{PackagePolicy, runtime::Runtimes},
};
use package::{Client, Objects};
use service::{PackageStore, Packages, UploadLimits};
use sqlx::PgPool;
use tempfile::TempDir;
use tokio::{net::TcpListener, process::Command};

use crate::{
    sign::{Key, Unsigned, Upload},
    support::App,
};

const KEY: Key<'static> = Key { id: "test-key", secret: "test-secret" };
const TABLE: &str = r#"[{"jdk":"Open JDK 8","webContainer":null,"image":"jdk:8"}]"#;

/// A package of three parts as the store takes them, and a bit.
fn package() -> Vec<u8> {
    let mut package = b"PK\x03\x04".to_vec();
    package.extend((0..(24 << 20)).map(|at: u32| (at % 251).to_le_bytes()[0]));
    package
}

struct Edas {
    address: String,
    client: reqwest::Client,
    app: App,
}

impl Edas {
    /// The whole program but its command line, on loopback.
    async fn start(pool: PgPool, folder: &TempDir) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut app = App::start(pool).await;
        let policy = PackagePolicy {
            schemes: vec!["https".into()],
            hosts: vec!["files.example.com".parse().unwrap()],
            addresses: Vec::new(),
        };
        let packages = Packages {
            image: Some("sluice:1".into()),
            runtimes: Runtimes::read(TABLE).unwrap(),
            rules: Vec::new(),
            client: Client::new(policy, 1 << 20, Duration::from_secs(2)).unwrap(),
        };
        let objects = Objects::open(folder.path().to_str().unwrap(), []).unwrap();
        let store = PackageStore {
            objects,
            url: format!("http://{address}").parse().unwrap(),
            most_bytes: 32 << 20,
            limits: UploadLimits::default(),
        };
        app.service = app.service.clone().with_packages(packages).with_package_store(store);
        assert!(
            app.store.insert_key(KEY.id, &KEY.secret.into(), "ci", app.clock.now()).await.unwrap()
        );
        let router = edas::router(app.service.clone(), edas::EdgeConfig::default());
        let connections = edas::Connections::new(edas::ConnectionSettings::default());
        tokio::spawn(connections.serve(listener, router, std::future::pending()));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { address, client, app }
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> serde_json::Value {
        let nonce = OrderId::new().to_string();
        let signed =
            Unsigned { method, path, parameters, date: self.app.clock.now(), nonce: Some(&nonce) }
                .acs3(KEY);
        let mut request = self
            .client
            .request(method.parse().unwrap(), format!("http://{}{}", self.address, signed.target));
        for (name, value) in signed.headers {
            request = request.header(name, value);
        }
        let reply: serde_json::Value =
            serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap()).unwrap();
        assert_eq!(reply["Code"], 200, "{reply}");
        reply
    }

    /// Sends a request to the store, signed with its sub-resources; its ETag and its text.
    async fn store(
        &self,
        (method, subresources): (&str, &str),
        upload: Upload<'_>,
        host: &str,
        body: impl Into<reqwest::Body>,
    ) -> (String, String) {
        let target = format!("http://{}{}?{subresources}", self.address, upload.path());
        let mut request = self.client.request(method.parse().unwrap(), target).header("host", host);
        for (name, value) in upload.headers_of(method, subresources) {
            request = request.header(name, value);
        }
        let answer = request.body(body).send().await.unwrap();
        let (status, etag) = (
            answer.status(),
            answer.headers().get("etag").map(|etag| etag.to_str().unwrap().to_owned()),
        );
        let text = answer.text().await.unwrap();
        assert_eq!(status, 200, "{text}");
        (etag.unwrap_or_default(), text)
    }

    /// As the Jenkins plugin does it: five parts at once.
    async fn upload_in_parts(&self, upload: Upload<'_>, host: &str) {
        let (_, begun) = self.store(("POST", "uploads"), upload, host, "").await;
        let id = begun.split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned();
        let package = package();
        let size = package.len().div_ceil(5);
        let id = &id;
        let parts = package.chunks(size).enumerate().map(|(index, part)| async move {
            let subresources = format!("partNumber={}&uploadId={id}", index + 1);
            let (etag, _) = self.store(("PUT", &subresources), upload, host, part.to_vec()).await;
            format!(
                "<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>",
                index + 1,
                etag.replace('"', "&quot;")
            )
        });
        let parts = futures::future::join_all(parts).await.concat();
        let list = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let (etag, _) = self.store(("POST", &format!("uploadId={id}")), upload, host, list).await;
        assert!(etag.ends_with("-5\""), "{etag}");
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_package_from_a_clients_disk_is_released_and_comes_to_the_pods(pool: PgPool) {
    comes_to_the_pods(pool, false).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_package_that_was_uploaded_in_parts_is_released_and_comes_to_the_pods(pool: PgPool) {
    comes_to_the_pods(pool, true).await;
}

async fn comes_to_the_pods(pool: PgPool, in_parts: bool) {
    let (folder, pod) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let edas = Edas::start(pool, &folder).await;
    let application = edas.app.create("web", 2).await.to_string();
    let credential = edas.call("GET", "/pop/v5/package_storage_credential", &[]).await;
    let region = edas.call("GET", "/pop/v5/region_config", &[]).await;
    let text = |name: &str| credential["Credential"][name].as_str().unwrap().to_owned();
    let (id, secret, token, bucket) =
        (text("AccessKeyId"), text("AccessKeySecret"), text("SecurityToken"), text("Bucket"));
    let hosts = &region["RegionConfig"]["FileServerConfig"];
    let object = format!("{}/apps/{application}/{}/web-2.0.jar", text("KeyPrefix"), OrderId::new());
    let key = Key { id: &id, secret: &secret };
    let upload = Upload {
        key,
        token: &token,
        bucket: &bucket,
        object: &object,
        date: edas.app.clock.now(),
        md5: "",
    };
    let host = format!("{bucket}.{}", hosts["PublicUrl"].as_str().unwrap());
    if in_parts {
        edas.upload_in_parts(upload, &host).await;
    } else {
        // In chunks, as the Java SDK sends it.
        let chunks: Vec<std::io::Result<Vec<u8>>> =
            package().chunks(100_000).map(|chunk| Ok(chunk.to_vec())).collect();
        edas.store(
            ("PUT", ""),
            upload,
            &host,
            reqwest::Body::wrap_stream(futures::stream::iter(chunks)),
        )
        .await;
    }

    let url =
        format!("http://{bucket}.{}{}", hosts["InternalUrl"].as_str().unwrap(), upload.path());
    let parameters = [
        ("AppId", application.as_str()),
        ("PackageUrl", &url),
        ("PackageVersion", "2.0"),
        ("JDK", "Open JDK 8"),
    ];
    let deployed = edas.call("POST", "/pop/v5/k8s/acs/k8s_apps", &parameters).await;
    let order: OrderId = deployed["ChangeOrderId"].as_str().unwrap().parse().unwrap();
    let order = edas.app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");

    let deployment = edas.app.deployments().get("web").await.unwrap();
    let template = deployment.spec.unwrap().template.spec.unwrap();
    let fetcher = &template.init_containers.as_ref().unwrap()[0];
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args(&fetcher.command.as_ref().unwrap()[1..]).env_clear().kill_on_drop(true);
    for variable in fetcher.env.iter().flatten() {
        // Kubernetes makes one of two.
        command
            .env(&variable.name, variable.value.as_deref().unwrap_or_default().replace("$$", "$"));
    }
    command
        .env("SLUICE_PACKAGE_FOLDER", pod.path())
        .env("SLUICE_PACKAGE_ALLOW_ADDRESSES", "127.0.0.1");
    command.env("SLUICE_TERMINATION_LOG", pod.path().join("termination-log"));
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(std::fs::read(pod.path().join("web-2.0.jar")).unwrap() == package());

    let history = edas.app.service.history(application.parse().unwrap()).await.unwrap();
    let address = &history[0].package.as_ref().unwrap().address;
    assert!(
        address.starts_with(&format!("http://{}/sluice/v1/packages/", edas.address))
            && !address.contains("capability"),
        "{address}"
    );
}
