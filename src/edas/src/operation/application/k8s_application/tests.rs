//! What an application runs, read from its pod template.
//!
//! What was deployed must be echoed exactly, or Terraform plans a change for
//! ever (R29); templates written elsewhere must not upset the reading.

use rstest::rstest;
use serde_json::json;

use super::*;
use crate::wire::shape;
use domain::{
    ApplicationId, ReleaseId,
    package::{Label, PackageKind, runtime::Runtime},
    template::{
        java::{JavaChange, Package},
        spec::{Field, SpecChange, first_template},
    },
};
use service::ReleaseView;

fn application() -> Application {
    Application {
        id: ApplicationId::new(),
        name: "web".into(),
        cluster: "default".into(),
        namespace: "shop".into(),
        namespace_named: true,
        logical_region: "cn-test".into(),
        description: String::new(),
        created_at: "2026-11-23T22:58:10Z".parse().unwrap(),
        created_by: "tests".into(),
        owner: "tests".into(),
        email: String::new(),
        phone: String::new(),
        container: domain::template::container::Known::Nothing,
        replicas: 3,
        ready_replicas: 3,
        replicas_before_stop: None,
        deployment_missing: false,
        release: None,
        package: None,
        last_order: None,
    }
}

/// Terraform would plan a change for ever where none was set.
#[test]
fn the_namespace_that_is_chosen_where_none_was_given_is_not_told_as_one_that_was() {
    let application =
        Application { namespace: "default".into(), namespace_named: false, ..application() };
    let shown = show(&application, &CurrentSpec { release: None, template: json!({}) });
    assert_eq!((shown.name_space.as_str(), shown.app.k8s_namespace.as_str()), ("", "default"));
}

#[test]
fn everything_that_was_deployed_is_echoed() {
    let application = application();
    let image = "registry.example:5000/team/web:2.0";
    let template = json!({
        "metadata": { "labels": { "app": "web" }, "annotations": { "a": "b" } },
        "spec": {
            "tolerations": [{ "key": "k" }],
            "securityContext": { "fsGroup": 9 },
            "volumes": [
                { "name": "logs", "hostPath": { "path": "/var/logs", "type": "Directory" } }, { "name": "cache", "emptyDir": {} },
                { "name": "secret", "secret": { "secretName": "s" } }, { "name": "unused", "hostPath": { "path": "/" } },
            ],
            "containers": [{ "name": "side", "image": "side:1" }, {
                "name": "web", "image": image, "command": ["sh"], "args": ["-c", "run"],
                "env": [{ "name": "A", "value": "1" }, { "name": "B", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }, { "name": "C" },
                    { "name": "D", "valueFrom": { "secretKeyRef": { "name": "s", "key": "d" } } }],
                "envFrom": [{ "configMapRef": { "name": "settings" } }],
                "resources": { "limits": { "cpu": "1500m", "memory": "1Gi", "ephemeral-storage": "8Gi" }, "requests": { "cpu": "1" } },
                "securityContext": { "runAsUser": 7 },
                "volumeMounts": [
                    { "name": "cache", "mountPath": "/cache" }, { "name": "logs", "mountPath": "/logs", "readOnly": true },
                    { "name": "secret", "mountPath": "/secret" }, { "name": "nowhere", "mountPath": "/nowhere" },
                    { "name": "cache", "mountPath": "/more", "subPathExpr": "$(POD)" },
                ],
                "readinessProbe": { "tcpSocket": { "port": 80 } },
            }],
        },
    });
    let release = ReleaseView {
        id: ReleaseId::new(),
        application: application.id,
        version: "2.0".into(),
        image: image.into(),
        package: None,
        description: String::new(),
        created_at: application.created_at,
        released_at: application.created_at,
    };
    let reply = json!(K8sApplicationReply {
        application: show(&application, &CurrentSpec { release: Some(release), template })
    });
    shape::check("GetK8sApplication", &reply);
    let shown = &reply["Applcation"];
    let app = &shown["App"];
    assert_eq!(
        (&app["ApplicationName"], &app["ClusterId"], &app["Instances"]),
        (&json!("web"), &json!("default"), &json!(3))
    );
    assert_eq!(app["BuildpackId"], -1);
    assert_eq!(
        (&shown["NameSpace"], &shown["Description"]),
        (&json!("shop"), &json!(application.description))
    );
    assert_eq!((&app["Cmd"], &app["CmdArgs"]["CmdArg"]), (&json!("sh"), &json!(["-c", "run"])));
    assert_eq!(
        app["EnvList"]["Env"],
        json!([{ "Name": "A", "Value": "1" }, { "Name": "C", "Value": "" }])
    );
    let amounts = ["LimitCpuM", "RequestCpuM", "LimitMem", "RequestMem"]
        .map(|name| app[name].as_i64().unwrap());
    assert_eq!(amounts, [1500, 1000, 1024, 0]);
    assert_eq!(
        (&app["LimitEphemeralStorage"], &app["RequestEphemeralStorage"]),
        (&json!("8"), &json!("0"))
    );
    let given = crate::wire::params::Params::parse(&format!(
        "SecurityContext={}",
        app["SecurityContext"].as_str().unwrap().replace('=', "%3D")
    ));
    let given = crate::value::pods::read(&given.unwrap(), false).unwrap();
    assert_eq!(given.security, Field::Set(json!({ "runAsUser": 7 })), "it can be sent back");
    let folder = json!([{ "type": "Directory", "nodePath": "/var/logs", "mountPath": "/logs" }]);
    let read = |value: &Value| serde_json::from_str::<Value>(value.as_str().unwrap()).unwrap();
    assert_eq!(read(&shown["Conf"]["K8sLocalvolumeInfo"]), folder);
    let volumes = read(&shown["Conf"]["K8sVolumeInfo"]);
    assert_eq!(read(&volumes["hostPaths"]), folder);
    assert_eq!(
        read(&volumes["emptyDirs"]),
        json!([
            { "mountPath": "/cache", "readOnly": false },
            { "mountPath": "/more", "readOnly": false, "subPathExpr": "$(POD)" },
        ])
    );
    assert_eq!(
        (&shown["Conf"]["JarStartArgs"], &shown["Conf"]["JarStartOptions"]),
        (&json!(""), &json!("")),
        "it is no JAR"
    );
    assert_eq!(shown["Conf"]["Readiness"], r#"{"tcpSocket":{"port":80}}"#);
    assert_eq!(
        (&shown["Conf"]["Liveness"], &shown["Conf"]["Tolerations"]),
        (&json!(""), &json!(r#"[{"key":"k"}]"#))
    );
    assert_eq!(
        (&shown["ImageInfo"]["ImageUrl"], &shown["LatestVersion"]["PackageVersion"]),
        (&json!(image), &json!("2.0"))
    );
    let group = &shown["DeployGroups"]["DeployGroup"][0];
    assert_eq!(group["Components"]["Components"], json!([]), "no JDK for an image (R29)");
    let elsewhere: Vec<String> = serde_json::from_str(group["Env"].as_str().unwrap()).unwrap();
    assert_eq!(elsewhere, [r#"{"name":"D","valueFrom":{"secretKeyRef":{"key":"d","name":"s"}}}"#]);
    assert_eq!(group["EnvFrom"], r#"[{"configMapRef":{"name":"settings"}}]"#);
    // As Terraform reads them: whole cores alone, and MB.
    let amounts = ["CpuRequest", "CpuLimit", "MemoryRequest", "MemoryLimit"]
        .map(|name| group[name].as_str().unwrap());
    assert_eq!(amounts, ["1", "", "0", "1024"]);
}

/// Terraform compares what it sent with what is shown, field by field.
#[test]
fn a_probe_is_shown_as_it_was_given_and_not_as_the_api_server_filled_it_in() {
    let probe = json!({ "tcpSocket": { "port": 8080 }, "initialDelaySeconds": 5 });
    let hook = json!({ "httpGet": { "path": "/bye", "port": 80 } });
    let change = SpecChange {
        image: Some("shop/web:1".into()),
        readiness: Field::Set(probe.clone()),
        pods: Box::new(domain::template::pods::PodChange {
            pre_stop: Field::Set(hook.clone()),
            ..Default::default()
        }),
        ..SpecChange::default()
    };
    let mut template =
        change.apply(&first_template("web", ApplicationId::new()), "web", ReleaseId::new());
    let container = &mut template["spec"]["containers"][0];
    for (field, value) in [
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ] {
        container["readinessProbe"][field] = json!(value);
    }
    container["lifecycle"]["preStop"]["httpGet"]["scheme"] = json!("HTTP");
    let shown = |template: &Value| {
        let reply =
            json!(show(&application(), &CurrentSpec { release: None, template: template.clone() }));
        ["Readiness", "PreStop"].map(|name| {
            serde_json::from_str::<Value>(reply["Conf"][name].as_str().unwrap()).unwrap()
        })
    };
    assert_eq!(shown(&template), [probe, hook.clone()]);
    template["spec"]["containers"][0]["readinessProbe"]["periodSeconds"] = json!(2);
    assert_eq!(
        shown(&template),
        [template["spec"]["containers"][0]["readinessProbe"].clone(), hook],
        "somebody changed it since"
    );
}

#[test]
fn a_package_is_shown_with_what_it_runs_on_and_without_its_secrets() {
    let mut application = application();
    application.package = Some(PackageKind::War);
    let package = Package {
        kind: PackageKind::War,
        url: "https://user:geheim@files.example.com/web.war?Signature=geheim".parse().unwrap(),
        fetcher: "sluice:1".into(),
        rules: Vec::new(),
    };
    let runtime = Runtime {
        jdk: "Open JDK 8".into(),
        web_container: Some("apache-tomcat-9".into()),
        image: "tomcat:9".into(),
    };
    let java =
        JavaChange { package: Some(package), runtime: Some(runtime), ..JavaChange::default() };
    let change = SpecChange {
        args: Field::Set(vec!["a".into()]),
        java: Box::new(java),
        ..SpecChange::default()
    };
    let template = change.apply(&first_template("web", application.id), "web", ReleaseId::new());
    let address = "https://files.example.com/web.war";
    let label = Label {
        kind: PackageKind::War,
        address: address.into(),
        jdk: "Open JDK 8".into(),
        web_container: Some("apache-tomcat-9".into()),
    };
    let release = ReleaseView {
        id: ReleaseId::new(),
        application: application.id,
        version: "2.0".into(),
        image: "tomcat:9".into(),
        package: Some(label),
        description: String::new(),
        created_at: application.created_at,
        released_at: application.created_at,
    };
    let reply = json!(K8sApplicationReply {
        application: show(&application, &CurrentSpec { release: Some(release), template })
    });
    shape::check("GetK8sApplication", &reply);
    assert!(!reply.to_string().contains("geheim"));
    let shown = &reply["Applcation"];
    let app = &shown["App"];
    assert_eq!(
        (&app["ApplicationType"], &app["DeployType"], &app["DevelopType"]),
        (&json!("War"), &json!("War"), &json!("General"))
    );
    assert_eq!(
        (&app["Cmd"], &shown["Conf"]["K8sCmd"]),
        (&json!(""), &json!("")),
        "nobody gave this command (R29)"
    );
    let conf = &shown["Conf"];
    assert_eq!(
        (&conf["K8sLocalvolumeInfo"], &conf["K8sVolumeInfo"]),
        (&json!(""), &json!(r#"{"emptyDirs":"[]","hostPaths":"[]"}"#))
    );
    assert_eq!(
        (&conf["JarStartArgs"], &app["SecurityContext"], &app["LimitEphemeralStorage"]),
        (&json!(""), &json!(""), &json!("0"))
    );
    assert_eq!(
        (&app["CmdArgs"]["CmdArg"], &app["TomcatVersion"]),
        (&json!(["a"]), &json!("apache-tomcat-9"))
    );
    assert_eq!(
        (&shown["LatestVersion"]["Url"], &shown["LatestVersion"]["WarUrl"]),
        (&json!(address), &json!(address))
    );
    assert_eq!(shown["ImageInfo"]["ImageUrl"], "", "nobody set an image");
    let components =
        shown["DeployGroups"]["DeployGroup"][0]["Components"]["Components"].as_array().unwrap();
    let keys: Vec<_> = components
        .iter()
        .map(|it| (it["Type"].as_str().unwrap(), it["ComponentKey"].as_str().unwrap()))
        .collect();
    assert_eq!(keys, [("JDK", "Open JDK 8"), ("TOMCAT", "apache-tomcat-9")]);
}

#[test]
fn a_jar_is_shown_with_what_starts_it() {
    let package = Package {
        kind: PackageKind::FatJar,
        url: "https://files.example.com/web.jar?token=geheim".parse().unwrap(),
        fetcher: "sluice:1".into(),
        rules: Vec::new(),
    };
    let runtime = Runtime { jdk: "Open JDK 8".into(), web_container: None, image: "jdk:8".into() };
    let options = Field::Set("-Xms512m -Da=b".into());
    let java = JavaChange {
        package: Some(package),
        runtime: Some(runtime),
        jvm_options: options,
        ..JavaChange::default()
    };
    let args = Field::Set(vec!["--port".into(), "80".into()]);
    let change = SpecChange { args, java: Box::new(java), ..SpecChange::default() };
    let template =
        change.apply(&first_template("web", ApplicationId::new()), "web", ReleaseId::new());
    let reply = json!(K8sApplicationReply {
        application: show(&application(), &CurrentSpec { release: None, template })
    });
    assert!(!reply.to_string().contains("geheim"));
    let conf = &reply["Applcation"]["Conf"];
    assert_eq!(
        (&conf["JarStartArgs"], &conf["JarStartOptions"]),
        (&json!("--port 80"), &json!("-Xms512m -Da=b"))
    );
}

#[test]
fn an_application_whose_first_version_is_not_known_yet_is_shown_without_it() {
    let reply = json!(K8sApplicationReply {
        application: show(&application(), &CurrentSpec { release: None, template: Value::Null })
    });
    shape::check("GetK8sApplication", &reply);
    let shown = &reply["Applcation"];
    assert_eq!(
        (
            &shown["App"]["BuildpackId"],
            &shown["ImageInfo"]["ImageUrl"],
            &shown["Conf"]["Readiness"]
        ),
        (&json!(-1), &json!(""), &json!(""))
    );
}

#[rstest]
#[case("web", "", "web", "")]
#[case("shop/web:1", "1", "web", "shop")]
#[case("registry.example:5000/a/b/web:1@sha256:ab", "1", "web", "a/b")]
#[case("localhost/web", "", "web", "")]
fn an_image_address_is_taken_apart(
    #[case] image: &str,
    #[case] tag: &str,
    #[case] name: &str,
    #[case] namespace: &str,
) {
    let info = image_info(image);
    assert_eq!(
        (info.tag.as_str(), info.repo_name.as_str(), info.repo_namespace.as_str()),
        (tag, name, namespace)
    );
    assert_eq!(info.image_url, image);
}
