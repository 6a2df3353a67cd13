/* MirrorMaker 2's own store of offset syncs, asked from outside. Reads lines:
 *   new 0|1      a new store; 1: until `start` it keeps the last sync only
 *   start        its topic has been read to the end
 *   sync U D     takes a sync in
 *   ask U        prints its answer, or `none`
 * It is in MirrorMaker's package, since only that may make a store.
 */
package org.apache.kafka.connect.mirror;

import java.util.OptionalLong;
import java.util.Scanner;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.TopicPartition;

public class StoreAnswers {
  private static class Store extends OffsetSyncStore {
    Store(boolean lastOnly) {
      initializationMustReadToEnd = lastOnly;
    }

    @Override
    void backingStoreStart() {
      readToEnd = true;
    }
  }

  private static final TopicPartition AT = new TopicPartition("topic1", 2);

  public static void main(String[] args) {
    Store store = null;
    StringBuilder answers = new StringBuilder();
    Scanner in = new Scanner(System.in);
    while (in.hasNext()) {
      switch (in.next()) {
        case "new" -> store = new Store(in.nextInt() == 1);
        case "start" -> store.start(store.initializationMustReadToEnd);
        case "sync" -> {
          OffsetSync sync = new OffsetSync(AT, in.nextLong(), in.nextLong());
          store.handleRecord(new ConsumerRecord<>("syncs", 0, 0,
              sync.recordKey(), sync.recordValue()));
        }
        default -> {
          OptionalLong to = store.translateDownstream("g", AT, in.nextLong());
          answers.append(to.isPresent() ? to.getAsLong() : "none").append('\n');
        }
      }
    }
    System.out.print(answers);
  }
}
