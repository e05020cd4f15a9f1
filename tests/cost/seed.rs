//! What the fuzzing begins with: the recorded requests of real clients, and what is in them.

use std::{collections::BTreeSet, fs, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use edas::wire::params::Params;
use serde::Deserialize;

use crate::target;

#[derive(Deserialize)]
struct File {
    captures: Vec<Capture>,
}

#[derive(Deserialize)]
struct Capture {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

/// Inputs of the fuzzing's target that no client of those recorded sends.
const OTHERS: &[&str] = &[
    "yaml\nname: a\nimage: &x b\nenv: [{name: A, value: *x}]\n",
    "yaml\na: &a {b: 1}\nc: {<<: *a, d: |\n  text\n}\n",
    "json\n[{\"a\":[1,-2.5e3,true,null,\"\\u00e9\\\\\"]}]",
    "xml\n<?xml version=\"1.0\"?><a b='c'><!-- d --><e/>text &amp; <![CDATA[<]]></a>",
    "url\nhttps://user:secret@files.example.com:8443/a%20b/app-1.0.jar?x=y#sha256=0000000000000000000000000000000000000000000000000000000000000000",
    "url\nhttps://bucket.packages.sluice.invalid/sluice-packages/01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e/a+b/app.jar",
    "url\nhttp://[64:ff9b::10.0.0.1]/app.war",
    "upload\napps/shop 1.0+\u{7248}/app.jar",
    "quantity\n1.5Gi",
    "quantity\n-12e-3",
    "oss\nPUT /sluice-packages%2F01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e/app.jar HTTP/1.1\nhost: bucket.example.com\nauthorization: OSS 01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e:AAAA\ndate: Tue, 24 Nov 2026 06:58:10 GMT\nx-oss-security-token: t\n\n",
    "oss\nPUT /sluice-packages/01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e/app.jar?partNumber=1&uploadId=01935A2C52B07C418D6E2A4F6B8C0D1E HTTP/1.1\nhost: bucket.example.com\n\n",
    "oss\nGET /?uploads&prefix=a%2Fb&max-uploads=10&encoding-type=url HTTP/1.1\nhost: bucket.example.com\n\n",
    "parts\n<?xml version=\"1.0\"?><CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>&#34;0CC175B9C0F1B6A831C399E269772661&quot;</ETag><Size/></Part></CompleteMultipartUpload>",
    "value Sidecars\n[{\"yamlEncoded\":\"bmFtZTogYQppbWFnZTogYgo=\"}]",
    "value SecurityContext\ncnVuQXNVc2VyOiAxMDAwCg==",
    "value CustomAffinity\n{\"podAntiAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":[{\"topologyKey\":\"zone\"}]}}",
    "value CustomTolerations\n[{\"key\":\"a\",\"operator\":\"Exists\"}]",
    "value PvcMountDescs\n[{\"pvcName\":\"a\",\"mountPaths\":[{\"mountPath\":\"/a\",\"readOnly\":true}]}]",
    "value EmptyDirs\n[{\"mountPath\":\"/a\",\"subPathExpr\":\"$(A)\"}]",
    "value IngressConf\n{\"rules\":[{\"host\":\"a.b\",\"paths\":[{\"path\":\"/a\",\"backend\":{\"serviceName\":\"s\",\"servicePort\":\"80\"}}]}]}",
    "value ScalingRuleTrigger\n{\"minReplicas\":1,\"maxReplicas\":\"10\",\"triggers\":[{\"type\":\"cpu\",\"metaData\":\"{\\\"value\\\":\\\"60\\\"}\"}]}",
    "value ScalingBehaviour\n{\"scaleUp\":{\"selectPolicy\":\"Max\",\"policies\":[{\"type\":\"Pods\",\"value\":5,\"periodSeconds\":15}]}}",
    "value ResourceContent\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: web, image: a}]}}}\n",
    "value Readiness\n{\"httpGet\":{\"path\":\"/\",\"port\":\"80\",\"HttpHeaders\":[{\"name\":\"a\",\"value\":\"b\"}]},\"periodSeconds\":\"5\"}",
    "value WebContainerConfig\n{\"contextInputType\":\"custom\",\"contextPath\":\"/a/b\",\"httpPort\":\"8080\"}",
    "sign\nData.1.Key=a&Data.1.Value=&Data.2.Key=b%26c",
];

/// All of them, each once.
pub fn all() -> BTreeSet<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients/captures");
    let mut seeds: BTreeSet<Vec<u8>> = OTHERS.iter().map(|text| text.as_bytes().to_vec()).collect();
    for entry in
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    {
        let path = entry.unwrap().path();
        let file: File = serde_json::from_slice(&fs::read(&path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for capture in &file.captures {
            seeds.extend(of(capture));
        }
    }
    seeds
}

/// A recorded request, and each of its parameters by itself.
fn of(capture: &Capture) -> Vec<Vec<u8>> {
    let headers: String =
        capture.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let head = format!("{} {} HTTP/1.1\n{headers}\n", capture.method, capture.target);
    // An upload's body is a package.
    if capture.headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("authorization") && value.starts_with("OSS ")
    }) {
        return vec![format!("oss\n{head}").into_bytes()];
    }
    let query = capture.target.split_once('?').map_or("", |(_, query)| query);
    let mut seeds = vec![format!("request\n{head}{}", capture.body).into_bytes()];
    for encoded in [query, capture.body.as_str()].into_iter().filter(|it| !it.is_empty()) {
        let Ok(params) = Params::parse(encoded) else { continue };
        seeds.push(format!("sign\n{encoded}").into_bytes());
        for (name, value) in
            params.pairs().iter().filter(|(name, _)| name.len() < target::LONGEST_KIND - 6)
        {
            seeds.push(format!("value {name}\n{value}").into_bytes());
            if let Some(decoded) =
                STANDARD.decode(value).ok().and_then(|decoded| String::from_utf8(decoded).ok())
            {
                seeds.push(format!("yaml\n{decoded}").into_bytes());
            }
        }
    }
    seeds
}

/// Writes them into a folder, each into a file of its own.
pub fn write(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for (index, seed) in all().into_iter().enumerate() {
        fs::write(folder.join(format!("seed-{index:04}")), seed).unwrap();
    }
}
