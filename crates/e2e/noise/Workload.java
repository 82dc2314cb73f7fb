import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/**
 * A JVM at a moderate load: steady small garbage, middle-aged objects that reach the old generation, and a working set that swells and
 * is dropped every few minutes, so that a collector that returns memory draws a saw-tooth. Runs for the seconds of its argument.
 */
public final class Workload {
    private static final Map<Integer, double[]> CACHE = new LinkedHashMap<>(1024, 0.75f, true) {
        @Override
        protected boolean removeEldestEntry(Map.Entry<Integer, double[]> eldest) {
            return size() > 6_000;
        }
    };
    private static final ArrayDeque<byte[]> RECENT = new ArrayDeque<>();
    private static final List<long[]> BATCH = new ArrayList<>();

    private Workload() {}

    private static synchronized void quote(Random random) {
        for (int n = 0; n < 40; n++) {
            int key = (int) (Math.pow(random.nextDouble(), 3) * 20_000);
            CACHE.computeIfAbsent(key, k -> random.doubles(64).toArray());
            RECENT.addLast(new byte[256 + random.nextInt(4_096)]);
            if (RECENT.size() > 3_000) {
                RECENT.removeFirst();
            }
        }
        Map<String, String> message = new HashMap<>();
        for (int n = 0; n < 200; n++) {
            message.put("field" + n, Double.toString(random.nextDouble()));
        }
        if (message.toString().isEmpty()) {
            throw new IllegalStateException("an empty message");
        }
    }

    private static synchronized void batch(Random random) {
        BATCH.add(new long[16_384]);
        if (BATCH.size() > 120 + random.nextInt(80)) {
            BATCH.clear();
        }
    }

    public static void main(String[] args) throws InterruptedException {
        long seconds = Long.parseLong(args[0]);
        ScheduledExecutorService pool = Executors.newScheduledThreadPool(3);
        pool.scheduleAtFixedRate(() -> quote(new Random()), 0, 60, TimeUnit.MILLISECONDS);
        pool.scheduleAtFixedRate(() -> quote(new Random()), 10, 130, TimeUnit.MILLISECONDS);
        Random random = new Random(7);
        pool.scheduleAtFixedRate(() -> batch(random), 0, 1_100, TimeUnit.MILLISECONDS);
        Thread.sleep(seconds * 1_000);
        pool.shutdownNow();
    }
}
