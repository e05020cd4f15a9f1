//! What the store takes and keeps, on a folder and on a store in memory that
//! counts as a bucket.

use std::{
    os::unix::fs::PermissionsExt,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures::stream;
use object_store::memory::InMemory;
use tempfile::TempDir;

use super::*;

const PART_BYTES: usize = PART as usize;

fn body(parts: Vec<io::Result<Bytes>>) -> BoxStream<'static, io::Result<Bytes>> {
    stream::iter(parts).boxed()
}

fn files(folder: &TempDir) -> usize {
    std::fs::read_dir(folder.path()).unwrap().count()
}

fn open(folder: &TempDir) -> Objects {
    Objects::open(folder.path().to_str().unwrap(), []).unwrap()
}

#[tokio::test]
async fn what_is_put_is_got_back_and_goes_when_it_is_deleted() {
    let folder = TempDir::new().unwrap();
    let objects = open(&folder);
    let large = Bytes::from(vec![7; PART_BYTES + 1]);
    let stored = objects
        .put("a", body(vec![Ok(Bytes::from_static(b"PK")), Ok(large.clone())]), 1 << 30)
        .await
        .unwrap();
    let whole = [b"PK", &large[..]].concat();
    assert_eq!(stored.bytes, whole.len() as u64);
    assert_eq!(
        (stored.md5, stored.sha256),
        (hex::encode(Md5::digest(&whole)), hex::encode(Sha256::digest(&whole)))
    );
    let crc64 = |text: &[u8]| crc_fast::checksum(CrcAlgorithm::Crc64Xz, text);
    assert_eq!(
        (stored.crc64, crc64(b"123456789")),
        (crc64(&whole), 0x995d_c9bb_df19_39fa),
        "the check value of CRC-64/XZ"
    );
    let parts = whole.chunks(1_000_003).map(|part| (crc64(part), part.len() as u64));
    assert_eq!((joined_crc64(parts), joined_crc64([])), (stored.crc64, crc64(b"")));
    let (size, parts) = objects.get("a").await.unwrap();
    let got: Vec<Bytes> = parts.map(Result::unwrap).collect().await;
    assert!(size == whole.len() as u64 && got.concat() == whole);
    objects.delete("a").await.unwrap();
    assert!(objects.get("a").await.is_err());
}

#[tokio::test]
async fn what_is_too_large_or_breaks_off_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let objects = open(&folder);
    let part = || Ok(Bytes::from(vec![7; PART_BYTES]));
    let too_large = objects.put("a", body(vec![part(), part()]), PART * 2 - 1).await;
    assert!(matches!(too_large, Err(PutError::TooLarge(_))));
    let cut_off =
        objects.put("a", body(vec![part(), Err(io::Error::other("gone"))]), 1 << 30).await;
    assert!(matches!(cut_off, Err(PutError::CutOff(_))));
    assert_eq!(files(&folder), 0);
    assert_eq!(
        objects.put("a", body(vec![part(), part()]), PART * 2).await.unwrap().bytes,
        PART * 2
    );
}

#[tokio::test]
async fn a_client_that_says_nothing_any_more_is_given_up() {
    let folder = TempDir::new().unwrap();
    let silent = stream::iter([Ok(Bytes::from_static(b"PK"))]).chain(stream::pending()).boxed();
    let objects = Objects { longest_silence: Duration::from_millis(20), ..open(&folder) };
    assert!(matches!(objects.put("a", silent, 100).await, Err(PutError::Silent(_))));
    assert_eq!(files(&folder), 0);
}

#[test]
fn a_store_is_a_folder_or_a_bucket() {
    let folder = TempDir::new().unwrap();
    let inner = folder.path().join("new folder");
    assert!(Objects::open(Url::from_file_path(&inner).unwrap().as_str(), []).is_ok());
    assert!(inner.is_dir());
    let region = [
        ("AWS_REGION".to_owned(), "eu-1".to_owned()),
        ("TOKEN".to_owned(), "not meant".to_owned()),
    ];
    assert!(Objects::open("s3://bucket/prefix", region).is_ok());
    for wrong in
        ["s3://", "gs://bucket", "http://host/path", "s3://key:secret@bucket", "file://host/folder"]
    {
        assert!(matches!(Objects::open(wrong, []), Err(Unusable::Unknown)), "{wrong}");
    }
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(Objects::open(file.to_str().unwrap(), []), Err(Unusable::Folder { .. })));
}

fn mode(path: &FilePath) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn nobody_else_can_read_a_package_that_is_kept_in_a_folder() {
    let place = TempDir::new().unwrap();
    let folder = place.path().join("made/packages");
    let objects = Objects::open(folder.to_str().unwrap(), []).unwrap();
    assert_eq!(mode(&folder), 0o700);
    let seen = Arc::new(AtomicUsize::new(0));
    let (draft, looked) = (folder.join("a.part"), seen.clone());
    // Also while it comes, before it has its name.
    let parts = stream::iter([Ok(Bytes::from_static(b"PK")), Ok(Bytes::from_static(b"..."))])
        .inspect(move |_| {
            assert_eq!(mode(&draft), 0o600);
            looked.fetch_add(1, Ordering::Relaxed);
        });
    objects.put("a", parts.boxed(), 100).await.unwrap();
    assert_eq!((mode(&folder.join("a")), seen.load(Ordering::Relaxed)), (0o600, 2));
}

#[test]
fn packages_that_were_kept_open_to_others_are_closed_and_nothing_else_is() {
    let place = TempDir::new().unwrap();
    let set = |path: &FilePath, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap()
    };
    let (ours, shared) = (place.path().join("ours"), place.path().join("shared"));
    let name = uuid::Uuid::now_v7().to_string();
    for folder in [&ours, &shared] {
        std::fs::create_dir(folder).unwrap();
        set(folder, 0o755);
        std::fs::write(folder.join(&name), "PK").unwrap();
        set(&folder.join(&name), 0o644);
    }
    std::fs::write(shared.join("notes.txt"), "").unwrap();
    set(&shared.join("notes.txt"), 0o644);
    for folder in [&ours, &shared] {
        Objects::open(folder.to_str().unwrap(), []).unwrap();
        assert_eq!(mode(&folder.join(&name)), 0o600);
    }
    assert_eq!(
        (mode(&ours), mode(&shared), mode(&shared.join("notes.txt"))),
        (0o700, 0o755, 0o644)
    );
}

#[tokio::test]
async fn of_an_upload_to_a_bucket_two_parts_are_in_memory_at_the_most() {
    let objects = Objects::on(InMemory::new());
    let upload = objects.store.put_multipart(&Path::from("a")).await.unwrap();
    let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
    upload.write(&vec![7; PART_BYTES]);
    // One is on its way: there is no capacity for another until it is there.
    assert!(futures::poll!(std::pin::pin!(upload.wait_for_capacity(PARTS_AT_ONCE))).is_pending());
    let whole = vec![7; 3 * PART_BYTES + 1];
    let stored = objects
        .put(
            "b",
            body(whole.chunks(1 << 20).map(|part| Ok(Bytes::copy_from_slice(part))).collect()),
            1 << 30,
        )
        .await
        .unwrap();
    assert_eq!(stored.bytes, whole.len() as u64);
    let (size, _) = objects.get("b").await.unwrap();
    assert_eq!(size, whole.len() as u64);
}

#[tokio::test]
async fn a_client_that_goes_on_for_ever_is_given_up() {
    let folder = TempDir::new().unwrap();
    let objects = Objects { longest_upload: Duration::from_millis(20), ..open(&folder) };
    let endless = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Some((Ok(Bytes::from_static(b"P")), ()))
    });
    assert!(matches!(objects.put("a", endless.boxed(), 1 << 30).await, Err(PutError::Slow(_))));
    assert_eq!(files(&folder), 0);
}

#[tokio::test]
async fn everything_that_is_stored_is_listed_also_what_broke_off() {
    let folder = TempDir::new().unwrap();
    let objects = open(&folder);
    objects.put("a", body(vec![Ok(Bytes::from_static(b"PK"))]), 100).await.unwrap();
    std::fs::write(folder.path().join("b.part"), "P").unwrap();
    let mut names: Vec<String> = objects.list().map(|listed| listed.unwrap().name).collect().await;
    names.sort_unstable();
    assert_eq!(names, ["a", "b.part"]);
    objects.delete("b.part").await.unwrap();
    objects.delete("b.part").await.unwrap();
    assert_eq!(files(&folder), 1);
    std::fs::write(folder.path().join("a.part"), "P").unwrap();
    objects.discard("a").await.unwrap();
    objects.discard("a").await.unwrap();
    assert_eq!(files(&folder), 0);
}
