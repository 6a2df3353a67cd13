/* Transactional producers at a pace, in one process; prints how many
 * transactions were ended:
 *   Transactions BOOTSTRAP TOPIC PARTITIONS PRODUCERS RATE SECONDS
 * RATE is transactions per second of each producer, of five records of 1 KB on
 * one partition; every tenth is aborted. Begins once all have their ids.
 */
import java.util.Map;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.atomic.LongAdder;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class Transactions {
  private static final int RECORDS = 5;
  private static final LongAdder ended = new LongAdder();
  private static final AtomicReference<Exception> failed = new AtomicReference<>();

  private static void produce(KafkaProducer<byte[], byte[]> producer,
      String topic, int partition, double rate, double seconds) throws Exception {
    byte[] value = new byte[1000];
    long began = System.nanoTime();
    for (long n = 1; System.nanoTime() - began < seconds * 1e9; n++) {
      producer.beginTransaction();
      for (int i = 0; i < RECORDS; i++)
        producer.send(new ProducerRecord<>(topic, partition, null, value));
      producer.flush(); // aborted before they left, there would be none
      if (n % 10 == 0)
        producer.abortTransaction();
      else
        producer.commitTransaction();
      ended.increment();
      long ahead = began + (long) (n * 1e9 / rate) - System.nanoTime();
      if (ahead > 0)
        Thread.sleep(ahead / 1000000, (int) (ahead % 1000000));
    }
  }

  public static void main(String[] args) throws Exception {
    int partitions = Integer.parseInt(args[2]), count = Integer.parseInt(args[3]);
    double rate = Double.parseDouble(args[4]), seconds = Double.parseDouble(args[5]);
    CyclicBarrier ready = new CyclicBarrier(count);
    Thread[] threads = new Thread[count];
    for (int n = 0; n < count; n++) {
      int number = n;
      threads[n] = new Thread(() -> {
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(Map.of(
            "bootstrap.servers", args[0], "buffer.memory", 2000000,
            "transactional.id", "bench-" + number, "linger.ms", 1),
            new ByteArraySerializer(), new ByteArraySerializer())) {
          producer.initTransactions();
          ready.await();
          produce(producer, args[1], number % partitions, rate, seconds);
        } catch (Exception e) {
          failed.compareAndSet(null, e);
          ready.reset();
        }
      });
      threads[n].start();
    }
    for (Thread thread : threads)
      thread.join();
    if (failed.get() != null)
      throw failed.get();
    System.out.println(ended.sum());
  }
}
