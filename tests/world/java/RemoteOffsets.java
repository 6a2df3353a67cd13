/* What an unchanged client of MirrorMaker 2 sees of a flow, one fact a line:
 *   RemoteOffsets BOOTSTRAP ALIAS POLICY GROUP..
 * Apache Kafka's own connect-mirror-client does all the work.
 */
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.connect.mirror.MirrorClient;
import org.apache.kafka.connect.mirror.RemoteClusterUtils;

public class RemoteOffsets {
  private static final String POLICIES = "org.apache.kafka.connect.mirror.";

  public static void main(String[] args) throws Exception {
    String alias = args[1];
    Map<String, Object> settings = new HashMap<>();
    settings.put("bootstrap.servers", args[0]);
    settings.put("replication.policy.class", POLICIES + args[2]);
    settings.put("source.cluster.alias", alias);
    try (MirrorClient client = new MirrorClient(settings)) {
      System.out.println("upstream " + new TreeSet<>(client.upstreamClusters()));
      System.out.println("hops " + client.replicationHops(alias));
      System.out.println("checkpoints "
          + new TreeSet<>(client.checkpointTopics()));
      System.out.println("remote " + new TreeSet<>(client.remoteTopics()));
    }
    for (String group : Arrays.copyOfRange(args, 3, args.length)) {
      Map<TopicPartition, OffsetAndMetadata> found = RemoteClusterUtils
          .translateOffsets(settings, alias, group, Duration.ofSeconds(60));
      Map<String, OffsetAndMetadata> sorted = new TreeMap<>();
      found.forEach((at, to) -> sorted.put(at.topic() + "/" + at.partition(), to));
      sorted.forEach((at, to) -> System.out.println(
          "offset " + group + " " + at + " " + to.offset() + " " + to.metadata()));
    }
  }
}
