import com.google.gson.Gson;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;

/**
 * The old Java SDK releases an application the ways its users do.
 *
 * <p>Each flow takes the SDK's own typed replies and goes by what they say. A line of JSON on
 * standard output tells which client this is, and one for each flow how it went. Ends with 0 only
 * if all went well; a flow that failed is the last.
 *
 * <p>Settings: ENDPOINT (host:port), ACCESS_KEY_ID, ACCESS_KEY_SECRET, APP_NAME, NAMESPACE.
 */
public class Flows {
    private interface Flow {
        void run() throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        tell(Map.of("client", "aliyun-java-sdk-edas", "version", version()));
        Shop shop = new Shop();
        Map<String, Flow> flows = new LinkedHashMap<>();
        flows.put("insert", shop::insert);
        flows.put("all at once", shop::allAtOnce);
        flows.put("phased, confirmed", shop::phased);
        flows.put("canary", shop::canary);
        flows.put("abort and roll back", shop::abortAndRollBack);
        flows.put("roll back to a version", shop::rollBackToVersion);
        flows.put("read", shop::read);
        flows.put("refusals", shop::refusals);
        flows.put("operate and delete", shop::operateAndDelete);
        for (Map.Entry<String, Flow> flow : flows.entrySet()) {
            try {
                flow.getValue().run();
            } catch (Exception | AssertionError error) {
                error.printStackTrace();
                tell(Map.of("flow", flow.getKey(), "passed", false, "why", error.toString()));
                System.exit(1);
            }
            tell(Map.of("flow", flow.getKey(), "passed", true));
        }
        System.exit(0); // the SDK's pool of connections would hold the program
    }

    private static void tell(Map<String, Object> line) {
        new PrintStream(System.out, true, StandardCharsets.UTF_8).println(new Gson().toJson(line));
    }

    /** The version of the package that was loaded, not the one that was asked for. */
    private static String version() throws Exception {
        Properties properties = new Properties();
        try (var file = Flows.class.getResourceAsStream("/META-INF/maven/com.aliyun/aliyun-java-sdk-edas/pom.properties")) {
            properties.load(file);
        }
        return properties.getProperty("version");
    }
}
