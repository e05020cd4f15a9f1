import com.aliyuncs.AcsResponse;
import com.aliyuncs.DefaultAcsClient;
import com.aliyuncs.IAcsClient;
import com.aliyuncs.RoaAcsRequest;
import com.aliyuncs.edas.model.v20170801.AbortAndRollbackChangeOrderRequest;
import com.aliyuncs.edas.model.v20170801.ContinuePipelineRequest;
import com.aliyuncs.edas.model.v20170801.DeleteK8sApplicationRequest;
import com.aliyuncs.edas.model.v20170801.DeployK8sApplicationRequest;
import com.aliyuncs.edas.model.v20170801.GetApplicationRequest;
import com.aliyuncs.edas.model.v20170801.GetChangeOrderInfoRequest;
import com.aliyuncs.edas.model.v20170801.GetChangeOrderInfoResponse.ChangeOrderInfo;
import com.aliyuncs.edas.model.v20170801.GetChangeOrderInfoResponse.ChangeOrderInfo.PipelineInfo;
import com.aliyuncs.edas.model.v20170801.GetK8sApplicationRequest;
import com.aliyuncs.edas.model.v20170801.GetK8sApplicationResponse;
import com.aliyuncs.edas.model.v20170801.InsertK8sApplicationRequest;
import com.aliyuncs.edas.model.v20170801.ListApplicationRequest;
import com.aliyuncs.edas.model.v20170801.ListHistoryDeployVersionRequest;
import com.aliyuncs.edas.model.v20170801.ListRecentChangeOrderRequest;
import com.aliyuncs.edas.model.v20170801.RestartK8sApplicationRequest;
import com.aliyuncs.edas.model.v20170801.RollbackApplicationRequest;
import com.aliyuncs.edas.model.v20170801.ScaleK8sApplicationRequest;
import com.aliyuncs.edas.model.v20170801.StartK8sApplicationRequest;
import com.aliyuncs.edas.model.v20170801.StopK8sApplicationRequest;
import com.aliyuncs.exceptions.ClientException;
import com.aliyuncs.profile.DefaultProfile;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Collectors;

/** The application under release, and what was done to it. */
class Shop {
    private static final int SUCCESS = 2;
    private static final int ABORTED = 6;
    private static final int WAITS_FOR_CONFIRMATION = 8;
    private static final Set<Integer> FINAL = Set.of(2, 3, 6, 10);
    private static final Duration ORDER_DEADLINE = Duration.ofSeconds(90);
    private static final Duration POLL_INTERVAL = Duration.ofMillis(200);

    private static final int REPLICAS = 4;
    private static final int SCALED_TO = 6;
    private static final String ENV_NAME = "GREETING";
    private static final String ENV_VALUE = "b c/\u00fc+~*&=";
    private static final String IN_THREE = "{\"type\":\"BatchUpdate\",\"batchUpdate\":{\"batch\":3,\"releaseType\":\"manual\"}}";
    private static final String ONE_FIRST =
            "{\"type\":\"GrayBatchUpdate\",\"grayUpdate\":{\"gray\":1},\"batchUpdate\":{\"batch\":2,\"releaseType\":\"auto\",\"batchWaitTime\":0}}";

    private final String name = System.getenv("APP_NAME");
    private final String namespace = System.getenv("NAMESPACE");
    private final IAcsClient client;
    private final List<String> orders = new ArrayList<>(); // oldest first
    private String id;

    Shop() {
        DefaultProfile.addEndpoint("cn-hangzhou", "Edas", System.getenv("ENDPOINT"));
        client = connect(System.getenv("ACCESS_KEY_SECRET"));
    }

    private static IAcsClient connect(String secret) {
        return new DefaultAcsClient(DefaultProfile.getProfile("cn-hangzhou", System.getenv("ACCESS_KEY_ID"), secret));
    }

    void insert() throws Exception {
        var request = new InsertK8sApplicationRequest();
        request.setAppName(name);
        request.setNamespace(namespace);
        request.setClusterId("default");
        request.setPackageType("Image");
        request.setImageUrl(image("1.0"));
        request.setPackageVersion("1.0");
        request.setReplicas(REPLICAS);
        var made = call(request).getApplicationInfo();
        expect("AppName", made.getAppName(), name);
        id = made.getAppId();
        orders.add(made.getChangeOrderId());
        succeeds(made.getChangeOrderId());
    }

    void allAtOnce() throws Exception {
        var request = release("2.0");
        request.setEnvs("[{\"name\":\"" + ENV_NAME + "\",\"value\":\"" + ENV_VALUE + "\"}]");
        request.setChangeOrderDesc("second version");
        ChangeOrderInfo end = succeeds(deploy(request));
        expect("BatchCount", end.getBatchCount(), 1);
        expect("pods of the batches", podsOfBatches(end), List.of(REPLICAS));
        runs("2.0");
    }

    void phased() throws Exception {
        var request = release("3.0");
        request.setUpdateStrategy(IN_THREE);
        String order = deploy(request);
        for (int done = 1; done <= 2; done++) {
            confirm(waits(order, done).getPipelineInfoList().get(done));
        }
        ChangeOrderInfo end = succeeds(order);
        expect("BatchType", end.getBatchType(), "Manual");
        expect("pods of the batches", podsOfBatches(end), List.of(1, 1, 2));
        runs("3.0");
    }

    void canary() throws Exception {
        var request = release("4.0");
        request.setUpdateStrategy(ONE_FIRST);
        String order = deploy(request);
        ChangeOrderInfo waiting = waits(order, 1);
        expect("pods of the canary", podsOfBatches(waiting).get(0), 1);
        confirm(waiting.getPipelineInfoList().get(0));
        expect("pods of the batches", podsOfBatches(succeeds(order)), List.of(1, 1, 2));
        runs("4.0");
    }

    void abortAndRollBack() throws Exception {
        var request = release("5.0");
        request.setUpdateStrategy(IN_THREE);
        String order = deploy(request);
        expect("SupportRollback", waits(order, 1).getSupportRollback(), true);
        var abort = new AbortAndRollbackChangeOrderRequest();
        abort.setChangeOrderId(order);
        String rollback = call(abort).getData().getChangeOrderId();
        orders.add(rollback);
        expect("the way back is the order that was aborted", rollback.equals(order), false);
        succeeds(rollback);
        expect("the aborted order's Status", info(order).getStatus(), ABORTED);
        runs("4.0");
    }

    void rollBackToVersion() throws Exception {
        var list = new ListHistoryDeployVersionRequest();
        list.setAppId(id);
        var chosen = call(list).getPackageVersionList().stream()
                .filter(one -> "2.0".equals(one.getPackageVersion()) && id.equals(one.getAppId()))
                .findFirst()
                .orElseThrow();
        var request = new RollbackApplicationRequest();
        request.setAppId(id);
        request.setGroupId("all");
        request.setHistoryVersion(chosen.getPackageVersion());
        request.setBatch(2);
        String order = call(request).getChangeOrderId();
        orders.add(order);
        expect("pods of the batches", podsOfBatches(succeeds(order)), List.of(2, 2));
        runs("2.0");
    }

    void read() throws Exception {
        var reply = call(get());
        var one = reply.getApplcation();
        expect("Applcation", List.of(one.getAppId(), one.getName(), one.getClusterType()), List.of(id, name, 5));
        var twin = reply.getApplication();
        expect("Application", List.of(twin.getAppId(), twin.getName(), twin.getClusterType()), List.of(id, name, "5"));
        expect("InstanceCount and AppPhase", List.of(one.getInstanceCount(), one.getAppPhase()), List.of(REPLICAS, "ready"));

        var listed = call(new ListApplicationRequest()).getApplicationList().stream()
                .filter(application -> application.getAppId().equals(id))
                .findFirst()
                .orElseThrow();
        expect("the listed application",
                List.of(listed.getName(), listed.getClusterId(), listed.getClusterType(), listed.getInstances()),
                List.of(name, "default", 5, REPLICAS));

        var app = whole().getApp();
        expect("App",
                List.of(app.getApplicationName(), app.getApplicationType(), app.getInstances(), app.getK8sNamespace()),
                List.of(name, "Image", REPLICAS, namespace));
        expect("BuildpackId is there", app.getBuildpackId() != null, true);
        expect("the environment",
                app.getEnvList().stream().map(env -> env.getName() + "=" + env.getValue()).toList(),
                List.of(ENV_NAME + "=" + ENV_VALUE));

        var recent = new ListRecentChangeOrderRequest();
        recent.setAppId(id);
        List<String> oldestFirst = call(recent).getChangeOrderList().stream()
                .map(order -> order.getChangeOrderId())
                .collect(Collectors.toList());
        Collections.reverse(oldestFirst);
        expect("the orders, oldest first,", oldestFirst, orders);
    }

    void refusals() throws Exception {
        var unknown = new GetChangeOrderInfoRequest();
        unknown.setChangeOrderId("00000000-0000-7000-8000-000000000000");
        var reply = client.getAcsResponse(unknown);
        expect("Code for an unknown order", reply.getCode(), 601);
        expect("its Message says that it does not exist", reply.getMessage().contains("does not exist"), true);
        try {
            connect("wrong").getAcsResponse(new ListApplicationRequest());
        } catch (ClientException error) {
            // The SDK says this itself where the message has the text that it signed.
            expect("the error for a wrong secret", error.getErrCode(), "SDK.InvalidAccessKeySecret");
            return;
        }
        throw new AssertionError("a wrong secret was accepted");
    }

    void operateAndDelete() throws Exception {
        scale();
        stop();
        start();
        restart();
        delete();
    }

    private void scale() throws Exception {
        var request = new ScaleK8sApplicationRequest();
        request.setAppId(id);
        request.setReplicas(SCALED_TO);
        becomes(call(request).getChangeOrderId(), SCALED_TO);
    }

    private void stop() throws Exception {
        var request = new StopK8sApplicationRequest();
        request.setAppId(id);
        becomes(call(request).getChangeOrderId(), 0);
    }

    private void start() throws Exception {
        var request = new StartK8sApplicationRequest();
        request.setAppId(id);
        becomes(call(request).getChangeOrderId(), SCALED_TO);
    }

    private void restart() throws Exception {
        var request = new RestartK8sApplicationRequest();
        request.setAppId(id);
        ChangeOrderInfo end = becomes(call(request).getChangeOrderId(), SCALED_TO);
        expect("pods of the restart", podsOfBatches(end), List.of(SCALED_TO));
    }

    private void delete() throws Exception {
        var request = new DeleteK8sApplicationRequest();
        request.setAppId(id);
        succeeds(call(request).getChangeOrderId());
        var gone = client.getAcsResponse(get());
        expect("Code for a deleted application", gone.getCode(), 601);
        expect("its Message says that it does not exist", gone.getMessage().contains("does not exist"), true);
        var listed = call(new ListApplicationRequest()).getApplicationList();
        expect("it is still listed", listed.stream().anyMatch(application -> application.getAppId().equals(id)), false);
    }

    /** Follows an order to its end; the application is said to have so many instances then. */
    private ChangeOrderInfo becomes(String order, int instances) throws Exception {
        ChangeOrderInfo end = succeeds(order);
        expect("InstanceCount", call(get()).getApplcation().getInstanceCount(), instances);
        runs("2.0");
        return end;
    }

    private GetApplicationRequest get() {
        var request = new GetApplicationRequest();
        request.setAppId(id);
        return request;
    }

    /** The reply, which says success. */
    private <T extends AcsResponse> T call(RoaAcsRequest<T> request) throws Exception {
        T reply = client.getAcsResponse(request);
        // Each reply's class has these two, but they share no type that does.
        Object code = reply.getClass().getMethod("getCode").invoke(reply);
        Object message = reply.getClass().getMethod("getMessage").invoke(reply);
        expect(request.getSysActionName(), code + " " + message, "200 success");
        return reply;
    }

    private static String image(String version) {
        return "shop/web:" + version;
    }

    private DeployK8sApplicationRequest release(String version) {
        var request = new DeployK8sApplicationRequest();
        request.setAppId(id);
        request.setImage(image(version));
        request.setPackageVersion(version);
        return request;
    }

    /** Orders a release and returns the order's id. */
    private String deploy(DeployK8sApplicationRequest request) throws Exception {
        String order = call(request).getChangeOrderId();
        orders.add(order);
        return order;
    }

    private GetK8sApplicationResponse.Applcation whole() throws Exception {
        var request = new GetK8sApplicationRequest();
        request.setAppId(id);
        request.setFrom("deploy");
        return call(request).getApplcation();
    }

    /** Fails where the application is said to be of another version. */
    private void runs(String version) throws Exception {
        expect("ImageUrl", whole().getImageInfo().getImageUrl(), image(version));
    }

    private ChangeOrderInfo info(String order) throws Exception {
        var request = new GetChangeOrderInfoRequest();
        request.setChangeOrderId(order);
        ChangeOrderInfo info = call(request).getChangeOrderInfo();
        expect("ChangeOrderId", info.getChangeOrderId(), order);
        return info;
    }

    /** Polls an order until `done` says so; fails at the deadline, and on an end that is not the one. */
    private ChangeOrderInfo follow(String order, Predicate<ChangeOrderInfo> done) throws Exception {
        expect("there is a ChangeOrderId", order != null && !order.isEmpty(), true);
        for (Instant deadline = Instant.now().plus(ORDER_DEADLINE); ; Thread.sleep(POLL_INTERVAL.toMillis())) {
            ChangeOrderInfo info = info(order);
            if (done.test(info)) {
                return info;
            }
            if (FINAL.contains(info.getStatus()) || Instant.now().isAfter(deadline)) {
                throw new AssertionError("order " + order + " ended or stays " + info.getStatus());
            }
        }
    }

    private ChangeOrderInfo succeeds(String order) throws Exception {
        return follow(order, info -> info.getStatus() == SUCCESS);
    }

    /** The order, waiting for a person with so many batches done. */
    private ChangeOrderInfo waits(String order, int done) throws Exception {
        ChangeOrderInfo info = follow(order, now -> now.getStatus() == WAITS_FOR_CONFIRMATION && doneBatches(now) == done);
        for (PipelineInfo batch : info.getPipelineInfoList().subList(done, info.getPipelineInfoList().size())) {
            expect("stages of a batch that has not begun", batch.getStageList().size(), 0);
        }
        return info;
    }

    private void confirm(PipelineInfo batch) throws Exception {
        var request = new ContinuePipelineRequest();
        request.setPipelineId(batch.getPipelineId());
        request.setConfirm(true);
        call(request);
    }

    private static long doneBatches(ChangeOrderInfo info) {
        return info.getPipelineInfoList().stream().filter(batch -> batch.getPipelineStatus() == SUCCESS).count();
    }

    /** How many pods each batch brought. */
    private static List<Integer> podsOfBatches(ChangeOrderInfo info) {
        return info.getPipelineInfoList().stream()
                .map(batch -> batch.getStageList().stream()
                        .flatMap(stage -> stage.getStageResultDTO().getInstanceDTOList().stream())
                        .map(instance -> instance.getPodName())
                        .collect(Collectors.toSet())
                        .size())
                .toList();
    }

    private static void expect(String what, Object got, Object wanted) {
        if (!Objects.equals(got, wanted)) {
            throw new AssertionError(what + " is " + got + ", not " + wanted);
        }
    }
}
