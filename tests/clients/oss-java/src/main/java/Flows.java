import com.aliyun.oss.OSSClient;
import com.aliyun.oss.OSSException;
import com.aliyun.oss.event.ProgressEventType;
import com.aliyun.oss.model.AbortMultipartUploadRequest;
import com.aliyun.oss.model.CompleteMultipartUploadRequest;
import com.aliyun.oss.model.InitiateMultipartUploadRequest;
import com.aliyun.oss.model.ListMultipartUploadsRequest;
import com.aliyun.oss.model.ListPartsRequest;
import com.aliyun.oss.model.PartETag;
import com.aliyun.oss.model.UploadFileRequest;
import com.aliyun.oss.model.UploadPartRequest;
import com.aliyun.oss.model.UploadPartResult;
import java.io.ByteArrayInputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * OSS' client for Java uploads packages in parts: also as the Jenkins plugin does, which sends five
 * parts at once.
 *
 * <p>What the client says is asserted, and that the package is in the store. A line of JSON on
 * standard output tells which client this is, and one for each flow how it went. Ends with 0 only
 * if all went well; a flow that failed is the last.
 *
 * <p>Settings: STORE (an address), BUCKET, PREFIX, STORE_KEY_ID, STORE_KEY_SECRET and STORE_TOKEN,
 * as ../python/credential.py prints them, and PACKAGES (the folder in which the server keeps
 * uploaded packages).
 */
public class Flows {
    private static final int PART = 100 << 10;
    private static final int PARTS = 5;
    private static final String BUCKET = System.getenv("BUCKET");

    private interface Flow {
        void run() throws Exception;
    }

    private final OSSClient client =
        new OSSClient(System.getenv("STORE"), System.getenv("STORE_KEY_ID"), System.getenv("STORE_KEY_SECRET"), System.getenv("STORE_TOKEN"));

    private static String key(String name) {
        return System.getenv("PREFIX") + "/apps/shop 1/" + name;
    }

    private static byte[] content(int seed) {
        byte[] content = new byte[PARTS * PART + 3];
        new Random(seed).nextBytes(content);
        return content;
    }

    private void inParts() throws Exception {
        byte[] content = content(1);
        String key = key("whole.jar");
        String upload = client.initiateMultipartUpload(new InitiateMultipartUploadRequest(BUCKET, key)).getUploadId();
        var pool = Executors.newFixedThreadPool(PARTS);
        List<Future<UploadPartResult>> sent = new ArrayList<>();
        for (int index = 0; index < PARTS; index++) {
            int begin = index * PART;
            int end = index + 1 == PARTS ? content.length : begin + PART;
            int number = index + 1;
            Callable<UploadPartResult> one = () -> {
                var stream = new ByteArrayInputStream(content, begin, end - begin);
                return client.uploadPart(new UploadPartRequest(BUCKET, key, upload, number, stream, end - begin));
            };
            sent.add(pool.submit(one));
        }
        List<PartETag> tags = new ArrayList<>();
        for (Future<UploadPartResult> one : sent) {
            check(one.get().getServerCRC() != null, "a part's checksum is there to compare");
            tags.add(one.get().getPartETag());
        }
        pool.shutdown();
        tags.sort(Comparator.comparingInt(PartETag::getPartNumber));
        check(client.listParts(new ListPartsRequest(BUCKET, key, upload)).getParts().size() == PARTS, "all parts are listed");
        var done = client.completeMultipartUpload(new CompleteMultipartUploadRequest(BUCKET, key, upload, tags));
        check(done.getETag().endsWith("-" + PARTS) && done.getKey().equals(key), done.getETag() + " of " + done.getKey());
        check(done.getClientCRC() != null && done.getClientCRC().equals(done.getServerCRC()), "the checksums agree");
        isKept(content);
    }

    private void afterABreak() throws Exception {
        byte[] content = content(2);
        Path file = Files.createTempFile("broken", ".jar");
        Files.write(file, content);
        String key = key("broken.jar");
        Path checkpoint = Files.createTempDirectory("checkpoints").resolve("one");
        var request = new UploadFileRequest(BUCKET, key, file.toString(), PART, 1, true, checkpoint.toString());
        // After two parts the file is taken away; back at its place it is as it was.
        Path away = file.resolveSibling(file.getFileName() + ".away");
        int[] sent = {0};
        request.setProgressListener(event -> {
            if (event.getEventType() == ProgressEventType.REQUEST_BYTE_TRANSFER_EVENT && ++sent[0] == 2) {
                check(file.toFile().renameTo(away.toFile()), "the file is taken away");
            }
        });
        try {
            client.uploadFile(request);
            throw new AssertionError("it did not break");
        } catch (Exception | Error broken) {
            check(!(broken instanceof AssertionError), "it did not break");
        } catch (Throwable other) {
            throw new AssertionError(other);
        }
        Files.move(away, file);
        var listed = client.listMultipartUploads(listOf(System.getenv("PREFIX"))).getMultipartUploads();
        check(listed.size() == 1 && listed.get(0).getKey().equals(key), listed.size() + " are under way");
        String upload = listed.get(0).getUploadId();
        int there = client.listParts(new ListPartsRequest(BUCKET, key, upload)).getParts().size();
        check(there >= 2 && there < PARTS, there + " parts are there");
        var again = new UploadFileRequest(BUCKET, key, file.toString(), PART, 1, true, checkpoint.toString());
        try {
            client.uploadFile(again);
        } catch (Throwable error) {
            throw new AssertionError(error);
        }
        isKept(content);
        check(client.listMultipartUploads(listOf(System.getenv("PREFIX"))).getMultipartUploads().isEmpty(), "the same one was completed");
        Files.delete(file);
    }

    private void givenUp() {
        String key = key("gone.jar");
        String upload = client.initiateMultipartUpload(new InitiateMultipartUploadRequest(BUCKET, key)).getUploadId();
        client.abortMultipartUpload(new AbortMultipartUploadRequest(BUCKET, key, upload));
        try {
            client.listParts(new ListPartsRequest(BUCKET, key, upload));
            throw new AssertionError("it is still there");
        } catch (OSSException said) {
            check(said.getErrorCode().equals("NoSuchUpload"), said.getErrorCode());
        }
    }

    private static ListMultipartUploadsRequest listOf(String prefix) {
        var request = new ListMultipartUploadsRequest(BUCKET);
        request.setPrefix(prefix);
        return request;
    }

    private static void isKept(byte[] content) throws Exception {
        try (var files = Files.list(Path.of(System.getenv("PACKAGES")))) {
            for (Path file : files.toList()) {
                try {
                    if (Arrays.equals(Files.readAllBytes(file), content)) {
                        return;
                    }
                } catch (NoSuchFileException removed) {
                    // A part that the server has put together since the folder was listed.
                }
            }
        }
        throw new AssertionError("the package is not in the store");
    }

    private static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    public static void main(String[] arguments) throws Exception {
        tell("\"client\":\"aliyun-sdk-oss\",\"version\":\"" + version() + "\"");
        Flows store = new Flows();
        Map<String, Flow> flows = new LinkedHashMap<>();
        flows.put("package in parts", store::inParts);
        flows.put("package in parts, after a break", store::afterABreak);
        flows.put("package in parts, given up", store::givenUp);
        for (Map.Entry<String, Flow> flow : flows.entrySet()) {
            try {
                flow.getValue().run();
            } catch (Exception | AssertionError error) {
                error.printStackTrace();
                tell("\"flow\":\"" + flow.getKey() + "\",\"passed\":false,\"why\":\"standard error says\"");
                System.exit(1);
            }
            tell("\"flow\":\"" + flow.getKey() + "\",\"passed\":true");
        }
        System.exit(0); // the client's pool of connections would hold the program
    }

    private static void tell(String fields) {
        new PrintStream(System.out, true, StandardCharsets.UTF_8).println("{" + fields + "}");
    }

    /** The version of the package that was loaded, not the one that was asked for. */
    private static String version() throws Exception {
        Properties properties = new Properties();
        try (var file = Flows.class.getResourceAsStream("/META-INF/maven/com.aliyun.oss/aliyun-sdk-oss/pom.properties")) {
            properties.load(file);
        }
        return properties.getProperty("version");
    }
}
